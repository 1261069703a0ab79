"""How active a motif is in a cell: chromVAR's deviations (Schep et al. 2017), streamed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse import csr_matrix, issparse
from scipy.spatial.distance import cdist
from tqdm.auto import tqdm

from cytonym.errors import DataError, OptionError, Problem
from cytonym.regulation.matrices import product, size
from cytonym.types import Matrix

CELLS = 4096
"""Cells that are worked on at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Activity:
    """Deviations of motifs in cells.

    Attributes
    ----------
    deviation
        ``(cells, motifs)`` float32: by what share a cell has more reads in a motif's peaks than
        expected, less the same of background peaks; NaN where too few reads are expected.
    z
        ``(cells, motifs)`` float32: the same in standard deviations of the background.
    names
        ``(motifs,)``.
    """

    deviation: np.ndarray
    z: np.ndarray
    names: tuple[str, ...]

    @property
    def variability(self) -> np.ndarray:
        """``(motifs,)`` float64: the standard deviation of z over cells; 1 is expected by chance.

        NaN for a motif with fewer than two cells that are not NaN.
        """
        known = np.isfinite(self.z)
        n = known.sum(axis=0)
        z = np.where(known, self.z, 0).astype(np.float64)
        squares = (z**2).sum(axis=0) - z.sum(axis=0) ** 2 / np.maximum(n, 1)
        out = np.full(len(n), np.nan)
        np.divide(np.maximum(squares, 0), n - 1, out=out, where=n > 1)
        return np.sqrt(out)


def background_peaks(
    reads: np.ndarray,
    gc: np.ndarray,
    *,
    n: int = 50,
    width: float = 0.1,
    bins: int = 50,
    seed: int = 0,
) -> np.ndarray:
    """For each peak, ``n`` peaks that are alike in depth and in GC, drawn with replacement.

    log10 of the reads and GC are whitened by the Cholesky factor of their covariance and put
    into ``bins`` × ``bins`` cells of a grid. A cell of the grid is drawn by a normal density of
    its distance, then one of its peaks, each with the same chance.

    Parameters
    ----------
    reads
        ``(peaks,)`` reads over all cells (or any mean of them), above 0.
    gc
        ``(peaks,)`` share of G and C, in [0, 1]; a NaN is taken as the mean.
    width
        Standard deviation of the density, in units of the whitened space.

    Returns
    -------
    ndarray
        ``(peaks, n)`` int64.

    Raises
    ------
    DataError
        Peaks without reads, no known GC, or another length of ``gc``.
    """
    reads, gc = np.asarray(reads, dtype=np.float64), np.asarray(gc, dtype=np.float64)
    white = whitened(reads, gc)
    axes = [np.linspace(column.min(), column.max(), bins) for column in white.T]
    places = [_nearest(axis, column) for axis, column in zip(axes, white.T, strict=True)]
    cell = places[0] * bins + places[1]
    kinds, own = np.unique(cell, return_inverse=True)
    order = np.argsort(own, kind="stable")  # by cell of the grid
    sizes = np.bincount(own)
    starts = np.cumsum(sizes) - sizes
    centres = np.column_stack([axes[0][kinds // bins], axes[1][kinds % bins]])
    log_density = -(cdist(centres, centres) ** 2) / (2 * width**2)
    density = np.exp(log_density)
    rng = np.random.default_rng(seed)
    out = np.empty((len(reads), n), dtype=np.int64)
    for kind, chances in enumerate(density):
        rows = order[starts[kind] : starts[kind] + sizes[kind]]
        drawn = rng.choice(len(kinds), size=(len(rows), n), p=chances / chances.sum())
        out[rows] = order[starts[drawn] + rng.integers(0, sizes[drawn])]
    return out


def whitened(reads: np.ndarray, gc: np.ndarray) -> np.ndarray:
    """log10 of reads, and GC, as ``(peaks, 2)`` with unit covariance; what is constant stays so.

    Raises
    ------
    DataError
        As of ``background_peaks``.
    """
    problems = []
    if len(reads) != len(gc):
        what = f"{len(reads):,} counts and {len(gc):,} shares of GC"
        problems.append(Problem(what, "give one of each for every peak"))
    if empty := int((~(reads > 0)).sum()):
        what = f"{empty:,} of {len(reads):,} peaks have no reads"
        problems.append(Problem(what, "leave them out"))
    if not np.isfinite(gc).any():
        problems.append(Problem("the GC content of no peak is known", "check the FASTA file"))
    if problems:
        raise DataError(problems, subject="the peaks")
    both = np.column_stack([np.log10(reads), np.where(np.isfinite(gc), gc, np.nanmean(gc))])
    covariance = np.cov(both.T) if len(both) > 1 else np.eye(2)
    lower = np.linalg.cholesky(covariance + 1e-9 * np.eye(2))
    return solve_triangular(lower, both.T, lower=True).T


def _nearest(axis: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Of each value, the place of the nearest point on an even axis."""
    span = axis[-1] - axis[0]
    if not span > 0:
        return np.zeros(len(values), dtype=np.int64)
    return np.rint((values - axis[0]) / span * (len(axis) - 1)).astype(np.int64)


def deviations(
    counts: Matrix | Iterable[Matrix],
    matches: csr_matrix,
    background: np.ndarray,
    *,
    names: Sequence[str] | None = None,
    least_expected: float = 1.0,
    progress: bool = False,
) -> Activity:
    """Deviations of each motif in each cell, corrected by background peaks.

    With a_p the share of all reads that lie in peak p, N_c the reads of cell c, and m the
    peaks of a motif: E = N_c Σ_m a_p, d = (Σ_m x_cp - E) / E. The same of the background peaks,
    one set for each of its columns, gives a mean and a standard deviation (Schep et al. 2017);
    deviation = d - mean, z = (d - mean) / sd.

    Parameters
    ----------
    counts
        ``(cells, peaks)`` raw counts, sparse or dense; or its blocks of cells, which are walked
        twice (denoised accessibility, for plots).
    matches
        ``(peaks, motifs)`` bool.
    background
        ``(peaks, n)`` int of ``background_peaks``, n at least 2.
    names
        Of the motifs; None numbers them.
    least_expected
        Reads that a cell must be expected to have in the motif's peaks.

    Raises
    ------
    DataError
        Sizes that do not fit, no reads at all, or blocks that can be walked only once.
    OptionError
        Fewer than two columns of background.
    """
    background = np.asarray(background)
    if background.ndim != 2 or background.shape[1] < 2:
        raise OptionError(f"background is {background.shape}; give (peaks, n) with n at least 2.")
    n_peaks, n_motifs = size(matches)
    wanted = tuple(map(str, range(n_motifs) if names is None else names))
    share, cells = _shares(counts, n_peaks, background, wanted, n_motifs)
    marks = csr_matrix(matches, dtype=np.float32)
    out = [np.empty((cells, n_motifs), dtype=np.float32) for _ in range(2)]
    start = 0
    bar = tqdm(total=cells, desc="deviations", unit="cell", leave=False, disable=not progress)
    with bar:
        for block in _blocks(counts):
            here = slice(start, start + size(block)[0])
            out[0][here], out[1][here] = _corrected(block, marks, background, share, least_expected)
            start = here.stop
            bar.update(size(block)[0])
    return Activity(out[0], out[1], wanted)


def _corrected(
    block: Matrix, marks: csr_matrix, background: np.ndarray, share: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Deviation and z of a block of cells; mean and spread of the background by Welford's sums."""
    depth = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
    own, expected = _relative(block, marks, share, depth)
    mean, spread = np.zeros_like(own), np.zeros_like(own)
    peaks, motifs = marks.nonzero()
    ones = np.ones(len(peaks), dtype=np.float32)
    for done, column in enumerate(background.T, start=1):
        sampled = csr_matrix((ones, (column[peaks], motifs)), shape=marks.shape)  # repeats add up
        theirs, _ = _relative(block, sampled, share, depth)
        step = theirs - mean
        mean += step / done
        spread += step * (theirs - mean)
    sd = np.sqrt(spread / (background.shape[1] - 1))
    few = expected < least
    deviation = np.where(few, np.nan, own - mean)
    z = np.full_like(own, np.nan)
    np.divide(deviation, sd, out=z, where=sd > 0)
    return deviation.astype(np.float32), z.astype(np.float32)


def _relative(
    block: Matrix, marks: csr_matrix, share: np.ndarray, depth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(observed - expected) / expected, and expected: both ``(cells, motifs)`` float64."""
    observed = product(block, marks)
    expected = np.outer(depth, share @ marks)
    out = np.full_like(observed, np.nan)
    np.divide(observed - expected, expected, out=out, where=expected > 0)
    return out, expected


def _blocks(counts: Matrix | Iterable[Matrix]) -> Iterator[Matrix]:
    """Blocks of cells, sparse or dense, of a matrix or as they come."""
    if issparse(counts) or isinstance(counts, np.ndarray):
        whole: Any = csr_matrix(counts) if issparse(counts) else counts
        edges = [*range(0, whole.shape[0], CELLS), whole.shape[0]]
        for start, stop in pairwise(edges):
            yield whole[start:stop]
    else:
        blocks: Any = counts
        yield from blocks


def _shares(
    counts: Matrix | Iterable[Matrix],
    n_peaks: int,
    background: np.ndarray,
    names: Sequence[str],
    n_motifs: int,
) -> tuple[np.ndarray, int]:
    """``(peaks,)`` each peak's share of all reads, and the number of cells."""
    problems = []
    if iter(counts) is counts:
        what = "the blocks of cells can be walked only once"
        problems.append(Problem(what, "give a list of blocks, or an object that starts anew"))
    if len(background) != n_peaks:
        what = f"{len(background):,} peaks have background, {n_peaks:,} were scanned"
        problems.append(Problem(what, "give both for the same peaks"))
    if len(names) != n_motifs:
        what = f"{len(names):,} names for {n_motifs:,} motifs"
        problems.append(Problem(what, "give a name a motif"))
    sums, cells = np.zeros(n_peaks), 0
    for block in () if problems else _blocks(counts):
        if size(block)[1] != n_peaks:
            what = f"the cells have {size(block)[1]:,} peaks, {n_peaks:,} were scanned"
            problems.append(Problem(what, "give both for the same peaks"))
            break
        sums += np.asarray(block.sum(axis=0), dtype=np.float64).ravel()
        cells += size(block)[0]
    if not problems and not sums.sum() > 0:
        problems.append(Problem(f"{cells:,} cells have no reads at all", "give raw counts"))
    if problems:
        raise DataError(problems, subject="the counts")
    return sums / sums.sum(), cells
