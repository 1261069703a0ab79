"""SNARE-seq mouse cortex with random DNA: what the network gives where no motif means anything.

    python benchmarks/regulation_snare.py --data DIR --seeds 0-2

The 6,082 cells are real, the sequences of the peaks are drawn anew for each seed (54 % A and T), so
that links are real and motifs are chance: a control, no result. Prints a table for the docs. Known
edges are those of DoRothEA, levels A to C.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

import snare
from cytonym.dna import (
    jaspar_motifs,
)
from cytonym.dna.intervals import parse_intervals
from cytonym.errors import DataError
from cytonym.regulation import (
    enrichment,
    infer,
    log_normalised,
    read_edges,
    read_genes,
)


def random_dna(peaks: pd.DataFrame, seed: int) -> list[str]:
    """A sequence as long as each peak."""
    rng = np.random.default_rng(seed)
    lengths = (peaks["end"] - peaks["start"]).to_numpy()
    letters = np.frombuffer(b"ACGT", np.uint8)
    text = letters[rng.choice(4, lengths.sum(), p=(0.27, 0.23, 0.23, 0.27))].tobytes().decode()
    ends = np.cumsum(lengths)
    return [text[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def main() -> None:
    """All cells together and by type, for every seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CYTONYM_DATA"))
    parser.add_argument("--seeds", default="0-2", help="first and last")
    args = parser.parse_args()
    first, _, last = args.seeds.partition("-")
    parts = snare.read(args)
    rna, atac = parts["rna"], parts["atac"]
    genes, types = rna.var_names.to_numpy(str), rna.obs["cell_type"].to_numpy()
    peaks = parse_intervals(atac.var_names)
    known = read_edges(args.data / "ref/dorothea_mm_ABC.tsv")
    embedding = PCA(30, random_state=0).fit_transform(log_normalised(rna.X).toarray())
    given = {
        "genes": genes,
        "peaks": peaks,
        "motifs": jaspar_motifs(),
        "places": read_genes(args.data / "ref/genes_mm10_archr.bed.gz"),
        "embedding": embedding,
    }
    print("| | seed | edges | factors | genes | median R2 | known, odds ratio | p | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for seed in range(int(first), int(last or first) + 1):
        dna = random_dna(peaks, seed)
        for name, groups in (("all cells together", None), ("by type", types)):
            start = time.perf_counter()
            found = infer(rna.X, atac.X, **given, sequences=dna, groups=groups, seed=seed)
            took = time.perf_counter() - start
            edges = found.edges
            try:
                whole = enrichment(edges, known, genes).loc["(all)"]
                said = f"{whole['odds_ratio']:.2f} | {whole['p']:.2g}"
            except DataError:
                said = "- | -"
            r2 = edges.drop_duplicates(["type", "gene"])["r2"].median()
            print(
                f"| {name} | {seed} | {len(edges):,} | {edges['factor'].nunique()} | "
                f"{edges['gene'].nunique():,} | {r2:.2f} | {said} | {took:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
