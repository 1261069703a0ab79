"""A tiny model of every method, kept from each release with what it said of the same cells.

``python tests/releases.py`` makes ``tests/models/VERSION`` for the version that is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

import cytonym
from cytonym.methods import Method

MODELS = Path(__file__).parent / "models"
CELLS = MODELS / "cells.npz"
"""Counts that were drawn once and never again: no generator of numbers can change them."""

MOST = 100_000
"""Bytes of a model folder."""

SMALL: Mapping[str, Mapping[str, Any]] = {
    "dcca": {
        **{"genes": 40, "atac_input": "components", "components": 6, "dim": 4},
        **{"rna_hidden": (12,), "epi_hidden": (12,), "rna_decoder": (12,)},
        **{"epochs": 4, "warmup": 1, "batch_size": 48, "rna_lr": 1e-2, "epi_lr": 1e-2},
    },
    "linear": {"genes": 40},
    "scmoanno": {
        **{"rna_components": 8, "atac_components": 6, "dim": 12, "token": 6, "heads": 2},
        **{"hidden": 12, "pretrain_epochs": 2, "epochs": 3, "batch_size": 48},
    },
    "sctrans": {
        **{"genes": 24, "smooth_k": 6, "sub_vector": 10, "dim": 8, "heads": 1, "blocks": 1},
        **{"decoder_dim": 8, "epochs": 3, "batch_size": 48, "lr": 5e-3},
    },
    "seqalign": {
        **{"embedder": "lsi", "components": 4, "neighbours": 4, "hidden": 8, "epochs": 20},
    },
}
"""Options that make a model small; a method that is not named here has its defaults."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A model of a release, and what it said."""

    model: Path

    @property
    def answer(self) -> Path:
        """The file beside it."""
        return self.model.with_suffix(".npz")

    def size(self) -> int:
        """Bytes of the model."""
        return sum(file.stat().st_size for file in self.model.iterdir())

    def __str__(self) -> str:
        return f"{self.model.parent.name} {self.model.stem}"


def kept() -> list[Kept]:
    """All models of all releases."""
    return [Kept(one) for one in sorted(MODELS.glob("*/*.cytonym"))]


def cells(method: Method) -> tuple[Any, Any]:
    """Reference and query with what the method reads; 10 of 40 query cells are of no known type."""
    with np.load(CELLS) as held:
        labels, names = held["labels"], pd.Index(held["cells"])
        parts = {}
        for modality in ("rna", "atac"):
            counts = csr_matrix(held[modality].astype(np.float32))
            features = pd.DataFrame(index=pd.Index(held[f"{modality}_names"]))
            parts[modality] = AnnData(counts, pd.DataFrame(index=names), features)
    known = labels != ""
    parts = {name: part for name, part in parts.items() if name in method.needs.modalities}
    reference = {name: part[known].copy() for name, part in parts.items()}
    query = {name: part[~known].copy() for name, part in parts.items()}
    for part in reference.values():
        part.obs["cell_type"] = labels[known]
    if len(parts) == 1:
        return (*reference.values(), *query.values())
    return reference, query


def said(calls: cytonym.Annotation) -> dict[str, np.ndarray]:
    """An answer as plain arrays."""
    assert calls.sets is not None
    assert calls.strange is not None
    return {
        "cells": calls.cells.astype(str),
        "labels": calls.labels.astype(str),
        "types": calls.probabilities.columns.to_numpy(str),
        "sets": np.array(["|".join(one) for one in calls.sets]),
        "confidence": calls.confidence,
        "probabilities": calls.probabilities.to_numpy(),
        "embedding": np.asarray(calls.embedding),
        "strange": calls.strange,
    }


def make(folder: Path) -> None:
    """A model of every method and its answer; a folder that is there is never touched."""
    if folder.exists():
        raise SystemExit(f"{folder} is there: what a release said is never made anew")
    with TemporaryDirectory(dir=folder.parent) as partial:
        for name, method in cytonym.methods().items():
            reference, query = cells(method)
            how = {"method": name, "labels": "cell_type", "options": SMALL.get(name, {})}
            also = {"query": query} if method.needs.query else {}
            model = cytonym.fit(reference, **how, **also, validation=0.3, progress=False)
            one = Kept(Path(partial) / folder.name / f"{name}.cytonym")
            model.save(one.model)
            if (size := one.size()) > MOST:
                raise SystemExit(f"{one} has {size:,} bytes, of {MOST:,}: see SMALL")
            np.savez_compressed(one.answer, **said(model.annotate(query, progress=False)))
        (Path(partial) / folder.name).rename(folder)


if __name__ == "__main__":
    make(MODELS / cytonym.__version__)
