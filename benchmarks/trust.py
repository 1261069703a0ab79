"""Are probabilities calibrated, do sets cover, and are new types told? On real data.

    python benchmarks/trust.py --data DIR --out FOLDER --seeds 0-4 --methods linear,sctrans

Within each data set 30 % of the cells are a query, drawn by the seed. Then one type after another
(of those with 30 cells or more, ten at most) is left out of the reference, and its cells among the
query have to be told from the others: AUROC of cytonym's score, and of each sign alone. Lines go to
``trust.jsonl``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

import common
import cytonym
from cytonym.data.read import Reading
from cytonym.trust import calibration_error
from cytonym.trust.unknown import SIGNS, signs

SETS = {
    "zheng": "rna/zheng_facs_pbmc.h5ad",
    "pbmc3k": "rna/pbmc3k.h5ad",
    "cord blood": "rna/scdcc_cite_cbmc_nogenes.h5ad",
}
MOST = 10


def fitted(reference: ad.AnnData, method: str, seed: int, words: Any) -> cytonym.Annotator:
    """A model, calibrated on a tenth of the reference."""
    return cytonym.fit(
        reference, labels=common.LABEL, method=method, seed=seed, options=words, progress=False
    )


def within(
    reference: ad.AnnData, query: ad.AnnData, method: str, seed: int, words: Any
) -> dict[str, Any]:
    """Calibration and coverage where the query is like the reference."""
    model = fitted(reference, method, seed, words)
    truth = query.obs[common.LABEL].astype(str).to_numpy()
    bare = replace(model, trust=None).annotate(query, progress=False)
    calls = model.annotate(query, progress=False)
    assert calls.sets is not None
    assert model.trust is not None
    codes = pd.Index(model.label_names).get_indexer(truth)
    said = model.asked(model.opened(query, Reading()))
    sets = model.trust.sets(said, 0.9)
    right = bare.labels == truth
    return {
        "accuracy": float(right.mean()),
        "ece_before": calibration_error(bare.confidence, right),
        "ece_after": calibration_error(calls.confidence, right),
        "coverage": float(sets[np.arange(len(codes)), codes].mean()),
        "coverage_never_empty": float(
            np.mean([one in some for one, some in zip(truth, calls.sets, strict=True)])
        ),
        "size": float(sets.sum(1).mean()),
        "rejected": float((calls.labels == "Unknown").mean()),
        "rejected_of_right": float((calls.labels[right] == "Unknown").mean()),
    }


def without(
    reference: ad.AnnData, query: ad.AnnData, method: str, seed: int, words: Any, gone: str
) -> dict[str, Any]:
    """AUROC of the cells of a type that the reference lacks."""
    labels = reference.obs[common.LABEL].astype(str)
    model = fitted(reference[(labels != gone).to_numpy()].copy(), method, seed, words)
    assert model.trust is not None
    said = model.asked(model.opened(query, Reading()))
    new = (query.obs[common.LABEL].astype(str) == gone).to_numpy()
    p = model.trust.probabilities(said).clip(1e-9)
    rejector = model.trust.rejector
    alone = signs(said.scores / model.trust.temperatures[""], said.z, rejector.near)
    found = {
        "cytonym": model.trust.strange(said),
        "max probability": 1 - p.max(1),
        "entropy": -(p * np.log(p)).sum(1),
        "energy": alone[:, SIGNS.index("energy")],
        "distance": alone[:, SIGNS.index("distance")],
    }
    out = {name: float(roc_auc_score(new, one)) for name, one in found.items()}
    lost = found["cytonym"][~new] > rejector.threshold(0.05)
    told = found["cytonym"][new] > rejector.threshold(0.05)
    return {
        "auroc": out,
        "lost": float(lost.mean()),
        "told": float(told.mean()),
        "n": int(new.sum()),
    }


def main() -> None:
    """Every set, method and seed, then the tables."""
    parser = common.arguments(__doc__)
    parser.add_argument("--methods", default="linear,sctrans")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--most", type=int, default=MOST, help="types that are left out, at most")
    args = common.start(parser)
    path = args.out / "trust.jsonl"
    inside, outside = [], []
    for name in args.sets.split(","):
        cells = ad.read_h5ad(args.data / SETS[name])
        y = cells.obs[common.LABEL].astype(str).to_numpy()
        for seed in args.seeds:
            learn, ask = train_test_split(
                np.arange(len(y)), test_size=0.3, random_state=seed, stratify=y
            )
            parts = cells[np.sort(learn)].copy(), cells[np.sort(ask)].copy()
            sizes = pd.Series(y).value_counts()
            for method in args.methods.split(","):
                key = {"set": name, "method": method, "seed": seed, "settings": args.settings}
                more = (*parts, method, seed, args.settings)
                inside.append(common.once(path, key, partial(within, *more)))
                for gone in sizes.index[sizes >= 30][: args.most]:
                    run = partial(without, *more, str(gone))
                    outside.append(common.once(path, {**key, "gone": str(gone)}, run))
    tables = []
    for rows, what in ((inside, "within"), (outside, "a type left out")):
        flat = pd.json_normalize(rows)
        numbers = [one for one in flat.select_dtypes("number").columns if one not in ("seed", "n")]
        means = flat.groupby(["set", "method"])[numbers].mean().round(3).reset_index()
        tables += [f"**{what}**", means]
    common.write(args, "trust", "Trust", tables)


if __name__ == "__main__":
    main()
