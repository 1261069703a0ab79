"""How well the clusters of an embedding agree with known labels; libraries do the arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from cytonym.errors import DataError, OptionError, Problem
from cytonym.groups.overcluster import leiden

Clustering = Literal["kmeans", "leiden"]

MOST = 50_000
"""Cells that are clustered, at most: a sample of that size beyond."""


def cluster_scores(
    embedding: np.ndarray,
    truth: Any,
    *,
    predicted: Any = None,
    by: Sequence[Clustering] = ("kmeans", "leiden"),
    neighbours: int = 15,
    resolution: float = 1.0,
    seed: int = 0,
) -> pd.DataFrame:
    """Cluster an embedding and compare with known labels.

    Parameters
    ----------
    embedding
        ``(cells, dim)`` float.
    truth
        ``(cells,)`` labels; cells without one (None, NaN) are left out.
    predicted
        ``(cells,)`` labels, taken as clusters too.
    by
        ``kmeans`` with as many clusters as there are types; ``leiden`` on the graph of nearest
        neighbours, by modularity (needs igraph).
    neighbours, resolution
        Of Leiden.

    Returns
    -------
    DataFrame
        A row for each way to cluster, with columns ``clusters, cells, nmi, ari, purity``: the
        mutual information normalised by the arithmetic mean of both entropies, the adjusted
        Rand index, and the share of cells in the most common type of their cluster.

    Raises
    ------
    DataError
        Different lengths, values that are not finite, or no cell with a known label.
    OptionError
        Leiden without igraph.
    """
    if unknown := {*by} - {"kmeans", "leiden"}:
        raise OptionError(f"No clustering {', '.join(sorted(unknown))}; there are kmeans, leiden.")
    embedding, truth = np.asarray(embedding), pd.Series(truth)
    lengths = {len(embedding), len(truth)} | ({len(predicted)} if predicted is not None else set())
    if embedding.ndim != 2 or len(lengths) > 1:
        sizes = ", ".join(f"{length:,}" for length in sorted(lengths))
        what = f"the embedding is {embedding.shape}, and the lengths differ: {sizes}"
        raise DataError(Problem(what, "give (cells, dim), and a label a cell"), subject="embedding")
    if not np.isfinite(embedding).all():
        bad = int((~np.isfinite(embedding)).any(axis=1).sum())
        problem = Problem(f"{bad:,} cells have values that are not finite", "leave them out")
        raise DataError(problem, subject="embedding")
    rows = np.flatnonzero(truth.notna())
    if not len(rows):
        problem = Problem("no cell has a known label", "name the column with the true labels")
        raise DataError(problem, subject="the labels")
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST, replace=False))
    x, y = embedding[rows].astype(np.float32), pd.factorize(truth.iloc[rows].astype(str))[0]
    found = {}
    if "kmeans" in by:
        found["kmeans"] = _kmeans(x, int(y.max()) + 1, seed)
    if "leiden" in by:
        found["leiden"] = leiden(
            x, neighbours, resolution, seed, instead="leave it out (by=('kmeans',))"
        )
    if predicted is not None:
        found["predicted"] = pd.factorize(pd.Series(predicted).iloc[rows].astype(str))[0]
    table = pd.DataFrame([agreement(y, clusters) for clusters in found.values()])
    return table.set_axis(pd.Index([*found], name="by"))


def agreement(y: np.ndarray, clusters: np.ndarray) -> dict[str, float]:
    """NMI (arithmetic mean), ARI and purity of ``(cells,)`` int clusters against int types."""
    from sklearn import metrics
    from sklearn.metrics.cluster import contingency_matrix

    counts: Any = contingency_matrix(y, clusters)  # types × clusters
    return {
        "clusters": counts.shape[1],
        "cells": len(y),
        "nmi": float(metrics.normalized_mutual_info_score(y, clusters)),
        "ari": float(metrics.adjusted_rand_score(y, clusters)),
        "purity": float(counts.max(axis=0).sum() / len(y)),
    }


def _kmeans(x: np.ndarray, k: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans

    starts: Any = 10  # the stubs of scikit-learn know only the word
    k = min(k, len(np.unique(x, axis=0)))
    return KMeans(k, n_init=starts, random_state=seed).fit_predict(x)
