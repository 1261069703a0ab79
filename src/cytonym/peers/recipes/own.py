"""A method of cytonym in the process of a competitor; the only recipe that imports cytonym."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from cytonym.fitting import fit as learn
from cytonym.methods import get

if TYPE_CHECKING:
    from cytonym.peers.recipes.worker import Task


def fit(task: Task) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """One fit, on all labelled cells: the first fit serves the report and trust, not the names.

    A method that needs no labels is the exception: cells that it leaves out say when to stop.
    A type of one cell, which a fit refuses, teaches nothing: its cell comes without a label.
    """
    settings = dict(task.settings)
    method, genome = settings.pop("method"), settings.pop("genome", None)
    reference = dict(task.reference)
    labels = pd.Series(task.labels, dtype=object)
    labels = labels.where(labels.map(labels.value_counts()) > 1).to_numpy()
    for one in reference.values():  # as read from the file, so nobody's but ours
        one.obs["label"] = labels
    needs = get(method).needs
    model = learn(
        reference,
        labels="label",
        method=method,
        seed=task.seed,
        options=settings,
        query=task.query and dict(task.query),
        genome=genome,
        validation=0.0 if needs.labels else 0.1,
        progress=False,
    )

    def name(query: Mapping[str, Any]) -> dict[str, Any]:
        calls = model.annotate(dict(query), genome=genome, reject=0, progress=False)
        kept = calls.probabilities
        return {
            "labels": kept.columns.to_numpy()[kept.to_numpy().argmax(1)],
            "confidence": calls.confidence,
            "embedding": calls.embedding,
        }

    return name
