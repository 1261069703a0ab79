"""Cells of no known type in groups: how many, what they are near to, what marks them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytonym.groups.markers import MARKERS, markers
from cytonym.groups.overcluster import by_size
from cytonym.reserved import UNKNOWN
from cytonym.types import CellSource

SCATTERED = "scattered"
LEAST = 10
"""Cells of a population."""

MOST = 15
"""Populations that are looked for."""

DIMS = 5
FITTED = 2_000
"""Cells that groups are learned from, at most; the others fall into the nearest."""

COLUMNS = (
    "population",
    "cells",
    "share",
    "confidence",
    "nearest",
    "nearest_probability",
    "second",
    "second_probability",
    "markers",
)


@dataclass(frozen=True, slots=True, eq=False)
class Populations:
    """Groups among the cells that were called ``Unknown``.

    Attributes
    ----------
    names
        ``(cells,)`` object: ``Unknown 1`` (the largest), ``Unknown 2``, ..., or ``scattered``;
        None in cells that have a type.
    table
        A row for each: ``population``, ``cells``, ``share`` (of the query), ``confidence`` (mean),
        the two ``nearest`` and ``second`` known types with the mean probability of each
        (``nearest_probability``, ``second_probability``), ``markers`` (joined by ", ").
    markers
        Ten rows or fewer for each: ``population``, ``rank``, ``feature``, ``t``, ``mean`` and
        ``mean_rest``, ``share`` and ``share_rest`` of the cells in which it is seen.
    note
        What the user should know; may be empty.
    """

    names: np.ndarray
    table: pd.DataFrame
    markers: pd.DataFrame
    note: str = ""


def populations(
    unknown: np.ndarray,
    embedding: np.ndarray,
    probabilities: pd.DataFrame,
    source: CellSource,
    *,
    rows: np.ndarray | None = None,
    seed: int = 0,
) -> Populations:
    """Group the unknown cells, and say what each group is like.

    Parameters
    ----------
    unknown
        ``(cells,)`` bool.
    embedding, probabilities
        ``(unknown cells, dim)`` float and ``(cells, types)``.
    source
        The same cells, whose RNA (or, without, ATAC) is read by blocks.
    rows
        ``(cells,)`` int: where each cell lies in ``source``; None: in the same order.
    """
    codes = np.full(len(unknown), -1)
    codes[unknown] = grouped(embedding, seed=seed)
    titles = [f"{UNKNOWN} {one + 1}" for one in range(int(codes.max(initial=-1)) + 1)]
    names = np.full(len(unknown), None, dtype=object)
    names[unknown] = SCATTERED
    for code, title in enumerate(titles):
        names[codes == code] = title
    found, note = (pd.DataFrame(columns=pd.Index(MARKERS)), "")
    if titles:
        found, note = markers(codes, titles, source, rows)
    records, chances = [], probabilities.to_numpy()
    for code, title in enumerate(titles):
        mine = codes == code
        mean = chances[mine].mean(axis=0, dtype=np.float64)
        near = np.argsort(-mean, kind="stable")[:2]
        types = [(str(probabilities.columns[one]), float(mean[one])) for one in near]
        first, second = [*types, ("", np.nan)][:2]
        sure = float(chances[mine].max(axis=1).mean(dtype=np.float64))
        own = ", ".join(found.loc[found["population"] == title, "feature"])
        n = int(mine.sum())
        records.append((title, n, n / len(unknown), sure, *first, *second, own))
    return Populations(names, pd.DataFrame(records, columns=pd.Index(COLUMNS)), found, note)


def grouped(embedding: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """``(cells,)`` int groups, 0 the largest; -1 in groups of fewer than 10 cells.

    A mixture of Gaussians on five principal components, with as many parts (1 to 15) as the
    Bayesian information criterion finds best. Cells of one kind stay together, where a graph of
    neighbours is cut into parts whatever it is, and few cells are left over, where density
    (HDBSCAN) leaves most of a wide cloud; both were tried on types left out of real references.
    Of more than 2,000 cells, as many drawn by ``seed`` say what the groups are.
    """
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    x = np.asarray(embedding, dtype=np.float64)
    if len(x) < LEAST:
        return np.full(len(x), -1)
    codes, spread = np.zeros(len(x), dtype=np.int64), float(x.var(axis=0).max())
    if spread > 0:
        x = PCA(min(DIMS, *x.shape), svd_solver="full").fit_transform(x)
        best, some = np.inf, x
        if len(x) > FITTED:
            some = x[np.sort(np.random.default_rng(seed).permutation(len(x))[:FITTED])]
        for parts in range(1, min(MOST, len(some) // LEAST, len(np.unique(some, axis=0))) + 1):
            mixture = GaussianMixture(
                parts, n_init=2, reg_covar=1e-4 * spread, max_iter=200, random_state=seed
            ).fit(some)
            if (fit := mixture.bic(some)) < best:
                best, codes = fit, mixture.predict(x)
    codes = by_size(codes)
    return np.where(np.bincount(codes)[codes] >= LEAST, codes, -1)
