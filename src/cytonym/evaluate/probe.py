"""A linear probe: how well logistic regression does on some features, by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch.nn import functional as F

from cytonym.nn.threads import threads_for


def probe(x: np.ndarray, y: np.ndarray, fold: np.ndarray, *, penalty: float = 1.0) -> np.ndarray:
    """Out-of-fold predictions of logistic regression.

    All folds are fitted at once: the weights of each are further columns of one product.

    Parameters
    ----------
    x
        ``(cells, features)`` float32, centred; NaN counts as 0.
    y
        ``(cells,)`` int codes, none negative.
    fold
        ``(cells,)`` int.
    penalty
        L2 penalty, 1/C of scikit-learn's LogisticRegression.

    Returns
    -------
    ``(cells,)`` int codes.
    """
    values = torch.from_numpy(np.nan_to_num(np.asarray(x, dtype=np.float32), copy=False))
    truth = torch.from_numpy(y)
    places = torch.from_numpy(fold)
    n_folds, n_types = int(fold.max()) + 1, int(y.max()) + 1
    learned = (places[None, :] != torch.arange(n_folds)[:, None]).float()  # folds × cells
    weight = torch.zeros(values.shape[1], n_folds * n_types, requires_grad=True)
    offset = torch.zeros(n_folds * n_types, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, offset], max_iter=40, history_size=8, line_search_fn="strong_wolfe"
    )

    def scores() -> torch.Tensor:
        return (values @ weight + offset).unflatten(1, (n_folds, n_types)).transpose(0, 1)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        each = F.cross_entropy(
            scores().flatten(0, 1), truth.repeat(n_folds), reduction="none"
        ).unflatten(0, (n_folds, -1))
        loss = (each * learned).sum() + 0.5 * penalty * weight.square().sum()
        loss = loss / len(truth)
        loss.backward()
        return loss

    step: Any = closure
    with threads_for(values.numel()):
        optimizer.step(step)
    with torch.no_grad():
        return scores().argmax(2).gather(0, places[None, :])[0].numpy()


def score(y: np.ndarray, named: np.ndarray, *, least: int = 10) -> float:
    """Mean of accuracy and macro-F1, the latter over types with at least ``least`` cells.

    A type of a few cells moves its F1 by steps too large to choose by.
    """
    codes, sizes = np.unique(y, return_counts=True)
    common = codes[sizes >= min(least, sizes.max())]
    never: Any = 0  # the stubs of scikit-learn know only the word
    macro = f1_score(y, named, average="macro", labels=common, zero_division=never)
    return float((accuracy_score(y, named) + macro) / 2)


def pick(y: np.ndarray, named: Sequence[np.ndarray]) -> tuple[int, list[float]]:
    """The first candidate that is within one standard error of the best, and all scores.

    The standard error is that of the paired difference in accuracy, so candidates should come
    in order of preference.
    """
    found = [score(y, one) for one in named]
    best = int(np.argmax(found))
    right = named[best] == y
    for place, one in enumerate(named):
        error = (right.astype(float) - (one == y)).std() / np.sqrt(len(y))
        if found[best] - found[place] <= error:
            return place, found
    return best, found
