"""How many cells a type needs: one type is cut to 10, 20 and 50 cells of the reference.

    python benchmarks/scmoanno_rare.py --data DIR --out FOLDER --seeds 0-2

SNARE-seq mouse cortex, folds of libraries as in ``scmoanno_folds.py``. Recall and F1 of the cut
type, and macro-F1, for ``scmoanno`` with each way to help small types, for ``sctrans`` and for
logistic regression on RNA. Writes ``scmoanno_rare.md`` and ``.png``; fits are kept in ``.jsonl``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import common
import snare
from cytonym.evaluate import scores

CUT, KEPT = "Sst", (10, 20, 50)
MODELS: dict[str, dict[str, Any]] = {
    "scmoanno, balance=none": {"balance": "none"},
    "scmoanno, balance=weights": {"balance": "weights"},
    "scmoanno, balance=logits": {"balance": "logits"},
}
PEERS = {
    "logistic regression, rna": None,
    "logistic regression, rna, class_weight=balanced": "balanced",
}


def cut(reference: snare.Parts, cells: int, seed: int) -> dict[str, Any]:
    """The reference with only so many cells of the type."""
    labels = reference["rna"].obs[common.LABEL].to_numpy()
    own = np.random.default_rng(seed).permutation(np.flatnonzero(labels == CUT))
    return snare.rows(reference, ~np.isin(np.arange(len(labels)), own[cells:]))


def name_cells(
    model: str, reference: snare.Parts, query: snare.Parts, seed: int, settings: dict[str, Any]
) -> np.ndarray:
    """Predicted labels of the query."""
    if model in PEERS:
        x, asked = snare.components(reference, query)["rna"]
        y = reference["rna"].obs[common.LABEL].astype(str)
        peer = LogisticRegression(max_iter=3000, class_weight=PEERS[model])
        return peer.fit(x, y).predict(asked)
    if model == "sctrans":
        fitted = snare.fit(reference["rna"], model, seed, {})
        return fitted.annotate(query["rna"], progress=False).labels.astype(str)
    fitted = snare.fit(dict(reference), "scmoanno", seed, MODELS[model] | settings)
    return fitted.annotate(dict(query), progress=False).labels.astype(str)


def main() -> None:
    """Every model, size, fold and seed, then the means."""
    parser = common.arguments(__doc__)
    known = [*PEERS, "sctrans", *MODELS]
    parser.add_argument("--models", default=";".join(known), help="some of: " + "; ".join(known))
    args = common.start(parser)
    path, lines, parts = args.out / "scmoanno_rare.jsonl", [], snare.read(args)
    for model in args.models.split(";"):
        for fold, reference, query in snare.folds(parts):
            truth = query["rna"].obs[common.LABEL].to_numpy().astype(str)
            for cells in KEPT:
                for seed in args.seeds:

                    def measure(
                        model: str = model,
                        reference: snare.Parts = reference,
                        query: snare.Parts = query,
                        truth: np.ndarray = truth,
                        cells: int = cells,
                        seed: int = seed,
                    ) -> dict[str, Any]:
                        named = name_cells(
                            model, cut(reference, cells, seed), query, seed, args.settings
                        )
                        found = scores(truth, named)
                        row = found.per_type.loc[CUT]
                        return {
                            "recall": float(row["recall"]),
                            "f1": float(row["f1"]),
                            "macro_f1": found.macro_f1,
                        }

                    key = {"model": model, "fold": fold, "cells": cells, "seed": seed}
                    key |= {"settings": args.settings} if args.settings else {}
                    lines.append(common.once(path, key, measure))
    frame = pd.DataFrame(lines)
    made, axes = common.figure(2)
    for place, model in enumerate(dict.fromkeys(frame["model"])):
        own = frame[frame["model"] == model]
        for ax, what in zip(axes, ("recall", "f1"), strict=True):
            runs = [own[own["cells"] == cells][what].tolist() for cells in KEPT]
            common.curve(ax, KEPT, runs, place, model)
    for ax, what in zip(axes, ("Recall", "F1"), strict=True):
        ax.set_xlabel(f"{CUT} cells in the reference")
        ax.set_ylabel(f"{what} of {CUT}")
        ax.set_xticks(KEPT)
    axes[0].legend(frameon=False, fontsize=7)
    common.save(made, args, "scmoanno_rare")
    means = frame.groupby(["model", "cells"], sort=False)[["recall", "f1", "macro_f1"]].mean()
    words = f"{CUT}, mean over {len(snare.PAIRS)} folds and {len(args.seeds)} seeds."
    title = f"One type cut to {', '.join(map(str, KEPT))} cells"
    common.write(args, "scmoanno_rare", title, [words, means.reset_index()])


if __name__ == "__main__":
    main()
