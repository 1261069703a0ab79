"""How far cells are from those of the known types: nearest ones, and clouds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

NEAREST = 10


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Distance to the nearest reference cells, in units of how far their own type's lie.

    Attributes
    ----------
    z
        ``(cells, dim)`` float32.
    y
        ``(cells,)`` int, their types.
    scale
        ``(types,)``, the median distance of a type's cells to the nearest ones of their own.
    """

    z: np.ndarray
    y: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, y: np.ndarray, n_types: int) -> Self:
        """Of reference cells."""
        z = np.ascontiguousarray(z, dtype=np.float32)
        scale = np.full(n_types, np.nan)
        for one in np.unique(y):
            own = z[y == one]
            k = min(NEAREST, len(own) - 1)
            if k:
                far, _ = NearestNeighbors(n_neighbors=k).fit(own).kneighbors()
                scale[one] = np.median(far.mean(1))
        good = np.isfinite(scale) & (scale > 0)
        return cls(z, y, np.where(good, scale, np.median(scale[good]) if good.any() else 1.0))

    def distance(self, z: np.ndarray) -> np.ndarray:
        """``(cells,)``: the logarithm."""
        index = NearestNeighbors(n_neighbors=min(NEAREST, len(self.z)), algorithm="brute")
        index.fit(self.z)  # a tree is slower even in ten dimensions
        far, rows = index.kneighbors(z)
        return np.log((far / self.scale[self.y[rows]]).mean(1) + 1e-6)

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays."""
        return {"z": self.z, "y": self.y, "scale": self.scale}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`state`; a ValueError where a cell is of a type that is none."""
        if not np.isin(state["y"], np.arange(len(state["scale"]))).all():
            raise ValueError(f"a cell is of none of the {len(state['scale'])} types")
        return cls(state["z"], state["y"], state["scale"])


@dataclass(frozen=True, slots=True, eq=False)
class Clouds:
    """Mahalanobis distance to the nearest type's centre, with one covariance for all types.

    Attributes
    ----------
    centres
        ``(types, dim)``; NaN for a type without cells.
    root
        ``(dim, dim)``: differences times it have length = distance.

    References
    ----------
    Lee et al., NeurIPS 2018; the covariance is shrunk as by Ledoit and Wolf (2004).
    """

    centres: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, y: np.ndarray, n_types: int) -> Self:
        """Of reference cells ``(cells, dim)`` of types ``y``."""
        z = z.astype(np.float64)
        centres = np.full((n_types, z.shape[1]), np.nan)
        for one in np.unique(y):
            centres[one] = z[y == one].mean(0)
        apart = z - centres[y]
        if not apart.any():  # every cell is its type's centre
            return cls(centres, np.eye(z.shape[1]))
        spread = LedoitWolf(assume_centered=True).fit(apart).covariance_
        value, vector = np.linalg.eigh(spread)
        least = max(value.max(), 1e-12) * 1e-6
        return cls(centres, vector / np.sqrt(value.clip(least)))

    def distance(self, z: np.ndarray) -> np.ndarray:
        """``(cells,)``: the logarithm of the square."""
        known = np.isfinite(self.centres[:, 0])
        cells, centres = z @ self.root, self.centres[known] @ self.root
        gaps = [((cells - one) ** 2).sum(1) for one in centres]
        return np.log(np.min(gaps, axis=0) + 1e-6)

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays."""
        return {"centres": self.centres, "root": self.root}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`state`."""
        return cls(state["centres"], state["root"])
