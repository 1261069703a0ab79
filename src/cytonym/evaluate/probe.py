"""A linear probe: how well logistic regression does on some features, by cross-validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch.nn import functional as F


def probe(x: np.ndarray, y: np.ndarray, fold: np.ndarray, *, penalty: float = 1.0) -> float:
    """Mean of accuracy and macro-F1 of out-of-fold predictions.

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
    Score in [0, 1].
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
    optimizer.step(step)
    with torch.no_grad():
        named = scores().argmax(2).gather(0, places[None, :])[0].numpy()
    macro = f1_score(y, named, average="macro", labels=np.unique(y), zero_division=0)
    return float((accuracy_score(y, named) + macro) / 2)
