"""Low-rank smoothing: draw every cell towards what the reference's main components say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy.linalg import eigh

from cytonym.types import Blocks, Bound, FeatureSpace, Matrix


class Smooth:
    """``x ← α·P(x) + (1-α)·x`` with P the projection onto the first principal components.

    Runs on centred features, in the space of the features. A feature that a data set did not
    measure is not needed for P: the components are fitted to the measured ones by ridge
    regression, and the projection fills the gap.

    Parameters
    ----------
    k
        How many components; lowered to what the reference can give.
    alpha
        α in [0, 1]: 0 leaves the cell as it is, 1 keeps the projection alone.
    """

    def __init__(self, k: int, alpha: float, *, seed: int = 0) -> None:
        self.k = k
        self.alpha = alpha
        self.seed = seed
        self.axes = np.empty((0, 0), dtype=np.float32)

    def fit(self, blocks: Blocks) -> Self:
        """Learn the axes ``(features, k)``; blocks are dense and centred."""
        k = min(self.k, len(blocks) - 1, len(blocks.space))
        self.axes = principal_axes(blocks, k, seed=self.seed) if self.alpha > 0 else self.axes
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Dense in, dense out, without NaN unless α is 0; the space says what was measured."""
        if self.alpha == 0:
            return Bound(space, lambda block: block)
        seen = space.measured
        axes, project, whole = self.axes, projector(self.axes, seen), bool(seen.all())
        scaled = np.ascontiguousarray(self.alpha * axes.T)

        def apply(block: Matrix) -> Matrix:
            block = np.asarray(block)
            if whole:
                mixed = (block @ project) @ scaled
                if self.alpha < 1:
                    mixed += (1 - self.alpha) * block
                return mixed
            smooth = (block[:, seen] @ project) @ axes.T
            mixed = self.alpha * smooth + (1 - self.alpha) * block
            return np.where(seen, mixed, smooth)

        return Bound(space, apply)

    def state(self) -> dict[str, np.ndarray]:
        """The axes, and α."""
        return {"axes": self.axes, "alpha": np.array(self.alpha)}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take both back."""
        self.axes, self.alpha = state["axes"], float(state["alpha"])
        return self


def projector(axes: np.ndarray, seen: np.ndarray, *, ridge: float = 1e-2) -> np.ndarray:
    """What the measured features ``seen`` are multiplied with to give the components.

    The axes themselves where all are measured, else the ridge regression of the components on
    those that are: ``(measured features, k)`` float32.
    """
    if seen.all():
        return axes
    part = axes[seen].astype(np.float64)
    inner = part.T @ part + ridge * np.eye(part.shape[1])
    return np.linalg.solve(inner, part.T).T.astype(np.float32)


def principal_axes(blocks: Blocks, k: int, *, seed: int, rounds: int = 6) -> np.ndarray:
    """The first ``k`` principal axes ``(features, k)`` of centred blocks.

    Sparse blocks are taken as they are: the axes are then right singular vectors.

    Subspace iteration on XᵀX (Halko, Martinsson and Tropp 2011): one walk over the blocks a
    round, memory features × (k + 20), whatever the number of cells.
    """
    width = len(blocks.space)
    size = min(k + 20, width, len(blocks))
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((width, size)).astype(np.float32)).Q
    for _ in range(rounds):
        basis = np.linalg.qr(_gram_times(blocks, basis)).Q
    inner = basis.T @ _gram_times(blocks, basis)
    _, vectors = eigh((inner + inner.T) / 2)
    axes = basis @ vectors[:, ::-1][:, :k]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(k)])
    return np.ascontiguousarray(axes * signs, dtype=np.float32)


def _gram_times(blocks: Blocks, basis: np.ndarray) -> np.ndarray:
    out = np.zeros(basis.shape, dtype=np.float32)
    for block in blocks:
        out += block.T @ (block @ basis)
    return out
