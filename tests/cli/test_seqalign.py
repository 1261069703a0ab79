"""The commands of a fit on the DNA of peaks, run as installed."""

import anndata as ad
import numpy as np
import pytest

from command import run
from cytonym.data.simulate_domains import simulate_domains

SMALL = [
    word
    for setting in ("window=500", "k=4", "dim=8", "trunk_hidden=32", "trunk_epochs=8", "epochs=20")
    for word in ("--set", setting)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``reference.h5ad``, ``query.h5ad`` (their labels in ``truth``) and ``genome.fa``."""
    place = tmp_path_factory.mktemp("seqalign")
    rng = np.random.default_rng(0)
    motifs = {f"M{i}": rng.dirichlet(np.full(4, 0.1), 12).T for i in range(4)}
    world = simulate_domains(place, motifs, seed=1, n_cells=160, n_types=4, n_peaks=800)
    world.reference.write_h5ad(place / "reference.h5ad")
    world.query.obs = world.query.obs.rename(columns={"cell_type": "truth"})
    world.query.write_h5ad(place / "query.h5ad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CYTONYM_CACHE", str(place / "cache"))
        yield place


@pytest.fixture(scope="module")
def model(folder):
    out = folder / "m.cytonym"
    fit = ["fit", folder / "reference.h5ad", "--labels", "cell_type", "--out", out]
    dna = ["--genome", folder / "genome.fa", "--query", folder / "query.h5ad"]
    done = run(*fit, *dna, *SMALL)
    assert "seqalign" in done.stdout
    assert "160 cells of the query" in done.stdout
    return out


def test_atac_with_a_genome_goes_to_seqalign_and_names_peaks_that_are_not_shared(folder, model):
    out = folder / "named.h5ad"
    asked = ["annotate", folder / "query.h5ad", "--model", model, "--out", out]
    run(*asked, "--genome", folder / "genome.fa")
    cells = ad.read_h5ad(out)
    known = cells.obs["truth"].isin(cells.obs["cell_type_pred"].cat.categories)
    right = cells.obs["cell_type_pred"].astype(str) == cells.obs["truth"].astype(str)
    assert right[known].mean() > 0.7
    assert cells.obsm["X_seqalign"].shape == (160, 128)
    assert "kmer" in str(cells.uns["cell_type_pred"]["options"])
    assert [*(folder / "cache" / "embeddings").glob("*.npy")]


def test_without_a_genome_or_a_network_the_remedy_is_told_and_nothing_is_written(folder, model):
    out = folder / "none.h5ad"
    asked = ["annotate", folder / "query.h5ad", "--model", model, "--out", out]
    assert "there is no genome" in run(*asked, code=2).stderr
    done = run(*asked, "--genome", "hg38", "--offline", code=2)
    assert "nothing may be fetched (offline)" in done.stderr
    assert "hg38.fa.gz, unpack it" in done.stderr
    assert not out.exists()


def test_without_dna_peaks_have_to_overlap(folder):
    query = ad.read_h5ad(folder / "query.h5ad")
    shared = ad.read_h5ad(folder / "reference.h5ad").var["locus"]
    query[:, ~query.var["locus"].isin(shared)].write_h5ad(folder / "apart.h5ad")
    fit = ["fit", folder / "reference.h5ad", "--labels", "cell_type", "--method", "seqalign"]
    lsi = ["--query", folder / "apart.h5ad", "--set", "embedder=lsi"]
    done = run(*fit, "--out", folder / "no.cytonym", *lsi, code=2)
    assert "only 0 of the reference's 800 atac features" in done.stderr
    assert "by the DNA of their peaks" in done.stderr
    assert not (folder / "no.cytonym").exists()
