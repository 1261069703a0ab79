"""The truth behind simulated regulation is in the files and in the cells."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from cytonym.data.read import open_cells
from cytonym.data.simulate_regulation import Planted, simulate_regulation
from cytonym.errors import OptionError

BASES = "ACGT"
CONSENSUS = {  # hand-written: .91 for the named base, .03 for each other one
    "Neurod1": "GACAGATGGTAC",
    "GATA2": "AGATAAGGTCAC",
    "SPI1": "AAGAGGAAGTGA",
    "CEBPA": "TTGCGCAATACG",
    "RFX3": "GTTGCCATGGCA",
    "MEF2C": "GCTATTTTTAGC",
}
MOTIFS = {
    name: np.array([[0.91 if base == one else 0.03 for one in word] for base in BASES])
    for name, word in CONSENSUS.items()
}
COMPLEMENT = str.maketrans("ACGT", "TGCA")


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Planted:
    return simulate_regulation(tmp_path_factory.mktemp("planted"), MOTIFS, seed=0, repressors=0.3)


def fasta(path) -> dict[str, str]:
    parts = (one.split("\n", 1) for one in path.read_text().split(">")[1:])
    return {name: lines.replace("\n", "") for name, lines in parts}


def normalised(counts) -> np.ndarray:
    x = counts.toarray()
    return np.log1p(1e4 * x / x.sum(1, keepdims=True))


def correlations(x, y) -> np.ndarray:
    """Columns of x × columns of y."""
    x, y = ((one - one.mean(0)) / (one.std(0) + 1e-9) for one in (np.asarray(x), np.asarray(y)))
    return x.T @ y / len(x)


def pairs(planted: Planted, *, copied: bool = False) -> np.ndarray:
    """Factors × genes: the sign of planted edges, or which genes copy which factor."""
    table = np.zeros((planted.activity.shape[1], planted.rna.n_vars))
    factors, genes = list(planted.activity), list(planted.rna.var_names)
    if copied:
        for gene, factor in planted.rna.var["copies"].items():
            if factor:
                table[factors.index(factor), genes.index(gene)] = 1
    else:
        for edge in planted.edges.itertuples():
            table[factors.index(edge.factor), genes.index(edge.gene)] = edge.sign
    return table


def test_the_genome_read_back_at_every_site_is_the_instance_and_half_are_the_consensus(planted):
    genome = fasta(planted.fasta)
    assert len(planted.sites) > 500
    best = 0
    for site in planted.sites.itertuples():
        word = genome[site.chr][site.start : site.end]
        word = word if site.strand == "+" else word.translate(COMPLEMENT)[::-1]
        assert word == site.sequence
        best += word == CONSENSUS[site.factor]
    assert 0.55 < best / len(planted.sites) < 0.75  # half, and those drawn that equal it: .91**12


def test_sites_lie_in_their_peaks_and_driven_peaks_hold_their_factor(planted):
    sites = planted.sites.merge(planted.atac.var, left_on="peak", right_index=True)
    assert (sites["chr_x"] == sites["chr_y"]).all()
    assert (sites["start_x"] >= sites["start_y"]).all()
    assert (sites["end_x"] <= sites["end_y"]).all()
    active = sites[sites["active"]]
    assert (active["factor_x"] == active["factor_y"]).all()
    driven = planted.atac.var[planted.atac.var["role"] == "driven"]
    assert set(driven.index) == set(active["peak"])
    decoys = sites[~sites["active"]]
    assert 0.25 < len(decoys) / planted.atac.n_vars < 0.35
    assert (decoys["factor_x"] != decoys["factor_y"]).all()
    edges = planted.edges.merge(active[["peak", "factor_x"]].drop_duplicates(), on="peak")
    assert len(edges) == len(planted.edges)
    assert (edges["factor"] == edges["factor_x"]).all()


def test_sizes_names_and_formats(planted):
    rna, atac = planted.rna, planted.atac
    assert rna.shape == (600, 240)
    assert atac.n_obs == 600
    assert list(rna.var_names[:6]) == list(MOTIFS) == list(planted.activity)
    assert rna.obs.equals(atac.obs)
    assert rna.obs["cell_type"].value_counts().tolist() == [150] * 4
    assert rna.obs["batch"].value_counts().tolist() == [300] * 2
    assert rna.var["role"].value_counts().to_dict() == {
        "target": 93,
        "copied": 93,
        "plain": 48,
        "factor": 6,
    }
    assert (rna.X.data == np.round(rna.X.data)).all()
    assert 1_800 < np.median(rna.X.toarray().sum(axis=1)) < 2_200
    assert set(np.unique(atac.X.data)) == {1.0}
    var = atac.var
    assert list(var.index) == [f"{r.chr}:{r.start}-{r.end}" for r in var.itertuples()]
    lengths = {name: len(letters) for name, letters in fasta(planted.fasta).items()}
    assert len(lengths) == 4
    assert (var["end"] - var["start"] == 500).all()
    assert (var["start"] >= 0).all()
    assert (var["end"] <= var["chr"].map(lengths)).all()
    assert var["gc"].std() > 0.06
    cells = open_cells({"rna": rna, "atac": atac})
    assert cells.finding["rna"].kind == "counts"


def test_peaks_of_edges_lie_in_the_body_or_2000_bp_before_the_gene_on_its_strand(planted):
    names = ["chr", "start", "end", "gene", "score", "strand"]
    genes = pd.read_csv(planted.genes, sep="\t", names=names).set_index("gene")
    assert list(genes.index) == list(planted.rna.var_names)
    assert set(genes["strand"]) == {"+", "-"}
    for edge in planted.edges.itertuples():
        gene, peak = genes.loc[edge.gene], planted.atac.var.loc[edge.peak]
        before, after = (2_000, 0) if gene["strand"] == "+" else (0, 2_000)
        assert peak["chr"] == gene["chr"]
        assert gene["start"] - before <= peak["start"]
        assert peak["end"] <= gene["end"] + after


def test_true_activity_finds_the_edges_with_their_sign_and_copies_mislead_expression(planted):
    sign, copied = pairs(planted), pairs(planted, copied=True) > 0
    genes = planted.rna.var["role"].to_numpy() != "factor"
    expression = normalised(planted.rna.X)
    true = correlations(planted.activity, expression)
    for one in (1, -1):
        asked = (sign == one) | ((sign == 0) & ~copied)
        asked &= genes & (sign == one).any(axis=1, keepdims=True)
        assert roc_auc_score((sign == one)[asked], one * true[asked]) > 0.9
    measured = correlations(expression[:, :6], expression)
    up = measured[sign == 1].mean()
    assert up > 0.08
    assert measured[copied].mean() > 0.7 * up
    assert measured[sign == -1].mean() < -0.05


def test_factors_change_their_peaks_and_decoys_change_nothing(planted):
    opened = correlations(planted.activity, planted.atac.X.toarray())
    factors, names = list(planted.activity), planted.atac.var_names
    repressors = set(planted.edges.loc[planted.edges["sign"] < 0, "factor"])
    assert len(repressors) == 2
    var = planted.atac.var.reset_index(drop=True)
    for factor in factors:
        own = opened[factors.index(factor), np.flatnonzero(var["factor"] == factor)]
        assert own.mean() * (-1 if factor in repressors else 1) > 0.15
    plain = planted.sites[~planted.sites["active"]]
    plain = plain[plain["peak"].map(planted.atac.var["role"]) == "plain"]
    idle = [opened[factors.index(s.factor), names.get_loc(s.peak)] for s in plain.itertuples()]
    assert len(idle) > 50
    assert abs(np.mean(idle)) < 0.02


def test_activity_varies_within_types_and_each_type_has_its_own_factors(planted):
    kind = planted.rna.obs["cell_type"]
    within = planted.activity.groupby(kind, observed=True)
    assert within.std().to_numpy() == pytest.approx(0.4, abs=0.08)
    assert within.mean().idxmax().tolist() == [f"type {one}" for one in "ABCDAB"]


def test_two_batches_shift_genes_and_gc_rich_peaks_and_one_batch_shifts_nothing(tmp_path):
    def spread(batches: int) -> tuple[float, float, float]:
        made = simulate_regulation(tmp_path, MOTIFS, seed=1, n_cells=1_000, batches=batches)
        half = np.arange(1_000) % 2 == 0
        if batches == 2:
            half = (made.rna.obs["batch"] == "batch0").to_numpy()
        genes, peaks = (
            np.log((one.X[half].mean(axis=0) + 0.01) / (one.X[~half].mean(axis=0) + 0.01))
            for one in (made.rna, made.atac)
        )
        slope = np.corrcoef(np.asarray(peaks).ravel(), made.atac.var["gc"])[0, 1]
        return float(np.std(genes)), float(np.std(peaks)), abs(float(slope))

    two, one = spread(2), spread(1)
    assert two[0] > 1.5 * one[0]
    assert two[1] > 1.2 * one[1]
    assert two[2] > 0.1 > one[2]


def test_without_effect_true_activity_says_nothing_about_targets(tmp_path):
    made = simulate_regulation(tmp_path, MOTIFS, seed=0, n_cells=300, effect=0.0)
    found = correlations(made.activity, normalised(made.rna.X))[pairs(made) != 0]
    assert abs(found.mean()) < 0.03


def test_the_same_seed_gives_the_same_cells_and_files_byte_by_byte_and_another_others(tmp_path):
    sizes = {"n_cells": 40, "n_genes": 30}
    folders = [tmp_path / name for name in ("one", "again", "other")]
    one, again, other = (
        simulate_regulation(folder, MOTIFS, seed=seed, **sizes)
        for folder, seed in zip(folders, (5, 5, 6), strict=True)
    )
    for name in ("genome.fa", "genes.bed", "motifs.meme"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert (folders[0] / "genome.fa").read_bytes() != (folders[2] / "genome.fa").read_bytes()
    assert (one.rna.X != again.rna.X).nnz == (one.atac.X != again.atac.X).nnz == 0
    assert (one.rna.X != other.rna.X).nnz > 0
    for name in ("edges", "sites", "activity"):
        assert getattr(one, name).equals(getattr(again, name))
    assert sorted(file.name for file in folders[0].iterdir()) == [
        "genes.bed",
        "genome.fa",
        "motifs.meme",
    ]


def test_sizes_that_do_not_go_together_are_refused_all_at_once(tmp_path):
    one = {"GATA2": MOTIFS["GATA2"]}
    with pytest.raises(OptionError) as error:
        simulate_regulation(tmp_path / "a", one, seed=0, n_cells=3, n_genes=3, decoys=2, depth=0)
    for part in (
        "one motif is given",
        "n_genes is 3 and 1 factors need 4",
        "n_types is 4 and must lie between 2 and n_cells, 3",
        "decoys is 2",
        "depth 0",
    ):
        assert part in str(error.value)
    assert not (tmp_path / "a").exists()
