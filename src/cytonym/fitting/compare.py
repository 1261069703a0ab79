"""The table after a fit: this method, ``linear`` and kNN on the same held-out cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from cytonym.data.loader import SourceBlocks
from cytonym.evaluate.metrics import rare_types, scores
from cytonym.evaluate.splits import sample
from cytonym.fitting.run import Fitted, Task, predict, run
from cytonym.methods import Method, get
from cytonym.prep import Depth, Log1p, Panel, Scale, bind_chain, fit_chain

COMPARED = 20_000
"""Cells of the reference that ``knn`` learns from, at most."""


def compare(
    method: Method, trial: Fitted, task: Task, held: np.ndarray, progress: bool
) -> tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...]]:
    """Compare this method with others on the held-out cells, and look at each type.

    Returns
    -------
    tuple
        A row each for this method, ``linear`` and kNN, learned from the cells not held out; a row
        a type for this method.
    """
    truth = task.y[held]
    own = predict(method, trial.net, trial.feed.of(np.flatnonzero(held)))
    per_type = tuple(_by_type(task, truth, own))
    if "rna" not in task.spaces:
        return (_row(method.name, truth, own),), per_type
    rna = task.source.present("rna")  # the others read nothing else: all on the cells that have it
    if not (held & rna).any():
        return (_row(method.name, truth, own),), per_type
    own, learn, held = own[rna[held]], ~held & rna, held & rna
    truth = task.y[held]
    rows = [_row(method.name, truth, own)]
    if method.name != "linear":
        linear = get("linear")
        options = linear.Options()
        plain = replace(task, compile=False)
        fitted = run(linear, options, plain, learn, "linear", folder=None, progress=progress)
        named = predict(linear, fitted.net, fitted.feed.of(np.flatnonzero(held)))
        rows.append(_row("linear", truth, named))
    rows.append(_row("knn", truth, _nearest(task, learn, held)))
    return tuple(rows), per_type


def _by_type(task: Task, truth: np.ndarray, named: np.ndarray) -> Iterator[dict[str, Any]]:
    """Sizes, recall and F1 of every type, the largest first."""
    found = scores(truth, named).per_type
    sizes = np.bincount(task.y[task.y >= 0], minlength=len(task.names))
    rare = rare_types(sizes)
    for code in np.argsort(-sizes, kind="stable"):
        row = found.loc[str(code)] if str(code) in found.index else None
        yield {
            "type": str(task.names[code]),
            "n_reference": int(sizes[code]),
            "n_held_out": 0 if row is None else int(row["n"]),
            "recall": None if row is None else round(float(row["recall"]), 4),
            "f1": None if row is None else round(float(row["f1"]), 4),
            "rare": bool(rare[code]),
        }


def _nearest(task: Task, known: np.ndarray, held: np.ndarray) -> np.ndarray:
    """15 nearest neighbours among 50 principal components of scaled variable genes."""
    learn = np.flatnonzero(known & (task.y >= 0))
    learn = learn[sample(task.y[learn], most=COMPARED, seed=task.seed)]
    chain = (Depth(), Log1p(), Panel(3000), Scale())
    blocks = fit_chain(chain, SourceBlocks(task.source, "rna", learn))
    x = np.concatenate([np.asarray(block) for block in blocks])
    bound = bind_chain(chain, task.spaces["rna"])
    asked = SourceBlocks(task.source, "rna", np.flatnonzero(held))
    reduce = PCA(min(50, *x.shape), random_state=task.seed).fit(x)
    model = KNeighborsClassifier(min(15, len(x))).fit(reduce.transform(x), task.y[learn])
    return model.predict(np.concatenate([reduce.transform(bound.apply(b)) for b in asked]))


def _row(name: str, truth: np.ndarray, named: np.ndarray) -> dict[str, Any]:
    found = scores(truth, named)
    keys = ("accuracy", "balanced_accuracy", "macro_f1")
    figures = {key: round(getattr(found, key), 4) for key in keys}
    return {"method": name, **figures, "n": len(truth), "right": int((truth == named).sum())}


def verdict(table: tuple[dict[str, Any], ...]) -> list[str]:
    """Says so when a simple baseline did better, or there was none to compare with."""
    own, *others = table
    if not others:
        return ["linear and knn read RNA, which no held-out cell has: there is no comparison"]
    advice = {
        "linear": "use --method linear",
        "knn": "do not trust this model before you know why",
    }
    return [
        f"{row['method']} did better than {own['method']} on the {row['n']:,} held-out cells: "
        f"macro-F1 {row['macro_f1']:.3f} against {own['macro_f1']:.3f}, "
        f"{row['right']:,} against {own['right']:,} cells right; {advice[row['method']]}"
        for row in others
        if row["macro_f1"] > own["macro_f1"] + 0.01
    ]
