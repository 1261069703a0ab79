"""scMoAnno on SNARE-seq mouse cortex: libraries as folds, either modality missing, ablations.

    python benchmarks/scmoanno_folds.py --data DIR --out FOLDER --seeds 0-2

Six of the eight libraries teach, two are named, four times. ``--models`` picks among ``logistic
regression``, ``linear``, ``sctrans`` and those of ``MODELS``; ``--set`` changes options of these.
Lines go to ``scmoanno_folds.jsonl``, means over folds and seeds to ``scmoanno_folds.md``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import common
import snare
from cytonym.reproduce.tables import spread

MODELS: dict[str, dict[str, Any]] = {
    "scmoanno": {},
    "preset=paper": {"preset": "paper"},
    "fusion=self": {"fusion": "self"},
    "fusion=direct": {"fusion": "direct"},
    "modality_dropout=0": {"modality_dropout": 0.0},
    "attend=cells": {"attend": "cells"},
    "balance=none": {"balance": "none"},
    "balance=logits": {"balance": "logits"},
    "linear_path=false": {"linear_path": False},
    "linear_path=false fusion=self": {"linear_path": False, "fusion": "self"},
    "linear_path=false fusion=direct": {"linear_path": False, "fusion": "direct"},
    "linear_path=false attend=cells": {"linear_path": False, "attend": "cells"},
}
SHOWN = ["accuracy", "balanced_accuracy", "macro_f1", "rare_recall"]
CLUSTERS = [f"{by}_{name}" for by in ("kmeans", "leiden") for name in ("nmi", "ari", "purity")]


def ours(
    reference: snare.Parts, query: snare.Parts, seed: int, settings: dict[str, Any], few: list[str]
) -> dict[str, Any]:
    """One model, asked with both modalities and with each alone."""
    model = snare.fit(dict(reference), "scmoanno", seed, settings)
    asked = {"both": dict(query), **{name: {name: one} for name, one in query.items()}}
    out: dict[str, Any] = snare.size(model, dict(query))
    out |= {"chosen": model.options.model_dump(include={"rna_components", "atac_weight"})}
    for name, cells in asked.items():
        calls = model.annotate(cells, progress=False)
        out[name] = snare.figures(truth_of(query), calls.labels, calls.embedding, few)
    return out


def alone(
    reference: snare.Parts, query: snare.Parts, method: str, seed: int, few: list[str]
) -> dict[str, Any]:
    """A method that reads RNA."""
    model = snare.fit(reference["rna"], method, seed, {})
    calls = model.annotate(query["rna"], progress=False)
    figures = snare.figures(truth_of(query), calls.labels, calls.embedding, few)
    return {**snare.size(model, query["rna"]), "rna": figures}


def baselines(reference: snare.Parts, query: snare.Parts, few: list[str]) -> dict[str, Any]:
    """scikit-learn's logistic regression on RNA, on ATAC, and on both side by side."""
    y = reference["rna"].obs[common.LABEL].astype(str)
    out = {}
    for name, (x, asked) in snare.components(reference, query).items():
        named = LogisticRegression(max_iter=3000).fit(x, y).predict(asked)
        out[name] = snare.figures(truth_of(query), named, asked, few)
    return out


def truth_of(query: snare.Parts) -> np.ndarray:
    """Known labels."""
    return query["rna"].obs[common.LABEL].to_numpy().astype(str)


def main() -> None:
    """Every fold, seed and model, then the means."""
    parser = common.arguments(__doc__)
    known = ["logistic regression", "linear", "sctrans", *MODELS]
    parser.add_argument("--models", default=",".join(known), help="some of: " + ", ".join(known))
    args = common.start(parser)
    path, lines, parts = args.out / "scmoanno_folds.jsonl", [], snare.read(args)
    few = snare.rare(parts)
    for model in args.models.split(","):
        for fold, reference, query in snare.folds(parts):
            for seed in args.seeds if model != "logistic regression" else [0]:
                settings = MODELS.get(model, {}) | (args.settings if model in MODELS else {})

                def measure(
                    model: str = model,
                    reference: snare.Parts = reference,
                    query: snare.Parts = query,
                    seed: int = seed,
                    settings: dict[str, Any] = settings,
                ) -> dict[str, Any]:
                    if model == "logistic regression":
                        return baselines(reference, query, few)
                    if model in MODELS:
                        return ours(reference, query, seed, settings, few)
                    return alone(reference, query, model, seed, few)

                key = {"model": model, "fold": fold, "seed": seed, "settings": settings}
                lines.append(common.once(path, key, measure))
    table = means(lines)
    texts = [
        "Means over the folds and seeds; ± is the standard deviation over seeds of the mean over "
        f"folds. Rare types are {', '.join(few)}.",
        table[["model", "asked with", *SHOWN, "parameters", "mflops"]],
        table[["model", "asked with", *CLUSTERS]],
        by_fold(lines),
    ]
    common.write(args, "scmoanno_folds", "scMoAnno by libraries", texts)


def means(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each model and what it was asked with."""
    rows = []
    for model in dict.fromkeys(line["model"] for line in lines):
        own = [line for line in lines if line["model"] == model]
        for asked in ("both", "rna", "atac"):
            if asked not in own[0]:
                continue
            frame = pd.DataFrame([{"seed": line["seed"], **line[asked]} for line in own])
            by_seed = frame.groupby("seed").mean()
            row = {"model": model, "asked with": asked}
            row |= {name: spread(by_seed[name].tolist()) for name in by_seed}
            row |= {name: own[0].get(name, "") for name in ("parameters", "mflops")}
            rows.append(row)
    return pd.DataFrame(rows)


def by_fold(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """Macro-F1 by fold, mean over seeds."""
    rows = [
        {"model": line["model"], "asked with": asked, "fold": line["fold"] + 1, **line[asked]}
        for line in lines
        for asked in ("both", "rna", "atac")
        if asked in line
    ]
    frame = pd.DataFrame(rows)
    index = ["model", "asked with"]
    wide = frame.pivot_table(index=index, columns="fold", values="macro_f1", sort=False)
    wide.columns = [f"fold {number}" for number in wide.columns]
    return wide.reset_index()


if __name__ == "__main__":
    main()
