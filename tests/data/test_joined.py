"""MuData and several files: one data set of the cells that any modality has."""

import warnings
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pytest
import torch

import cytonym
from cytonym.data.align import space_of
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate_multiome
from cytonym.errors import DataError, OptionError
from cytonym.taken import check_free

from .conftest import write_tenx_h5

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mudata

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")

TINY = {
    "rna_components": 10,
    "atac_components": 8,
    "atac_weight": 0.3,
    "dim": 16,
    "token": 8,
    "heads": 2,
    "hidden": 16,
    "pretrain_epochs": 4,
    "epochs": 4,
    "batch_size": 48,
}


def mudata_of(parts):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = mudata.MuData(dict(parts))
        whole.obs["cell_type"] = whole["rna"].obs["cell_type"].reindex(whole.obs_names)
        whole.obs["cell_type"] = whole.obs["cell_type"].fillna(
            whole["atac"].obs["cell_type"].reindex(whole.obs_names)
        )
    return whole


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """300 cells with both modalities in a file; a model of 200, and the other 100."""
    folder = tmp_path_factory.mktemp("mudata")
    parts = simulate_multiome(300, 120, 3, seed=0, n_peaks=200)
    first = {name: one[:200].copy() for name, one in parts.items()}
    rest = {name: one[200:].copy() for name, one in parts.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mudata_of(first).write_h5mu(folder / "reference.h5mu")
        mudata_of(rest).write_h5mu(folder / "query.h5mu")
    model = cytonym.fit(
        folder / "reference.h5mu",
        labels="cell_type",
        method="scmoanno",
        options=TINY,
        validation=0,
        progress=False,
    )
    return SimpleNamespace(folder=folder, parts=parts, rest=rest, model=model)


def test_a_file_an_object_and_two_objects_give_the_same_cells_and_values(world):
    path = world.folder / "query.h5mu"
    sources = [open_cells(path), open_cells(mudata_of(world.rest)), open_cells(world.rest)]
    rows = np.array([5, 0, 5, 99])
    for source in sources:
        assert [*source.spaces] == ["rna", "atac"]
        assert [*source.cells] == [*world.rest["rna"].obs_names]
        for modality, adata in world.rest.items():
            want = adata.X[rows].toarray()
            np.testing.assert_array_equal(source.read(modality, rows).toarray(), want)
            assert source.present(modality).all()
        assert source.obs["cell_type"].notna().all()


def test_cells_that_lack_a_modality_are_kept_and_read_as_empty(world):
    parts = {"rna": world.rest["rna"][:80].copy(), "atac": world.rest["atac"][30:].copy()}
    source = open_cells(parts)
    assert len(source) == 100
    assert source.present("rna").sum() == 80
    assert source.present("atac").sum() == 70
    place = {name: row for row, name in enumerate(source.cells)}
    only = place[world.rest["atac"].obs_names[95]]
    assert source.read("rna", np.array([only])).nnz == 0
    found = source.read("atac", np.array([only])).toarray()
    np.testing.assert_array_equal(found, world.rest["atac"].X[[95]].toarray())
    assert any("50 of 100 cells have all modalities" in note for note in source.notes)


def test_the_model_names_paired_cells_and_those_with_one_modality(world):
    truth = world.rest["rna"].obs["cell_type"].astype(str).to_numpy()
    both = world.model.annotate(world.folder / "query.h5mu", progress=False)
    assert (both.labels == truth).mean() > 0.9
    rna = world.model.annotate(world.rest["rna"], progress=False)
    atac = world.model.annotate({"atac": world.rest["atac"]}, progress=False)
    assert (rna.labels == truth).mean() > 0.85
    assert (atac.labels == truth).mean() > 0.6
    parts = {"rna": world.rest["rna"][:80].copy(), "atac": world.rest["atac"][30:].copy()}
    mixed = world.model.annotate(parts, progress=False).probabilities
    for names, alone in (
        (mixed.index[:30], rna.probabilities),
        (mixed.index[30:80], both.probabilities),
        (mixed.index[80:], atac.probabilities),
    ):
        np.testing.assert_allclose(mixed.loc[names], alone.loc[names], atol=1e-5)


def test_a_reference_with_cells_of_one_modality_can_be_learned_from(world):
    parts = {
        "rna": world.parts["rna"][:150].copy(),
        "atac": world.parts["atac"][50:200].copy(),
    }
    model = cytonym.fit(
        parts, labels="cell_type", method="scmoanno", options=TINY, validation=0, progress=False
    )
    assert model.report.n_reference == 200
    truth = world.rest["rna"].obs["cell_type"].astype(str).to_numpy()
    assert (model.annotate(world.rest, progress=False).labels == truth).mean() > 0.85


def test_the_answer_is_written_into_a_copy_of_the_file_and_into_an_object(world, tmp_path):
    calls = world.model.annotate(world.folder / "query.h5mu", progress=False)
    calls.write(world.folder / "query.h5mu", tmp_path / "named.h5mu")
    calls.write(mudata_of(world.rest), tmp_path / "other.h5mu")
    for name in ("named", "other"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            written = mudata.read_h5mu(tmp_path / f"{name}.h5mu")
        assert written.obs["cell_type_pred"].tolist() == calls.labels.tolist()
        assert written.obsm["X_scmoanno"].shape == calls.embedding.shape
        assert written["atac"].shape == (100, 200)
    with pytest.raises(DataError, match="did not write"):
        check_free(
            world.folder / "query.h5mu", "cell_type", columns=["cell_type"], matrices=["X_scmoanno"]
        )


def test_inspect_looks_at_all_modalities(world):
    page = cytonym.inspect(world.folder / "query.h5mu", model=world.model, labels="cell_type")
    assert page.usable, str(page)
    assert [*page.modalities] == ["rna", "atac"]
    assert [*page.coverage] == ["rna", "atac"]
    assert page.cells == 100


def test_modalities_without_a_common_cell_or_without_a_place_here_are_refused(world):
    other = world.rest["atac"].copy()
    other.obs_names = [f"other{i}" for i in range(100)]
    with pytest.raises(DataError, match="no cell is in all modalities"):
        open_cells({"rna": world.rest["rna"], "atac": other})
    with pytest.raises(DataError, match="modalities are prot"):
        open_cells({"prot": world.rest["rna"]})
    assert [*open_cells({"GEX": world.rest["rna"], "Peaks": world.rest["atac"]}).spaces] == [
        "rna",
        "atac",
    ]
    page = cytonym.inspect({"rna": world.rest["rna"], "atac": other})
    assert not page.usable


def test_a_modality_of_zeros_is_a_problem_that_names_it(world):
    empty = world.rest["atac"].copy()
    empty.X = empty.X * 0
    with pytest.raises(DataError, match=r"atac: .*are zero"):
        open_cells({"rna": world.rest["rna"], "atac": empty})


def tiny_fit(parts, **given):
    given = {"options": TINY, "validation": 0.2, "progress": False, **given}
    return cytonym.fit(parts, labels="cell_type", **given)


def test_auto_takes_scmoanno_where_there_is_atac_and_the_report_says_so(world):
    model = tiny_fit(world.parts)
    assert model.method.name == "scmoanno"
    assert model.report.notes[0] == "method auto: the reference has rna and atac, so scmoanno"


def test_a_reference_of_one_modality_teaches_that_one_alone(world, tmp_path):
    truth = world.rest["rna"].obs["cell_type"].astype(str).to_numpy()
    model = tiny_fit({"atac": world.parts["atac"]})
    assert model.method.name == "scmoanno"
    assert [*model.spaces] == ["atac"]
    model.save(tmp_path / "m")
    calls = cytonym.load(tmp_path / "m").annotate(world.rest, progress=False)
    assert (calls.labels == truth).mean() > 0.6
    alone = model.annotate({"atac": world.rest["atac"]}, progress=False)
    np.testing.assert_array_equal(calls.probabilities, alone.probabilities)
    with pytest.raises(DataError, match="it has rna, the reference has atac"):
        model.annotate(world.rest["rna"], progress=False)
    rna = tiny_fit(world.parts["rna"], method="scmoanno", options={**TINY, "attend": "cells"})
    assert (rna.annotate(world.rest["rna"], progress=False).labels == truth).mean() > 0.8


def test_modalities_can_be_named_by_hand(world):
    odd = {"transcripts": world.rest["rna"], "openness": world.rest["atac"]}
    names = {"rna": "transcripts", "atac": "openness"}
    given = open_cells(odd, modalities=names)
    assert [*given.spaces] == ["rna", "atac"]
    calls = world.model.annotate(odd, modalities=names, progress=False)
    plain = world.model.annotate(world.rest, progress=False)
    np.testing.assert_array_equal(calls.probabilities, plain.probabilities)
    for wrong, message in (
        ({"rna": "transcrips"}, "no modality is called 'transcrips'"),
        ({"protein": "openness"}, "there is no modality 'protein' here"),
    ):
        with pytest.raises(DataError, match=message):
            open_cells(odd, modalities=wrong)
    with pytest.raises(DataError, match="this is no MuData"):
        open_cells(world.rest["rna"], modalities=names)


def test_a_file_of_both_gives_its_own_part_where_one_modality_is_asked_of_it(world):
    both = ad.concat([world.rest["rna"], world.rest["atac"]], axis=1, merge="first")
    both.var["feature_types"] = ["Gene Expression"] * 120 + ["Peaks"] * 200
    joined = open_cells({"rna": both, "atac": world.rest["atac"]})
    assert len(joined.spaces["rna"]) == 120


def test_two_files_are_written_as_one_with_both_modalities(world, tmp_path):
    paths = {}
    for name, one in world.rest.items():
        paths[name] = tmp_path / f"{name}.h5ad"
        one.write_h5ad(paths[name])
    calls = world.model.annotate(paths, progress=False)
    calls.write(paths, tmp_path / "named.h5mu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = mudata.read_h5mu(tmp_path / "named.h5mu")
    assert [*written.mod] == ["rna", "atac"]
    assert written.obs["cell_type_pred"].tolist() == calls.labels.tolist()
    assert written.obsm["X_scmoanno"].shape == calls.embedding.shape


def test_labels_that_a_mudata_leaves_out_are_not_taken_from_a_modality(world):
    whole = mudata_of(world.parts)
    whole.obs["cell_type"] = whole.obs["cell_type"].astype(object)
    whole.obs.iloc[:120, whole.obs.columns.get_loc("cell_type")] = None
    cells = open_cells(whole)
    assert cells.obs["cell_type"].notna().sum() == 180
    assert world.parts["rna"].obs["cell_type"].notna().all()


def test_columns_that_differ_between_modalities_are_told_and_mixed_ones_can_be_written(
    world, tmp_path
):
    rna, atac = world.rest["rna"][:60].copy(), world.rest["atac"].copy()
    atac.obs["cell_type"] = atac.obs["cell_type"].to_numpy()[::-1]
    rna.obs["mark"], atac.obs["mark"] = 1, "one"
    calls = world.model.annotate({"rna": rna, "atac": atac}, progress=False)
    assert any("obs['cell_type'] differs between rna and atac in" in note for note in calls.notes)
    calls.write({"rna": rna, "atac": atac}, tmp_path / "named.h5mu")
    again = world.model.annotate(tmp_path / "named.h5mu", progress=False)
    assert {*again.labels} <= {*calls.labels}


def test_a_cell_without_any_count_of_a_modality_is_named_as_one_without_it(world):
    parts = {name: one.copy() for name, one in world.rest.items()}
    empty = parts["rna"].X.tolil()
    empty[:50] = 0
    parts["rna"].X = empty.tocsr()
    calls = world.model.annotate(parts, progress=False)
    assert any("50 cells hold no value of rna: they were read as" in n for n in calls.notes)
    alone = world.model.annotate({"atac": world.rest["atac"]}, progress=False).probabilities
    np.testing.assert_allclose(calls.probabilities[:50], alone[:50], atol=1e-5)


def test_a_gene_column_names_genes_only_where_one_file_holds_genes_and_peaks(world):
    both = ad.concat([world.rest["rna"], world.rest["atac"]], axis=1, merge="first")
    both.var["feature_types"] = ["Gene Expression"] * 120 + ["Peaks"] * 200
    both.var["gene_name"] = [f"CD{i % 150}" for i in range(320)]  # the nearest gene of a peak
    spaces = space_of(open_cells(both, genes="gene_name"), genes="gene_name")
    assert spaces["rna"].names[0] == "CD0"
    assert len(spaces["atac"]) == 200
    assert spaces["atac"].names[0].startswith("chr1:")


def test_a_layer_is_read_from_the_modality_that_has_it(world):
    parts = {name: one.copy() for name, one in world.rest.items()}
    parts["atac"].layers["mine"] = parts["atac"].X * 3
    cells = open_cells(parts, layer="mine")
    assert cells.finding["atac"].where == "layers['mine']"
    assert cells.finding["rna"].where == "X"
    assert cytonym.inspect(parts, layer="mine").usable
    with pytest.raises(DataError, match="no layer 'yours'"):
        open_cells(parts, layer="yours")


def test_labelled_cells_that_lack_what_a_method_reads_teach_it_nothing(world):
    parts = {"rna": world.parts["rna"][:140].copy(), "atac": world.parts["atac"]}
    model = tiny_fit(parts, method="linear", options={"genes": 50})
    assert model.report.n_reference == 140
    told = " ".join(model.report.notes)
    assert "60 labelled cells lack rna: nothing is learned of them" in told
    assert "atac: not read by this model" in told
    table = tiny_fit(parts).report.held_out
    assert [row["method"] for row in table] == ["scmoanno", "linear", "knn"]


def test_types_that_a_modality_never_shows_and_choices_without_pairs_are_told(world):
    rna, atac = (world.parts[name] for name in ("rna", "atac"))
    kinds = atac.obs["cell_type"].astype(str).to_numpy()
    parts = {"rna": rna, "atac": atac[kinds != "type A"].copy()}
    told = " ".join(tiny_fit(parts).report.notes)
    assert "no cell of these types has atac, so atac alone names none: type A" in told
    apart = {"rna": rna[:110].copy(), "atac": atac[100:].copy()}
    apart["rna"].obs["cell_type"] = apart["rna"].obs["cell_type"].astype(object)
    apart["atac"].obs["cell_type"] = apart["atac"].obs["cell_type"].astype(object)
    apart["rna"].obs.iloc[100:, 0] = None
    apart["atac"].obs.iloc[:10, 0] = None
    free = {name: value for name, value in TINY.items() if name != "atac_weight"}
    model = tiny_fit(apart, options=free)
    assert model.report.chosen == ()
    assert model.options.atac_weight == 0.1


def test_fixed_gates_stay_where_they_are_through_a_fit(world):
    model = tiny_fit(world.parts, options={**TINY, "gates": "fixed"}, validation=0)
    gates = {name: t for name, t in model.net.state_dict().items() if name.endswith("gate.logit")}
    assert torch.sigmoid(model.net.final.gate.logit).item() == pytest.approx(0.9)
    for gate in model.net.pretrain.gate.values():
        assert torch.sigmoid(gate.logit).item() == pytest.approx(0.5)
    assert len(gates) == 1


def test_a_10x_file_with_peaks_is_written_with_them_and_gives_the_same_answer(world, tmp_path):
    path = tmp_path / "multiome.h5"
    both = ad.concat([world.rest["rna"], world.rest["atac"]], axis=1, merge="first")
    names, kinds = [*both.var_names], ["Gene Expression"] * 120 + ["Peaks"] * 200
    write_tenx_h5(path, both.X, names, names, kinds)
    calls = world.model.annotate(path, progress=False)
    calls.write(path, tmp_path / "named.h5ad")
    assert ad.read_h5ad(tmp_path / "named.h5ad").n_vars == 320
    again = world.model.annotate(tmp_path / "named.h5ad", progress=False)
    np.testing.assert_allclose(again.probabilities, calls.probabilities, atol=1e-5)
    halves = {"rna": path, "atac": path}
    calls.write(halves, tmp_path / "named.h5mu")
    spaces = open_cells(tmp_path / "named.h5mu").spaces
    assert {name: len(space) for name, space in spaces.items()} == {"rna": 120, "atac": 200}
    for query, name in ((halves, "named.h5ad"), (path, "named.h5mu")):
        with pytest.raises(OptionError, match="has to end in"):
            calls.write(query, tmp_path / name)


def test_an_earlier_answer_in_one_of_two_parts_is_replaced(world, tmp_path):
    rna = world.rest["rna"].copy()
    world.model.annotate(rna, progress=False).to(rna)
    parts = {"rna": rna, "atac": world.rest["atac"]}
    calls = world.model.annotate(parts, progress=False)
    calls.write(parts, tmp_path / "named.h5mu")
    cells = open_cells(tmp_path / "named.h5mu")
    assert cells.obs["cell_type_pred"].tolist() == calls.labels.tolist()
    assert repr(calls).startswith("<Annotation of 100 cells by scmoanno")
    assert "scmoanno model: 3 types" in repr(world.model)
    with pytest.raises(OptionError, match="batch_size is at least 1"):
        world.model.annotate(parts, batch_size=0)


def test_repeated_names_are_joined_only_where_all_modalities_list_them_alike(world):
    parts = {name: one.copy() for name, one in world.rest.items()}
    for one in parts.values():
        one.obs_names = [f"cell{i % 60}" for i in range(100)]
    assert len(open_cells(parts)) == 100
    parts["atac"] = parts["atac"][::-1].copy()
    with pytest.raises(DataError, match="80 cell names are repeats, so which cells belong"):
        open_cells(parts)


def test_pairs_whose_depths_are_unrelated_are_told_in_a_fit_and_in_an_answer(world):
    parts = {name: one.copy() for name, one in world.parts.items()}
    rng = np.random.default_rng(0)
    for one in parts.values():
        one.X = one.X.multiply(rng.integers(1, 90, (300, 1))).tocsr()
    assert any("are unrelated" in note for note in tiny_fit(parts).report.notes)
    assert any("are unrelated" in n for n in world.model.annotate(parts, progress=False).notes)


def test_whole_numbers_stay_whole_where_cells_lack_a_modality(world):
    parts = {"rna": world.rest["rna"][:80].copy(), "atac": world.rest["atac"][30:].copy()}
    for one in parts.values():
        one.obs["leiden"] = np.arange(one.n_obs) % 3
    assert {str(value) for value in open_cells(parts).obs["leiden"]} == {"0", "1", "2"}


def test_an_answer_under_another_name_is_kept_and_a_backed_mudata_is_written(world, tmp_path):
    rna = world.rest["rna"].copy()
    world.model.annotate(rna, progress=False).to(rna, key="mine")
    parts = {"rna": rna, "atac": world.rest["atac"]}
    calls = world.model.annotate(parts, progress=False)
    calls.write(parts, tmp_path / "named.h5mu")
    assert "mine" in open_cells(tmp_path / "named.h5mu").obs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backed = mudata.read_h5mu(world.folder / "query.h5mu", backed="r")
        calls.write(backed, tmp_path / "backed.h5mu")
    assert "cell_type_pred" in open_cells(tmp_path / "backed.h5mu").obs


def test_a_fit_whose_held_out_cells_lack_rna_has_no_comparison_and_says_so(world):
    parts = {"rna": world.parts["rna"][:3].copy(), "atac": world.parts["atac"]}
    model = tiny_fit(parts, seed=1)
    assert model.report.held_out[0]["method"] == "scmoanno"
    few = {"rna": world.parts["rna"][:150].copy(), "atac": world.parts["atac"]}
    few["rna"] = few["rna"][few["rna"].obs["cell_type"] != "type C"].copy()
    linear = tiny_fit(few, method="linear", options={"genes": 50})
    assert linear.label_names == ["type A", "type B"]
    assert any("they are not learned: type C" in note for note in linear.report.notes)


def test_the_query_of_a_fit_may_use_the_usual_names(world):
    odd = {"GEX2": world.parts["rna"], "atac": world.parts["atac"]}
    model = tiny_fit(odd, modalities={"rna": "GEX2"}, query=world.folder / "query.h5mu")
    assert len(model.spaces["rna"]) == 120
