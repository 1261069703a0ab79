"""ATAC cells of real data without a genome: seqalign on LSI against scikit-learn on the same LSI.

    python benchmarks/seqalign_cells.py --data DIR --out FOLDER --cells-of blood --seeds 0-4
    python benchmarks/seqalign_cells.py --data DIR --out FOLDER --cells-of snare --seeds 0-1

SNARE-seq mouse cortex (ATAC, six libraries teach and two are named, four folds) and sorted human
blood progenitors (BM0828, five stratified folds, drawn by the seed). The baselines read the 50
components that seqalign reads: TF-IDF of cells of unit length, singular vectors without the first,
scaled, all fitted on the reference. Lines go to ``seqalign_cells.jsonl``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize
from sklearn.svm import SVC

import common
import cytonym
import snare
from cytonym.data.read import Reading
from cytonym.evaluate import scores
from cytonym.reproduce.tables import spread

BLOOD = "atac/buenrostro2018_BM0828.h5ad"
WAYS: dict[str, dict[str, Any]] = {
    "seqalign": {},
    "seqalign, no query": {},
    "seqalign, center=mean": {"center": "mean"},
    "seqalign, paper": {"preset": "paper"},
    "seqalign, nearest neighbours": {"classifier": "knn"},
    "seqalign, graphs for half": {"graph_share": 0.5},
    "seqalign, graphs alone": {"graph_share": 1.0},
}
CLASSIFIERS = {
    "logistic regression": lambda: LogisticRegression(max_iter=2000),
    "logistic regression, balanced": lambda: LogisticRegression(
        max_iter=2000, class_weight="balanced"
    ),
    "logistic regression, cells of one length": lambda: LogisticRegression(max_iter=2000),
    "15 neighbours": lambda: KNeighborsClassifier(15),
    "15 neighbours, cosine": lambda: KNeighborsClassifier(15, metric="cosine"),
    "SVM": lambda: SVC(),
}


def folds(args: Any, seed: int) -> Iterator[tuple[int, ad.AnnData, ad.AnnData]]:
    """Reference and query of each fold; libraries do not depend on the seed."""
    if args.cells_of == "snare":
        for place, reference, query in snare.folds(snare.read(args)):
            yield place, reference["atac"], query["atac"]
        return
    cells = ad.read_h5ad(args.data / BLOOD)
    y = cells.obs[common.LABEL].astype(str).to_numpy()
    cut = StratifiedKFold(5, shuffle=True, random_state=seed)
    for place, (learn, ask) in enumerate(cut.split(y, y)):
        yield place, cells[learn].copy(), cells[ask].copy()


def measure(reference: ad.AnnData, query: ad.AnnData, seed: int, words: Any) -> dict[str, Any]:
    """Every way and every classifier on one fold."""
    truth = query.obs[common.LABEL].astype(str).to_numpy()
    out: dict[str, Any] = {}
    for name, way in WAYS.items():
        model = cytonym.fit(
            reference,
            labels=common.LABEL,
            method="seqalign",
            query=None if "no query" in name else query,
            seed=seed,
            options={"embedder": "lsi", **way, **words},
            validation=0,
            progress=False,
        )
        out[name] = figures(truth, model.annotate(query, progress=False).labels)
        if name == "seqalign":
            x, asked = (components(model, one) for one in (reference, query))
    known = reference.obs[common.LABEL].astype(str).to_numpy()
    for name, make in CLASSIFIERS.items():
        even = "one length" in name
        learn, ask = (normalize(one) * 50**0.5 if even else one for one in (x, asked))
        out[name] = figures(truth, np.asarray(make().fit(learn, known).predict(ask)))
    return {"scores": out}


def components(model: cytonym.Annotator, cells: ad.AnnData) -> np.ndarray:
    """What the network reads."""
    feed = model.opened(cells, Reading()).feed
    return np.concatenate([batch.x["atac"].numpy() for _, batch in feed.batches(512)])


def figures(truth: np.ndarray, named: np.ndarray) -> dict[str, float]:
    """Accuracy and macro-F1."""
    found = scores(truth, named.astype(str))
    return {"accuracy": found.accuracy, "macro_f1": found.macro_f1}


def main() -> None:
    """Every fold and seed, then the table."""
    parser = common.arguments(__doc__)
    parser.add_argument("--cells-of", choices=["snare", "blood"], default="blood")
    args = common.start(parser)
    lines = [
        common.once(
            args.out / "seqalign_cells.jsonl",
            {"data": args.cells_of, "fold": fold, "seed": seed, "settings": args.settings},
            partial(measure, reference, query, seed, args.settings),
        )
        for seed in args.seeds
        for fold, reference, query in folds(args, seed)
    ]
    rows = []
    for name in [*WAYS, *CLASSIFIERS]:
        row: dict[str, Any] = {"method": name}
        for key in ("accuracy", "macro_f1"):
            own = [(line["seed"], line["scores"][name][key]) for line in lines]
            row[key] = spread(pd.DataFrame(own).groupby(0)[1].mean().to_list())
        rows.append(row)
    text = "Means over folds; ± is the standard deviation over seeds of these means."
    common.write(args, f"seqalign_{args.cells_of}", "ATAC cells on LSI", [text, pd.DataFrame(rows)])


if __name__ == "__main__":
    main()
