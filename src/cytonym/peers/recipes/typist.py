"""CellTypist, trained on the reference with its own defaults, without majority voting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import celltypist as tool  # pyright: ignore[reportMissingImports]
from inputs import log_cp10k

if TYPE_CHECKING:
    from cytonym.peers.recipes.worker import Task


def celltypist(task: Task) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """All genes, scaled over those at hand, so that its own test of its input (10,000 a cell, no
    value above 9.22) holds for subsets of genes too.
    """
    tool.logger.set_level(40)
    model = tool.train(
        log_cp10k(task.reference["rna"]),
        task.labels,
        feature_selection=False,
        n_jobs=1,
        check_expression=True,
        random_state=task.seed,
    )

    def name(query: Mapping[str, Any]) -> dict[str, Any]:
        found = tool.annotate(log_cp10k(query["rna"]), model=model, majority_voting=False)
        labels = found.predicted_labels["predicted_labels"].to_numpy().astype(str)
        return {"labels": labels, "confidence": found.probability_matrix.to_numpy().max(1)}

    return name
