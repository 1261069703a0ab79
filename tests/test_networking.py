"""From the files of a data set, a genome and genes to a network, and what is said of bad ones."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

import cytonym
from cytonym.data.simulate_regulation import simulate_regulation
from cytonym.dna import (
    gc_content,
    peak_sequences,
    read_motifs,
    scan,
)
from cytonym.dna.intervals import parse_intervals
from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    background_peaks,
    deviations,
)

pytest.importorskip("pyfaidx")
pytest.importorskip("bioframe")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> SimpleNamespace:
    """800 cells of 4 types; 12 factors, 150 genes; the true edges as a table of known ones."""
    rng = np.random.default_rng(0)
    motifs = {f"TF{i}": rng.dirichlet(np.full(4, 0.15), 12).T for i in range(12)}
    folder = tmp_path_factory.mktemp("planted")
    planted = simulate_regulation(folder, motifs, seed=1, n_cells=800, n_genes=150)
    known = planted.edges[["factor", "gene"]].set_axis(["source", "target"], axis=1)
    known.to_csv(folder / "known.tsv", sep="\t", index=False)
    places = {"genome": planted.fasta, "genes": planted.genes, "motifs": planted.motifs}
    return SimpleNamespace(
        planted=planted,
        folder=folder,
        data={"rna": planted.rna, "atac": planted.atac},
        known=folder / "known.tsv",
        places=places,
        given=places | {"progress": False},
    )


@pytest.fixture(scope="module")
def found(world):
    return cytonym.network(world.data, known=world.known, **world.given)


@pytest.fixture(scope="module")
def model(world):
    """DCCA without labels, trained for a few seconds."""
    small = {"genes": 100, "atac_input": "components", "components": 10, "dim": 6, "epochs": 20}
    small |= {"rna_hidden": (16,), "epi_hidden": (16,), "rna_decoder": (16,), "batch_size": 128}
    return cytonym.fit(world.data, method="dcca", options=small, progress=False)


def pairs(table) -> set[tuple[str, str]]:
    return {(f, g) for f, g in zip(table["factor"], table["gene"], strict=True) if f != g}


def test_a_third_of_the_edges_of_800_cells_are_planted_ones_and_7_in_100_would_be_by_chance(
    world, found
):
    ours, true = pairs(found.network.edges), pairs(world.planted.edges)
    assert len(ours & true) / len(ours) > 0.33
    assert len(true) / (12 * 149) < 0.07
    assert "800 of 800 cells have counts of RNA and ATAC: only these" in found.notes
    assert "metacells" in " ".join(found.notes)
    record = found.to_dict(top=3)
    assert record["edges"] == len(found.network.edges)
    assert len(record["top"]["all"]) == 3
    assert f"{len(ours):,} edges of" in repr(found)
    counts = [row["genes"] for row in record["top"]["all"]]
    assert counts == sorted(counts, reverse=True)


def test_known_edges_are_compared_with_among_the_genes_that_have_a_peak(world, found):
    whole = found.enrichment.loc["(all)"]
    ours, true = pairs(found.network.edges), pairs(world.planted.edges)
    assert whole["overlap"] == len(ours & true)
    assert whole["predicted"] == len(ours)
    assert whole["p"] < 1e-6


def test_the_activity_of_a_factor_by_its_targets_follows_the_true_one(world, found):
    activity = found.activity()
    assert activity.index.equals(world.planted.rna.obs_names)
    truth = world.planted.activity[activity.columns]
    r = [np.corrcoef(activity[name], truth[name])[0, 1] for name in activity]
    assert np.median(r) > 0.4
    table = found.to_anndata()
    assert table.shape == activity.shape
    assert [*table.obs.columns] == [*world.planted.rna.obs.columns]
    targets = found.network.edges.groupby("factor")["gene"].nunique()
    assert table.var["targets"].to_dict() == targets.to_dict()


def test_files_give_the_network_of_the_objects_and_cells_without_a_modality_are_left_out(
    world, found, tmp_path
):
    world.planted.rna.write_h5ad(tmp_path / "rna.h5ad")
    world.planted.atac.write_h5ad(tmp_path / "atac.h5ad")
    files = {"rna": tmp_path / "rna.h5ad", "atac": tmp_path / "atac.h5ad"}
    same = cytonym.network(files, **world.given)
    pd.testing.assert_frame_equal(same.network.edges, found.network.edges)
    assert same.enrichment is None
    rna, atac = world.planted.rna[:700].copy(), world.planted.atac[100:].copy()
    rna.X = csr_matrix(rna.X.multiply(np.arange(700)[:, None] < 650))
    fewer = cytonym.network({"rna": rna, "atac": atac}, **world.given)
    assert "550 of 800 cells have counts of RNA and ATAC: only these" in fewer.notes
    assert [*fewer.obs.index] == [*rna.obs_names[100:650]]


def test_peaks_without_coordinates_are_left_out_and_counted(world, found):
    atac = world.planted.atac
    other = AnnData(atac.X[:, :7].copy(), atac.obs, pd.DataFrame(index=[f"x{i}" for i in range(7)]))
    names = pd.Index([*other.var_names, *atac.var_names])
    both = AnnData(
        np.hstack([other.X.toarray(), atac.X.toarray()]), atac.obs, pd.DataFrame(index=names)
    )
    with_others = cytonym.network({"rna": world.planted.rna, "atac": both}, **world.given)
    n = atac.n_vars + 7
    assert f"7 of {n:,} peaks have no coordinates: left out" in with_others.notes
    pd.testing.assert_frame_equal(with_others.network.edges, found.network.edges)
    none = AnnData(both.X[:, :7].copy(), atac.obs, other.var)
    with pytest.raises(DataError, match=r"none of the 7 peaks has coordinates \(x0, x1\)"):
        cytonym.network({"rna": world.planted.rna, "atac": none}, **world.given)


def test_labels_give_a_network_for_each_type_and_cells_without_one_take_no_part(world):
    rna = world.planted.rna.copy()
    types = rna.obs["cell_type"].astype(object)
    last = np.flatnonzero(types == "type D")[40:]
    types.iloc[last] = "Unknown"
    rna.obs["cell_type"] = types
    data = {"rna": rna, "atac": world.planted.atac}
    each = cytonym.network(data, labels="cell_type", **world.given)
    assert {*each.network.edges["type"]} == {"type A", "type B", "type C"}
    assert any(note.startswith("type D: left out, 40 cells") for note in each.notes)
    assert any(f"{len(last):,} cells without a type" in note for note in each.notes)
    rna.obs["few"] = np.array([f"t{i % 20}" for i in range(len(rna))])
    with pytest.raises(DataError, match="the largest, t0, has 40"):
        cytonym.network(data, labels="few", **world.given)


def test_a_model_s_joint_embedding_makes_the_metacells(world, model, tmp_path):
    model.save(tmp_path / "m.cytonym")
    by_model = cytonym.network(world.data, model=model, **world.given)
    assert "metacells are made in the joint embedding of dcca" in by_model.notes
    again = cytonym.network(world.data, model=tmp_path / "m.cytonym", **world.given)
    pd.testing.assert_frame_equal(again.network.edges, by_model.network.edges)


# --- motif activity ----------------------------------------------------------------------------


def test_motif_activity_equals_the_deviations_of_the_whole_matrix_and_follows_the_truth(world):
    atac = world.planted.atac.copy()
    atac.X = csr_matrix(atac.X.multiply(np.arange(atac.n_vars) >= 5))
    found = cytonym.motif_activity(
        atac, genome=world.places["genome"], motifs=world.places["motifs"], progress=False
    )
    assert "5 peaks without reads were left out" in found.notes
    peaks = parse_intervals(atac.var_names)
    dna = [*peak_sequences(world.places["genome"], peaks)][5:]
    motifs = read_motifs(world.places["motifs"])
    counts = atac.X[:, 5:]
    background = background_peaks(np.asarray(counts.sum(axis=0)).ravel(), gc_content(dna))
    whole = deviations(counts, scan(dna, motifs).matches, background)
    np.testing.assert_allclose(found.activity.z, whole.z, rtol=1e-5)
    truth = world.planted.activity.to_numpy()
    r = [np.corrcoef(found.activity.z[:, i], truth[:, i])[0, 1] for i in range(12)]
    assert np.median(r) > 0.35
    table = found.to_anndata()
    assert table.shape == (800, 12)
    assert [*table.var["name"]] == [*world.planted.activity.columns]
    assert table.var_names[0] == motifs[0].id
    np.testing.assert_array_equal(table.layers["deviation"], whole.deviation)


def test_denoised_atac_varies_less_within_types_than_counts(world, model):
    given = {"genome": world.places["genome"], "motifs": world.places["motifs"], "progress": False}
    counts = cytonym.motif_activity(world.data, **given)
    smooth = cytonym.motif_activity(world.data, model=model, **given)
    assert any(note.startswith("denoised by the model, on") for note in smooth.notes)
    assert smooth.activity.z.shape == (800, 12)
    types = world.planted.rna.obs["cell_type"].astype(str).to_numpy()

    def within(values) -> float:
        table = pd.DataFrame(values)
        return float((table.groupby(types).var().mean() / table.var()).median())

    assert within(smooth.activity.deviation) < 0.7 * within(counts.activity.deviation)


def test_a_model_that_cannot_denoise_is_refused(world):
    small = {"genes": 50}
    linear = cytonym.fit(
        world.planted.rna, labels="cell_type", method="linear", options=small, progress=False
    )
    with pytest.raises(OptionError, match="neither denoises nor generates"):
        cytonym.motif_activity(
            world.data, genome=world.places["genome"], model=linear, progress=False
        )


# --- what is wrong -----------------------------------------------------------------------------


def test_all_that_is_wrong_with_five_files_is_told_at_once(world, tmp_path):
    (tmp_path / "other.fa").write_text(">chrZ\nACGTACGT\n", encoding="utf-8")
    (tmp_path / "bad.meme").write_text("no motifs here\n", encoding="utf-8")
    (tmp_path / "bad.bed").write_text("chr1\t5\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        cytonym.network(
            world.data,
            genome=tmp_path / "other.fa",
            genes=tmp_path / "bad.bed",
            motifs=tmp_path / "bad.meme",
            known=tmp_path / "none.tsv",
            labels="cell_typ",
            progress=False,
        )
    told = [problem.what for problem in caught.value.problems]
    assert len(told) == 5
    text = "\n".join(told)
    assert "other.fa: it has no chr" in text
    assert "it has chrZ" in text
    assert "bad.meme: no line says 'MEME version'" in text
    assert "bad.bed: 1 lines have fewer than six columns" in text
    assert "none.tsv: it cannot be read" in text
    assert "obs has no column 'cell_typ'" in text


def test_data_without_atac_or_without_counts_are_refused(world):
    with pytest.raises(DataError, match="there is no atac; the data have rna"):
        cytonym.network(world.planted.rna, **world.given)
    logged = world.planted.rna.copy()
    logged.X = logged.X.log1p()
    with pytest.raises(DataError, match="raw counts of rna are needed, and there are relative"):
        cytonym.network({"rna": logged, "atac": world.planted.atac}, **world.given)
    few = {name: part[:50].copy() for name, part in world.data.items()}
    with pytest.raises(DataError, match="50 of 50 cells have RNA and ATAC, and 60 are needed"):
        cytonym.network(few, **world.given)
    with pytest.raises(DataError, match="there is no atac"):
        cytonym.motif_activity(
            world.planted.rna, genome=world.places["genome"], motifs=world.places["motifs"]
        )


def test_genes_that_the_table_the_motifs_or_the_known_edges_do_not_name_are_told(world, tmp_path):
    rna = world.planted.rna.copy()
    rna.var["symbol"] = rna.var_names.to_numpy()
    rna.var_names = [f"ENSG{i:011d}" for i in range(rna.n_vars)]
    data = {"rna": rna, "atac": world.planted.atac}
    with pytest.raises(DataError) as caught:
        cytonym.network(data, **world.given)
    first, second = caught.value.problems
    assert "none of its 150 genes (ENSG00000000000" in first.what
    assert "150 of var['symbol'] are in it: gene_column='symbol'" in first.remedy
    assert "0 of its 150 genes" in second.what
    assert "a gene needs two candidate factors" in second.what
    named = cytonym.network(data, gene_column="symbol", **world.given)
    assert len(named.network.edges) > 50
    one = world.places["motifs"].read_text(encoding="utf-8").split("MOTIF")
    (tmp_path / "one.meme").write_text("MOTIF".join(one[:2]), encoding="utf-8")
    with pytest.raises(DataError, match=r"1 of its 150 genes .* have one of 1 motifs"):
        cytonym.network(world.data, **(world.given | {"motifs": tmp_path / "one.meme"}))
    (tmp_path / "known.tsv").write_text("source\ttarget\nABC\tTF1\n", encoding="utf-8")
    with pytest.raises(DataError, match="none of the 1 known factors is one of its 12"):
        cytonym.network(world.data, known=tmp_path / "known.tsv", **world.given)


def test_a_model_that_does_not_fit_the_data_or_is_none_is_told_with_the_rest(
    world, model, tmp_path
):
    rna = world.planted.rna.copy()
    rna.var_names = [*rna.var_names[:12], *(f"other{i}" for i in range(138))]
    data = {"rna": rna, "atac": world.planted.atac}
    with pytest.raises(DataError) as caught:
        cytonym.network(data, model=model, labels="nothing", **world.given)
    assert len(caught.value.problems) == 2
    with pytest.raises(DataError, match=r"2 problems"):
        cytonym.network(data, model=tmp_path / "none", labels="nothing", **world.given)
