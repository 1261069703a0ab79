"""Several models' answers as one: the mixture that held-out cells find likeliest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

PRIOR = 10.0
"""Cells that speak for each model alike, beside the held-out ones."""

ROUNDS = 200


def weights(chances: Sequence[np.ndarray], y: np.ndarray) -> np.ndarray:
    """``(models,)``, sum 1: what each model counts in the mixture.

    Expectation maximisation on the likelihood of the held-out cells, with a Dirichlet prior that
    keeps the models alike where there are few cells.

    Parameters
    ----------
    chances
        For each model ``(cells, types)`` probabilities of cells that none of them saw.
    y
        ``(cells,)`` int, their types.
    """
    own = np.stack([one[np.arange(len(y)), y] for one in chances], axis=1).clip(1e-9)
    w = np.full(own.shape[1], 1 / own.shape[1])
    for _ in range(ROUNDS):
        share = own * w
        share /= share.sum(axis=1, keepdims=True)
        w = (share.sum(axis=0) + PRIOR) / (len(y) + PRIOR * len(w))
    return w


def mixed(chances: Sequence[np.ndarray], w: np.ndarray) -> np.ndarray:
    """``(cells, types)``: the weighted mean of the models' probabilities."""
    return np.tensordot(w, np.stack([*chances]), axes=1)
