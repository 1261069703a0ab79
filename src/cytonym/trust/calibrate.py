"""Temperature: of the cells that are said to be 0.8 sure, 8 in 10 should be right."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax


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
        blank = chance.mean()  # one cell of no type: without errors nothing else bounds T
        return -float(chance[np.arange(len(y)), y].sum() + blank) / (len(y) + 1)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def tempered(scores: np.ndarray, t: float | np.ndarray) -> np.ndarray:
    """``(cells, types)`` probabilities ``softmax(scores / t)``; ``t`` is one, or one a cell."""
    return softmax(scores / np.reshape(t, (-1, 1)), axis=1)
