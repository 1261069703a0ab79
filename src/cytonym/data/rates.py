"""Methylation rates: what is observed, what the numbers are, and sites that no cell has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.data.judge import Finding
from cytonym.errors import DataError, Problem
from cytonym.types import CellSource

METHYLATION = "methylation"
"""The modality whose values are rates: what is not stored is missing, and 0 is a value."""

BLOCK_CELLS = 4_096
"""Cells read at a time where all of them are looked at."""


def judge_rates(
    block: csr_matrix, where: str, *, cells: np.ndarray, features: np.ndarray, whole: bool
) -> Finding:
    """Say whether the observed values of a sample of rows are rates in [0, 1].

    Parameters
    ----------
    block
        ``(cells, sites)``: the sampled rows; what is not stored is missing.
    where
        The name of the place, for messages.
    cells, features
        The names of the rows and columns of ``block``.
    whole
        Whether the sample is all there is.

    Returns
    -------
    Finding
        Of kind ``"rates"``, ``"no rates"`` (nothing is observed), or all that is wrong, joined by
        ``" and "``: ``"negative rates"``, ``"infinite rates"``, and one of ``"rates of 2"``
        (nothing else is above 1), ``"percentages"`` (none above 100) and ``"rates above 1"``.
    """
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is named below
        values = block.data.astype(np.float32)
    seen = f"{len(cells):,} {'' if whole else 'sampled '}cells"
    size = len(cells) * len(features)
    if not len(values):
        return Finding(where, "no rates", f"none of the {size:,} values of {seen} is observed")
    rows = np.repeat(np.arange(len(cells)), np.diff(block.indptr))
    kinds, evidence = [], []
    for kind, wrong, what in _wrong(values):
        first = np.flatnonzero(wrong)[0]
        spot = f"first: cell {cells[rows[first]]!s}, site {features[block.indices[first]]!s}"
        kinds.append(kind)
        evidence.append(f"{wrong.sum():,} {what} in {seen}, {spot}")
    if kinds:
        return Finding(where, " and ".join(kinds), "; ".join(evidence))
    observed = f"{len(values):,} of {size:,} values observed ({len(values) / size:.1%})"
    zeros = f"{(values == 0).mean():.1%} of them 0"
    return Finding(where, "rates", f"up to {values.max():.4g}, {observed}, {zeros}, in {seen}")


def _wrong(values: np.ndarray) -> Iterator[tuple[str, np.ndarray, str]]:
    """Kind, mask and description of what cannot be rates."""
    finite = np.isfinite(values)
    below, above = finite & (values < 0), finite & (values > 1)
    if below.any():
        yield "negative rates", below, f"rates below 0, lowest {values[below].min():.4g},"
    if not finite.all():
        yield "infinite rates", ~finite, "infinite rates"
    if not above.any():
        return
    high = float(values[above].max())
    if (values[above] == 2).all():
        yield "rates of 2", above, "values of 2 (and none else above 1)"
    else:
        kind = "percentages" if high <= 100 else "rates above 1"
        yield kind, above, f"rates above 1, highest {high:,.4g},"


def doubts(block: csr_matrix, where: str, *, dense: bool) -> list[str]:
    """What is odd about the observed values of a sample: zeros that were lost, or mean missing."""
    shape: Any = block.shape
    zeros = float((block.data == 0).mean()) if block.nnz else 0.0
    if not dense and block.nnz and not zeros:
        return [
            f"{where} is sparse and stores no rate of 0: what is not stored is missing; if "
            "unmethylated sites were dropped, store their zeros, or give a dense matrix with NaN"
        ]
    if block.nnz == shape[0] * shape[1] and zeros > 0.5:
        return [
            f"{where} has no missing value, and {zeros:.0%} of its rates are 0: if 0 is what was "
            "not measured there, set it to NaN"
        ]
    return []


@dataclass(frozen=True, slots=True, eq=False)
class Survey:
    """Sums over all cells: ``per_site`` ``(sites,)`` and ``per_cell`` ``(cells,)`` int are how many
    values are observed, ``zeros`` how many of all are 0, ``total`` their sum.
    """

    per_site: np.ndarray
    per_cell: np.ndarray
    zeros: int
    total: float


def survey(blocks: Iterable[csr_matrix], n_sites: int) -> Survey:
    """Look at all ``blocks`` ``(cells, sites)``, in which what is not stored is missing."""
    per_site, per_cell, zeros, total = np.zeros(n_sites, np.int64), [], 0, 0.0
    for block in blocks:
        per_site += np.bincount(block.indices, minlength=n_sites)
        per_cell.append(np.diff(block.indptr))
        zeros += int((block.data == 0).sum())
        total += float(block.data.sum(dtype=np.float64))
    cells = np.concatenate(per_cell) if per_cell else np.zeros(0, np.int64)
    return Survey(per_site, cells, zeros, total)


def unobserved(found: Survey, sites: np.ndarray, where: str) -> Problem | None:
    """What is wrong where ``sites`` (their names) are missing in every cell."""
    never = found.per_site == 0
    if not never.any():
        return None
    names = ", ".join(str(name) for name in sites[never][:5]) + ", ..." * bool(never.sum() > 5)
    return Problem(
        f"{where}: {never.sum():,} of the {len(sites):,} sites are missing in all "
        f"{len(found.per_cell):,} cells: {names}",
        "leave these sites out: adata[:, ~numpy.isnan(adata.X).all(axis=0)] of a dense matrix, "
        "adata[:, adata.X.getnnz(axis=0) > 0] of a sparse one",
    )


def check_observed(source: CellSource, modality: str) -> None:
    """Whether every site of a reference is observed in some cell; reads all cells that have it.

    Raises
    ------
    DataError
        With the number of sites that no cell has, and the names of the first.
    """
    there = np.flatnonzero(source.present(modality))
    starts = range(0, len(there), BLOCK_CELLS)
    blocks = (source.read(modality, there[start : start + BLOCK_CELLS]) for start in starts)
    sites = source.spaces[modality].names
    problem = unobserved(survey(blocks, len(sites)), sites, modality)
    if problem is not None:
        raise DataError(problem, subject=getattr(source, "name", "the data"))
