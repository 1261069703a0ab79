"""How little may be seen of a cell before its name means nothing.

Counts of held-out cells are thinned, and the names that they then get compared with those that they
get in full. Below so many detected features that half of the names are others, a cell is ``junk``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from sklearn.isotonic import IsotonicRegression

from cytonym.trust.said import Said

SHARES = (0.5, 0.25, 0.125, 0.06, 0.03, 0.015, 0.008)
"""Of the counts, that are kept."""

AGREEING = 0.5


@dataclass(frozen=True, slots=True)
class Quality:
    """By modality, the least number of detected features; 0 where it was not learned."""

    least: Mapping[str, int]

    @classmethod
    def fit(cls, thin: Said, whole: Said, seen: Mapping[str, np.ndarray]) -> Quality:
        """From thinned cells, the same cells in full, and ``(cells,)`` bool by modality where it
        was measured.
        """
        named = whole.scores.argmax(1)
        same, least = thin.scores.argmax(1) == named, {}
        weight = 1.0 / np.bincount(named)[named]  # a common type is not to be had by chance
        for name, detected in thin.detected.items():
            there = seen[name]
            least[name] = _where_half(detected[there], same[there], weight[there])
        return cls(least)

    def junk(self, said: Said) -> np.ndarray:
        """``(cells,)`` bool: nothing is detected, or in each measured modality too little."""
        out = np.full(len(said), bool(said.detected))
        for name, detected in said.detected.items():
            out &= detected < max(self.least.get(name, 0), 1)
        return out


def _where_half(detected: np.ndarray, same: np.ndarray, weight: np.ndarray) -> int:
    """The number of features from which on names agree with those in full in half of the cells."""
    if not len(same) or same.mean() == 1:
        return 0
    curve = IsotonicRegression(out_of_bounds="clip").fit(detected, same, sample_weight=weight)
    grid = np.unique(detected)
    enough = grid[curve.predict(grid) >= AGREEING]
    return int(enough.min()) if len(enough) else 0
