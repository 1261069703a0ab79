"""How many of the planted edges are found: inferred, by correlation alone, by motifs alone.

    python benchmarks/regulation_simulated.py --seeds 0-4 --cells 2000

Cells of ``cytonym.data.simulate_regulation``: 20 factors, 240 genes, 4 types, 2 batches. Motifs are
random (12 bp), or 20 of JASPAR's vertebrates, drawn by the seed. Prints tables for the docs: mean ±
standard deviation over the seeds. Edges of a factor with itself do not count.
"""

from __future__ import annotations

import argparse
import tempfile

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from cytonym.data.simulate_regulation import Planted, simulate_regulation
from cytonym.dna import (
    factor_genes,
    jaspar_motifs,
    peak_sequences,
    read_motifs,
    scan,
)
from cytonym.dna.intervals import parse_intervals
from cytonym.regulation import (
    candidates,
    correlation_network,
    infer,
    log_normalised,
    metacells,
    peaks_of_genes,
    read_genes,
    summed,
)

FACTORS = 20


def drawn(kind: str, seed: int) -> dict[str, np.ndarray]:
    """Twenty motifs by their factor."""
    rng = np.random.default_rng(seed)
    if kind == "random":
        return {f"TF{n}": rng.dirichlet(np.full(4, 0.15), 12).T for n in range(FACTORS)}
    single = {one.name: one.frequencies for one in jaspar_motifs() if "::" not in one.name}
    names = rng.choice(sorted(single), FACTORS, replace=False)
    return {str(name): single[name] for name in names}


def edges(table: pd.DataFrame) -> set[tuple[str, str]]:
    """Factor and gene of each row, without those of a factor with itself."""
    pairs = zip(table["factor"], table["gene"], strict=True)
    return {(factor, gene) for factor, gene in pairs if factor != gene}


def found(planted: Planted, seed: int) -> dict[str, set[tuple[str, str]]]:
    """The edges that each way gives."""
    genes = planted.rna.var_names.to_numpy(str)
    peaks, places = parse_intervals(planted.atac.var_names), read_genes(planted.genes)
    motifs, counts = read_motifs(planted.motifs), planted.rna.X
    logged = log_normalised(counts).toarray()
    embedding = PCA(30, random_state=seed).fit_transform(logged)
    given = {
        "genes": genes,
        "peaks": peaks,
        "sequences": planted.fasta,
        "motifs": motifs,
        "places": places,
        "embedding": embedding,
        "seed": seed,
    }
    types = planted.rna.obs["cell_type"].astype(str).to_numpy()
    ours = edges(infer(counts, planted.atac.X, **given).edges)
    rna = log_normalised(summed(counts, metacells(embedding, seed=seed)))
    ranked = correlation_network(rna, genes, [*planted.activity.columns])
    dna = [*peak_sequences(planted.fasta, peaks)]
    near = peaks_of_genes(peaks, places)
    return {
        "inferred, all cells together": ours,
        "inferred, by type, joined": edges(
            infer(counts, planted.atac.X, **given, groups=types).edges
        ),
        "inferred, signed": edges(infer(counts, planted.atac.X, **given, signed=True).edges),
        "correlation alone, as many edges": edges(ranked.head(len(ours))),
        "a motif in a peak of the gene": edges(
            candidates(near, scan(dna, motifs).matches, factor_genes(motifs, genes))
        ),
        "all pairs (chance)": edges(ranked),
    }


def main() -> None:
    """Every kind of motif and seed, then the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-4", help="first and last, such as 0-4")
    parser.add_argument("--cells", type=int, default=2000)
    parser.add_argument("--repressors", type=float, default=0.0, help="share of the factors")
    given = parser.parse_args()
    first, _, last = given.seeds.partition("-")
    for kind in ("random", "jaspar"):
        rows = []
        for seed in range(int(first), int(last or first) + 1):
            with tempfile.TemporaryDirectory() as folder:
                planted = simulate_regulation(
                    folder,
                    drawn(kind, seed),
                    seed=seed,
                    n_cells=given.cells,
                    repressors=given.repressors,
                )
                true = edges(planted.edges)
                for way, some in found(planted, seed).items():
                    right = len(some & true)
                    rows.append((way, len(some), right / max(len(some), 1), right / len(true)))
        table = pd.DataFrame(rows, columns=pd.Index(["way", "edges", "precision", "recall"]))
        grouped = table.groupby("way", sort=False)
        mean, sd = grouped.mean(), grouped.std(ddof=1).fillna(0)
        print(f"\n{kind} motifs\n\n| | edges | precision | recall |\n|---|---|---|---|")
        for way in mean.index:
            shares = " | ".join(
                f"{mean.loc[way, one]:.3f} ± {sd.loc[way, one]:.3f}".replace("0.", ".")
                for one in ("precision", "recall")
            )
            print(f"| {way} | {mean.loc[way, 'edges']:,.0f} | {shares} |")


if __name__ == "__main__":
    main()
