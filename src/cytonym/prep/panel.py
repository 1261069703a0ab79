"""The panel: which features of the reference the model reads, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

import numpy as np
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.sparse import csr_matrix

from cytonym.errors import OptionError
from cytonym.types import Blocks, Bound, FeatureSpace, Matrix

Order = Literal["given", "coexpression", "random"]


class Panel:
    """The most variable features, or all that are found in some cells.

    Variability is Seurat's first measure: the dispersion of the un-logged values, standardised
    among features of similar mean (20 bins).

    Parameters
    ----------
    n
        How many features to keep; None keeps every one found in ``min_cells`` cells.
    order
        ``given`` keeps the reference's order; ``coexpression`` puts correlated features side by
        side (leaves of average-linkage clustering); ``random`` shuffles by ``seed``.
    keep
        Features that belong to the panel whatever their variability (marker genes).
    base
        Of the logarithm of the values; None for the natural one.
    """

    def __init__(
        self,
        n: int | None,
        *,
        min_cells: int = 3,
        order: Order = "given",
        keep: tuple[str, ...] = (),
        seed: int = 0,
        base: float | None = None,
    ) -> None:
        self.n = n
        self.min_cells = min_cells
        self.order: Order = order
        self.keep = keep
        self.seed = seed
        self.base = base
        self.index = np.empty(0, dtype=np.int64)

    def fit(self, blocks: Blocks) -> Self:
        """Choose columns; ``blocks`` are log1p values."""
        mean, variance, found = _moments(
            blocks, 1.0 if self.base is None else float(np.log(self.base))
        )
        usable = found >= min(self.min_cells, max(len(blocks) // 10, 1))
        if self.n is None or self.n >= usable.sum():
            chosen = usable
        else:
            score = np.where(usable, dispersion(mean, variance), -np.inf)
            chosen = np.zeros(len(usable), dtype=bool)
            chosen[np.argsort(-score, kind="stable")[: self.n]] = True
        absent = sorted({*self.keep} - {*blocks.space.names})
        if absent:
            raise OptionError(
                f"{len(absent)} of {len(self.keep)} markers are no features of the reference: "
                f"{', '.join(absent[:10])}. Give them as the reference spells them."
            )
        chosen |= np.isin(blocks.space.names, self.keep)
        self.index = self._arrange(np.flatnonzero(chosen), blocks)
        return self

    def _arrange(self, index: np.ndarray, blocks: Blocks) -> np.ndarray:
        if self.order == "random":
            return np.random.default_rng(self.seed).permutation(index)
        if self.order == "coexpression" and len(index) > 2:
            return index[leaves_list(linkage(_distance(blocks, index), method="average"))]
        return index

    def bind(self, space: FeatureSpace) -> Bound:
        """The chosen columns of the reference's space."""
        whole = len(self.index) == len(space) and np.array_equal(self.index, np.arange(len(space)))

        def apply(block: Matrix) -> Matrix:
            return block if whole else block[:, self.index]

        return Bound(space.take(self.index), apply)

    def state(self) -> dict[str, np.ndarray]:
        """The chosen columns."""
        return {"index": self.index}

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take the columns back."""
        self.index = state["index"]
        return self


def _moments(blocks: Blocks, unit: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and variance of the un-logged values, and in how many cells a feature is found."""
    total, squares, found = (np.zeros(len(blocks.space)) for _ in range(3))
    for block in blocks:
        plain = csr_matrix(block, dtype=np.float64)
        plain.eliminate_zeros()
        plain.data = np.expm1(plain.data * unit)
        total += np.asarray(plain.sum(axis=0)).ravel()
        squares += np.asarray(plain.multiply(plain).sum(axis=0)).ravel()
        found += plain.getnnz(axis=0)
    n = len(blocks)
    mean = total / n
    return mean, np.maximum(squares / n - mean**2, 0) * n / max(n - 1, 1), found


def dispersion(mean: np.ndarray, variance: np.ndarray, *, bins: int = 20) -> np.ndarray:
    """Dispersion standardised among features of similar mean (Satija et al. 2015).

    Parameters
    ----------
    mean, variance
        ``(features,)`` of un-logged normalised values.

    Returns
    -------
    ``(features,)`` float64; a bin of one feature gives it 1.
    """
    mean = np.where(mean == 0, 1e-12, mean)
    ratio = np.log(np.where(variance == 0, np.nan, variance / mean))
    place = np.log1p(mean)
    edges = np.linspace(place.min(), place.max(), bins + 1)
    group = np.clip(np.searchsorted(edges, place, side="left") - 1, 0, bins - 1)
    score = np.full(len(mean), -np.inf)
    for one in np.unique(group):
        own = (group == one) & np.isfinite(ratio)
        if own.sum() == 1:
            score[own] = 1.0
        elif own.any():
            spread = ratio[own].std(ddof=1)
            score[own] = (ratio[own] - ratio[own].mean()) / (spread if spread > 0 else 1.0)
    return score


def _distance(blocks: Blocks, index: np.ndarray) -> np.ndarray:
    """1 - correlation of the chosen features, condensed as scipy's linkage wants it."""
    gram = np.zeros((len(index), len(index)))
    total = np.zeros(len(index))
    for block in blocks:
        dense = csr_matrix(block[:, index]).toarray().astype(np.float64)
        gram += dense.T @ dense
        total += dense.sum(axis=0)
    mean = total / len(blocks)
    covariance = gram / len(blocks) - np.outer(mean, mean)
    spread = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    distance = 1 - covariance / np.outer(spread, spread)
    return np.maximum(distance[np.triu_indices(len(index), 1)], 0)
