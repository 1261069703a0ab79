"""Prediction sets: the types that a cell may be, with a coverage that is stated beforehand.

Split conformal prediction with adaptive sets (Romano, Sesia and Candès, NeurIPS 2020). How far
down a cell's list of types its own type stands is measured on cells that the model did not see; a
set goes as far down as the stated share of those cells needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import numpy as np

ENOUGH = 40
"""Cells that a type needs for a threshold of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Conformal:
    """Scores of cells with known types, from which the threshold of any coverage follows.

    Attributes
    ----------
    score
        ``(cells,)`` float, see :func:`place`, of each cell's own type.
    y
        ``(cells,)`` int, that type.
    """

    score: np.ndarray
    y: np.ndarray

    @classmethod
    def fit(cls, probabilities: np.ndarray, y: np.ndarray, lot: np.ndarray) -> Self:
        """From cells that the model did not see.

        Parameters
        ----------
        probabilities
            ``(cells, types)``.
        y
            ``(cells,)`` int, the types.
        lot
            ``(cells,)`` in [0, 1), drawn once for each cell.
        """
        return cls(place(probabilities, lot)[np.arange(len(y)), y], y)

    def thresholds(self, n_types: int, coverage: float) -> np.ndarray:
        """``(types,)``, how far down a set may go to each type.

        A type with ``ENOUGH`` cells has its own, so that the coverage holds within the type; the
        others share one, of their own cells where these are enough.
        """
        sizes = np.bincount(self.y, minlength=n_types)
        enough = (sizes >= ENOUGH) & (np.ceil((sizes + 1) * coverage) <= sizes)
        rest = self.score[~enough[self.y]]
        every = quantile(rest if len(rest) >= ENOUGH else self.score, coverage)
        return np.array(
            [
                quantile(self.score[self.y == one], coverage) if enough[one] else every
                for one in range(n_types)
            ]
        )

    def sets(self, probabilities: np.ndarray, lot: np.ndarray, coverage: float) -> np.ndarray:
        """``(cells, types)`` bool: the prediction sets. A set that is empty is given as it is.

        Raises
        ------
        ValueError
            ``coverage`` is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise ValueError(f"coverage is a share between 0 and 1; it is {coverage}")
        limit = self.thresholds(probabilities.shape[1], coverage)
        return place(probabilities, lot) <= limit


def place(probabilities: np.ndarray, lot: np.ndarray) -> np.ndarray:
    """``(cells, types)``: the probability of all types above each, and ``lot`` of its own.

    Without a lot the sets of a model that is right more often than the coverage would all be too
    large; with it the coverage is met.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    down = np.take_along_axis(probabilities, order, axis=1)
    above = np.cumsum(down, axis=1) - down + np.reshape(lot, (-1, 1)) * down
    out = np.empty_like(above)
    np.put_along_axis(out, order, above, axis=1)
    return out


def quantile(score: np.ndarray, coverage: float) -> float:
    """The ``ceil((n + 1) coverage)``-th smallest score; infinite where there are too few."""
    rank = int(np.ceil((len(score) + 1) * coverage))
    return float(np.sort(score)[rank - 1]) if rank <= len(score) else np.inf


def lots(cells: np.ndarray) -> np.ndarray:
    """``(cells,)`` in [0, 1), drawn by the names of the cells: in any order the same."""
    digests = b"".join(blake2b(str(one).encode(), digest_size=8).digest() for one in cells)
    return np.frombuffer(digests, dtype="<u8") / 2.0**64
