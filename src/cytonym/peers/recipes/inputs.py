"""Inputs of the simple peers: log expression, components, singular vectors; of the reference."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from scipy import sparse
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler, normalize

N_GENES = 3000
CLIP = 10.0

Turn = Callable[[AnnData], np.ndarray]
"""What makes ``(cells, columns)`` of raw counts."""


def log_cp10k(adata: AnnData) -> AnnData:
    """Copy with counts scaled to 10,000 per cell over the genes at hand, then log1p."""
    x: Any = adata.X
    obs: Any = adata.obs.copy()
    out = AnnData(x.copy(), obs=obs, var=pd.DataFrame(index=adata.var_names))
    sc.pp.normalize_total(out, target_sum=1e4)
    sc.pp.log1p(out)
    return out


def variable_genes(logged: AnnData, most: int = N_GENES) -> np.ndarray:
    """``(genes,)`` bool: the variable genes (scanpy, flavor ``seurat``); all where no more."""
    if logged.n_vars <= most:
        return np.ones(logged.n_vars, dtype=bool)
    found: Any = sc.pp.highly_variable_genes(
        logged, n_top_genes=most, flavor="seurat", inplace=False
    )
    return found["highly_variable"].to_numpy()


def dense(matrix: Any) -> np.ndarray:
    """Dense float64 array of a sparse or dense matrix."""
    array = matrix.toarray() if sparse.issparse(matrix) else matrix
    return np.asarray(array, dtype=np.float64)


def _values(adata: AnnData) -> Any:
    """``X``, of which type checkers cannot know the kind."""
    return adata.X


def expression(reference: AnnData, genes: int) -> tuple[np.ndarray, Turn]:
    """log1p CP10k of the variable genes: of the reference, and what makes it of other cells."""
    logged = log_cp10k(reference)
    kept = variable_genes(logged, genes)
    return dense(_values(logged)[:, kept]), lambda cells: dense(_values(log_cp10k(cells))[:, kept])


def components(reference: AnnData, genes: int, n: int, seed: int) -> tuple[np.ndarray, Turn]:
    """Principal components of the scaled variable genes, clipped at 10 standard deviations."""
    values, turn = expression(reference, genes)
    scale = StandardScaler().fit(values)
    scaled = np.clip(scale.transform(values), -CLIP, CLIP)
    reduce = PCA(min(n, min(scaled.shape) - 1), svd_solver="arpack", random_state=seed)
    found = reduce.fit_transform(scaled)

    def of(cells: AnnData) -> np.ndarray:
        return reduce.transform(np.clip(scale.transform(turn(cells)), -CLIP, CLIP))

    return found, of


def singular_vectors(
    reference: AnnData, n: int, least: int, seed: int, *, unit: bool = False
) -> tuple[np.ndarray, Turn]:
    """Singular vectors of TF-IDF of the peaks that are open in ``least`` cells.

    Without the first, which follows the depth; each scaled to unit variance. With ``unit`` the
    vector of a cell has length 1 before that.
    """
    opened: Any = reference.X
    kept = np.asarray((opened > 0).sum(0)).ravel() >= least
    weigh = TfidfTransformer(norm="l1", smooth_idf=False).fit(_open(reference, kept))

    def weighed(cells: AnnData) -> Any:
        shares: Any = weigh.transform(_open(cells, kept))
        return (1e4 * shares).log1p()

    first = weighed(reference)
    most = min(n + 1, min(first.shape) - 1)
    reduce = TruncatedSVD(most, random_state=seed).fit(first)

    def of(cells: AnnData) -> np.ndarray:
        found = np.asarray(reduce.transform(weighed(cells)))[:, 1:]
        return np.asarray(normalize(found)) if unit else found

    scale = StandardScaler().fit(of(reference))

    def level(cells: AnnData) -> np.ndarray:
        return np.asarray(scale.transform(of(cells)))

    return level(reference), level


def _open(cells: AnnData, kept: np.ndarray) -> Any:
    """Which peaks are open in which cells, as 0 and 1."""
    x: Any = cells.X
    return (x[:, kept] > 0).astype(np.float64)


def beside(parts: Mapping[str, tuple[np.ndarray, Turn]]) -> tuple[np.ndarray, Callable]:
    """Columns of several modalities side by side: of the reference, and of other cells."""
    found = np.hstack([values for values, _ in parts.values()])
    return found, lambda cells: np.hstack([turn(cells[name]) for name, (_, turn) in parts.items()])
