"""SNARE-seq mouse cortex by libraries: data, folds, baselines of the scMoAnno scripts."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import anndata as ad
import h5py
import numpy as np
import torch
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import StandardScaler
from torch.utils.flop_counter import FlopCounterMode

import common
import cytonym
from cytonym import Annotator
from cytonym.evaluate import cluster_scores, scores
from cytonym.peers.recipes.inputs import log_cp10k

FILE, JUNK = "multiome/snare_mouse_cortex.h5mu", "Mis"
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7))
Parts = Mapping[str, ad.AnnData]


def read(args: argparse.Namespace) -> dict[str, ad.AnnData]:
    """Both modalities of the cells with a type."""
    with h5py.File(args.data / FILE, "r") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts: Any = {name: ad.io.read_elem(file[f"mod/{name}"]) for name in ("rna", "atac")}
    kept = (parts["rna"].obs[common.LABEL] != JUNK).to_numpy()
    for one in parts.values():
        one.obs[common.LABEL] = one.obs[common.LABEL].astype(str).astype(object)
    return {name: one[kept].copy() for name, one in parts.items()}


def folds(parts: Parts) -> Iterator[tuple[int, dict[str, ad.AnnData], dict[str, ad.AnnData]]]:
    """Reference (six libraries) and query (two) of each of four folds."""
    library = parts["rna"].obs["batch"].astype(str).to_numpy()
    names = np.unique(library)
    for place, pair in enumerate(PAIRS):
        asked = np.isin(library, names[list(pair)])
        yield place, rows(parts, ~asked), rows(parts, asked)


def rows(parts: Parts, kept: np.ndarray) -> dict[str, ad.AnnData]:
    """Some cells of both modalities."""
    return {name: one[kept].copy() for name, one in parts.items()}


def fit(reference: Any, method: str, seed: int, settings: Mapping[str, Any]) -> Annotator:
    """A fitted method, without the first fit that only serves the report's table."""
    fixed = {"labels": common.LABEL, "validation": 0, "progress": False}
    return cytonym.fit(reference, method=method, seed=seed, options=dict(settings), **fixed)


def rare(parts: Parts) -> list[str]:
    """The types with fewer than 1 % of all cells."""
    shares = parts["rna"].obs[common.LABEL].value_counts(normalize=True)
    return [str(name) for name in shares.index[shares < 0.01]]


def figures(
    truth: np.ndarray, named: np.ndarray, embedding: np.ndarray, few: list[str]
) -> dict[str, float]:
    """Scores of the names and of the clusters of an embedding; recall of the types ``few``."""
    found = scores(truth, named.astype(str))
    clusters = cluster_scores(embedding, truth, predicted=named.astype(str))
    some = [name for name in few if name in found.per_type.index]
    out = {
        "accuracy": found.accuracy,
        "balanced_accuracy": found.balanced_accuracy,
        "macro_f1": found.macro_f1,
        "rare_recall": float(found.per_type.loc[some, "recall"].mean()),
    }
    for by, row in clusters[["nmi", "ari", "purity"]].iterrows():
        out |= {f"{by}_{name}": float(value) for name, value in row.items()}
    return out


def size(model: Annotator, query: Any) -> dict[str, float]:
    """Parameters, and millions of floating point operations to name one cell."""
    from cytonym.data.read import Reading

    (_, batch), *_ = model.opened(query, Reading()).feed.batches(64)
    torch.backends.mha.set_fastpath_enabled(False)  # the counter does not see the fused kernels
    with FlopCounterMode(display=False) as count, torch.no_grad():
        model.method.predict(model.net, batch)
    torch.backends.mha.set_fastpath_enabled(True)
    n_weights = sum(p.numel() for p in model.net.parameters())
    return {"parameters": n_weights, "mflops": round(count.get_total_flops() / 64 / 1e6, 3)}


def components(reference: Parts, query: Parts) -> dict[str, list[np.ndarray]]:
    """Inputs of the baselines, by modality: of the reference, and of the query.

    50 principal components of scaled log1p CP10k; 30 singular vectors of TF-IDF, scaled, without
    the first, which follows the depth; both side by side. All fitted on the reference.
    """
    genes = [log_cp10k(one["rna"]).X.toarray() for one in (reference, query)]
    scale = StandardScaler().fit(genes[0])
    genes = [np.clip(scale.transform(x), -10, 10) for x in genes]
    reduce = PCA(50, random_state=0).fit(genes[0])
    rna = [reduce.transform(x) for x in genes]
    opened = [(one["atac"].X > 0).astype(np.float64) for one in (reference, query)]
    kept = np.asarray(opened[0].sum(0)).ravel() >= 5
    weigh = TfidfTransformer(norm="l1", smooth_idf=False).fit(opened[0][:, kept])
    peaks = [np.log1p(1e4 * weigh.transform(x[:, kept])) for x in opened]
    svd = TruncatedSVD(31, random_state=0).fit(peaks[0])
    level = StandardScaler().fit(svd.transform(peaks[0])[:, 1:])
    atac = [level.transform(svd.transform(x)[:, 1:]) for x in peaks]
    both = [np.hstack(x) for x in zip(rna, atac, strict=True)]
    return {"rna": rna, "atac": atac, "both": both}
