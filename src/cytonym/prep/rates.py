"""Methylation rates: the sites that enough cells show, centred; missing is not 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.errors import OptionError
from cytonym.types import Blocks, Bound, FeatureSpace, Matrix


class Sites:
    """Keep the sites that are observed in enough cells of the reference and vary there.

    Blocks are sparse: what is stored is observed, also a 0; what is not stored is missing.

    Parameters
    ----------
    share
        The least share, in [0, 1], of the cells with any observed site in which a site is
        observed.
    most
        Keep no more than so many sites, those of the largest variance (n - 1) of their observed
        rates; None for no limit.
    """

    def __init__(self, share: float = 0.1, *, most: int | None = None) -> None:
        self.share = share
        self.most = most
        self.index = np.empty(0, dtype=np.int64)

    def fit(self, blocks: Blocks) -> Self:
        """Choose columns.

        Raises
        ------
        OptionError
            No site is left, with the numbers that say why.
        """
        width = len(blocks.space)
        seen, total, squares = (np.zeros(width) for _ in range(3))
        low, high = np.full(width, np.inf), np.full(width, -np.inf)
        n_cells = 0
        for block in blocks:
            sparse = _observed(block)
            values = sparse.data.astype(np.float64)
            seen += np.bincount(sparse.indices, minlength=width)
            total += np.bincount(sparse.indices, values, minlength=width)
            squares += np.bincount(sparse.indices, values**2, minlength=width)
            np.minimum.at(low, sparse.indices, values)
            np.maximum.at(high, sparse.indices, values)
            n_cells += int((np.diff(sparse.indptr) > 0).sum())
        enough, varies = seen / max(n_cells, 1) >= self.share, low < high
        kept = enough & varies
        if not kept.any():
            raise OptionError(
                f"No site is left of {width:,}: {int(enough.sum()):,} are observed in "
                f"{self.share:.2%} of the {n_cells:,} cells (the one seen most in "
                f"{int(seen.max(initial=0)):,}), {int(varies.sum()):,} are not constant. Lower "
                "the share, or give larger regions."
            )
        if self.most is not None and kept.sum() > self.most:
            variance = (squares - total**2 / np.maximum(seen, 1)) / np.maximum(seen - 1, 1)
            best = np.argsort(-np.where(kept, variance, -np.inf), kind="stable")[: self.most]
            kept = np.zeros(width, dtype=bool)
            kept[best] = True
        self.index = np.flatnonzero(kept)
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """The kept columns, sparse; zeros that are stored stay."""
        return Bound(space.take(self.index), lambda block: _observed(block)[:, self.index])

    def state(self) -> dict[str, np.ndarray]:
        """The kept columns."""
        return {"index": self.index}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take the columns back."""
        self.index = state["index"]
        return self


class Centre:
    """Subtract each site's mean over the cells of the reference in which it is observed.

    What is missing in a cell, was not measured in the data set, or was never observed in the
    reference comes out as NaN, which networks read as "not seen".
    """

    def __init__(self) -> None:
        self.mean = np.empty(0, dtype=np.float32)

    def fit(self, blocks: Blocks) -> Self:
        """Learn the mean of the observed rates of each site; NaN where there is none."""
        width = len(blocks.space)
        seen, total = np.zeros(width), np.zeros(width)
        for block in blocks:
            sparse = _observed(block)
            seen += np.bincount(sparse.indices, minlength=width)
            total += np.bincount(sparse.indices, sparse.data, minlength=width)
        mean = np.full(width, np.nan)
        np.divide(total, seen, out=mean, where=seen > 0)
        self.mean = mean.astype(np.float32)
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Sparse rates in, dense float32 out, NaN where missing or not measured."""
        mean = np.where(space.measured, self.mean, np.float32(np.nan))

        def apply(block: Matrix) -> Matrix:
            sparse = _observed(block)
            n_cells = len(sparse.indptr) - 1
            dense = np.full((n_cells, len(mean)), np.nan, dtype=np.float32)
            cells = np.repeat(np.arange(n_cells), np.diff(sparse.indptr))
            dense[cells, sparse.indices] = sparse.data - mean[sparse.indices]
            return dense

        return Bound(space, apply)

    def state(self) -> dict[str, np.ndarray]:
        """The means."""
        return {"mean": self.mean}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take the means back."""
        self.mean = state["mean"]
        return self


def _observed(block: Matrix) -> csr_matrix:
    """The block itself: a dense one could not say what is missing."""
    assert not isinstance(block, np.ndarray), "rates come as sparse blocks of what is observed"
    return csr_matrix(block)
