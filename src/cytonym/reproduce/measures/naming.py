"""Names of the query by a model of the reference, and how right they are."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

import cytonym
from cytonym import peers
from cytonym.annotator import Annotator
from cytonym.evaluate import cluster_scores, scores
from cytonym.evaluate.metrics import Scores, rare_types
from cytonym.methods import get
from cytonym.reproduce.divide import labels, sizes_of
from cytonym.reproduce.record import LABEL, Case, Parts, Way

Rows = list[dict[str, Any]]


def learn(case: Case, way: Way, seed: int, *, named: bool = True) -> Annotator:
    """A model of the reference; the first fit, which only serves the report's table, is left out.

    A method that names without being taught (``named=False``) sees no labels.
    """
    reference = read_by(way.method, case.reference)
    return cytonym.fit(
        reference,
        labels=LABEL if named else None,
        method=way.method,
        seed=seed,
        options=dict(way.options),
        query=unnamed(read_by(way.method, case.query)) if way.adapts else None,
        genome=case.data.genome if "atac" in reference else None,
        validation=0 if named else 0.1,
        progress=False,
    )


def read_by(method: str, parts: Parts) -> dict[str, Any]:
    """The modalities that a method reads."""
    return {name: one for name, one in parts.items() if name in get(method).needs.modalities}


def unnamed(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Cells without any column of ``obs``."""
    return {name: _bare(one) for name, one in parts.items()}


def _bare(one: Any) -> Any:
    out = one.copy()
    out.obs = pd.DataFrame(index=one.obs_names)
    return out


def asked(model: Annotator, case: Case, parts: Parts) -> Any:
    """What the model says of cells whose labels it cannot see."""
    genome = case.data.genome if "atac" in parts else None
    return model.annotate(
        unnamed(read_by(model.method.name, parts)), genome=genome, reject=0, progress=False
    )


def figures(found: Scores) -> dict[str, float]:
    """Scores of all cells, and of those whose type the reference has."""
    out = {
        "accuracy": found.accuracy,
        "balanced_accuracy": found.balanced_accuracy,
        "macro_f1": found.macro_f1,
        "weighted_f1": found.weighted_f1,
        "kappa": found.kappa,
    }
    shared = found.shared or found
    return {**out, "shared_accuracy": shared.accuracy, "shared_macro_f1": shared.macro_f1}


@dataclass(frozen=True, eq=False)
class Named:
    """``(cells,)`` names of the query, the names that can be given, and what it took."""

    labels: np.ndarray
    known: Sequence[str]
    took: Mapping[str, Any]


def named(case: Case, way: Way, seed: int) -> Named:
    """By a method of ours, or by a peer in a process of its own."""
    if way.peer:
        found = peers.run(way.method, case.reference, case.query, label=LABEL, seed=seed)
        took = {"fit_seconds": found.fit_seconds, "name_seconds": found.name_seconds}
        took |= {"seconds": found.seconds, "peak_mib": found.peak_mib}
        return Named(found.labels, sorted(sizes_of(labels(case.reference))), took)
    start = time.monotonic()
    model = learn(case, way, seed)
    fitted = time.monotonic()
    calls = asked(model, case, case.query)
    took: dict[str, Any] = {"fit_seconds": fitted - start}
    took["name_seconds"] = time.monotonic() - fitted
    took["weights"] = sum(one.numel() for one in model.net.parameters())
    dna = getattr(model.options, "embedder", None)  # k-mers are never to pass for a network
    return Named(calls.labels, model.label_names, {**took, **({"dna": dna} if dna else {})})


def naming(case: Case, way: Way, seed: int) -> Rows:
    """Accuracy, balanced accuracy, F1 and kappa."""
    said = named(case, way, seed)
    return [{**figures(scores(labels(case.query), said.labels, known=said.known)), **said.took}]


def confusion(case: Case, way: Way, seed: int) -> Rows:
    """Cells by known and predicted type, a row for each pair of types."""
    said = named(case, way, seed)
    found = scores(labels(case.query), said.labels).confusion
    table = found.reindex(columns=sorted({*map(str, said.known)} | {*found.columns}), fill_value=0)
    return [
        {"known": str(known), "predicted": str(name), "cells": int(row[name])}
        for known, row in table.iterrows()
        for name in table.columns
    ]


def by_type(case: Case, way: Way, seed: int) -> Rows:
    """Precision, recall and F1 of every type, with the cells that taught it."""
    taught = sizes_of(labels(case.reference))
    table = scores(labels(case.query), named(case, way, seed).labels).per_type
    return [
        {
            "type": str(kind),
            "train": taught.get(str(kind), 0),
            "test": int(row["n"]),
            **{name: float(row[name]) for name in ("precision", "recall", "f1")},
        }
        for kind, row in table.iterrows()
    ]


def of_cut_type(case: Case, way: Way, seed: int) -> Rows:
    """Recall and F1 of the type that the case cut down."""
    return [row for row in by_type(case, way, seed) if row["type"] == case.key["cut"]]


def rare(case: Case, way: Way, seed: int) -> Rows:
    """Recall and F1 of types with fewer than 50 training cells or 1 % of them, and of others."""
    table = pd.DataFrame(by_type(case, way, seed))
    few = rare_types(np.asarray(table["train"]))
    return [
        {"types": what, "n_types": int(own.sum())}
        | {name: float(table.loc[own, name].mean()) for name in ("recall", "f1")}
        for what, own in (("rare", few), ("others", ~few))
        if own.any()
    ]


BY_NAMES = (naming, confusion, by_type, of_cut_type, rare)
"""Measures that ask for names and nothing else: peers can be compared there."""


def missing(case: Case, way: Way, seed: int) -> Rows:
    """One model of all modalities, asked with all of them and with each alone."""
    model, truth = learn(case, way, seed), labels(case.query)
    given = {
        "all": case.query,
        **{f"{name} alone": {name: one} for name, one in case.query.items()},
    }
    return [
        {"asked with": what, **figures(scores(truth, asked(model, case, parts).labels))}
        for what, parts in given.items()
    ]


def clusters(case: Case, way: Way, seed: int) -> Rows:
    """Agreement of types with clusters of the embedding, and of what is read without a model.

    Both are clusters of the query; the expression is log1p CP10k of all genes, brought to 50
    principal components of the reference where that is possible.
    """
    calls = asked(learn(case, way, seed), case, case.query)
    truth, out = labels(case.query), []
    spaces = {"embedding": calls.embedding}
    if "rna" in case.query:
        spaces["expression"] = expression(case.reference["rna"], case.query["rna"], seed)
    for space, x in spaces.items():
        table = cluster_scores(x, truth, seed=seed)
        out += [{"space": space, **row} for row in agreement_rows(table)]
    return out


def agreement_rows(table: pd.DataFrame) -> Rows:
    """NMI, ARI and purity of each clustering of :func:`cytonym.evaluate.cluster_scores`."""
    shown: Any = table[["nmi", "ari", "purity"]].astype(float)
    return [{"clusters by": str(by), **row} for by, row in shown.to_dict(orient="index").items()]


def expression(reference: Any, query: Any, seed: int) -> np.ndarray:
    """``(cells, dim)`` principal components of log1p CP10k, fitted on the reference."""
    from sklearn.decomposition import PCA

    from cytonym.regulation import log_normalised

    logged = [log_normalised(one.X).toarray() for one in (reference, query)]
    reduce = PCA(min(50, *(n - 1 for n in logged[0].shape)), random_state=seed)
    return reduce.fit(logged[0]).transform(logged[1])
