"""The main directions in which the cells that a network read differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.decomposition import PCA

AXES = 50
"""Directions, at most."""

ALIKE = 0.5
"""Of the variance of the cells that a direction was learned from, the share that other cells have
along it: with less the direction is noise, along which the former look strange.
"""

VALUES = 50_000_000
"""Numbers that are looked at, at most: of very wide inputs fewer cells are."""


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """A projection onto principal components.

    Attributes
    ----------
    centre
        ``(features,)`` float32.
    directions
        ``(features, k)`` float32.
    """

    centre: np.ndarray
    directions: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, *, k: int = AXES, seed: int = 0) -> Self:
        """``k`` directions at most, of ``(cells, features)`` float32; NaN (not measured) counts
        as 0.
        """
        x = np.nan_to_num(x)
        k = max(min(k, len(x) - 1, x.shape[1]), 1)
        if not x.std(axis=0).any():  # all cells are alike
            return cls(x[0].astype(np.float32), np.eye(x.shape[1], k, dtype=np.float32))
        found = PCA(k, svd_solver="randomized", random_state=seed).fit(x)
        directions = np.ascontiguousarray(np.asarray(found.components_, dtype=np.float32).T)
        return cls(np.asarray(found.mean_, dtype=np.float32), directions)

    def first(self, k: int) -> Self:
        """The first ``k`` directions alone."""
        return type(self)(self.centre, np.ascontiguousarray(self.directions[:, :k]))

    def __len__(self) -> int:
        return self.directions.shape[1]

    def real(self, x: np.ndarray, others: np.ndarray) -> int:
        """Along how many directions the cells ``others`` vary as ``x`` does, at least one."""
        own, other = (self.project(one).var(axis=0) for one in (x, others))
        return max(int((other >= ALIKE * own).sum()), 1)

    def project(self, x: np.ndarray) -> np.ndarray:
        """``(cells, k)`` float32."""
        return (np.nan_to_num(x) - self.centre) @ self.directions
