"""Metacells: groups of like cells whose counts are added up."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.errors import DataError, OptionError, Problem
from cytonym.prep.normalise import inverse, rows_times

SIZE, FEWEST, MOST = 30, 50, 2000
"""Cells in a metacell, and the bounds of how many metacells there are."""

BATCH = 20_000
"""Cells from which on k-means takes them in small batches."""


def metacells(embedding: np.ndarray, *, size: int = SIZE, seed: int = 0) -> np.ndarray:
    """Group the cells by k-means on an embedding.

    There is a group for each ``size`` cells; at least 50 (while a group can have three cells),
    and at most 2,000. With groups of few cells, sparse counts make tests of correlation
    misleading; with many, what varies within a type is lost.

    Parameters
    ----------
    embedding
        ``(cells, dim)`` float.
    size
        Cells in a group, on average; 1: each cell is its own group, however many there are.

    Returns
    -------
    ndarray
        ``(cells,)`` int64 in ``[0, groups)``; no group is empty, so there may be fewer.

    Raises
    ------
    DataError
        Values that are not finite, or no cells.
    OptionError
        A size below 1.
    """
    from sklearn.cluster import KMeans, MiniBatchKMeans

    x = np.asarray(embedding, dtype=np.float32)
    cells = len(x)
    if x.ndim != 2 or not cells or not np.isfinite(x).all():
        what = (
            f"the embedding is {x.shape}, with {int((~np.isfinite(x)).sum()):,} values not finite"
        )
        raise DataError(Problem(what, "give (cells, dim) numbers"), subject="the embedding")
    if size < 1:
        raise OptionError(f"size={size} is no number of cells; give 1 or more.")
    if size == 1:
        return np.arange(cells)
    n = min(MOST, max(cells // size, min(FEWEST, cells // 3), 1), len(np.unique(x, axis=0)))
    kind: Any = KMeans if cells < BATCH else MiniBatchKMeans
    codes = kind(n, n_init=1, random_state=seed).fit_predict(x)
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def summed(counts: csr_matrix, codes: np.ndarray) -> csr_matrix:
    """The counts of each group's cells added up: ``(groups, features)`` csr float32.

    Parameters
    ----------
    counts
        ``(cells, features)``.
    codes
        ``(cells,)`` int; cells with -1 are left out.
    """
    kept = np.flatnonzero(codes >= 0)
    shape = int(codes.max(initial=-1)) + 1, len(codes)
    member = csr_matrix((np.ones(len(kept), np.float32), (codes[kept], kept)), shape=shape)
    return csr_matrix(member @ counts, dtype=np.float32)


def log_normalised(counts: csr_matrix, total: float = 1e4) -> csr_matrix:
    """``log1p(total · x / Σ x)`` of each row, sparse float32; empty rows stay empty."""
    sums = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    scaled = csr_matrix(rows_times(csr_matrix(counts), total * inverse(sums)), dtype=np.float32)
    scaled.data = np.log1p(scaled.data)
    return scaled
