"""Temperature: of the cells that are said to be 0.8 sure, 8 in 10 should be right."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

BINS = 15


def temperature(scores: np.ndarray, y: np.ndarray) -> float:
    """T that makes ``softmax(scores / T)`` likeliest on cells that the model did not see.

    Parameters
    ----------
    scores
        ``(cells, types)`` logits.
    y
        ``(cells,)`` int, the types.

    References
    ----------
    Guo et al., ICML 2017, section 4.2.
    """

    def loss(log_t: float) -> float:
        chance = log_softmax(scores / np.exp(log_t), axis=1)
        return -float(chance[np.arange(len(y)), y].mean())

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def tempered(scores: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """``(cells, types)`` probabilities ``softmax(scores / t)``; ``t`` is one, or one a cell."""
    return softmax(scores / np.reshape(t, (-1, 1)), axis=1)


def reliability(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> pd.DataFrame:
    """How often cells are right, by how sure they are.

    Parameters
    ----------
    confidence
        ``(cells,)`` in [0, 1].
    right
        ``(cells,)`` bool.
    bins
        Equal parts of [0, 1].

    Returns
    -------
    DataFrame
        A row for each part that has cells: ``confidence`` and ``accuracy`` (means), ``n``.
    """
    sure, good = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    part = np.minimum((sure * bins).astype(int), bins - 1)
    n = np.bincount(part, minlength=bins)
    held = n > 0
    means = {
        name: np.bincount(part, values, minlength=bins)[held] / n[held]
        for name, values in (("confidence", sure), ("accuracy", good))
    }
    return pd.DataFrame({**means, "n": n[held]})


def calibration_error(confidence: np.ndarray, right: np.ndarray, *, bins: int = BINS) -> float:
    """Expected calibration error: mean distance of accuracy and confidence, by cells.

    References
    ----------
    Naeini et al., AAAI 2015; bins of equal width.
    """
    table = reliability(confidence, right, bins=bins)
    gap = (table["accuracy"] - table["confidence"]).abs()
    return float((gap * table["n"]).sum() / table["n"].sum())
