"""Which of its peaks a gene follows: correlation against that with peaks on other chromosomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial import KDTree

from cytonym.errors import DataError, OptionError, Problem
from cytonym.regulation.activity import whitened
from cytonym.regulation.matrices import above_zero, dense, moments, product, size
from cytonym.types import Matrix

BLOCK = 64
"""Genes that are correlated with all peaks at a time."""


def link(
    rna: Matrix,
    atac: Matrix,
    pairs: pd.DataFrame,
    *,
    genes: Sequence[str] | np.ndarray,
    chrom: np.ndarray,
    gc: np.ndarray,
    n: int = 200,
    published: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Test each candidate pair of gene and peak over metacells.

    Pearson's r of the pair is set against r of the same gene with ``n`` other peaks: of those
    on other chromosomes, the ones that are most alike in GC and in mean accessibility. With
    mean and sd of these, ``p = 1 - Φ((r - mean) / sd)``; q is that of Benjamini and Hochberg
    over all pairs. A pair of which a side does not vary has r 0 and p 1.

    Few reads make r skewed, and p then too small. In SNARE-seq of the mouse cortex 745 of 24,946
    pairs have q <= .05 with 30 cells a metacell, and 62 where the peaks are shuffled (8 %); with
    single cells it is 999 and 252 (25 %).

    Parameters
    ----------
    rna
        ``(metacells, genes)`` log1p CP10k.
    atac
        ``(metacells, peaks)`` accessibility, normalised for depth.
    pairs
        ``gene``, ``peak``, ``row`` as ``peaks_of_genes`` gives them; genes that are not in
        ``genes`` are left out.
    genes
        ``(genes,)`` str, the columns of ``rna``.
    chrom
        ``(peaks,)`` str.
    gc
        ``(peaks,)`` in [0, 1].
    published
        As in DCCA's code instead: other peaks are any n of all peaks, and each r is taken as 0
        where its own p is .05 or more, or where a side has at most two values above 0.

    Returns
    -------
    DataFrame
        ``gene, peak, row, r, p, q, n``, in the order of ``pairs``; n counts the metacells in
        which the gene is expressed and the peak open.

    Raises
    ------
    DataError
        Sizes that do not fit, fewer than four metacells, no pair, or fewer than ten peaks
        on other chromosomes.
    OptionError
        Fewer than 10 peaks to compare with.
    """
    if n < 10:
        raise OptionError(f"n={n} peaks are too few to compare with; give 10 or more.")
    known = {str(gene): place for place, gene in reversed([*enumerate(genes)])}
    wanted: Any = pairs
    pairs = wanted[wanted["gene"].isin(known)].reset_index(drop=True)
    _check(rna, atac, pairs, genes, chrom, gc)
    column = np.array([known[gene] for gene in pairs["gene"]])
    row = pairs["row"].to_numpy(np.int64)
    used = np.unique(column)
    z = standardised(rna[:, used])
    mean, sd = moments(atac)
    near = _compared(row, np.searchsorted(used, column), mean, sd, chrom, gc, n, published, seed)
    opened: Any = atac > 0
    opened, often = opened.astype(np.float32), above_zero(atac)
    expressed = dense(rna[:, used]) > 0
    found = {name: np.empty(len(pairs)) for name in ("r", "p", "n")}
    for start in range(0, len(used), BLOCK):
        here = np.flatnonzero((column >= used[start]) & (column <= used[start : start + BLOCK][-1]))
        local = np.searchsorted(used, column[here]) - start
        some = slice(start, start + BLOCK)
        r = _correlations(z[:, some], atac, sd)
        both = expressed[:, some].astype(np.float32)
        if published:
            r = _zeroed(r, len(z), both.sum(axis=0), often)
        found["r"][here] = own = r[local, row[here]]
        null = r[local[:, None], near[here]]
        found["p"][here] = _upper(own, null)
        found["n"][here] = product(both.T, opened)[local, row[here]]
    found["p"][sd[row] == 0] = 1.0
    table = pairs.assign(r=found["r"], p=found["p"], q=stats.false_discovery_control(found["p"]))
    return table.assign(n=found["n"].astype(np.int64))


def standardised(values: Matrix) -> np.ndarray:
    """Dense float64 columns of mean 0 and variance 1; one that is constant is 0."""
    x = dense(values)
    x = x - x.mean(axis=0)
    sd = x.std(axis=0)
    return np.divide(x, sd, out=np.zeros_like(x), where=sd > 1e-12)


def correlation_p(r: np.ndarray, n: int) -> np.ndarray:
    """Two-sided p of Pearson's r over n observations, by Student's t with n - 2 degrees."""
    r = np.clip(r, -1, 1)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt((n - 2) / (1 - r**2))
    return 2 * stats.t.sf(t, n - 2)


def _correlations(z: np.ndarray, atac: Matrix, sd: np.ndarray) -> np.ndarray:
    """``(genes, peaks)`` Pearson's r: centring the genes is enough, so the peaks stay sparse."""
    joint = product(z.T, atac) / len(z)
    return np.divide(joint, sd, out=np.zeros_like(joint), where=sd > 0)


def _zeroed(
    r: np.ndarray, n: int, expressed: np.ndarray, opened: np.ndarray, level: float = 0.05
) -> np.ndarray:
    """r, and 0 where it is not significant or a side has at most two values above 0."""
    t = stats.t.isf(level / 2, n - 2)
    least = t / np.sqrt(n - 2 + t**2)
    kept = (np.abs(r) > least) & (expressed > 2)[:, None] & (opened > 2)
    return np.where(kept, r, 0.0)


def _upper(r: np.ndarray, null: np.ndarray) -> np.ndarray:
    """P of r above a normal with the null's mean and sd; 1 where neither varies nor differs."""
    above, sd = r - null.mean(axis=1), null.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = above / sd
    return stats.norm.sf(np.where(np.isnan(score), -np.inf, score))


def _compared(
    row: np.ndarray,
    gene: np.ndarray,
    mean: np.ndarray,
    sd: np.ndarray,
    chrom: np.ndarray,
    gc: np.ndarray,
    n: int,
    published: bool,
    seed: int,
) -> np.ndarray:
    """``(pairs, n)`` int: the peaks with which each pair is compared."""
    varied = np.flatnonzero(sd > 0)
    if published:  # one draw a gene
        draws = np.random.default_rng(seed).integers(0, len(varied), (gene.max() + 1, n))
        return varied[draws][gene]
    chrom = np.asarray(chrom).astype(str)
    white = whitened(mean[varied], gc[varied])
    place = np.cumsum(sd > 0) - 1  # of a peak among those that vary
    fewest = min(int((chrom[varied] != name).sum()) for name in np.unique(chrom[row]))
    if fewest < 10:
        what = f"{fewest:,} peaks lie on other chromosomes than a linked one, to compare with"
        problem = Problem(what, "give the peaks of all chromosomes")
        raise DataError(problem, subject="the links")
    out = np.zeros((len(row), min(n, fewest)), dtype=np.int64)
    for name in np.unique(chrom[row]):
        here = np.flatnonzero((chrom[row] == name) & (sd[row] > 0))
        others = np.flatnonzero(chrom[varied] != name)
        asked = white[place[row[here]]]
        out[here] = varied[others[KDTree(white[others]).query(asked, out.shape[1])[1]]]
    return out


def _check(
    rna: Matrix,
    atac: Matrix,
    pairs: pd.DataFrame,
    genes: Sequence[str] | np.ndarray,
    chrom: np.ndarray,
    gc: np.ndarray,
) -> None:
    problems = []
    (cells, n_genes), (same, n_peaks) = size(rna), size(atac)
    if cells != same or cells < 4:
        what = f"{cells:,} metacells with RNA and {same:,} with ATAC"
        problems.append(Problem(what, "give the same metacells in both, at least four"))
    if n_genes != len(genes):
        what = f"{len(genes):,} names for {n_genes:,} genes"
        problems.append(Problem(what, "give a name a gene"))
    if not n_peaks == len(chrom) == len(gc):
        what = f"{n_peaks:,} peaks, {len(chrom):,} chromosomes, {len(gc):,} shares of GC"
        problems.append(Problem(what, "give one of each for every peak"))
    if not len(pairs):
        what = "no candidate pair names a gene of the RNA"
        problems.append(Problem(what, "check that both name genes alike (symbols or ids)"))
    elif pairs["row"].max() >= n_peaks:
        what = f"a pair names peak {pairs['row'].max():,} of {n_peaks:,}"
        problems.append(Problem(what, "give pairs of these peaks"))
    if problems:
        raise DataError(problems, subject="the links")
