"""How well a generated or denoised modality agrees with the measured one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata
from sklearn.metrics import cohen_kappa_score
from sklearn.metrics.cluster import contingency_matrix

from cytonym.errors import DataError, Problem


def generation_scores(
    truth: np.ndarray, made: np.ndarray, types: Sequence[Any] | np.ndarray
) -> dict[str, float]:
    """Correlations and AUROC of generated values with measured ones.

    Parameters
    ----------
    truth
        ``(cells, features)`` float: log1p CP10k, 0/1, or rates.
    made
        ``(cells, features)`` float in the same units (probabilities for 0/1).
    types
        ``(cells,)`` labels, for sums over the cells of a type.

    Returns
    -------
    dict
        Means of Pearson's r over cells (``cell``), over features (``feature``), and over types of
        their mean profiles (``type``; ``contrast``: of what these have above the mean of all
        types, without what all types share). ``cell_auroc`` and ``feature_auroc`` ask whether
        what was measured above 0 got higher values. What is constant is left out of a mean.

    Raises
    ------
    DataError
        Different shapes, or values that are not finite.
    """
    truth, made = np.asarray(truth, dtype=np.float32), np.asarray(made, dtype=np.float32)
    if truth.shape != made.shape or len(types) != len(truth):
        what = f"measured are {truth.shape}, generated {made.shape}, types {len(types)}"
        raise DataError(Problem(what, "give the same cells and features"), subject="generation")
    if not (np.isfinite(truth).all() and np.isfinite(made).all()):
        raise DataError(Problem("some values are not finite", "leave them out"), subject="values")
    codes, _ = pd.factorize(pd.Series(types))
    means = [_by_type(one, codes) for one in (truth, made)]
    above = [one - one.mean(0) for one in means]
    opened = truth > 0
    return {
        "cell": _mean(correlations(truth, made)),
        "feature": _mean(correlations(truth.T, made.T)),
        "type": _mean(correlations(*means)),
        "contrast": _mean(correlations(*above)),
        "cell_auroc": _mean(aurocs(opened, made)),
        "feature_auroc": _mean(aurocs(opened.T, made.T)),
    }


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pearson's r of each row with its counterpart, ``(rows,)`` float64; NaN where constant."""
    a, b = (x - x.mean(1, keepdims=True, dtype=np.float64) for x in (one, other))
    norm = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(norm > 1e-12, (a * b).sum(1) / norm, np.nan)


def aurocs(positive: np.ndarray, score: np.ndarray, *, block: int = 512) -> np.ndarray:
    """Area under the ROC curve of each row, ``(rows,)``; NaN where all are of one kind."""
    out = np.full(len(score), np.nan)
    for start in range(0, len(score), block):
        part = slice(start, start + block)
        ranks = rankdata(score[part], axis=1)
        yes = positive[part].sum(1)
        no = positive.shape[1] - yes
        above = (ranks * positive[part]).sum(1) - yes * (yes + 1) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            out[part] = np.where((yes > 0) & (no > 0), above / (yes * no), np.nan)
    return out


def pair_consistency(
    rna: np.ndarray, atac: np.ndarray, gene: np.ndarray, peak: np.ndarray, *, seed: int
) -> tuple[float, float]:
    """Mean correlation of genes with their own peaks, and with as many peaks drawn at random.

    This is our definition of the consistency that the DCCA paper speaks of without one.

    Parameters
    ----------
    rna, atac
        ``(cells, genes)`` and ``(cells, peaks)`` float of the same cells.
    gene, peak
        ``(pairs,)`` int: columns that belong together.
    """
    drawn = np.random.default_rng(seed).permutation(peak)
    own, random = (_mean(_paired(rna, atac, gene, other)) for other in (peak, drawn))
    return own, random


def cluster_kappa(one: Sequence[Any] | np.ndarray, other: Sequence[Any] | np.ndarray) -> float:
    """Cohen's kappa of two clusterings of the same cells, their clusters matched one to one.

    Clusters are matched so that most cells agree (Hungarian method); cells without a
    cluster on either side are left out. Our definition: the DCCA paper gives none.
    """
    both = pd.DataFrame({"one": np.asarray(one), "other": np.asarray(other)}).dropna()
    a, b = (pd.factorize(both[side])[0] for side in both)
    counts: Any = contingency_matrix(a, b)
    mine, theirs = linear_sum_assignment(-counts)
    named = np.full(int(b.max()) + 1, -1)
    named[theirs] = mine
    return float(cohen_kappa_score(a, named[b]))


def _by_type(values: np.ndarray, codes: np.ndarray) -> np.ndarray:
    kinds = np.unique(codes)
    return np.stack([values[codes == kind].mean(0, dtype=np.float64) for kind in kinds])


def _paired(
    rna: np.ndarray, atac: np.ndarray, gene: np.ndarray, peak: np.ndarray, *, block: int = 1000
) -> np.ndarray:
    parts = []
    for start in range(0, len(gene), block):
        part = slice(start, start + block)
        parts.append(correlations(rna[:, gene[part]].T, atac[:, peak[part]].T))
    return np.concatenate(parts) if parts else np.empty(0)


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
