"""scMoAnno on SNARE-seq mouse cortex: libraries as folds, with either modality missing.

    python benchmarks/scmoanno_folds.py --data DIR --out FOLDER

Six of the eight libraries teach, two are named, four times. ``--set`` changes options of
``scmoanno``. Appends to ``scmoanno_folds.jsonl`` and prints the mean macro-F1 of each row.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

import common
import cytonym
from accuracy import log_cp10k

FILE, JUNK = "multiome/snare_mouse_cortex.h5mu", "Mis"
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7))
Parts = Mapping[str, ad.AnnData]


def read(args: argparse.Namespace) -> dict[str, ad.AnnData]:
    """Both modalities of the cells with a type."""
    with h5py.File(args.data / FILE, "r") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts: Any = {name: ad.io.read_elem(file[f"mod/{name}"]) for name in ("rna", "atac")}
    kept = (parts["rna"].obs["cell_type"] != JUNK).to_numpy()
    return {name: one[kept].copy() for name, one in parts.items()}


def folds(parts: Parts) -> Iterator[tuple[int, dict[str, ad.AnnData], dict[str, ad.AnnData]]]:
    """Reference and query of each fold."""
    library = parts["rna"].obs["batch"].astype(str).to_numpy()
    names = np.unique(library)
    for place, pair in enumerate(PAIRS):
        asked = np.isin(library, names[list(pair)])
        reference = {name: one[~asked].copy() for name, one in parts.items()}
        yield place, reference, {name: one[asked].copy() for name, one in parts.items()}


def ours(reference: Parts, query: Parts, settings: dict[str, Any]) -> dict[str, np.ndarray]:
    """Names by one model, from both modalities and from each alone; from sctrans on RNA."""
    fixed: dict[str, Any] = {"labels": "cell_type", "validation": 0, "progress": False}
    model = cytonym.fit(dict(reference), method="scmoanno", options=settings, **fixed)
    alone = {f"scmoanno, {name} alone": {name: one} for name, one in query.items()}
    found = {
        name: model.annotate(cells, progress=False).labels
        for name, cells in {"scmoanno, both": dict(query), **alone}.items()
    }
    rna = cytonym.fit(reference["rna"], method="sctrans", **fixed)
    return {**found, "sctrans, rna": rna.annotate(query["rna"], progress=False).labels}


def baselines(reference: Parts, query: Parts) -> dict[str, np.ndarray]:
    """Logistic regression on principal components, on LSI, and on both side by side."""
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
    level = StandardScaler().fit(svd.transform(peaks[0])[:, 1:])  # the first follows depth
    atac = [level.transform(svd.transform(x)[:, 1:]) for x in peaks]
    inputs = {"rna": rna, "atac": atac, "both": [np.hstack(x) for x in zip(rna, atac, strict=True)]}
    y = reference["rna"].obs["cell_type"].astype(str)
    return {
        f"logistic regression, {name}": LogisticRegression(max_iter=3000).fit(x, y).predict(q)
        for name, (x, q) in inputs.items()
    }


def main() -> None:
    """Every fold, then the means."""
    args = common.start(common.arguments(__doc__))
    path, rows = args.out / "scmoanno_folds.jsonl", []
    for place, reference, query in folds(read(args)):
        truth = query["rna"].obs["cell_type"].astype(str).to_numpy()

        def measure(reference: Parts = reference, query: Parts = query) -> dict[str, Any]:
            named = ours(reference, query, args.settings) | baselines(reference, query)
            return {
                name: float(f1_score(truth, said.astype(str), average="macro"))  # noqa: B023
                for name, said in named.items()
            }

        rows.append(common.once(path, {"fold": place, "settings": args.settings}, measure))
    print(pd.DataFrame(rows).mean(numeric_only=True).round(3).to_string())


if __name__ == "__main__":
    main()
