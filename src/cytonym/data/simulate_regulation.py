"""Paired RNA and ATAC in which it is known which factor drives which gene through which peak.

A factor's activity raises its own expression and opens (or, of a repressor, closes) the peaks
that hold its motif; a gene follows the driven peaks in its body and the 2,000 bp upstream. Three
things mislead on purpose:

- **copied** genes follow the cell types as a factor does, through peaks without its motif;
- **decoys** are instances of a motif that do nothing;
- open peaks are richer in GC, and batches differ in how GC-rich peaks are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.data.simulate import typed_cells
from cytonym.data.simulate_counts import draw_counts, draw_open, wrong_sizes
from cytonym.data.simulate_dna import (
    gc_share,
    motif_matrices,
    peak_names,
    plant,
    random_genome,
    write_fasta,
    write_genes,
    write_motifs,
)
from cytonym.data.simulate_layout import chromosome_lengths, lay_genes, lay_peaks, lay_sites
from cytonym.errors import OptionError


@dataclass(frozen=True)
class Planted:
    """Simulated cells and the truth behind them.

    Attributes
    ----------
    rna
        Cells × genes, csr float32 raw counts; ``obs`` has ``cell_type`` and ``batch``, ``var``
        has ``role`` (factor, target, copied, plain) and ``copies`` (the factor that a copied gene
        resembles, else ``""``).
    atac
        Cells × peaks, csr float32 0/1; ``var`` has ``chr``, ``start``, ``end`` (bp, 0-based,
        half-open), ``role`` (driven, typed, plain), ``factor`` (which drives it, else ``""``),
        ``gene`` (which it drives or merely lies in, else ``""``) and ``gc``.
    edges
        One row per driving peak: ``factor``, ``gene``, ``peak``, ``sign`` (+1, or -1 of a
        repressor).
    sites
        Every motif instance: ``chr``, ``start``, ``end``, ``strand``, ``factor``, ``peak``,
        ``active`` (False: a decoy), ``sequence`` (in the direction of the motif).
    fasta, genes, motifs
        ``genome.fa``; ``genes.bed`` (BED6); ``motifs.meme`` (names of factors are genes).
    activity
        Cells × factors, float64: the true activity, about 0 to 1 between types.
    """

    rna: AnnData
    atac: AnnData
    edges: pd.DataFrame
    sites: pd.DataFrame
    fasta: Path
    genes: Path
    motifs: Path
    activity: pd.DataFrame


def simulate_regulation(
    folder: str | Path,
    motifs: Mapping[str, np.ndarray],
    *,
    seed: int,
    n_cells: int = 600,
    n_types: int = 4,
    n_genes: int = 240,
    batches: int = 2,
    repressors: float = 0.0,
    decoys: float = 0.3,
    consensus: float = 0.5,
    effect: float = 1.0,
    depth: float = 2_000.0,
) -> Planted:
    """Simulate cells in which planted motifs regulate genes.

    Parameters
    ----------
    folder
        Where ``genome.fa``, ``genes.bed`` and ``motifs.meme`` are written; made if missing.
    motifs
        Factor → ``(4, length)`` frequencies of A, C, G, T; each factor becomes a gene of that
        name.
    seed
        The same seed gives the same cells and the same files, byte by byte.
    n_cells, n_types, n_genes
        The size; there are about five peaks per gene. Beside the factors, two fifths of the
        genes are targets and two fifths are copied.
    batches
        Batches of equal size; each changes every gene and peak by a factor of its own (about
        20 %), and peaks by their GC share too.
    repressors
        The share of factors that close their peaks.
    decoys
        The share of peaks that hold a motif instance without effect.
    consensus
        The share of instances that are the best match; the others are drawn from the matrix.
    effect
        How strongly peaks, and the genes that follow them, change; 0: not at all.
    depth
        The median RNA count of a cell.

    Returns
    -------
    Planted
        Cells and truth; cells × peaks float64 are in memory meanwhile.

    Raises
    ------
    DataError
        Matrices that cannot be planted.
    OptionError
        Sizes or shares that do not go together, all at once.
    """
    matrices = motif_matrices(motifs)
    shares = {"repressors": repressors, "decoys": decoys, "consensus": consensus}
    wrong = wrong_sizes(n_cells, n_types, batches, shares)
    wrong += _too_few(len(matrices), n_genes)
    if effect < 0 or depth <= 0:
        wrong.append(f"effect is {effect} and depth {depth}: give 0 or more, and more than 0")
    if wrong:
        raise OptionError("nothing was simulated: " + "; ".join(wrong))
    rng = np.random.default_rng(seed)
    obs = typed_cells(n_cells, n_types, batches, rng)
    genes = lay_genes(list(matrices), n_genes, rng)
    peaks = lay_peaks(genes, rng)
    gc = rng.beta(18, 22, len(peaks))
    genome = random_genome(chromosome_lengths(genes), peaks, gc=gc, rng=rng)
    sites = lay_sites(peaks, matrices, decoys=decoys, rng=rng)
    sites = plant(genome, sites, matrices, consensus=consensus, rng=rng)
    peaks["gc"] = gc_share(genome, peaks)

    sign = np.ones(len(matrices), np.int64)
    sign[rng.permutation(len(sign))[: round(repressors * len(sign))]] = -1
    pattern, activity = _activity(obs, n_types, len(sign), rng)
    drive = _drive(peaks, pattern, activity * sign, rng)
    raised = effect * drive @ _weights(peaks, n_genes)
    raised[:, : len(sign)] += activity - activity.mean(axis=0)
    counts = draw_counts(raised, obs, depth=depth, rng=rng)
    opened = draw_open(2 * effect * drive, obs, gc=peaks["gc"].to_numpy(), rng=rng)

    named = _named(peaks, list(matrices), genes.index)
    follows = np.array([*matrices, ""], object)[genes["copies"]]
    truth = pd.DataFrame({"role": genes["role"], "copies": follows}, genes.index)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return Planted(
        rna=AnnData(counts, obs, truth),
        atac=AnnData(opened, obs.copy(), named),
        edges=_edges(named, dict(zip(matrices, sign.tolist(), strict=True))),
        sites=sites.assign(peak=named.index.to_numpy()[sites["peak"]]),
        fasta=write_fasta(folder / "genome.fa", genome),
        genes=write_genes(folder / "genes.bed", genes),
        motifs=write_motifs(folder / "motifs.meme", matrices),
        activity=pd.DataFrame(activity, obs.index, pd.Index(list(matrices))),
    )


def _too_few(n_factors: int, n_genes: int) -> list[str]:
    wrong = []
    if n_factors < 2:
        wrong.append("one motif is given and two are needed, so that there are decoys")
    if n_genes < 4 * n_factors:
        wrong.append(f"n_genes is {n_genes} and {n_factors} factors need {4 * n_factors}")
    return wrong


def _activity(
    obs: pd.DataFrame, n_types: int, n_factors: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """By type, spread over its cells, and with the variation within types: cells × factors."""
    pattern = rng.uniform(0, 0.3, (n_types, n_factors))
    pattern[np.arange(n_factors) % n_types, np.arange(n_factors)] = 1.0  # the type's own factors
    by_type = pattern[obs["cell_type"].cat.codes]
    return by_type, by_type + 0.4 * rng.standard_normal(by_type.shape)


def _drive(
    peaks: pd.DataFrame, pattern: np.ndarray, activity: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """``(cells, peaks)`` float64, mean 0 over cells: what opens and closes each peak.

    ``activity`` is signed. The typed peaks of one gene vary together within types, independently
    of the factor; between types they differ more than the driven ones, so that correlation is
    misled.
    """
    drive = np.zeros((len(activity), len(peaks)))
    role, factor, gene = (peaks[name].to_numpy() for name in ("role", "factor", "gene"))
    driven, typed = np.flatnonzero(role == "driven"), np.flatnonzero(role == "typed")
    drive[:, driven] = activity[:, factor[driven]]
    own = np.where(gene[typed] >= 0, gene[typed], -1 - typed)
    _, program = np.unique(own, return_inverse=True)
    within = 0.4 * rng.standard_normal((len(activity), program.max(initial=-1) + 1))
    drive[:, typed] = 1.5 * pattern[:, factor[typed]] + within[:, program]
    return drive - drive.mean(axis=0)


def _weights(peaks: pd.DataFrame, n_genes: int) -> csr_matrix:
    """Peaks × genes: what a peak adds to the log mean of its gene.

    The peaks of one gene that follow the same factor share a weight of 1.
    """
    gene, factor = peaks["gene"].to_numpy(), peaks["factor"].to_numpy()
    acting = np.flatnonzero((gene >= 0) & (factor >= 0))
    pairs = np.stack([gene[acting], factor[acting]])
    _, which, sizes = np.unique(pairs, axis=1, return_inverse=True, return_counts=True)
    return csr_matrix((1 / sizes[which], (acting, gene[acting])), (len(peaks), n_genes))


def _named(peaks: pd.DataFrame, factors: list[str], genes: pd.Index) -> pd.DataFrame:
    """Peaks with names in place of positions; a typed peak has no factor."""
    factor = np.where(peaks["role"] == "driven", peaks["factor"], -1)
    names = {
        "factor": np.array([*factors, ""], object)[factor],
        "gene": np.array([*genes, ""], object)[peaks["gene"]],
    }
    return peaks.assign(**names).set_index(peak_names(peaks))


def _edges(peaks: pd.DataFrame, sign: Mapping[str, int]) -> pd.DataFrame:
    """``factor, gene, peak, sign`` of the driven peaks that have a gene."""
    factor, gene = (peaks[name].to_numpy(object) for name in ("factor", "gene"))
    driving = (factor != "") & (gene != "")
    signs = np.array([sign[one] for one in factor[driving]], np.int64)
    names = {"factor": factor[driving], "gene": gene[driving], "peak": peaks.index[driving]}
    return pd.DataFrame({**names, "sign": signs})
