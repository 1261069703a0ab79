"""What DCCA says without labels: embeddings, denoised and generated modalities, networks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, TruncatedSVD

from cytonym.dna.intervals import parse_intervals
from cytonym.evaluate import cluster_scores
from cytonym.evaluate.generation import cluster_kappa, generation_scores, pair_consistency
from cytonym.networking import motif_activity, network
from cytonym.regulation import peaks_of_genes, read_genes
from cytonym.reproduce.divide import labels
from cytonym.reproduce.measures.naming import Rows, agreement_rows, learn, read_by, unnamed
from cytonym.reproduce.record import LABEL, Case, Way

COMPONENTS = 20


def views(case: Case, way: Way, seed: int) -> Rows:
    """Agreement of types with clusters of the joint embedding and of each modality's own."""
    model = learn(case, way, seed, named=False)
    found = model.embed(unnamed(read_by(way.method, case.query)), progress=False)
    out = []
    for view, z in {"joint": found.joint, **found.views}.items():
        table = cluster_scores(z, labels(case.query), seed=seed)
        for row in agreement_rows(table):
            out.append({"view": view, **row})
    return out


VALUES = 150_000_000
"""Most values that are compared at once: of more features some are drawn, by the seed."""


def some(features: np.ndarray, cells: int, seed: int) -> np.ndarray:
    """The features whose values are compared, in their order."""
    most = max(VALUES // cells, 1)
    if len(features) <= most:
        return features
    return features[np.sort(np.random.default_rng(seed).choice(len(features), most, replace=False))]


def measured(part: Any, features: np.ndarray, modality: str) -> np.ndarray:
    """``(cells, features)`` float32: log1p CP10k of RNA, 0/1 of ATAC, rates of methylation."""
    x = np.asarray(part[:, features].to_df(), dtype=np.float32)
    if modality == "rna":
        return np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1))
    return (x > 0).astype(np.float32) if modality == "atac" else x


def decoded(made: Any, features: np.ndarray, modality: str) -> np.ndarray:
    """The same units of what a model makes."""
    values = made.frame(features=features).to_numpy()
    return np.log1p(values) if modality == "rna" else values


def generation(case: Case, way: Way, seed: int) -> Rows:
    """Each modality of cells in which it is hidden, from the other one alone.

    Beside it the mean profile of the cell's true type, which no method could know.
    """
    model = learn(case, way, seed, named=False)
    kinds, taught, out = labels(case.query), labels(case.reference), []
    for source in case.query:
        target = next(name for name in case.query if name != source)
        made = model.generate(unnamed({source: case.query[source]}), target)
        chosen = some(made.features, len(taught) + len(kinds), seed)
        truth = measured(case.query[target], chosen, target)
        known = measured(case.reference[target], chosen, target)
        means = pd.DataFrame(known).groupby(taught).mean().fillna(pd.Series(np.nanmean(known, 0)))
        profile = means.reindex(kinds).fillna(means.mean()).to_numpy(np.float32)
        score = generation_scores if np.isfinite(truth).all() else observed_scores
        for by, values in (("model", decoded(made, chosen, target)), ("mean of the type", profile)):
            row = {"direction": f"{source} to {target}", "by": by}
            out.append({**row, **score(truth, values, kinds)})
    return out


def observed_scores(truth: np.ndarray, made: np.ndarray, types: np.ndarray) -> dict[str, float]:
    """Pearson's r as of :func:`generation_scores`, over the entries that were observed."""
    seen = np.isfinite(truth)
    one, other = (pd.DataFrame(np.where(seen, x, np.nan)) for x in (truth, made))
    mine, theirs = (x.groupby(types).mean().T for x in (one, other))
    above = [x.sub(x.mean(axis=1), axis=0) for x in (mine, theirs)]
    return {
        "cell": float(one.corrwith(other, axis=1).mean()),
        "feature": float(one.corrwith(other).mean()),
        "type": float(mine.corrwith(theirs).mean()),
        "contrast": float(above[0].corrwith(above[1]).mean()),
    }


def consistency(case: Case, way: Way, seed: int) -> Rows:
    """How well RNA and ATAC of the same cells agree, as measured and denoised.

    Kappa of their clusters; and mean correlation of genes with the peaks in them or up to 2 kb
    before them, and with as many peaks at random.
    """
    model = learn(case, way, seed, named=False)
    bare = unnamed(case.query)
    made = {name: model.denoise(bare, modality=name) for name in ("rna", "atac")}
    n_cells = len(labels(case.query))
    chosen = {name: some(one.features, n_cells, seed) for name, one in made.items()}
    raw = {name: measured(case.query[name], chosen[name], name) for name in made}
    clean = {name: decoded(one, chosen[name], name) for name, one in made.items()}
    gene, peak = linked(case, chosen)
    k, out = len(np.unique(labels(case.query))), []
    for when, values in (("measured", raw), ("denoised", clean)):
        own, random = pair_consistency(values["rna"], values["atac"], gene, peak, seed=seed)
        row = {"values": when, "kappa": kappa(values, k, seed), "pairs": len(gene)}
        out.append({**row, "own_peaks": own, "random_peaks": random})
    return out


def kappa(values: dict[str, np.ndarray], k: int, seed: int) -> float:
    """Agreement of k-means of the two modalities."""
    many = [min(COMPONENTS, *(n - 1 for n in values[name].shape)) for name in ("rna", "atac")]
    axes = (
        PCA(many[0], random_state=0).fit_transform(values["rna"]),
        TruncatedSVD(many[1], random_state=0).fit_transform(values["atac"]),
    )
    said = [KMeans(k, n_init=10, random_state=seed).fit_predict(one) for one in axes]  # pyright: ignore[reportArgumentType]
    return cluster_kappa(*said)


def linked(case: Case, features: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Columns of genes and of their peaks, ``(pairs,)`` each; none without a table of genes."""
    if case.data.genes is None:
        return np.empty(0, int), np.empty(0, int)
    pairs = peaks_of_genes(parse_intervals(features["atac"]), read_genes(case.data.genes))
    gene = pd.Index(features["rna"]).get_indexer(pd.Index(pairs["gene"]))
    return gene[gene >= 0], pairs["row"].to_numpy()[gene >= 0]


def edges(case: Case, way: Way, seed: int) -> Rows:
    """Size of the network of each type, and how far it holds known edges."""
    model = learn(case, way, seed, named=False)
    assert case.data.genome is not None  # the runner has seen to it
    assert case.data.genes is not None
    found = network(
        dict(case.query),
        genome=case.data.genome,
        genes=case.data.genes,
        motifs=case.data.motifs,
        labels=LABEL,
        known=case.data.known,
        model=model,
        seed=seed,
        progress=False,
    )
    counts = found.network.edges.groupby("type", sort=True)
    out = []
    for kind, own in counts:
        row: dict[str, Any] = {"type": str(kind), "edges": len(own)}
        row |= {"factors": own["factor"].nunique(), "genes": own["gene"].nunique()}
        out.append({**row, "r2": float(own["r2"].median())})
    if found.enrichment is not None:
        all_of_it = found.enrichment.loc["(all)"]
        row = {"type": "(all types)", "edges": len(found.network.edges)}
        out.append({**row, "odds_ratio": float(all_of_it["odds_ratio"])})
    return out


def activity(case: Case, way: Way, seed: int) -> Rows:
    """In which type each motif is most active, in denoised ATAC; the 50 that vary most."""
    model = learn(case, way, seed, named=False)
    assert case.data.genome  # the runner has seen to it
    atac = unnamed({"atac": case.query["atac"]})
    files = {"genome": case.data.genome, "motifs": case.data.motifs}
    found = motif_activity(atac, **files, model=model, seed=seed, progress=False)
    z = pd.DataFrame(found.activity.z, columns=pd.Index([one.name for one in found.motifs]))
    means: Any = z.groupby(labels(case.query)).mean()
    varied = z.loc[:, ~z.columns.duplicated()].var().nlargest(50).index
    return [
        {"motif": str(name), "type": str(means[name].idxmax()), "z": float(means[name].max())}
        for name in varied
    ]
