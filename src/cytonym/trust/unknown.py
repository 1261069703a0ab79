"""Which cells are of none of the types that the reference has.

A cell of a new type is far from the reference in the embedding, or is told as one of the known ones
with little conviction. How much each counts is learned by leaving out one type after another: its
column of the scores and its cells of the reference are taken away, and its cells have to be told
from those of the types that are left. Where cells are rejected is set by how many cells of known
types may be lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

KEPT = 5_000
"""Cells of the reference that distances are measured to, at most."""

NEAREST = 10
LEAST = 5
"""Held-out cells that a type needs to be left out."""

SIGNS = ("uncertainty", "energy", "distance")


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """Cells of the reference, by type.

    Attributes
    ----------
    z
        ``(cells, dim)`` float32, their embedding.
    y
        ``(cells,)`` int, their types.
    scale
        ``(types,)``, the median distance of a type's cells to the nearest ones of their own.
    """

    z: np.ndarray
    y: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, z: np.ndarray, y: np.ndarray, n_types: int, *, seed: int = 0) -> Self:
        """Of the reference's cells a sample, as many of each type as can be."""
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(y))
        turn = np.empty(len(y), dtype=np.int64)  # the how manieth of its type a cell is
        for one in range(n_types):
            mine = rows[y[rows] == one]
            turn[mine] = np.arange(len(mine))
        kept = np.sort(np.argsort(turn, kind="stable")[:KEPT])
        z, y = np.ascontiguousarray(z[kept], dtype=np.float32), y[kept]
        scale = np.full(n_types, np.nan)
        for one in np.unique(y):
            own = z[y == one]
            k = min(NEAREST, len(own) - 1)
            if k:
                far, _ = NearestNeighbors(n_neighbors=k).fit(own).kneighbors()
                scale[one] = np.median(far.mean(1))
        usual = np.nanmedian(scale) if np.isfinite(scale).any() else 1.0
        return cls(z, y, np.where(np.isfinite(scale) & (scale > 0), scale, usual))

    def distance(self, z: np.ndarray, without: int | None = None) -> np.ndarray:
        """``(cells,)``: log of the mean distance to the nearest cells, in units of their types'."""
        some = self.y != without if without is not None else np.ones(len(self.y), dtype=bool)
        known, y = self.z[some], self.y[some]
        index = NearestNeighbors(n_neighbors=min(NEAREST, len(known))).fit(known)
        far, rows = index.kneighbors(z)
        return np.log((far / self.scale[y[rows]]).mean(1) + 1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class Rejector:
    """Says how little a cell looks like the reference's types.

    Attributes
    ----------
    near
        The reference.
    level, spread, weight
        ``(3,)``: mean and deviation of each of ``SIGNS`` in known cells, and what it counts.
    known
        ``(cells,)`` sorted scores of held-out cells of known types.
    """

    near: Near
    level: np.ndarray
    spread: np.ndarray
    weight: np.ndarray
    known: np.ndarray

    @classmethod
    def fit(cls, scores: np.ndarray, z: np.ndarray, y: np.ndarray, near: Near) -> Self:
        """From cells of known types that the model did not see.

        Parameters
        ----------
        scores
            ``(cells, types)`` tempered logits.
        z
            ``(cells, dim)`` their embedding.
        y
            ``(cells,)`` int, their types.
        near
            The reference that this model learned from.
        """
        whole = signs(scores, z, near)
        level, spread = whole.mean(0), whole.std(0).clip(1e-6)
        parts, unknown, share = [], [], []
        for one in np.unique(y):
            mine = y == one
            if mine.sum() < LEAST or scores.shape[1] < 3:
                continue
            found = (signs(scores, z, near, without=int(one)) - level) / spread
            parts.append(found)
            unknown.append(mine)
            share.append(np.where(mine, 1 / mine.sum(), 1 / max((~mine).sum(), 1)))
        if not parts:  # nothing can be left out: all signs count alike
            weight = np.ones(len(SIGNS))
        else:
            model = LogisticRegression(C=1.0)
            n = len(parts)
            model.fit(
                np.concatenate(parts),
                np.concatenate(unknown),
                sample_weight=np.concatenate(share) * 50 / n,
            )
            weight = model.coef_[0].clip(0)
            weight = weight if weight.any() else np.ones(len(SIGNS))
        return cls(near, level, spread, weight, np.sort((whole - level) / spread @ weight))

    def score(self, scores: np.ndarray, z: np.ndarray) -> np.ndarray:
        """``(cells,)``: the higher, the less a cell looks like a known type."""
        return (signs(scores, z, self.near) - self.level) / self.spread @ self.weight

    def threshold(self, reject: float) -> float:
        """Above it cells are Unknown: about ``reject`` of the known ones are lost.

        Raises
        ------
        ValueError
            ``reject`` is not in [0, 1).
        """
        if not 0 <= reject < 1:
            raise ValueError(f"reject is a share from 0 to below 1; it is {reject}")
        rank = int(np.ceil((len(self.known) + 1) * (1 - reject)))
        return float(self.known[rank - 1]) if rank <= len(self.known) else np.inf

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to restore it."""
        own = {"z": self.near.z, "y": self.near.y, "scale": self.near.scale}
        rest = {"level": self.level, "spread": self.spread, "weight": self.weight}
        return {**own, **rest, "known": self.known}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`state`."""
        near = Near(state["z"], state["y"], state["scale"])
        return cls(near, state["level"], state["spread"], state["weight"], state["known"])


def signs(scores: np.ndarray, z: np.ndarray, near: Near, without: int | None = None) -> np.ndarray:
    """``(cells, 3)``: uncertainty ``log((1 - p) / p)`` of the best type, energy
    ``-logsumexp(scores)`` (Liu et al., NeurIPS 2020), and distance to the reference.

    ``without``: as if the reference did not have this type.
    """
    left = scores if without is None else np.delete(scores, without, axis=1)
    whole = np.asarray(logsumexp(left, axis=1))
    best = np.clip(np.exp(left.max(1) - whole), 1e-6, 1 - 1e-6)
    far = near.distance(z, without)
    return np.stack([np.log((1 - best) / best), -whole, far], axis=1)
