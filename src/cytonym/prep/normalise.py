"""Depth normalisation and the logarithm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.types import Blocks, Bound, FeatureSpace, Matrix


class Depth:
    """Scale every cell to the same total (counts per ``target``, CP10k by default).

    Where a data set lacks genes of the reference, the target shrinks by the share of the
    reference's counts that these genes hold, so that the genes left are on the same scale.
    """

    def __init__(self, target: float = 1e4) -> None:
        self.target = target
        self.profile = np.empty(0)

    def fit(self, blocks: Blocks) -> Self:
        """Learn the mean share of each gene in a cell's total."""
        sums = np.zeros(len(blocks.space))
        cells = 0
        for block in blocks:
            totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            sums += np.asarray(rows_times(block, inverse(totals)).sum(axis=0)).ravel()
            cells += int((totals > 0).sum())
        self.profile = sums / max(cells, 1)
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Counts in, counts per ``target`` out."""
        target = self.target * float(self.profile[space.measured].sum())

        def apply(block: Matrix) -> Matrix:
            totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            return rows_times(block, target * inverse(totals))

        return Bound(space, apply)

    def state(self) -> dict[str, np.ndarray]:
        """The reference's profile, and the target."""
        return {"profile": self.profile, "target": np.array(self.target)}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take both back."""
        self.profile, self.target = state["profile"], float(state["target"])
        return self


class Log1p:
    """Natural ``log(1 + x)``, or base 2 as scBERT's preparation of the same data sets."""

    def __init__(self, base: float | None = None) -> None:
        self.factor = 1.0 if base is None else 1.0 / np.log(base)

    def fit(self, blocks: Blocks) -> Self:
        """Nothing to learn."""
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Non-negative values in, their logarithm out; zeros stay zeros."""

        def apply(block: Matrix) -> Matrix:
            if isinstance(block, np.ndarray):
                return np.log1p(block) * np.float32(self.factor)
            data = np.log1p(block.data) * np.float32(self.factor)
            return csr_matrix((data, block.indices, block.indptr), shape=block.shape)

        return Bound(space, apply)

    def state(self) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Nothing to take back."""
        return self


def inverse(totals: np.ndarray) -> np.ndarray:
    """1 / total; 0 for an empty cell, which stays empty."""
    return np.divide(1.0, totals, out=np.zeros_like(totals), where=totals > 0)


def rows_times(block: Matrix, factors: np.ndarray) -> Matrix:
    """Every row of a sparse or dense block times its own factor ``(cells,)``, as float32."""
    factors = factors.astype(np.float32)
    if isinstance(block, np.ndarray):
        return block * factors[:, None]
    data = block.data * np.repeat(factors, np.diff(block.indptr))
    return csr_matrix((data, block.indices, block.indptr), shape=block.shape)
