"""Where motifs match: both strands of every peak, against a threshold of known chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack
from tqdm.auto import tqdm

from cytonym.dna.motifs import Motif
from cytonym.errors import DataError, OptionError, Problem

PSEUDOCOUNT = 0.8
"""Sites added to a motif's, spread as the background, as motifmatchr's conversion does."""

STEP = 1e-3
"""Bits: how finely scores are told apart when their chance is computed."""

BLOCK = 2**24
"""Scores in memory at a time."""

_CODES = np.full(256, 4, dtype=np.uint8)
for _number, _base in enumerate("ACGT"):
    _CODES[[ord(_base), ord(_base.lower())]] = _number


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """Motifs looked for in peaks.

    Attributes
    ----------
    matches
        ``(peaks, motifs)`` bool: whether any place on either strand scores the threshold.
    thresholds
        ``(motifs,)`` float64, bits; infinite for a motif so short that no word is rare enough.
    background
        ``(4,)`` float64: how frequent A, C, G and T are taken to be.
    best
        ``(peaks, motifs)`` float32: the best score, bits; -inf where no window is free of N.
        None unless asked for.
    """

    matches: csr_matrix
    thresholds: np.ndarray
    background: np.ndarray
    best: np.ndarray | None = None


def scan(
    sequences: Sequence[str],
    motifs: Sequence[Motif],
    *,
    p: float = 5e-5,
    background: np.ndarray | None = None,
    best: bool = False,
    progress: bool = False,
) -> Scan:
    """Score every window on both strands; a peak matches where its best window is rare.

    A window that holds any letter but A, C, G, T (in either case) never matches.

    Parameters
    ----------
    sequences
        Of the peaks.
    p
        The chance that a window of background matches a motif, at most.
    background
        ``(4,)`` how frequent A, C, G, T are; None counts them in the sequences, A as T and C
        as G, since both strands are read.
    best
        Also keep the best scores, dense.

    Raises
    ------
    OptionError
        p is no probability, or the background no frequencies.
    DataError
        No sequence or no motif.
    """
    if not 0 < p < 1:
        raise OptionError(f"p={p} is no chance of a match; give one between 0 and 1, as 5e-5.")
    if not len(sequences) or not len(motifs):
        what = f"{len(sequences):,} sequences and {len(motifs):,} motifs"
        raise DataError(Problem(what, "give at least one of each"), subject="the scan")
    codes = [_CODES[np.frombuffer(one.encode("latin-1", "replace"), np.uint8)] for one in sequences]
    base = composition(codes) if background is None else _checked(background)
    tables = [log_odds(motif, base) for motif in motifs]
    cut = np.array([threshold(table, base, p) for table in tables])
    order = np.argsort([len(one) for one in codes], kind="stable")
    found, scores = [], np.empty((len(codes), len(motifs)) if best else (0, 0), np.float32)
    bar = tqdm(total=len(codes), desc="motifs", unit="peak", leave=False, disable=not progress)
    with bar:
        for rows in _blocks(order, codes):
            part = _best(_padded([codes[row] for row in rows]), tables)
            found.append(csr_matrix(part >= cut))
            if best:
                scores[rows] = part
            bar.update(len(rows))
    back = np.argsort(order, kind="stable")
    matches = csr_matrix(csr_matrix(vstack(found, format="csr"))[back], dtype=bool)
    return Scan(matches, cut, base, scores if best else None)


def composition(codes: Sequence[np.ndarray]) -> np.ndarray:
    """``(4,)`` how frequent A, C, G, T are on both strands; each counts once more than it is."""
    counts = sum((np.bincount(one, minlength=5)[:4] for one in codes), np.ones(4))
    both = counts + counts[::-1]
    return both / both.sum()


def _checked(background: np.ndarray) -> np.ndarray:
    base = np.asarray(background, dtype=np.float64)
    if base.shape != (4,) or not (base > 0).all() or abs(base.sum() - 1) > 1e-3:
        raise OptionError(f"background={base.tolist()} is not four frequencies that sum to 1.")
    return base / base.sum()


def log_odds(motif: Motif, background: np.ndarray) -> np.ndarray:
    """``(4, length)`` float64, bits: ``log2 ((n f + c b) / ((n + c) b))``.

    With f the frequencies in n sites, b the background and c the pseudocount.
    """
    base = background[:, None]
    mixed = motif.sites * motif.frequencies + PSEUDOCOUNT * base
    return np.log2(mixed / ((motif.sites + PSEUDOCOUNT) * base))


def threshold(table: np.ndarray, background: np.ndarray, p: float) -> float:
    """The lowest score (bits) that a word of background reaches with chance ``p`` at most.

    The chances of all scores come by adding one column of the table at a time, on a grid of
    ``STEP``. The threshold lies halfway between the last score that is rare enough and the next.
    Infinite where the best word itself is too common.
    """
    top = table.max(axis=0)
    lost = np.rint((top - table) / STEP).astype(np.int64)  # how far below the best word
    chance = np.ones(1)
    for column in lost.T:
        wider = np.zeros(len(chance) + int(column.max()))
        for shift, share in zip(column, background, strict=True):
            wider[shift : shift + len(chance)] += share * chance
        chance = wider
    rare = int(np.searchsorted(np.cumsum(chance), p * (1 + 1e-9), side="right"))
    if rare == 0:
        return np.inf
    last = int(np.flatnonzero(chance[:rare])[-1])
    return float(top.sum() - STEP * (last + rare) / 2)


def _blocks(order: np.ndarray, codes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Rows of sequences of about one length, so many that 2 × 100 motifs fit in ``BLOCK``."""
    blocks, start = [], 0
    while start < len(order):
        length = max(1, len(codes[order[start]]))
        rows = order[start : start + max(1, BLOCK // (200 * length))]
        longest = max(1, len(codes[rows[-1]]))
        blocks.append(rows[: max(1, BLOCK // (200 * longest))])
        start += len(blocks[-1])
    return blocks


def _padded(codes: Sequence[np.ndarray]) -> torch.Tensor:
    """``(peaks, length)`` int64; what is short ends in N."""
    out = np.full((len(codes), max(1, max(map(len, codes)))), 4)
    for row, one in enumerate(codes):
        out[row, : len(one)] = one
    return torch.from_numpy(out)


@torch.no_grad()
def _best(codes: torch.Tensor, tables: Sequence[np.ndarray]) -> np.ndarray:
    """``(peaks, motifs)`` float32: the best score of any window on either strand.

    A convolution, written as the product of all windows with all motifs of one length.
    """
    peaks, length = codes.shape
    letters = torch.eye(5)[:, :4][codes].reshape(peaks, -1)
    unknown = codes == 4
    out = np.full((peaks, len(tables)), -np.inf, dtype=np.float32)
    for width in sorted({table.shape[1] for table in tables}):
        if width > length:
            continue
        here = [n for n, table in enumerate(tables) if table.shape[1] == width]
        windows = letters.unfold(1, 4 * width, 4).reshape(-1, 4 * width)
        blind = unknown.unfold(1, width, 1).any(2)
        for some in (here[at : at + 100] for at in range(0, len(here), 100)):
            ways = [table for n in some for table in (tables[n], tables[n][::-1, ::-1])]
            weights = torch.from_numpy(np.stack([one.T.ravel() for one in ways]).astype(np.float32))
            scores = (windows @ weights.T).reshape(peaks, -1, 2 * len(some))
            scores.masked_fill_(blind[..., None], -torch.inf)
            out[:, some] = scores.amax(1).reshape(peaks, -1, 2).amax(2).numpy()
    return out
