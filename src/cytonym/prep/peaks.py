"""Chromatin accessibility: open or not, in enough cells, weighted by how telling a peak is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.errors import OptionError
from cytonym.prep.normalise import inverse, rows_times
from cytonym.types import Blocks, Bound, FeatureSpace, Matrix


class Open:
    """Binarise, and keep the peaks that are open in enough cells of the reference.

    Parameters
    ----------
    share
        The least share of the cells in which a peak is open, in [0, 1].
    most
        Keep no more than so many peaks, those open in most cells; None for no limit.
    least
        The least number of cells, whatever the share (a tenth of the cells, if that is fewer).
    """

    def __init__(self, share: float = 0.005, *, most: int | None = None, least: int = 3) -> None:
        self.share = share
        self.most = most
        self.least = least
        self.index = np.empty(0, dtype=np.int64)

    def fit(self, blocks: Blocks) -> Self:
        """Count the cells in which each peak is open."""
        cells = np.zeros(len(blocks.space), dtype=np.int64)
        for block in blocks:
            sparse = csr_matrix(block)
            cells += np.bincount(sparse.indices[sparse.data > 0], minlength=len(cells))
        kept = cells >= max(self.share * len(blocks), min(self.least, max(len(blocks) // 10, 1)))
        if self.most is not None and kept.sum() > self.most:
            best = np.argsort(-cells, kind="stable")[: self.most]
            kept = np.zeros(len(cells), dtype=bool)
            kept[best] = True
        self.index = np.flatnonzero(kept)
        if not len(self.index):
            raise OptionError(
                f"No peak is open in {self.share:.2%} of the {len(blocks):,} cells; the one open "
                f"in most is in {int(cells.max())}. Lower open_share."
            )
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Counts in; 1 where a kept peak has any, sparse, out."""

        def apply(block: Matrix) -> Matrix:
            sparse = csr_matrix(csr_matrix(block)[:, self.index], copy=True)
            sparse.data = (sparse.data > 0).astype(np.float32)
            sparse.eliminate_zeros()
            return sparse

        return Bound(space.take(self.index), apply)

    def state(self) -> dict[str, np.ndarray]:
        """The kept columns."""
        return {"index": self.index}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take the columns back."""
        self.index = state["index"]
        return self


class TfIdf:
    """Term frequency, inverse document frequency: ``log1p(scale · x / Σx · idf)``.

    ``idf`` is the number of reference cells over those in which the peak is open (Stuart et al.
    2021, their first form). Where a data set lacks peaks of the reference, the frequency shrinks
    by the share of a reference cell's open peaks that the others hold.

    With ``unit`` the weights are ``x / Σx · (1 + log idf)``, each cell scaled to length 1, as
    scikit-learn has them.
    """

    def __init__(self, scale: float = 1e4, *, unit: bool = False) -> None:
        self.scale = scale
        self.unit = unit
        self.idf = np.empty(0, dtype=np.float32)
        self.profile = np.empty(0)

    def fit(self, blocks: Blocks) -> Self:
        """Learn the document frequency, and each peak's mean share of a cell."""
        found, sums = np.zeros(len(blocks.space)), np.zeros(len(blocks.space))
        for block in blocks:
            totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            found += np.bincount(csr_matrix(block).nonzero()[1], minlength=len(found))
            sums += np.asarray(rows_times(block, inverse(totals)).sum(axis=0)).ravel()
        self.idf = (len(blocks) / np.maximum(found, 1)).astype(np.float32)
        self.profile = sums / max(sums.sum(), 1e-12)
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Sparse 0 and 1 in, sparse weights out."""
        scale = self.scale * float(self.profile[space.measured].sum())

        def apply(block: Matrix) -> Matrix:
            totals = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
            weighted = csr_matrix(rows_times(block, scale * inverse(totals)), copy=True)
            if self.unit:
                weighted.data *= 1 + np.log(self.idf[weighted.indices])
                length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(axis=1)).ravel())
                return csr_matrix(rows_times(weighted, inverse(length)))
            weighted.data = np.log1p(weighted.data * self.idf[weighted.indices])
            return weighted

        return Bound(space, apply)

    def state(self) -> dict[str, np.ndarray]:
        """Document frequency, profile and scale."""
        return {"idf": self.idf, "profile": self.profile, "scale": np.array(self.scale)}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take them back."""
        self.idf, self.profile = state["idf"], state["profile"]
        self.scale = float(state["scale"])
        return self
