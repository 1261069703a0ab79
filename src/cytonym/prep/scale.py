"""Centring and scaling to the reference; from here on blocks are dense and NaN is not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np

from cytonym.types import Blocks, Bound, FeatureSpace, Matrix


class Scale:
    """Subtract the reference's mean and, with ``unit``, divide by its standard deviation.

    A feature that a data set did not measure comes out as NaN, which networks read as "not
    seen"; after centring, a filled-in zero would be the reference's mean, not absence.

    Parameters
    ----------
    unit
        Divide by the standard deviation; else only centre.
    together
        With ``unit``: divide all features by one number, the root of their mean variance, so that
        those that vary most still do.
    clip
        Largest absolute value that comes out; None for no limit.
    """

    def __init__(
        self, *, unit: bool = True, together: bool = False, clip: float | None = 10.0
    ) -> None:
        self.unit = unit
        self.together = together
        self.clip = clip
        self.mean = np.empty(0, dtype=np.float32)
        self.spread = np.empty(0, dtype=np.float32)

    def fit(self, blocks: Blocks) -> Self:
        """Learn mean and standard deviation (n - 1) of each feature."""
        total, squares = np.zeros(len(blocks.space)), np.zeros(len(blocks.space))
        for block in blocks:
            total += np.asarray(block.sum(axis=0, dtype=np.float64)).ravel()
            square = np.square(block) if isinstance(block, np.ndarray) else block.multiply(block)
            squares += np.asarray(square.sum(axis=0, dtype=np.float64)).ravel()
        n = len(blocks)
        mean = total / n
        variance = np.maximum(squares / n - mean**2, 0) * n / max(n - 1, 1)
        self.mean = mean.astype(np.float32)
        if self.together:
            variance = np.full_like(variance, variance.mean())
        spread = np.sqrt(variance) if self.unit else np.ones_like(mean)
        self.spread = np.where(spread > 1e-8, spread, 1.0).astype(np.float32)
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Sparse or dense in, dense float32 out, NaN where not measured."""
        missing, divide = ~space.measured, bool((self.spread != 1).any())

        def apply(block: Matrix) -> Matrix:
            if isinstance(block, np.ndarray):
                dense = block.astype(np.float32)
            else:
                dense = block.astype(np.float32, copy=False).toarray()
            dense -= self.mean
            if divide:
                dense /= self.spread
            if self.clip is not None:
                np.clip(dense, -self.clip, self.clip, out=dense)
            if missing.any():
                dense[:, missing] = np.nan
            return dense

        return Bound(space, apply)

    def state(self) -> dict[str, np.ndarray]:
        """Mean and standard deviation."""
        return {"mean": self.mean, "spread": self.spread}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take both back."""
        self.mean, self.spread = state["mean"], state["spread"]
        return self


class Weight:
    """Multiply every value by one number: how much a modality counts beside others."""

    def __init__(self, factor: float) -> None:
        self.factor = np.float32(factor)

    def fit(self, blocks: Blocks) -> Self:
        """Nothing to learn."""
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Dense in, dense out."""
        return Bound(space, lambda block: block * self.factor)

    def state(self) -> dict[str, np.ndarray]:
        """The factor."""
        return {"factor": np.array(self.factor)}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take it back."""
        self.factor = np.float32(state["factor"])
        return self
