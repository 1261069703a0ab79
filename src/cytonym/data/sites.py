"""Match methylation sites: the same name or the same interval, nothing that merely overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.data.coverage import Coverage
from cytonym.dna.intervals import interval_text, intervals
from cytonym.types import FeatureSpace


def match_sites(query: FeatureSpace, reference: FeatureSpace) -> tuple[csr_matrix, Coverage] | None:
    """Match by identical coordinates (chromosome, start, end); None where either side has none.

    Returns
    -------
    tuple
        The selection matrix ``(query sites, reference sites)`` float32 of 0 and 1, with at most
        one 1 in a row, and the coverage.
    """
    asked, known = intervals(query), intervals(reference)
    if asked is None or known is None:
        return None
    mine, theirs = _keys(asked), _keys(known)
    first = np.flatnonzero(~theirs.duplicated() & (theirs != ""))
    place = theirs[first].get_indexer(mine)
    rows = np.flatnonzero(place >= 0)
    columns = first[place[rows]]
    shared = np.unique(columns)
    ones = np.ones(len(rows), np.float32)
    selection = csr_matrix((ones, (rows, columns)), shape=(len(query), len(reference)))
    missing, sizes = np.delete(reference.names, shared), (len(reference), len(query), len(shared))
    notes = repeats(len(rows) - len(shared))
    return selection, Coverage(query.modality, *sizes, "coordinates", missing, notes)


def repeats(n: int) -> tuple[str, ...]:
    """What is said of ``n`` sites that repeat others."""
    return (f"{n:,} repeated sites were averaged, over what is observed",) if n else ()


def averaged(block: csr_matrix, selection: csr_matrix) -> csr_matrix:
    """The columns of ``selection``, each the mean of what is observed in those it is made from.

    Parameters
    ----------
    block
        ``(cells, sites)`` float32; what is not stored is missing, stored zeros are values.
    selection
        ``(sites, reference sites)`` of 0 and 1, with at most one 1 in a row.

    Returns
    -------
    csr_matrix
        ``(cells, reference sites)`` float32; zeros stay stored, and missing stays missing.
    """
    wanted: Any = selection.shape
    target = np.full(wanted[0], -1, dtype=np.int64)
    target[np.repeat(np.arange(wanted[0]), np.diff(selection.indptr))] = selection.indices
    columns = target[block.indices]
    kept = columns >= 0
    pointers = np.concatenate([[0], np.cumsum(kept)])[block.indptr]
    shape = len(block.indptr) - 1, wanted[1]
    picked = csr_matrix((block.data[kept], columns[kept], pointers), shape=shape)
    picked.sort_indices()
    if len(np.unique(selection.indices)) == len(selection.indices):
        return picked
    sums = []
    for values in (picked.data.astype(np.float64), np.ones(picked.nnz)):
        one = csr_matrix((values, picked.indices, picked.indptr), shape=shape, copy=True)
        one.sum_duplicates()  # what comes to 0 stays stored
        sums.append(one)
    total, number = sums
    values = (total.data / number.data).astype(np.float32)
    return csr_matrix((values, total.indices, total.indptr), shape=shape)


def _keys(table: pd.DataFrame) -> pd.Index:
    """Intervals as text; "" where a site has none."""
    return pd.Index(interval_text(table).where(table["chrom"] != "", ""))
