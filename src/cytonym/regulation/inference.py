"""From cells with RNA and ATAC to a network of factors and genes, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.dna.genome import gc_content, peak_sequences
from cytonym.dna.intervals import chromosomes
from cytonym.dna.matching import scan
from cytonym.dna.motifs import Motif, factor_genes
from cytonym.errors import DataError, OptionError, Problem
from cytonym.regulation.genes import peaks_of_genes
from cytonym.regulation.links import link
from cytonym.regulation.matrices import size as size_of
from cytonym.regulation.metacells import log_normalised, metacells, summed
from cytonym.regulation.regression import EDGES, LEFT_OUT, Network, candidates, network

FEWEST_CELLS = 60
"""Cells that a type must have for a network of its own."""


def infer(
    rna: csr_matrix,
    atac: csr_matrix,
    *,
    genes: Sequence[str] | np.ndarray,
    peaks: pd.DataFrame,
    sequences: str | Path | Sequence[str],
    motifs: Sequence[Motif],
    places: pd.DataFrame,
    embedding: np.ndarray,
    groups: Sequence[str] | np.ndarray | None = None,
    upstream: int = 2000,
    distance: int | None = None,
    size: int = 30,
    motif_p: float = 5e-5,
    level: float = 0.05,
    by: Literal["p", "q"] = "p",
    signed: bool = False,
    seed: int = 0,
    progress: bool = False,
) -> Network:
    """Infer which factors regulate which genes through which peaks.

    1. Motifs are looked for in the peaks (``scan``).
    2. Cells are joined to metacells, in each group by itself; counts are summed, then log1p
       CP10k in both modalities.
    3. Peaks in or before a gene are linked to it by correlation (``link``).
    4. A gene is regressed on the factors with a motif in a linked peak (``network``).

    Parameters
    ----------
    rna
        ``(cells, genes)`` raw counts.
    atac
        ``(cells, peaks)`` raw counts, the same cells.
    genes
        ``(genes,)`` str.
    peaks
        ``chrom, start, end`` (0-based, half-open) of each peak.
    sequences
        A FASTA file of the genome, or the sequence of each peak.
    motifs
        Of ``read_motifs`` or ``jaspar_motifs``.
    places
        ``chrom, start, end, gene, strand`` of ``read_genes``.
    embedding
        ``(cells, dim)`` in which like cells are near.
    groups
        ``(cells,)`` types (None, NaN: left out), a network for each; None: one for all cells,
        whose correlations are mostly those between types.
    upstream, distance
        Which peaks belong to a gene: see ``peaks_of_genes``.
    size
        Cells in a metacell, on average.
    motif_p
        The chance of a match of a motif at one place.
    level, by
        A link is kept with such a p (or q) at most. Where cells are of a few types that differ
        in many peaks, any gene correlates with many of them, and no q can be small.
    signed
        Let factors repress too; else all coefficients are 0 or more, as published.

    Returns
    -------
    Network
        Edges of all types, and notes that say what was left out: groups, genes, motifs.

    Raises
    ------
    DataError
        Sizes that do not fit (told together), or nothing that could be inferred.
    OptionError
        A level that is no share, or another ``by``.
    """
    if by not in ("q", "p") or not 0 < level <= 1:
        raise OptionError(f"level={level}, by={by!r}: give a share above 0, and q or p.")
    genes = np.asarray(genes).astype(str)
    types = pd.Series(["all"] * size_of(rna)[0] if groups is None else np.asarray(groups, object))
    _check(rna, atac, genes, peaks, embedding, types, sequences)
    notes: list[str] = []
    pairs = peaks_of_genes(peaks, places, upstream=upstream, distance=distance)
    pairs = _measured(pairs, genes, places, notes)
    if isinstance(sequences, (str, Path)):
        dna = [*peak_sequences(sequences, peaks)]
    else:
        dna = [*sequences]
    matches, factors = _matches(
        dna, np.unique(pairs["row"]), motifs, genes, motif_p, notes, progress
    )
    gc, chrom = gc_content(dna), chromosomes(pd.Series(peaks["chrom"])).to_numpy(dtype=str)
    found: list[Network] = []
    wrong: list[Problem] = []
    for name, rows in _groups(types, notes).items():
        codes = metacells(np.asarray(embedding)[rows], size=size, seed=seed)
        x, y = (log_normalised(summed(csr_matrix(one[rows]), codes)) for one in (rna, atac))
        try:
            links: Any = link(x, y, pairs, genes=genes, chrom=chrom, gc=gc, seed=seed)
            kept = links[(links[by] <= level) & (links["r"] > 0)]
            notes.append(
                f"{name}: {len(rows):,} cells in {size_of(x)[0]:,} metacells; {len(kept):,} of "
                f"{len(links):,} pairs of gene and peak are linked ({by} at most {level:g})"
            )
            if not len(kept):
                least = (
                    f"no pair of gene and peak is linked: the least {by} is {links[by].min():.2g}"
                )
                remedy = f"raise level ({level:g})" + (', or take by="p"' if by == "q" else "")
                raise DataError(Problem(least, remedy), subject="the links")
            wanted = candidates(kept, matches, factors)
            found.append(
                network(
                    x,
                    genes,
                    wanted,
                    linked=kept["gene"].unique(),
                    signed=signed,
                    type=name,
                    seed=seed,
                    progress=progress,
                )
            )
        except DataError as error:
            wrong += [Problem(f"{name}: {one.what}", one.remedy) for one in error.problems]
            notes.append(f"{name}: no network ({error.problems[0].what})")
    if not found:
        few = Problem("; ".join(notes[-3:]), f"give groups of {FEWEST_CELLS} cells or more")
        raise DataError(wrong or few, subject="the cells")
    edges: Any = pd.concat([one.edges for one in found], ignore_index=True)
    left_out: Any = pd.concat([one.left_out for one in found], ignore_index=True)
    notes += [note for one in found for note in one.notes]
    return Network(edges[[*EDGES]], left_out[[*LEFT_OUT]], tuple(notes))


def _groups(types: pd.Series, notes: list[str]) -> dict[str, np.ndarray]:
    """The rows of each type that is large enough."""
    rows = {str(name): np.asarray(at) for name, at in types.groupby(types).indices.items()}
    for name, at in rows.items():
        if len(at) < FEWEST_CELLS:
            notes.append(f"{name}: left out, {len(at):,} cells (fewer than {FEWEST_CELLS})")
    if absent := int(types.isna().sum()):
        notes.append(f"{absent:,} cells without a type were left out")
    return {name: at for name, at in rows.items() if len(at) >= FEWEST_CELLS}


def _measured(
    pairs: Any, genes: np.ndarray, places: pd.DataFrame, notes: list[str]
) -> pd.DataFrame:
    """The pairs whose gene is measured."""
    placed = np.isin(genes, places["gene"].to_numpy(dtype=str))
    if not placed.any():
        shown = ", ".join(genes[:3]), ", ".join(places["gene"].astype(str)[:3])
        what = f"none of the {len(genes):,} genes ({shown[0]}) is in the table ({shown[1]}, ...)"
        remedy = "give the table of this species, with genes named as in the RNA"
        raise DataError(Problem(what, remedy), subject="the table of genes")
    pairs = pairs[pairs["gene"].isin(genes)].reset_index(drop=True)
    with_peaks = pairs["gene"].nunique()
    notes.append(
        f"{int(placed.sum()):,} of {len(genes):,} genes have a place, "
        f"{with_peaks:,} of these a peak"
    )
    if not len(pairs):
        what = f"no peak lies in the region of any of {int(placed.sum()):,} genes"
        remedy = "check that genes and peaks are of one genome build, or give a distance"
        raise DataError(Problem(what, remedy), subject="the peaks")
    return pairs


def _matches(
    sequences: list[str],
    rows: np.ndarray,
    motifs: Sequence[Motif],
    genes: np.ndarray,
    p: float,
    notes: list[str],
    progress: bool,
) -> tuple[csr_matrix, dict[str, list[int]]]:
    """``(peaks, motifs)`` of the peaks ``rows`` and all motifs of measured factors, and these."""
    factors = factor_genes(motifs, genes)
    if not factors:
        names = ", ".join(motif.name for motif in motifs[:3])
        what = f"no motif ({names}, ...) is of a gene of the RNA"
        raise DataError(Problem(what, "check how both name genes"), subject="the motifs")
    used = sorted({number for numbers in factors.values() for number in numbers})
    notes.append(
        f"{len(factors):,} genes are factors, with {len(used):,} of {len(motifs):,} motifs"
    )
    found = scan(
        [sequences[row] for row in rows], [motifs[n] for n in used], p=p, progress=progress
    )
    if short := int(np.isinf(found.thresholds).sum()):
        notes.append(f"{short:,} motifs are too short to match by chance as rarely as {p:g}")
    shape = len(sequences), len(rows)
    spread = csr_matrix((np.ones(len(rows), bool), (rows, np.arange(len(rows)))), shape)
    place = {number: at for at, number in enumerate(used)}
    return csr_matrix(spread @ found.matches), {
        name: [place[number] for number in numbers] for name, numbers in factors.items()
    }


def _check(
    rna: csr_matrix,
    atac: csr_matrix,
    genes: np.ndarray,
    peaks: pd.DataFrame,
    embedding: np.ndarray,
    types: pd.Series,
    sequences: str | Path | Sequence[str],
) -> None:
    """Raises for sizes that do not fit, all at once."""
    problems = []
    cells = {
        "RNA": size_of(rna)[0],
        "ATAC": size_of(atac)[0],
        "the embedding": len(embedding),
        "groups": len(types),
    }
    if len({*cells.values()}) > 1:
        what = ", ".join(f"{n:,} cells in {where}" for where, n in cells.items())
        problems.append(Problem(what, "give the same cells in all"))
    dna = len(peaks) if isinstance(sequences, (str, Path)) else len(sequences)
    for many, names, of in (
        (size_of(rna)[1], len(genes), "names for the genes of the RNA"),
        (size_of(atac)[1], len(peaks), "places for the peaks of the ATAC"),
        (size_of(atac)[1], dna, "sequences for the peaks of the ATAC"),
    ):
        if many != names:
            problems.append(Problem(f"{names:,} {of}, which are {many:,}", "give one for each"))
    for name, counts in (("RNA", rna), ("ATAC", atac)):
        low = counts.data.min(initial=0)
        if low < 0 or not np.isfinite(counts.data).all():
            what = f"the {name} is no counts: its least value is {low:g}"
            problems.append(Problem(what, "give raw counts"))
    if problems:
        raise DataError(problems, subject="the cells")
