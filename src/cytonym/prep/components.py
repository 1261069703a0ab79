"""From features to components: principal ones of centred values, singular ones of sparse ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.errors import OptionError
from cytonym.prep.smooth import principal_axes, projector
from cytonym.types import Blocks, Bound, FeatureSpace, Matrix


class Components:
    """Project each cell onto the reference's first ``k`` principal axes.

    Centred blocks give principal components, sparse ones (not centred) the truncated singular
    value decomposition. A feature that a data set did not measure is not needed: the components
    are fitted to the measured ones by ridge regression.

    Parameters
    ----------
    k
        How many components; lowered to what the reference can give.
    first
        How many of the first components are left out: of weighted peaks the first one follows
        the depth.
    depth_limit
        Drop components whose correlation with the logarithm of a cell's number of stored values
        is above this, in absolute value; None keeps all. Sparse blocks only.
    """

    def __init__(
        self, k: int, *, first: int = 0, depth_limit: float | None = None, seed: int = 0
    ) -> None:
        self.k, self.first = k, first
        self.depth_limit = depth_limit
        self.seed = seed
        self.axes = np.empty((0, 0), dtype=np.float32)

    def fit(self, blocks: Blocks) -> Self:
        """Learn the axes ``(features, components)``."""
        k = max(min(self.k, len(blocks) - 1, len(blocks.space)), 1)
        self.axes = principal_axes(blocks, k, seed=self.seed)[:, min(self.first, k - 1) :]
        if self.depth_limit is not None:
            depth, found = [], []
            for block in blocks:
                assert not isinstance(block, np.ndarray), "depth shows in sparse blocks alone"
                found.append(block @ self.axes)
                cells = csr_matrix(block).nonzero()[0]
                depth.append(np.log1p(np.bincount(cells, minlength=len(found[-1]))))
            both = np.column_stack([np.concatenate(depth), np.concatenate(found)])
            with np.errstate(divide="ignore", invalid="ignore"):
                related = np.abs(np.corrcoef(both, rowvar=False)[0, 1:])
            kept = ~(related > self.depth_limit)
            if not kept.any():
                raise OptionError(
                    f"All {k} components follow the depth of the cells (correlation above "
                    f"{self.depth_limit:g}). Raise depth_limit, or ask for more components."
                )
            self.axes = self.axes[:, kept]
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Features in, dense float32 components out."""
        seen = space.measured
        project = projector(self.axes, seen)
        names = np.array([f"{space.modality}_{i + 1}" for i in range(self.axes.shape[1])])
        out = FeatureSpace(space.modality, names, np.ones(len(names), dtype=bool))

        def apply(block: Matrix) -> Matrix:
            part = block if seen.all() else block[:, seen]
            return np.asarray(part @ project, dtype=np.float32)

        return Bound(out, apply)

    def state(self) -> dict[str, np.ndarray]:
        """The axes."""
        return {"axes": self.axes}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take the axes back."""
        self.axes = state["axes"]
        return self
