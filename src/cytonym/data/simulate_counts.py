"""Counts as sequencing gives them, drawn around a truth: depth, batches, overdispersion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix


def draw_counts(
    raised: np.ndarray, obs: pd.DataFrame, *, depth: float, rng: np.random.Generator
) -> csr_matrix:
    """Negative binomial counts around a chance profile.

    Parameters
    ----------
    raised
        ``(cells, genes)`` float: the natural logarithm of the change of each gene's mean.
    obs
        ``batch`` (categorical): each changes every gene by about 20 %; a single one does not.
    depth
        The median count of a cell.
    rng
        Where the counts come from.

    Returns
    -------
    csr_matrix
        ``(cells, genes)`` float32.
    """
    profile = rng.lognormal(0, 0.7, raised.shape[1])
    mean = profile * np.exp(raised) * batch_shift(obs, raised.shape[1], rng)
    mean *= depth * rng.lognormal(0, 0.3, (len(mean), 1)) / mean.sum(axis=1, keepdims=True)
    dispersion = 2.0  # variance = mean + mean² / 2, as in 10x data
    return csr_matrix(rng.poisson(rng.gamma(dispersion, mean / dispersion)), dtype=np.float32)


def draw_open(
    raised: np.ndarray, obs: pd.DataFrame, *, gc: np.ndarray, rng: np.random.Generator
) -> csr_matrix:
    """Peaks that are seen open or not; those rich in GC more often.

    Parameters
    ----------
    raised
        ``(cells, peaks)`` float: what is added to each peak's logit, which is about -2.4.
    obs
        ``batch`` (categorical): each changes every peak by about 20 %, and peaks by their GC
        share; a single one does not.
    gc
        ``(peaks,)`` float in [0, 1].
    rng
        Where the reads come from; the depth of cells varies by about 30 %.

    Returns
    -------
    csr_matrix
        ``(cells, peaks)`` float32 0/1.
    """
    base = -2.4 + 0.5 * rng.standard_normal(len(gc)) + 3 * (gc - 0.45)
    chance = 1 / (1 + np.exp(-base - raised))
    batch = obs["batch"].cat.codes.to_numpy()
    slope = rng.normal(0, 1.5, len(obs["batch"].cat.categories)) * (batch.max() > 0)
    chance *= batch_shift(obs, len(gc), rng) * np.exp(slope[batch, None] * (gc - 0.45))
    chance *= rng.lognormal(0, 0.3, (len(chance), 1))
    return csr_matrix(rng.random(chance.shape) < np.minimum(chance, 0.95), dtype=np.float32)


def batch_shift(obs: pd.DataFrame, n: int, rng: np.random.Generator) -> np.ndarray:
    """``(cells, n)`` float64: the factor by which each cell's batch changes each feature."""
    batch = obs["batch"].cat.codes.to_numpy()
    shift = rng.lognormal(0, 0.2, (len(obs["batch"].cat.categories), n))
    return shift[batch] if batch.max() > 0 else np.ones((1, n))


def wrong_sizes(n_cells: int, n_types: int, batches: int, shares: Mapping[str, float]) -> list[str]:
    """What is wrong with the options that simulators have in common."""
    wrong = []
    if not 2 <= n_types <= n_cells:
        wrong.append(f"n_types is {n_types} and must lie between 2 and n_cells, {n_cells}")
    if not 1 <= batches <= n_cells:
        wrong.append(f"batches is {batches} and must lie between 1 and n_cells, {n_cells}")
    outside = {name: share for name, share in shares.items() if not 0 <= share <= 1}
    return wrong + [
        f"{name} is {share} and must lie between 0 and 1" for name, share in outside.items()
    ]
