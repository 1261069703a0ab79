"""Small stand-ins for the papers' data: what each experiment reads, in files."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import mudata
import numpy as np
import pytest

from cytonym.data.simulate import simulate
from cytonym.data.simulate_domains import simulate_domains
from cytonym.data.simulate_methylation import simulate_methylation
from cytonym.data.simulate_regulation import simulate_regulation


def h5mu(parts: dict, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mudata.MuData(parts).write_h5mu(path)
    return path


@pytest.fixture(scope="session")
def stand_ins(tmp_path_factory) -> SimpleNamespace:
    """Files by what they hold; 4 types, two batches."""
    pytest.importorskip("bioframe")
    folder = tmp_path_factory.mktemp("stand_ins")
    rng = np.random.default_rng(0)
    motifs = {f"TF{i}": rng.dirichlet(np.full(4, 0.15), 12).T for i in range(6)}
    rna = simulate(160, 160, 4, seed=0, batches=2)
    rna.write_h5ad(folder / "rna.h5ad")
    simulate(120, 160, 4, seed=0).write_h5ad(folder / "other.h5ad")
    kinds = rna.obs["cell_type"].cat.categories
    lines = [f"{kind}\t{rna.var_names[20 * i + j]}" for i, kind in enumerate(kinds) for j in (0, 9)]
    (folder / "markers.tsv").write_text("type\tgene\n" + "\n".join(lines) + "\n")
    (folder / "regulation").mkdir()
    planted = simulate_regulation(folder / "regulation", motifs, seed=0, n_cells=260, n_genes=60)
    both = h5mu({"rna": planted.rna, "atac": planted.atac}, folder / "both.h5mu")
    known = planted.edges[["factor", "gene"]].set_axis(["source", "target"], axis=1)
    known.to_csv(folder / "known.tsv", sep="\t", index=False)
    parts = simulate_methylation(120, seed=0)
    for one in parts.values():
        one.obs["stage"] = np.tile(["E5.5", "E6.5", "E7.5"], 40)
    methylation = h5mu(parts, folder / "methylation.h5mu")
    (folder / "domains").mkdir()
    world = simulate_domains(
        folder / "domains", motifs, seed=1, n_cells=90, n_types=3, n_peaks=300, absent=0
    )
    world.reference.write_h5ad(folder / "MosA1.h5ad")
    world.query.write_h5ad(folder / "WholeBrainB.h5ad")
    return SimpleNamespace(
        folder=folder,
        rna=folder / "rna.h5ad",
        other=folder / "other.h5ad",
        markers=folder / "markers.tsv",
        both=both,
        methylation=methylation,
        genome=folder / "regulation" / "genome.fa",
        genes=folder / "regulation" / "genes.bed",
        motifs=folder / "regulation" / "motifs.meme",
        known=folder / "known.tsv",
        atac=[folder / "MosA1.h5ad", folder / "WholeBrainB.h5ad"],
        dna=world.fasta,
    )
