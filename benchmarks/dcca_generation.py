"""Generation, denoising and naming with a generated modality, by dcca on SNARE mouse cortex.

    python benchmarks/dcca_generation.py --data DIR --out FOLDER --seeds 0

Five-fold cross-validation over cells: dcca learns on four fifths (features chosen there too), and
for the last fifth makes ATAC from RNA alone and RNA from ATAC alone. Beside it stand the mean
profile of the cell's true type (which no method could know) and the mean of the 15 nearest cells of
the reference by components of the modality that is there. Denoising is measured on the same cells.
Four folds of libraries: names by dcca, by scmoanno with a modality missing or made by dcca, and
clusters of cells of libraries that were never seen. Lines go to ``dcca_generation.jsonl``, tables
to ``dcca_generation.md``.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import NearestNeighbors

import common
import cytonym
import snare
from cytonym import Annotator
from cytonym.dna.intervals import parse_intervals
from cytonym.evaluate import scores
from cytonym.evaluate.generation import cluster_kappa, generation_scores, pair_consistency
from cytonym.regulation import (
    peaks_of_genes,
    read_genes,
)
from dcca_clusters import figures

OTHER = {"rna": "atac", "atac": "rna"}
Scores = dict[str, dict[str, float]]
NEAREST = 15
GENES = "ref/genes_mm10_archr.bed.gz"


def measured(part: Any, features: np.ndarray, modality: str) -> np.ndarray:
    """Log1p CP10k of RNA, 0/1 of ATAC, of the features that the model makes."""
    x = part[:, features].X.toarray()
    if modality == "atac":
        return (x > 0).astype(np.float32)
    return np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1)).astype(np.float32)


def fitted(reference: snare.Parts, seed: int) -> Annotator:
    """Dcca by default, without labels."""
    return cytonym.fit(dict(reference), method="dcca", seed=seed, progress=False)


def types_of(parts: snare.Parts) -> np.ndarray:
    """Known types."""
    return parts["rna"].obs[common.LABEL].to_numpy().astype(str)


def generated(
    model: Annotator, reference: snare.Parts, query: snare.Parts, seed: int
) -> dict[str, dict[str, float]]:
    """Scores by direction and by who made the values."""
    kinds, own = types_of(query), types_of(reference)
    near = snare.components(reference, query)
    out = {}
    for source, target in OTHER.items():
        made = model.generate(query[source], target)
        frame = made.frame().to_numpy()
        frame = np.log1p(frame) if target == "rna" else frame
        truth = measured(query[target], made.features, target)
        known = measured(reference[target], made.features, target)
        means = {kind: known[own == kind].mean(0) for kind in np.unique(own)}
        places = NearestNeighbors(n_neighbors=NEAREST).fit(near[source][0])
        found = places.kneighbors(near[source][1], return_distance=False)
        neighbours = np.stack([known[rows].mean(0) for rows in found])
        for name, values in {
            "dcca": frame,
            "mean of the true type": np.stack([means[kind] for kind in kinds]),
            "15 nearest cells": neighbours,
        }.items():
            out[f"{source} to {target}: {name}"] = generation_scores(truth, values, kinds)
    return out


def denoised(
    model: Annotator, query: snare.Parts, pairs: pd.DataFrame, seed: int
) -> dict[str, dict[str, float]]:
    """Gene-peak consistency and agreement of clusters before and after."""
    out = {}
    views = {name: model.denoise(dict(query), modality=name) for name in OTHER}
    names = {name: pd.Index(view.features) for name, view in views.items()}
    raw = {name: measured(query[name], views[name].features, name) for name in OTHER}
    clean = {name: view.frame().to_numpy() for name, view in views.items()}
    clean["rna"] = np.log1p(clean["rna"])
    gene, peak = (names[m].get_indexer(pairs[c]) for m, c in (("rna", "gene"), ("atac", "peak")))
    both = (gene >= 0) & (peak >= 0)
    k = len(np.unique(types_of(query)))
    for when, values in (("before", raw), ("after", clean)):
        own, random = pair_consistency(
            values["rna"], values["atac"], gene[both], peak[both], seed=seed
        )
        axes = {
            "rna": PCA(20, random_state=0).fit_transform(values["rna"]),
            "atac": TruncatedSVD(20, random_state=0).fit_transform(values["atac"]),
        }
        start: Any = 10
        said = [KMeans(k, n_init=start, random_state=seed).fit_predict(axes[m]) for m in OTHER]
        out[when] = {
            "own pairs": own,
            "random pairs": random,
            "pairs": int(both.sum()),
            "kappa": cluster_kappa(*said),
        }
    return out


def naming(model: Annotator, reference: snare.Parts, query: snare.Parts, seed: int) -> Scores:
    """Names by dcca itself, and by scmoanno on cells with one modality: by its branch for these,
    and with the other modality made by dcca.
    """
    namer = snare.fit(dict(reference), "scmoanno", seed, {})
    said = {"dcca, both": model.annotate(dict(query), progress=False)}
    for given, other in OTHER.items():
        cells = query[given]
        said[f"dcca, {given}"] = model.annotate(cells, progress=False)
        said[f"scmoanno, {given} without {other}"] = namer.annotate(cells, progress=False)
        said[f"scmoanno, {given} and generated {other}"] = namer.annotate(
            cells, generate_missing=model, progress=False
        )
    out = {}
    for name, calls in said.items():
        found = scores(types_of(query), calls.labels.astype(str))
        out[name] = {"accuracy": found.accuracy, "macro_f1": found.macro_f1}
    return out


def linked(args: argparse.Namespace, parts: snare.Parts) -> pd.DataFrame:
    """Genes and the peaks in them or up to 2 kb before them."""
    peaks = parse_intervals(parts["atac"].var_names.to_numpy())
    pairs = peaks_of_genes(peaks, read_genes(args.data / GENES))
    pairs["peak"] = parts["atac"].var_names.to_numpy()[pairs["row"]]
    return pairs


def main() -> None:
    """Folds, then tables."""
    parser = common.arguments(__doc__)
    parser.add_argument("--parts", nargs="*", default=["cells", "libraries"])
    args = common.start(parser)
    path, parts = args.out / "dcca_generation.jsonl", snare.read(args)
    pairs, truth = linked(args, parts), types_of(parts)
    lines = []
    for seed in args.seeds:
        if "cells" in args.parts:
            split = StratifiedKFold(5, shuffle=True, random_state=seed)
            for fold, (learn, ask) in enumerate(split.split(truth, truth)):
                run = partial(of_cells, parts, pairs, learn, ask, seed)
                lines.append(common.once(path, {"what": "cells", "fold": fold, "seed": seed}, run))
        if "libraries" in args.parts:
            for fold, reference, query in snare.folds(parts):
                key = {"what": "libraries", "fold": fold, "seed": seed}
                lines.append(common.once(path, key, partial(of_libraries, reference, query, seed)))
    texts: list[str | pd.DataFrame] = []
    for what in ("generated", "denoised", "named", "clusters"):
        found = [line[what] for line in lines if what in line]
        if found:
            frame = pd.concat([pd.DataFrame(one).T for one in found])
            mean: Any = frame.groupby(level=0, sort=False).mean()
            texts += [what.capitalize(), mean.reset_index(names="")]
    common.write(args, "dcca_generation", "Generation and denoising by dcca", texts)


def of_cells(
    parts: snare.Parts, pairs: pd.DataFrame, learn: np.ndarray, ask: np.ndarray, seed: int
) -> dict[str, Any]:
    """One fold of cells."""
    mask = np.isin(np.arange(parts["rna"].n_obs), learn)
    reference, query = snare.rows(parts, mask), snare.rows(parts, ~mask)
    model = fitted(reference, seed)
    return {
        "generated": generated(model, reference, query, seed),
        "denoised": denoised(model, query, pairs, seed),
    }


def of_libraries(reference: snare.Parts, query: snare.Parts, seed: int) -> dict[str, Any]:
    """One fold of libraries: names, and clusters of cells that were never seen."""
    model = cytonym.fit(
        dict(reference), labels=common.LABEL, method="dcca", seed=seed, progress=False
    )
    found = model.embed(dict(query), progress=False)
    views = {**found.views, "both": found.joint}
    clusters = {name: figures(z, types_of(query), seed=seed) for name, z in views.items()}
    return {"named": naming(model, reference, query, seed), "clusters": clusters}


if __name__ == "__main__":
    main()
