"""By what a query differs from the reference: a shift of all its cells, or other types in it.

Both move the mean of the query. Taking that mean away is right where the types are as common as in
the reference, and wrong where they are not: a query of a single type would come out as a mixture.
Three explanations are tried, and the one under which the query's cells are likeliest is taken.

Symbols: pi share of each type in the query, s the shift.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import LogisticRegression

Center = Literal["auto", "none", "mean", "mixture"]
"""Explanations; auto: the likeliest."""

SAID = {
    "": "",
    "few": "center=none: too few cells to say by what the query differs from the reference",
    "none": "center=none: nothing that all cells of the query share sets them off",
    "mean": "center=mean: all cells of the query differ alike, and its types are as common",
    "mixture": "center=mixture: all cells of the query differ alike, and other types are common",
}

SEEN = 10_000
"""Cells of the reference, and of the query, that are looked at, at most."""

MARGIN = 0.05
"""Share of what simpler explanations leave that the mixture must explain to be taken."""

ROUNDS = 5


def shift(
    x: np.ndarray, reference: np.ndarray, y: np.ndarray, center: Center
) -> tuple[np.ndarray, str]:
    """``(width,)``, what to take from the cells of a query so that they lie as the reference's.

    ``none``: nothing. ``mean``: all by which the means differ; the types are as common as in the
    reference. ``mixture``: logistic regression says how common they are, and s is what the means
    then still differ by, in turns. ``auto``: of these the one with the highest likelihood, less
    the number of its parameters (Akaike), where each type is a Gaussian around its mean in the
    reference, with one covariance for all. The types are no Gaussians, so the mixture has to win
    by a ``MARGIN``.

    Parameters
    ----------
    x, reference
        ``(cells, width)``.
    y
        Types of the reference as numbers, -1: not known.

    Returns
    -------
    shift, explanation
        ``(width,)``, and which explanation that is.
    """
    away = x.mean(0) - reference.mean(0)
    if center in ("none", "mean"):
        return (away, "") if center == "mean" else (0 * away, "")
    rng = np.random.default_rng(0)
    known = _some(y, rng)
    n_types = len(np.unique(y[known]))
    if len(x) == 1 or n_types < 2 or len(known) < 3 * n_types:
        return 0 * away, "few"
    world = Types(reference[known], y[known])
    some = x[rng.permutation(len(x))[:SEEN]]
    mixed = world.mixture(some)
    if center == "mixture":
        return mixed, ""
    width, shares = x.shape[1], len(world.share) - 1
    level = {
        "none": world.likelihood(some) - shares / len(some),
        "mean": world.likelihood(some - away, fixed=True) - width / len(some),
    }
    best = max(level, key=lambda one: level[one])
    both = world.likelihood(some - mixed) - (width + shares) / len(some)
    if both > level[best] + MARGIN * abs(level[best]):
        return mixed, "mixture"
    return (away if best == "mean" else 0 * away), best


def _some(y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows of at most about ``SEEN`` cells with a type; each type keeps 10, if it has them."""
    rows = rng.permutation(np.flatnonzero(y >= 0))
    share = min(SEEN / max(len(rows), 1), 1.0)
    parts = [rows[y[rows] == one] for one in np.unique(y[rows])]
    kept = [one[: max(round(share * len(one)), 10)] for one in parts]
    return np.sort(np.concatenate(kept)) if kept else rows


class Types:
    """The types of labelled cells: means, one covariance, and logistic regression."""

    def __init__(self, x: np.ndarray, y: np.ndarray) -> None:
        types, place = np.unique(y, return_inverse=True)
        self.middle = x.mean(0)
        self.means = np.stack([x[place == one].mean(0) for one in range(len(types))])
        covariance, _ = ledoit_wolf(x - self.means[place], assume_centered=True)
        self.root = np.linalg.cholesky(np.linalg.inv(covariance))
        self.share = np.bincount(place) / len(x)
        self.model = LogisticRegression(max_iter=1000).fit(self.ready(x), place)

    def ready(self, x: np.ndarray) -> np.ndarray:
        """Cells of one length around the middle."""
        x = x - self.middle
        length = np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
        return x / length * x.shape[1] ** 0.5

    def mixture(self, x: np.ndarray) -> np.ndarray:
        """s, by which ``x`` differ from reference cells of the types that they seem to have."""
        s = np.zeros_like(self.middle)
        for _ in range(ROUNDS):
            pi = self.model.predict_proba(self.ready(x - s)).mean(0)
            s = x.mean(0) - pi @ self.means
        return s

    def likelihood(self, x: np.ndarray, fixed: bool = False) -> float:
        """Mean of log p(cell) without its constant; pi as in the reference, or the best (EM)."""
        far = cdist(x @ self.root, self.means @ self.root, "sqeuclidean")
        fit, pi = -far / 2, self.share
        for _ in range(0 if fixed else 30):
            pi = softmax(fit + np.log(pi), axis=1).mean(0).clip(1e-12)
        return float(logsumexp(fit + np.log(pi), axis=1).mean())
