"""SCTrans with less data and with uneven types: the paper's Figures 4 and 5, scaled down.

    python benchmarks/sctrans_curves.py --data DIR --out FOLDER --seeds 0-4

Ratio: 10 to 90 % of the sorted blood cells teach, the rest is named. Imbalance: two of four types
have few cells to learn from. Both for ``sctrans`` and ``linear``. Writes
``sctrans_{ratio,imbalance}.md``, ``.csv`` and ``.png``; fits are kept in ``.jsonl``.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_fscore_support
from sklearn.model_selection import train_test_split

import common
from accuracy import scores
from cytonym.reproduce.tables import spread

METHODS = ("sctrans", "linear")
SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
FEW, TEST = 20, 50
"""Training cells of a rare type, and test cells of each type; the paper has 100 and 100."""

TYPES = {
    "CD19+ B": FEW,
    "CD8+ Cytotoxic T": None,
    "CD34+": FEW,
    "CD8+/CD45RA+ Naive Cytotoxic": None,
}
"""The four types of the paper, with their training cells; None: all that are not test cells."""

PUBLISHED = (100, 10_000, 100, 10_000)
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1")


def name_cells(
    args: argparse.Namespace, method: str, seed: int, train: ad.AnnData, test: ad.AnnData
) -> tuple[np.ndarray, dict[str, Any]]:
    """Predicted labels of the test cells, and facts of the fit."""
    begin = time.perf_counter()
    model = common.fit(train, method, seed, args.settings if method == "sctrans" else {})
    facts = {"fit_seconds": round(time.perf_counter() - begin, 1)}
    facts |= {"n_train": train.n_obs, "n_test": test.n_obs}
    return model.annotate(test, progress=False).labels, facts


def at_ratio(args: argparse.Namespace, method: str, seed: int, share: float) -> dict[str, Any]:
    """Scores where ``share`` of the cells teach and the rest is named."""
    adata = common.cells(args)
    train, test = train_test_split(
        np.arange(adata.n_obs), train_size=share, stratify=common.truth(adata), random_state=seed
    )
    query = adata[test].copy()
    named, facts = name_cells(args, method, seed, adata[train].copy(), query)
    return {**scores(common.truth(query), named), **facts}


def divide(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to learn from and rows to test on, disjoint."""
    rng = np.random.default_rng(seed)
    train, test = [], []
    for name, few in TYPES.items():
        rows = rng.permutation(np.flatnonzero(labels == name))
        held = min(TEST, len(rows) // 3)
        test.append(rows[:held])
        train.append(rows[held:][:few])
    return np.sort(np.concatenate(train)), np.sort(np.concatenate(test))


def at_imbalance(args: argparse.Namespace, method: str, seed: int) -> dict[str, Any]:
    """Scores, and those of each type, where two types are rare in training."""
    adata = common.cells(args)
    train, test = divide(common.truth(adata), seed)
    reference, query = adata[train].copy(), adata[test].copy()
    named, facts = name_cells(args, method, seed, reference, query)
    known = common.truth(query)
    _, recall, f1, n = precision_recall_fscore_support(
        known, named, labels=list(TYPES), zero_division=0
    )
    taught = [int((common.truth(reference) == name).sum()) for name in TYPES]
    types = [
        {"type": name, "train": t, "test": int(k), "recall": float(r), "f1": float(f)}
        for name, t, k, r, f in zip(TYPES, taught, n, recall, f1, strict=True)
    ]
    return {**scores(known, named), **facts, "types": types}


def ratio(args: argparse.Namespace) -> None:
    """The training-ratio curve."""
    name, lines = "sctrans_ratio", []
    for seed in args.seeds:
        for share in SHARES:
            for method in METHODS:
                key = {"method": method, "share": share, "seed": seed, "cells": args.cells}
                key["settings"] = args.settings if method == "sctrans" else {}
                measured = partial(at_ratio, args, method, seed, share)
                lines.append(common.once(args.out / f"{name}.jsonl", key, measured))
    frame = pd.DataFrame(lines)
    rows = []
    for (share, method), group in frame.groupby(["share", "method"], sort=False):
        row = {"training cells": f"{share:.0%} ({group['n_train'].iloc[0]:,})", "method": method}
        row |= {key: spread(group[key]) for key in FIGURES}
        rows.append({**row, "fit, s": f"{group['fit_seconds'].median():.0f}"})
    table = pd.DataFrame(rows)
    table.to_csv(args.out / f"{name}.csv", index=False)
    about = (
        f"`{common.SET}`: a stratified share of the cells teaches, all others are named; seeds "
        f"{', '.join(map(str, args.seeds))}, mean ± standard deviation. The paper's Figure 4 has "
        "the same ratios on Zheng68K (68,450 cells); it gives no numbers in its text."
    )
    common.write(args, name, "Accuracy by share of training cells", [about, table])
    made, axes = common.figure(2)
    for ax, figure in zip(axes, ("accuracy", "macro_f1"), strict=True):
        for place, method in enumerate(METHODS):
            own = frame[frame["method"] == method]
            runs = [own.loc[own["share"] == share, figure].to_numpy() for share in SHARES]
            common.curve(ax, SHARES, runs, place, method)
        ax.set_xlabel("share of the cells that teach")
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.set_ylabel(figure.replace("macro_f1", "macro-F1"))
    axes[0].legend(frameon=False)
    common.save(made, args, name)


def imbalance(args: argparse.Namespace) -> None:
    """The experiment with uneven types."""
    name, lines = "sctrans_imbalance", []
    for seed in args.seeds:
        for method in METHODS:
            key = {"method": method, "seed": seed, "cells": args.cells}
            key["settings"] = args.settings if method == "sctrans" else {}
            measured = partial(at_imbalance, args, method, seed)
            lines.append(common.once(args.out / f"{name}.jsonl", key, measured))
    frame = pd.DataFrame([{**line, **part} for line in lines for part in line["types"]])
    rows = []
    for place, kind in enumerate(TYPES):
        own = frame[frame["type"] == kind]
        row = {"type": kind, "train (paper)": f"{own['train'].iloc[0]} ({PUBLISHED[place]:,})"}
        row["test"] = int(own["test"].iloc[0])
        for method in METHODS:
            part = own[own["method"] == method]
            row |= {f"{method} {key}": spread(part[key]) for key in ("recall", "f1")}
        rows.append(row)
    table = pd.DataFrame(rows)
    table.to_csv(args.out / f"{name}.csv", index=False)
    overall = pd.DataFrame(
        [
            {"method": method} | {key: spread(part[key]) for key in FIGURES}
            for method, part in pd.DataFrame(lines).groupby("method", sort=False)
        ]
    )
    about = (
        f"`{common.SET}`, the four types of the paper's Figure 5, seeds "
        f"{', '.join(map(str, args.seeds))}, mean ± standard deviation. **Scaled down:** the paper "
        "has 100 / 10,000 / 100 / 10,000 training cells and 100 test cells of Zheng68K; here "
        f"the rare types have {FEW} and the common ones all cells but the test cells, which are "
        f"{TEST} of each type and none of the training cells, so the common types are only about "
        "9 to 17 times as frequent, not 100 times. Figure 5 gives no numbers in its text."
    )
    common.write(args, name, "Rare types in an uneven reference", [about, table, overall])
    made, axes = common.figure(2, width=6.4)
    for ax, figure in zip(axes, ("recall", "f1"), strict=True):
        for place, method in enumerate(METHODS):
            own = frame[frame["method"] == method]
            runs = [own.loc[own["type"] == kind, figure].to_numpy() for kind in TYPES]
            spots = np.arange(len(TYPES)) + 0.12 * (2 * place - 1)
            common.curve(ax, spots, runs, place, method, line=False)
        taught = [row["train (paper)"].split()[0] for row in rows]
        texts = [f"{k}\n{n} cells" for k, n in zip(TYPES, taught, strict=True)]
        ax.set_xticks(range(len(TYPES)), texts, fontsize=7)
        ax.set_ylabel({"recall": "recall", "f1": "F1"}[figure])
    axes[0].legend(frameon=False)
    common.save(made, args, name)


def main() -> None:
    """Fit what is missing, then write the tables and the plots."""
    parser = common.arguments(__doc__)
    parser.add_argument("--only", choices=("ratio", "imbalance"), help="one of the two")
    args = common.start(parser)
    for name, experiment in {"ratio": ratio, "imbalance": imbalance}.items():
        if args.only in (None, name):
            experiment(args)


if __name__ == "__main__":
    main()
