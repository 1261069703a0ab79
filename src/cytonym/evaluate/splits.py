"""Which cells are held out: always a part of the reference, always by type."""

from __future__ import annotations

import numpy as np


def holdout(
    y: np.ndarray, *, share: float, seed: int, groups: np.ndarray | None = None
) -> np.ndarray:
    """Hold out a share of the labelled cells of every type, or of whole groups of cells.

    Parameters
    ----------
    y
        ``(cells,)`` int label codes; -1 = unlabelled, never held out.
    share
        Share of each type, rounded; types with fewer than 4 cells stay whole, larger ones give
        at least one. 0 holds out nothing.
    groups
        ``(cells,)`` int, batch or donor: whole groups are held out, drawn until they have the
        share; groups that would make it more than twice the share (or one and a half average
        groups) are passed over. A type that is in no other group stays. May hold out nothing.

    Returns
    -------
    ``(cells,)`` bool, True where held out.
    """
    rng = np.random.default_rng((seed, 0x5EED))
    out = np.zeros(len(y), dtype=bool)
    if groups is not None and share > 0:
        order, known = rng.permutation(np.unique(groups)), y >= 0
        most = max(2 * share, 1.5 / len(order)) * known.sum()
        for group in order:
            more = (groups == group) & known
            if out.sum() < share * known.sum() and (out | more).sum() <= most:
                out |= more
        gone = np.setdiff1d(y[out], y[known & ~out])
        return out & ~np.isin(y, gone)
    for code in np.unique(y[y >= 0]):
        rows = rng.permutation(np.flatnonzero(y == code))
        if share > 0 and len(rows) >= 4:
            out[rows[: max(round(share * len(rows)), 1)]] = True
    return out


def folds(y: np.ndarray, *, n: int, seed: int) -> np.ndarray:
    """``(cells,)`` int fold of each cell in ``0..n-1``; every type is spread evenly.

    Types with fewer than ``n`` cells are missing from some folds.
    """
    rng = np.random.default_rng((seed, 0xF01D))
    out = np.zeros(len(y), dtype=np.int64)
    start = 0
    for code in np.unique(y):
        rows = rng.permutation(np.flatnonzero(y == code))
        out[rows] = (start + np.arange(len(rows))) % n
        start += len(rows)
    return out


def sample(y: np.ndarray, *, most: int, seed: int) -> np.ndarray:
    """Rows of at most about ``most`` labelled cells; each type keeps its share, but at least 10.

    Returns
    -------
    Sorted int rows.
    """
    rng = np.random.default_rng((seed, 0x5A3))
    labelled = np.flatnonzero(y >= 0)
    if len(labelled) <= most:
        return labelled
    share = most / len(labelled)
    rows = []
    for code in np.unique(y[labelled]):
        own = rng.permutation(np.flatnonzero(y == code))
        rows.append(own[: max(round(share * len(own)), 10)])
    return np.sort(np.concatenate(rows))
