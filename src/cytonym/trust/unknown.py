"""Which cells are of none of the types that the reference has.

A new type shows in one of three ways, and which one is not known beforehand: the network has little
to say of its cells (energy), they lie apart from the reference in its embedding, or in what it
reads. Each sign is put in units of how it varies among known cells; the score is their soft
maximum, so that one of them is enough. Cells are rejected above the score that a given share of
known cells is under.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from cytonym.trust.conformal import quantile
from cytonym.trust.reference import Reference, under
from cytonym.trust.said import Said

LOWER = (0.05, 0.3)
"""Quantiles by which cells that differ from the reference as a whole are judged."""


@dataclass(frozen=True, slots=True, eq=False)
class Rejector:
    """Says how little a cell looks like the reference's types.

    Attributes
    ----------
    reference
        Of the network that is asked.
    level, spread
        ``(signs,)``: mean and deviation of each sign among known cells.
    known
        ``(cells,)`` scores of held-out cells of known types.
    """

    reference: Reference
    level: np.ndarray
    spread: np.ndarray
    known: np.ndarray

    @classmethod
    def fit(cls, said: Said, reference: Reference) -> Self:
        """From cells of known types that the network did not see; ``said.scores`` are tempered."""
        found = np.stack([*signs(said, reference).values()], axis=1)
        level, spread = np.nanmean(found, axis=0), np.nanstd(found, axis=0).clip(1e-6)
        return cls(reference, level, spread, joined((found - level) / spread))

    def score(self, said: Said, *, moved: bool = False) -> np.ndarray:
        """``(cells,)``: the higher, the less a cell looks like a known type.

        ``moved``: the cells may differ from the reference as a whole (:func:`settled`).
        """
        found = np.stack([*signs(said, self.reference).values()], axis=1)
        units = (found - self.level) / self.spread
        return joined(settled(units) if moved else units)

    def threshold(self, reject: float) -> float:
        """Above it cells are Unknown: about ``reject`` of the known ones are lost.

        Raises
        ------
        ValueError
            ``reject`` is not in [0, 1).
        """
        if not 0 <= reject < 1:
            raise ValueError(f"reject is a share from 0 to below 1; it is {reject}")
        return quantile(self.known, 1 - reject)

    def state(self) -> dict[str, np.ndarray]:
        """All that is needed to restore it."""
        own = {f"reference/{name}": one for name, one in self.reference.state().items()}
        return {**own, "level": self.level, "spread": self.spread, "known": self.known}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`state`."""
        reference = Reference.restore(dict(under("reference/", state)))
        return cls(reference, state["level"], state["spread"], state["known"])


def signs(said: Said, reference: Reference) -> dict[str, np.ndarray]:
    """By name ``(cells,)`` float, higher for stranger cells; NaN where a cell lacks the modality.

    ``energy`` is ``-logsumexp(scores)`` (Liu et al., NeurIPS 2020); ``embedding`` the mean of the
    distances to the nearest cells and to the nearest cloud; ``input <modality>`` the distance to
    the nearest cloud of what the network reads.
    """
    inside = (reference.near.distance(said.z), reference.cloud.distance(said.z))
    found = {
        "energy": -np.asarray(logsumexp(said.scores, axis=1)),
        "embedding": (inside[0] + inside[1]) / 2,
    }
    for name, cloud in reference.inputs.items():
        x = said.inputs[name]
        there = np.isfinite(x[:, 0])
        far = np.full(len(x), np.nan)
        if there.any():
            far[there] = cloud.distance(x[there])
        found[f"input {name}"] = far
    return found


def settled(units: np.ndarray) -> np.ndarray:
    """Units of cells that differ from the reference as a whole, as if they did not.

    Where they lie and how they vary is read off their lower half (5 and 30 % quantiles, taken for
    those of a normal distribution), which new types hardly touch while most cells are of known
    types. Cells are never brought closer together than held-out ones are apart, nor moved up.
    """
    able = np.isfinite(units).any(axis=0)
    low, high = np.nanquantile(np.where(able, units, 0.0), LOWER, axis=0)
    spread = (high - low) / (norm.ppf(LOWER[1]) - norm.ppf(LOWER[0]))
    level = high - norm.ppf(LOWER[1]) * spread
    return (units - level.clip(0)) / spread.clip(1)


def joined(units: np.ndarray) -> np.ndarray:
    """``(cells,)``: the soft maximum of ``(cells, signs)``; a sign that is NaN has no say."""
    there = np.isfinite(units)
    several = there.sum(axis=1).clip(1)
    return np.asarray(logsumexp(np.where(there, units, -np.inf), axis=1)) - np.log(several)
