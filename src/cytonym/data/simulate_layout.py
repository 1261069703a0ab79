"""Where genes, peaks and motif instances of a simulated genome lie, and which acts on which.

Positions are 0-based and half-open (bp).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cytonym.data.simulate_dna import PEAK

UPSTREAM = 2_000
"""The bases before a gene, on its strand, whose peaks belong to it (bp)."""

_INTERVAL = ("chr", "start", "end")

CHROMOSOMES = tuple(f"chr{number}" for number in range(1, 5))

_GAP = 3_000  # bp between the stretches of two genes
_SLOT = 650  # bp for one peak and its distance to the next


def lay_genes(factors: Sequence[str], n_genes: int, rng: np.random.Generator) -> pd.DataFrame:
    """Genes in chance order along the chromosomes, each with a stretch of its own.

    A stretch is the body and the bases upstream; gaps lie between stretches.

    Returns
    -------
    DataFrame
        By name (factors first): ``chr``, ``start``, ``end``, ``strand``; ``role``: after the
        factors two fifths are targets, two fifths copied, the rest plain; ``copies``: the position
        of the factor that a copied gene resembles, else -1; ``stretch``: its first bp.
    """
    rest = n_genes - len(factors)
    part = 2 * rest // 5
    sizes = [len(factors), part, part, rest - 2 * part]
    role = np.repeat(np.array(["factor", "target", "copied", "plain"], object), sizes)
    copies = np.full(n_genes, -1)
    copies[role == "copied"] = np.arange(part) % len(factors)
    place = rng.permutation(n_genes)
    chrom = np.array(CHROMOSOMES, object)[place * len(CHROMOSOMES) // n_genes]
    strand = np.where(rng.random(n_genes) < 0.5, "+", "-").astype(object)
    body = rng.integers(4_000, 8_000, n_genes)
    stretch = np.zeros(n_genes, np.int64)
    for one in CHROMOSOMES:
        here = np.argsort(place)
        here = here[chrom[here] == one]
        stretch[here] = np.cumsum(_GAP + UPSTREAM + body[here]) - UPSTREAM - body[here]
    start = stretch + np.where(strand == "+", UPSTREAM, 0)
    table = {"chr": chrom, "start": start, "end": start + body, "strand": strand, "role": role}
    names = pd.Index([*factors, *(f"SIM{number:04d}" for number in range(rest))])
    return pd.DataFrame({**table, "copies": copies, "stretch": stretch}, names)


def chromosome_lengths(genes: pd.DataFrame) -> dict[str, int]:
    """Chromosome → its length (bp), with a gap after the last stretch."""
    length = genes["end"] - genes["start"]
    ends = (genes["stretch"] + UPSTREAM + length).groupby(genes["chr"]).max() + _GAP
    return {str(chrom): int(end) for chrom, end in ends.items()}


def lay_peaks(genes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Peaks in the stretches of genes and in the gaps, in order of place; none overlap.

    Returns
    -------
    DataFrame
        ``chr``, ``start``, ``end``; ``role``; ``factor`` and ``gene`` (positions, -1: none). A
        ``driven`` peak follows its factor; a ``typed`` one follows the factor's mean over the
        cell types, without its motif; a ``plain`` one follows nothing.
    """
    n_factors = int((genes["role"] == "factor").sum())
    rows, targets = [], 0
    columns = (genes[name].to_numpy() for name in ("chr", "start", "end", "role", "copies"))
    stretches = genes["stretch"].to_numpy()
    for gene, (chrom, start, end, role, copies) in enumerate(zip(*columns, strict=True)):
        wanted = [("plain", -1)]
        if role == "target":
            wanted += _regulators(targets % n_factors, n_factors, rng)
            targets += 1
        elif role == "copied":
            wanted += [("typed", int(copies))] * 2
        first = stretches[gene]
        far = rng.choice(["driven", "typed", "plain"], 2, p=[0.3, 0.2, 0.5])
        between = [(str(r), -1 if r == "plain" else int(rng.integers(n_factors))) for r in far]
        for owner, peaks, begin, width in (
            (gene, wanted, first, end - start + UPSTREAM),
            (-1, between, first - _GAP, _GAP),
        ):
            placed = zip(_starts(len(peaks), begin, width, rng), peaks, strict=True)
            rows += [(chrom, at, at + PEAK, *one, owner) for at, one in placed]
    table = pd.DataFrame(rows, columns=pd.Index([*_INTERVAL, "role", "factor", "gene"]))
    return table.sort_values(["chr", "start"], ignore_index=True)


def _regulators(first: int, n_factors: int, rng: np.random.Generator) -> list[tuple[str, int]]:
    """The peaks of one target: one to three factors, each through one or two peaks."""
    others = rng.permutation(np.setdiff1d(np.arange(n_factors), [first]))
    factors = [first, *others[: rng.choice(3, p=[0.2, 0.5, 0.3])]]
    return [("driven", int(f)) for f in factors for _ in range(rng.choice([1, 2], p=[0.7, 0.3]))]


def _starts(n: int, begin: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """``(n,)`` int64: peaks within ``width`` bp from ``begin``, apart from one another."""
    slots = rng.choice(width // _SLOT, n, replace=False)
    return begin + _SLOT * slots + rng.integers(0, _SLOT - PEAK, n)


def lay_sites(
    peaks: pd.DataFrame,
    motifs: Mapping[str, np.ndarray],
    *,
    decoys: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One or two instances in a driven peak, and a decoy in some peaks of every role.

    A decoy is never of the factor that the peak follows, by itself or by types.

    Returns
    -------
    DataFrame
        ``chr``, ``start``, ``strand``, ``factor`` (name), ``peak`` (position), ``active``.
    """
    names, rows = list(motifs), []
    columns = (peaks[name].to_numpy() for name in ("chr", "start", "role", "factor"))
    for peak, (chrom, start, role, factor) in enumerate(zip(*columns, strict=True)):
        third = start + PEAK // 3 * rng.permutation(3)
        planted = [factor] * rng.choice([1, 2]) if role == "driven" else []
        active = len(planted)
        if rng.random() < decoys:
            planted.append(rng.choice(np.setdiff1d(np.arange(len(names)), [factor])))
        for i, one in enumerate(planted):
            free = PEAK // 3 - motifs[names[one]].shape[1]
            at = third[i] + rng.integers(0, free + 1)
            rows.append((chrom, at, rng.choice(["+", "-"]), names[one], peak, i < active))
    named = pd.Index(["chr", "start", "strand", "factor", "peak", "active"])
    return pd.DataFrame(rows, columns=named)
