"""Which droplets hold two cells of different types.

Doublets are made of the cells that the network learned from, and told from single ones by what it
says of them: how sure it is of the best type and of the second one, and how many of the nearest
cells in its embedding are made doublets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from cytonym.trust.conformal import quantile
from cytonym.trust.said import Said

NEAREST = 20
MADE = 1_000
"""Doublets that are made, at most, and single cells that they are told from."""


@dataclass(frozen=True, slots=True, eq=False)
class Doublets:
    """Told from single cells.

    Attributes
    ----------
    z
        ``(cells, dim)`` float32: single cells, then as many made doublets.
    weight
        ``(signs + 1,)``: of a logistic regression, the last one the intercept.
    known
        ``(cells,)`` scores of held-out single cells.
    """

    z: np.ndarray
    weight: np.ndarray
    known: np.ndarray

    @classmethod
    def fit(cls, single: Said, made: Said, held: Said, held_made: Said) -> Self:
        """From cells that the network learned from and doublets of them, and of cells that it did
        not see; all ``scores`` tempered.
        """
        z = np.concatenate([single.z[: len(made)], made.z])
        x = np.concatenate([_signs(held, z), _signs(held_made, z)])
        y = np.arange(len(x)) >= len(held)
        model = LogisticRegression(class_weight="balanced").fit(x, y)
        weight = np.append(model.coef_[0], model.intercept_)
        return cls(z, weight, _signs(held, z) @ weight[:-1] + weight[-1])

    def score(self, said: Said) -> np.ndarray:
        """``(cells,)``: log odds that a cell is two, were half of all."""
        return _signs(said, self.z) @ self.weight[:-1] + self.weight[-1]

    def threshold(self, lost: float) -> float:
        """Above it cells are doublets; about ``lost`` of single ones are too, and none whose odds
        are less than even.
        """
        return max(quantile(self.known, 1 - lost), 0.0)

    def on(self, single: Said, made: Said) -> Self:
        """The same for another network."""
        return type(self)(np.concatenate([single.z[: len(made)], made.z]), self.weight, self.known)

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays."""
        return {"z": self.z, "weight": self.weight, "known": self.known}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`state`."""
        return cls(state["z"], state["weight"], state["known"])


def _signs(said: Said, z: np.ndarray) -> np.ndarray:
    """``(cells, 3)``: log odds of the best type, and of the second among the rest, and of the
    nearest cells being doublets.
    """
    p = np.sort(softmax(said.scores.astype(np.float64), axis=1), axis=1)[:, ::-1]
    first, second = p[:, 0], p[:, min(1, p.shape[1] - 1)]
    rest = second / (1 - first).clip(1e-9)
    rows = (
        NearestNeighbors(n_neighbors=min(NEAREST, len(z)), algorithm="brute")
        .fit(z)
        .kneighbors(said.z)[1]
    )
    near = ((rows >= len(z) / 2).sum(1) + 0.5) / (rows.shape[1] + 1)
    return np.stack([_odds(first), _odds(rest), _odds(near)], axis=1)


def _odds(p: np.ndarray) -> np.ndarray:
    p = p.clip(1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))
