"""Two ATAC data sets that share cell types in part and peaks in part, over one genome.

Which peaks open in a type is written in their sequence: each type has motifs of its own. What is
learned from the sequence of peaks carries over; what is learned from their names does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.data.simulate import type_names, typed_cells
from cytonym.data.simulate_counts import draw_open, wrong_sizes
from cytonym.data.simulate_dna import (
    LONGEST,
    PEAK,
    gc_share,
    motif_matrices,
    peak_names,
    plant,
    random_genome,
    write_fasta,
)
from cytonym.data.simulate_layout import CHROMOSOMES
from cytonym.errors import OptionError

_SPACING = 2_000  # bp from one locus to the next
_MARGIN = 100  # bp at both ends of a peak without a site: a shifted peak still holds all sites


@dataclass(frozen=True)
class Domains:
    """A labelled data set, another one with other peaks, and the genome of both.

    Attributes
    ----------
    reference, query
        Cells × peaks, csr float32 0/1; ``obs`` has ``cell_type`` and ``batch`` (one); ``var`` has
        ``chr``, ``start``, ``end`` (bp, 0-based, half-open), ``type`` (in which the peak opens,
        ``""``: none) and ``locus``: equal in both where two peaks overlap.
    fasta
        ``genome.fa``.
    """

    reference: AnnData
    query: AnnData
    fasta: Path


def simulate_domains(
    folder: str | Path,
    motifs: Mapping[str, np.ndarray],
    *,
    seed: int,
    n_cells: int = 400,
    n_types: int = 5,
    n_peaks: int = 800,
    absent: int = 1,
    new: int = 1,
    overlap: float = 0.3,
    depth: float = 0.6,
    gc_bias: float = 0.0,
    background: float = 0.0,
    state: float = 0.0,
) -> Domains:
    """Simulate a reference and a query with different peaks, as of two platforms.

    Parameters
    ----------
    folder
        Where ``genome.fa`` is written; made if missing.
    motifs
        Name → ``(4, length)`` frequencies of A, C, G, T; motif i belongs to type i modulo
        ``n_types``.
    seed
        The same seed gives the same cells and the same file, byte by byte.
    n_cells, n_peaks
        The size of each of the two data sets.
    n_types
        All cell types together.
    absent
        Types that the query lacks: the first ones.
    new
        Types that the reference lacks: the last ones.
    overlap
        The share of peaks that overlap a peak of the other data set; they are shifted against it
        by up to 100 bp, the others lie apart.
    depth
        The depth of the query, as a share of the reference's.
    gc_bias
        How much rather the query's platform reads GC: in a mean cell a peak is seen
        ``exp(gc_bias * (GC share - 0.45))`` times as often; cells vary by a quarter of it.
    background
        The share of the query's reads that fall on peaks whatever the type of the cell.
    state
        A state that all cells of the query are in, as stress after dissociation: how far (logit;
        a cell's own peaks are raised by 2) the peaks of the first type of both are opened.

    Returns
    -------
    Domains
        Both data sets and their genome.

    Raises
    ------
    DataError
        Matrices that cannot be planted.
    OptionError
        Sizes or shares that do not go together, all at once.
    """
    matrices = motif_matrices(motifs)
    shares = {"overlap": overlap, "depth": depth, "background": background}
    wrong = wrong_sizes(n_cells, n_types, 1, shares)
    if len(matrices) < n_types or n_peaks < 2 * n_types:
        needs = f"{n_types} motifs and {2 * n_types} peaks"
        wrong.append(f"{len(matrices)} motifs, {n_peaks} peaks: {n_types} types need {needs}")
    if min(absent, new) < 0 or absent + new >= n_types:
        wrong.append(f"absent is {absent}, new {new}: one of {n_types} types must be shared")
    if wrong:
        raise OptionError("nothing was simulated: " + "; ".join(wrong))
    rng = np.random.default_rng(seed)
    shared = round(overlap * n_peaks)
    loci = _loci(2 * n_peaks - shared, rng)
    kind = np.where(rng.random(len(loci)) < 0.6, rng.integers(n_types, size=len(loci)), -1)
    last = loci.groupby("chr")["end"].max()
    sizes = {str(chrom): int(end) + _SPACING for chrom, end in last.items()}
    genome = random_genome(sizes, loci, gc=rng.beta(18, 22, len(loci)), rng=rng)
    plant(genome, _sites(loci, kind, matrices, n_types, rng), matrices, consensus=0.5, rng=rng)

    places = rng.permutation(len(loci))
    own = np.sort(places[:n_peaks]), np.sort(places[n_peaks - shared :])
    present = np.arange(n_types - new), np.arange(absent, n_types)
    platforms = (
        _Platform("reference"),
        _Platform("query", depth, gc_bias, background, state * (np.arange(n_types) == absent)),
    )
    reference, query = (
        _cells(loci.iloc[at], kind[at], genome, (n_cells, n_types, types), platform, rng)
        for at, types, platform in zip(own, present, platforms, strict=True)
    )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return Domains(reference, query, write_fasta(folder / "genome.fa", genome))


def _loci(n: int, rng: np.random.Generator) -> pd.DataFrame:
    """Places of peaks before they are shifted, far from one another."""
    chrom = np.arange(n) * len(CHROMOSOMES) // n
    order = np.arange(n) - np.searchsorted(chrom, chrom)
    start = 1_000 + _SPACING * order + rng.integers(0, _SPACING - PEAK - 2 * _MARGIN, n)
    names = np.array(CHROMOSOMES, object)[chrom]
    return pd.DataFrame({"chr": names, "start": start, "end": start + PEAK})


def _sites(
    loci: pd.DataFrame,
    kind: np.ndarray,
    motifs: Mapping[str, np.ndarray],
    n_types: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Three instances of motifs of its type in the middle of each locus that has one."""
    names, rows = list(motifs), []
    for chrom, start, one in zip(loci["chr"], loci["start"], kind, strict=True):
        for part in range(3 if one >= 0 else 0):
            name = names[rng.choice(np.arange(one, len(names), n_types))]
            free = LONGEST - motifs[name].shape[1]
            at = start + _MARGIN + LONGEST * part + rng.integers(0, free + 1)
            rows.append((chrom, at, rng.choice(["+", "-"]), name))
    return pd.DataFrame(rows, columns=pd.Index(["chr", "start", "strand", "factor"]))


@dataclass(frozen=True)
class _Platform:
    """What one way of measuring does to reads, and to cells: ``state`` by the type of a peak."""

    name: str
    depth: float = 1.0
    gc_bias: float = 0.0
    background: float = 0.0
    state: np.ndarray | None = None

    def seen(self, opened: csr_matrix, gc: np.ndarray, rng: np.random.Generator) -> csr_matrix:
        """Of what was open in each cell, what is read."""
        cells = np.repeat(np.arange(opened.shape[0]), np.diff(opened.indptr))  # type: ignore[index]
        chance = np.full(opened.nnz, self.depth)
        if self.gc_bias:
            slope = rng.normal(self.gc_bias, self.gc_bias / 4, opened.shape[0])  # type: ignore[index]
            chance *= np.exp(slope[cells] * (gc[opened.indices] - 0.45))
        kept = rng.random(opened.nnz) < chance
        cells, peaks = cells[kept], opened.indices[kept]
        if self.background:
            astray = rng.random(len(peaks)) < self.background
            peaks = np.where(astray, rng.permutation(peaks), peaks)
        ones = np.ones(len(peaks), np.float32)
        read = csr_matrix((ones, (cells, peaks)), opened.shape)
        read.data[:] = 1.0
        return read


def _cells(
    loci: pd.DataFrame,
    kind: np.ndarray,
    genome: Mapping[str, np.ndarray],
    sizes: tuple[int, int, np.ndarray],
    platform: _Platform,
    rng: np.random.Generator,
) -> AnnData:
    """One data set; ``sizes``: cells, all types, and the types that it has."""
    n_cells, n_types, present = sizes
    names = np.array([*type_names(n_types), ""], object)
    obs = typed_cells(n_cells, len(present), 1, rng)
    obs["cell_type"] = obs["cell_type"].cat.rename_categories(list(names[present]))
    obs.index = pd.Index([f"{platform.name}{number}" for number in range(n_cells)])
    side = -1 if platform.name == "reference" else 1  # no peak of the one is a peak of the other
    shift = side * rng.integers(1, _MARGIN // 2 + 1, len(loci))
    var = loci.assign(start=loci["start"] + shift, end=loci["end"] + shift, locus=loci.index)
    var["type"] = names[kind]
    var = var.set_index(peak_names(var))
    opened = present[obs["cell_type"].cat.codes.to_numpy()][:, None] == kind
    gc = gc_share(genome, var)
    raised = 2.0 * opened
    if platform.state is not None:  # what has no type has no state
        raised = np.maximum(raised, np.append(platform.state, 0.0)[kind])
    seen = platform.seen(draw_open(raised, obs, gc=gc, rng=rng), gc, rng)
    return AnnData(seen, obs, var)
