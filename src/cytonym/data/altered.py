"""Cells made of others: with fewer counts, or two in one droplet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.types import CellSource, FeatureSpace


@dataclass(frozen=True, eq=False)
class Altered:
    """What both have from the source, whose values are counts."""

    source: CellSource

    @property
    def spaces(self) -> Mapping[str, FeatureSpace]:
        """Those of the source."""
        return self.source.spaces

    @property
    def values(self) -> Mapping[str, str]:
        """Those of the source."""
        return self.source.values


@dataclass(frozen=True, eq=False)
class Thinned(Altered):
    """Cells of which every count was kept with a probability; a :class:`CellSource`.

    Attributes
    ----------
    rows
        ``(cells,)`` int, of the source.
    share
        ``(cells,)`` in (0, 1], the probability.
    """

    rows: np.ndarray
    share: np.ndarray
    seed: int = 0

    @property
    def cells(self) -> np.ndarray:
        """Names of the cells with the place."""
        names = self.source.cells[self.rows]
        return np.array([f"{name} thinned {i}" for i, name in enumerate(names)])

    def present(self, modality: str) -> np.ndarray:
        """As in the source."""
        return self.source.present(modality)[self.rows]

    def read(self, modality: str, rows: np.ndarray) -> csr_matrix:
        """Binomial draws; the same for a cell however it is read."""
        block = self.source.read(modality, self.rows[rows])
        pieces = []
        for place, row in enumerate(rows):
            whole = block.data[block.indptr[place] : block.indptr[place + 1]]
            rng = np.random.default_rng((self.seed, int(row)))
            pieces.append(rng.binomial(np.rint(whole).astype(np.int64), self.share[row]))
        values = np.concatenate([*pieces, np.empty(0)]).astype(np.float32)
        thin = csr_matrix((values, block.indices, block.indptr), shape=block.shape, copy=True)
        thin.eliminate_zeros()
        return thin


@dataclass(frozen=True, eq=False)
class Doubled(Altered):
    """Doublets: each the sum of two cells of a source; a :class:`CellSource`.

    Attributes
    ----------
    pairs
        ``(doublets, 2)`` int rows of the source, that have the same modalities.
    """

    pairs: np.ndarray

    @property
    def cells(self) -> np.ndarray:
        """Both names, and the place."""
        one, other = self.source.cells[self.pairs].T
        return np.array([f"{a} + {b} {i}" for i, (a, b) in enumerate(zip(one, other, strict=True))])

    def present(self, modality: str) -> np.ndarray:
        """Where both cells have it."""
        return np.logical_and(*self.source.present(modality)[self.pairs].T)

    def read(self, modality: str, rows: np.ndarray) -> csr_matrix:
        """The counts of both cells, added."""
        one, other = (self.source.read(modality, self.pairs[rows, side]) for side in (0, 1))
        return csr_matrix(one + other)


def pairs_of(y: np.ndarray, kind: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """``(n, 2)`` int places of cells of different types ``y`` and one ``kind`` (of modalities).

    Drawn as cells meet in droplets: common types more often. Fewer than ``n`` where few differ.
    """
    rng = np.random.default_rng((seed, 0xD0B1))
    one, other = (rng.integers(0, len(y), 20 * n) for _ in (0, 1))
    fit = (y[one] != y[other]) & (kind[one] == kind[other])
    return np.stack([one[fit], other[fit]], axis=1)[:n]
