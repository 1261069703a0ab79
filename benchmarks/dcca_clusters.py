"""How well clusters of unsupervised embeddings of SNARE-seq mouse cortex agree with the types.

    python benchmarks/dcca_clusters.py --data DIR --out FOLDER --peers FOLDER --seeds 0-4

Scores dcca and its ablations, PCA of RNA, three kinds of LSI of ATAC, and the embeddings that
``dcca_peers.py`` saved in ``--peers``: of all cells, and of two libraries by a model of the other
six, four times (there ``atac`` is what ATAC alone says of cells that were never seen).
K-means has as many clusters as there are types; Leiden finds its own number. The seed is that of
the training and of the clustering. Lines go to ``dcca_clusters.jsonl``, one for each task, method,
view and seed; mean ± standard deviation over the seeds to ``dcca_clusters.md``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.preprocessing import normalize

import common
import cytonym
import snare
from cytonym.evaluate import cluster_scores
from cytonym.reproduce.tables import spread

PEERS = {"scvi": "rna", "peakvi": "atac", "multivi": "both"}
"""What each peer reads."""
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "dcca": {},
    "dcca one way": {"cycle": 1},
    "dcca no transfer": {"cycle": 0},
    "dcca paper": {"preset": "paper", "cycle": 1, "epochs": 40},
}
"""Settings of dcca: the default, its ablations, and the published ones, cut short."""
COMPONENTS = 30
"""Of PCA and of LSI each."""
SHOWN = ["kmeans_ari", "kmeans_nmi", "kmeans_purity", "leiden_ari", "leiden_nmi", "leiden_clusters"]

Embed = Callable[[], Mapping[str, np.ndarray]]
"""Makes the embeddings of one model, ``(cells, dim)``, by view: rna, atac, both."""


def tasks(parts: snare.Parts) -> Iterator[tuple[str, snare.Parts, snare.Parts]]:
    """Name, cells to learn from, and cells to embed and score: all cells, then the folds."""
    yield "all", parts, parts
    for place, reference, query in snare.folds(parts):
        yield f"fold{place}", reference, query


def lines_of(
    path: Path, key: Mapping[str, Any], embed: Embed, views: tuple[str, ...], truth: np.ndarray
) -> list[dict[str, Any]]:
    """The lines of one model, one a view; ``embed`` is called only where one is missing.

    ``key`` has ``task``, ``method``, ``seed``, and what else tells the model from others.
    """

    def measure(view: str) -> dict[str, float]:
        return figures(embed()[view], truth, seed=key["seed"])

    return [common.once(path, {**key, "view": view}, partial(measure, view)) for view in views]


def figures(embedding: np.ndarray, truth: np.ndarray, *, seed: int) -> dict[str, float]:
    """NMI, ARI, purity and number of clusters of k-means and of Leiden."""
    table = cluster_scores(embedding, truth, seed=seed)
    out: dict[str, float] = {"cells": len(truth), "dim": embedding.shape[1]}
    for by, row in table[["clusters", "nmi", "ari", "purity"]].iterrows():
        out |= {f"{by}_{name}": float(value) for name, value in row.items()}
    return out


# --- what is scored ------------------------------------------------------------------------------


def pca(reference: snare.Parts, query: snare.Parts) -> dict[str, np.ndarray]:
    """Principal components of scaled log1p CP10k: fitted on the reference, applied to the query."""
    return {"rna": snare.components(reference, query)["rna"][1][:, :COMPONENTS]}


def lsi(reference: snare.Parts, query: snare.Parts, weights: str) -> dict[str, np.ndarray]:
    """Singular vectors of weighted open peaks, without the first, which follows the depth.

    A peak of a cell weighs its share of the cell's open peaks times how rare it is; that as it is
    (``plain``), the log of 1 + 10,000 of it (``log``), or cells scaled to length 1 (``unit``).
    """
    opened = [(one["atac"].X > 0).astype(np.float64) for one in (reference, query)]
    kept = np.asarray(opened[0].sum(0)).ravel() >= 5
    opened = [normalize(one[:, kept], norm="l1") for one in opened]
    rarity = TfidfTransformer(norm="l2" if weights == "unit" else None, smooth_idf=False)
    rarity.fit(opened[0])
    weighed = [rarity.transform(one) for one in opened]
    if weights == "log":
        weighed = [np.log1p(1e4 * one) for one in weighed]
    svd = TruncatedSVD(COMPONENTS + 1, random_state=0).fit(weighed[0])
    return {"atac": svd.transform(weighed[1])[:, 1:]}


BASELINES: Mapping[str, Callable[[snare.Parts, snare.Parts], dict[str, np.ndarray]]] = {
    "pca": pca,
    **{f"lsi, {weights}": partial(lsi, weights=weights) for weights in ("plain", "log", "unit")},
}
"""What needs no network."""


def saved(path: Path, view: str, cells: np.ndarray) -> dict[str, np.ndarray]:
    """The embedding in a file of ``dcca_peers.py``, its rows in the order of ``cells``."""
    with np.load(path) as file:
        frame = pd.DataFrame(file["embedding"], index=file["cells"])
    if len(frame) != len(cells) or set(frame.index) != set(cells):
        raise SystemExit(f"{path}: {len(frame):,} cells are not the {len(cells):,} of the task")
    return {view: frame.loc[cells].to_numpy()}


def facts(path: Path) -> dict[str, Any]:
    """How a peer was trained: seconds, epochs, and whether its time was cut."""
    names = ("seconds", "epochs", "most_epochs", "cut")
    with np.load(path) as file:
        return {name: file[name].item() for name in names}


def of_peers(
    args: argparse.Namespace, path: Path, task: str, query: snare.Parts
) -> list[dict[str, Any]]:
    """The lines of the saved embeddings of one task; a file that is not there is left out."""
    lines, middle = [], "" if task == "all" else f"{task}_"
    cells, truth = query["rna"].obs_names.to_numpy().astype(str), truth_of(query)
    for method, view in PEERS.items():
        for seed in args.seeds:
            file = args.peers / f"{method}_{middle}{seed}.npz"
            if file.exists():
                key = {"task": task, "method": method, "seed": seed, **facts(file)}
                lines += lines_of(path, key, partial(saved, file, view, cells), (view,), truth)
    return lines


def of_dcca(
    args: argparse.Namespace, path: Path, task: str, reference: snare.Parts, query: snare.Parts
) -> list[dict[str, Any]]:
    """The lines of dcca, fitted without labels."""
    lines = []
    for name in args.variants:
        for seed in args.seeds:
            key = {"task": task, "method": name, "seed": seed, "settings": dict(VARIANTS[name])}
            embed = cache(partial(by_dcca, reference, query, VARIANTS[name], seed))
            lines += lines_of(path, key, embed, ("rna", "atac", "both"), truth_of(query))
    return lines


def by_dcca(
    reference: snare.Parts, query: snare.Parts, settings: Mapping[str, Any], seed: int
) -> dict[str, np.ndarray]:
    """Codes of both modalities and the joint embedding of the query."""
    start = time.monotonic()
    model = cytonym.fit(
        dict(reference), method="dcca", seed=seed, options=dict(settings), progress=False
    )
    print(f"{settings} seed {seed}: fitted in {time.monotonic() - start:.0f} s", flush=True)
    found = model.embed(dict(query), progress=False)
    return {**found.views, "both": found.joint}


def of_baselines(
    args: argparse.Namespace, path: Path, task: str, reference: snare.Parts, query: snare.Parts
) -> list[dict[str, Any]]:
    """The lines of PCA and LSI of one task; only the clustering depends on the seed."""
    lines = []
    for name, make in BASELINES.items():
        embed, view = cache(partial(make, reference, query)), "rna" if name == "pca" else "atac"
        for seed in args.seeds:
            key = {"task": task, "method": name, "seed": seed}
            lines += lines_of(path, key, embed, (view,), truth_of(query))
    return lines


def truth_of(query: snare.Parts) -> np.ndarray:
    """Known types."""
    return query["rna"].obs[common.LABEL].to_numpy().astype(str)


# --- tables --------------------------------------------------------------------------------------


def table(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """A row for each method and view: the mean over folds of each seed, then ± over the seeds."""
    rows = []
    frame = pd.DataFrame(lines)
    by: Any = frame.groupby(["method", "view"], sort=False)
    for (method, view), own in by:
        by_seed = own.groupby("seed")[SHOWN].mean()
        row = {"method": method, "view": view, "seeds": len(by_seed)}
        row |= {"tasks": own["task"].nunique()}
        row |= {name: spread(by_seed[name].tolist()) for name in SHOWN}
        rows.append(row)
    return pd.DataFrame(rows)


def training(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """How long the peers learned; how many runs ended by their time limit."""
    frame = pd.DataFrame([line for line in lines if "epochs" in line])
    rows = []
    by: Any = frame.groupby(["method", frame["task"] == "all"], sort=False)
    for (method, where), own in by:
        row = {"method": method, "cells": "all" if where else "reference of folds"}
        row |= {"runs": len(own), "ended by time": int(own["cut"].sum())}
        row |= {"epochs": spread(own["epochs"].tolist(), 0)}
        row |= {"limit": int(own["most_epochs"].max())}
        rows.append(row | {"seconds": spread(own["seconds"].tolist(), 0)})
    return pd.DataFrame(rows)


def main() -> None:
    """Every task and method, then the tables."""
    parser = common.arguments(__doc__)
    parser.add_argument("--peers", type=Path, help="folder of dcca_peers.py; without: no peers")
    parser.add_argument("--variants", nargs="*", default=[*VARIANTS], choices=[*VARIANTS])
    parser.add_argument("--tasks", nargs="*", default=["all", "fold0", "fold1", "fold2", "fold3"])
    args = common.start(parser)
    path, parts, lines = args.out / "dcca_clusters.jsonl", snare.read(args), []
    for task, reference, query in tasks(parts):
        if task not in args.tasks:
            continue
        lines += of_dcca(args, path, task, reference, query)
        lines += of_baselines(args, path, task, reference, query)
        if args.peers is not None:
            lines += of_peers(args, path, task, query)
    whole = [line for line in lines if line["task"] == "all"]
    held = [line for line in lines if line["task"] != "all"]
    texts: list[str | pd.DataFrame] = [
        f"All {parts['rna'].n_obs:,} cells, learned from and scored. Agreement of clusters with "
        f"{len(np.unique(truth_of(parts)))} types; ± is over the seeds."
    ]
    texts += [table(whole)] if whole else []
    texts += ["Two libraries by what was learned from the other six: means over the folds."]
    texts += [table(held)] if held else []
    if any("epochs" in line for line in lines):
        texts += ["Training of the peers, one thread.", training(lines)]
    common.write(args, "dcca_clusters", "Clusters of unsupervised embeddings", texts)


if __name__ == "__main__":
    main()
