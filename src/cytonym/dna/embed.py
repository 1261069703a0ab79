"""What the sequence of a peak says, as numbers: one protocol, and the embedders that need no model.

An embedder takes sequences of one width and gives a row of numbers for each. What it is called
stays with every result: figures of one are never those of another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal, Protocol
from zlib import crc32

import numpy as np

from cytonym.dna.matching import scan
from cytonym.dna.motifs import Motif
from cytonym.errors import DataError, OptionError, Problem

BLOCK = 2048
"""Sequences that are counted at a time."""

Change = Literal["none", "shuffled", "mutated", "random"]
"""What is done to sequences before they are read, to see what they are worth."""

_CODES = np.full(256, 4, dtype=np.uint8)
for _number, _base in enumerate("ACGT"):
    _CODES[[ord(_base), ord(_base.lower())]] = _number


class SequenceEmbedder(Protocol):
    """Sequences to rows of numbers.

    Attributes
    ----------
    name
        What it is, with all that changes its numbers: the cache goes by it.
    window
        Bases around the middle of a peak that it reads.
    """

    @property
    def name(self) -> str:
        """What it is."""
        ...

    @property
    def window(self) -> int:
        """Bases that it reads."""
        ...

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """``(sequences, d)`` float32, in order; a row depends on its sequence alone."""
        ...


def encode(sequences: Sequence[str]) -> np.ndarray:
    """``(sequences, width)`` uint8: 0 to 3 for A, C, G, T in either case, 4 for anything else.

    Raises
    ------
    DataError
        The sequences differ in length.
    """
    widths = {len(one) for one in sequences}
    if len(widths) > 1:
        what = f"sequences have {min(widths)} to {max(widths)} bases"
        raise DataError(Problem(what, "cut them to one width"), subject="the sequences")
    joined = "".join(sequences).encode("latin-1", "replace")
    width = widths.pop() if widths else 0
    return _CODES[np.frombuffer(joined, np.uint8)].reshape(len(sequences), width)


def changed(sequences: Sequence[str], how: Change, *, share: float, seed: int) -> list[str]:
    """Sequences that say less: what is lost with them is what the sequence was worth.

    ``shuffled`` puts the bases of each in another order, ``mutated`` replaces ``share`` of them
    by another base, ``random`` draws each anew with the bases of all. N stays where it is.
    """
    if how == "none":
        return [*sequences]
    codes = encode(sequences)
    counts = np.bincount(codes.ravel(), minlength=5)[:4] + 1
    for row in codes:  # drawn by the bases, so that a place is spoilt alike in all data sets
        rng = np.random.default_rng((seed, crc32(row.tobytes())))
        known = row < 4
        n = int(known.sum())
        if how == "random":
            row[known] = rng.choice(4, n, p=counts / counts.sum())
        elif how == "mutated":
            other = (row[known] + rng.integers(1, 4, n, dtype=np.uint8)) % 4
            row[known] = np.where(rng.random(n) < share, other, row[known])
        else:
            row[known] = rng.permutation(row[known])
    letters = np.frombuffer(b"ACGTN", np.uint8)[codes]
    return [row.tobytes().decode() for row in letters]


@dataclass(frozen=True, slots=True)
class Kmers:
    """How often each word of ``k`` bases stands in a sequence, on either strand, and its GC.

    A word and its reverse complement count as one: 2,080 words of 6 bases. Shares of all words
    without N, and the share of G and C.
    """

    k: int = 6
    window: int = 1000

    @property
    def name(self) -> str:
        """Words and window."""
        return f"kmer k={self.k} window={self.window}"

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """``(sequences, words + 1)`` float32."""
        codes, one = encode(sequences), canonical(self.k)
        n_words = int(one.max()) + 1
        out = np.zeros((len(codes), n_words + 1), dtype=np.float32)
        for start in range(0, len(codes), BLOCK):
            block = codes[start : start + BLOCK]
            counts = _words(block, self.k, one, n_words)
            total = np.maximum(counts.sum(1, keepdims=True), 1)
            known = np.maximum((block < 4).sum(1), 1)
            rows = slice(start, start + len(block))
            out[rows, :-1] = counts / total
            out[rows, -1] = np.isin(block, (1, 2)).sum(1) / known
        return out


def canonical(k: int) -> np.ndarray:
    """``(4^k,)`` int64: the number of each word, the same for its reverse complement."""
    if not 1 <= k <= 8:
        raise OptionError(f"k={k} is no length of words; give 1 to 8.")
    words = np.array([*product(range(4), repeat=k)])
    powers = 4 ** np.arange(k)[::-1]
    least = np.minimum(words @ powers, (3 - words[:, ::-1]) @ powers)
    return np.unique(least, return_inverse=True)[1]


def _words(codes: np.ndarray, k: int, one: np.ndarray, n_words: int) -> np.ndarray:
    """``(sequences, words)`` int64: how often each word stands there; words with N do not count."""
    if codes.shape[1] < k:
        return np.zeros((len(codes), n_words), dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(codes, k, axis=1)
    known = (windows < 4).all(2)
    number = np.zeros(known.shape, dtype=np.int64)
    for place in range(k):
        number = 4 * number + np.minimum(windows[..., place], 3)
    row = np.arange(len(codes))[:, None] * n_words
    flat = (row + one[number])[known]
    return np.bincount(flat, minlength=len(codes) * n_words).reshape(len(codes), n_words)


@dataclass(frozen=True, slots=True)
class Motifs:
    """The best score (bits) of each motif on either strand; its least where N hides every place."""

    motifs: tuple[Motif, ...] = field(repr=False)
    window: int = 1000

    @property
    def name(self) -> str:
        """Which motifs, and the window."""
        digest = hashlib.sha256()
        for one in self.motifs:
            digest.update(f"{one.id} {np.asarray(one.frequencies).tolist()}".encode())
        return f"motif {len(self.motifs)} {digest.hexdigest()[:16]} window={self.window}"

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """``(sequences, motifs)`` float32."""
        even = np.full(4, 0.25)  # a background of the sequences would make rows depend on others
        found = scan(sequences, self.motifs, background=even, best=True, progress=progress)
        assert found.best is not None
        least = [
            np.log2(4 * np.asarray(one.frequencies).clip(1e-3)).min(0).sum() for one in self.motifs
        ]
        return np.where(np.isfinite(found.best), found.best, least).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Letters:
    """The bases themselves, 0 to 4, for a network that learns to read them (``cnn``)."""

    window: int = 1344

    @property
    def name(self) -> str:
        """The window."""
        return f"letters window={self.window}"

    def embed(self, sequences: Sequence[str], *, progress: bool = False) -> np.ndarray:
        """``(sequences, window)`` uint8."""
        return encode(sequences)
