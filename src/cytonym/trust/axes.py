"""The main directions in which the cells that a network read differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.decomposition import PCA

AXES = 50

VALUES = 200_000_000
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
    def of(cls, x: np.ndarray, *, seed: int = 0) -> Self:
        """Of ``(cells, features)`` float32; what was not measured (NaN) counts as 0."""
        x = np.nan_to_num(x)
        k = max(min(AXES, len(x) - 1, x.shape[1]), 1)
        found = PCA(k, svd_solver="randomized", random_state=seed).fit(x)
        directions = np.ascontiguousarray(np.asarray(found.components_, dtype=np.float32).T)
        return cls(np.asarray(found.mean_, dtype=np.float32), directions)

    def project(self, x: np.ndarray) -> np.ndarray:
        """``(cells, k)`` float32."""
        return (np.nan_to_num(x) - self.centre) @ self.directions
