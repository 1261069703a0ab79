"""An annotation under the names of another tool: the same as the export gives it."""

import warnings

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest

import cytonym
from cytonym.compat import COMPAT
from cytonym.errors import DataError, OptionError
from cytonym.result import Annotation, added_names

KEY = "cell_type_pred"
NAMES = {  # as the tools call them
    "celltypist": {KEY: "predicted_labels", f"{KEY}_confidence": "conf_score"},
    "seurat": {KEY: "predicted.id", f"{KEY}_confidence": "prediction.score.max"},
    "openproblems": {KEY: "label_pred"},
}
TOOLS = pytest.mark.parametrize("tool", [*NAMES])


@pytest.fixture
def calls():
    cells = np.array(["c0", "c1"])
    chances = np.array([[0.75, 0.25], [0.5, 0.5]], np.float32)
    sets = np.empty(2, dtype=object)
    sets[:] = [("CD4 T",), ("CD4 T", "CD8 T")]
    return Annotation(
        cells=cells,
        labels=np.array(["CD4 T", "CD4 T"], dtype=object),
        confidence=chances.max(1),
        probabilities=pd.DataFrame(chances, index=cells, columns=pd.Index(["CD4 T", "CD8 T"])),
        embedding=np.zeros((2, 3), np.float32),
        coverage={},
        notes=(),
        model={"method": "linear", "version": "0", "seed": 0, "options": "{}", "hash": "ab"},
        sets=sets,
    )


@pytest.fixture
def query(tmp_path):
    cells = ad.AnnData(np.ones((2, 2), np.float32), pd.DataFrame(index=pd.Index(["c0", "c1"])))
    cells.write_h5ad(tmp_path / "query.h5ad")
    return cells


@TOOLS
def test_the_columns_have_the_names_of_the_tool_and_the_rest_keep_ours(
    tool, calls, query, tmp_path
):
    calls = calls.with_terms()
    ours = [KEY, *(f"{KEY}{end}" for end in ("_confidence", "_set"))]
    ours += [f"{KEY}_ontology_term_id", f"{KEY}_ontology_term"]
    named = calls.to(query.copy(), compat=tool)
    assert [*named.obs] == [NAMES[tool].get(name, name) for name in ours]
    assert added_names(KEY, "linear", terms=True, compat=tool)[0] == tuple(named.obs)
    assert [*named.obs[NAMES[tool][KEY]]] == ["CD4 T", "CD4 T"]
    assert [*named.obs[NAMES[tool].get(f"{KEY}_confidence", f"{KEY}_confidence")]] == [0.75, 0.5]
    assert named.uns[KEY]["method"] == "linear"
    calls.write(tmp_path / "query.h5ad", tmp_path / "out.h5ad", compat=tool)
    read = ad.read_h5ad(tmp_path / "out.h5ad")
    pd.testing.assert_frame_equal(read.obs, named.obs, check_index_type=False)


@TOOLS
def test_the_annotation_and_the_export_of_one_give_the_same_file(tool, calls, query, tmp_path):
    own, named, out = (tmp_path / f"{name}.h5ad" for name in ("own", "named", "out"))
    calls.write(tmp_path / "query.h5ad", own, compat=tool)
    calls.write(tmp_path / "query.h5ad", named)
    cytonym.export(named, tool).write(named, out)
    one, other = ad.read_h5ad(own), ad.read_h5ad(out)
    pd.testing.assert_frame_equal(one.obs, other.obs)
    assert {*one.uns} == {*other.uns}
    assert [*one.uns[KEY]["columns"]] == [*other.uns[KEY]["columns"]] == [*one.obs]


def test_majority_voting_has_the_name_of_celltypist_and_no_other_column_is_renamed():
    assert COMPAT["celltypist"]["_majority_voting"] == "majority_voting"
    renamed = {
        tool: {f"{KEY}{end}": name for end, name in names.items() if end != "_majority_voting"}
        for tool, names in COMPAT.items()
    }
    assert renamed == NAMES


def test_openproblems_gets_its_ids_and_keeps_what_its_data_say(calls, query, tmp_path):
    calls.write(tmp_path / "query.h5ad", tmp_path / "out.h5ad", compat="openproblems")
    ids = ("dataset_id", "normalization_id", "method_id")
    read = ad.read_h5ad(tmp_path / "out.h5ad")
    assert [read.uns[name] for name in ids] == ["query", "log_cp10k", "cytonym_linear"]
    assert calls.to(query.copy(), compat="openproblems").uns["dataset_id"] == "unknown"
    query.uns |= {"dataset_id": "pbmc", "normalization_id": "log_cpm", "method_id": "older"}
    named = calls.to(query, compat="openproblems")
    assert [named.uns[name] for name in ids] == ["pbmc", "log_cpm", "cytonym_linear"]


def test_one_answer_under_two_sets_of_names_leaves_the_last(calls, query):
    for tool in ("seurat", "celltypist", None, "openproblems"):
        named = calls.to(query, compat=tool)
        wanted = {NAMES.get(tool, {}).get(name, name) for name in (KEY, f"{KEY}_confidence")}
        assert {*named.obs} == {*wanted, f"{KEY}_set"}


def test_a_mudata_and_two_files_lose_the_columns_of_the_earlier_answer_too(calls, query, tmp_path):
    ours, pair = {KEY, f"{KEY}_confidence", f"{KEY}_set"}, {"rna": query, "atac": query.copy()}
    pair["atac"].var_names = ["p0", "p1"]
    with warnings.catch_warnings():  # remarks of mudata
        warnings.simplefilter("ignore")
        whole = mudata.MuData({name: one.copy() for name, one in pair.items()})
        calls.with_terms().to(whole, compat="seurat").write_h5mu(tmp_path / "whole.h5mu")
        calls.write(tmp_path / "whole.h5mu", tmp_path / "again.h5mu")
        calls.with_terms().to(pair["rna"], compat="celltypist")
        calls.write(pair, tmp_path / "pair.h5mu")
        read = [mudata.read_h5mu(tmp_path / f"{name}.h5mu") for name in ("again", "pair")]
        assert {*calls.to(whole).obs} == ours
    assert [{*one.obs} for one in read] == [ours, ours]
    assert [*read[1].mod["rna"].obs] == []


@pytest.mark.parametrize("earlier", [False, True])
def test_the_answer_of_the_tool_itself_is_never_replaced(earlier, calls, query, tmp_path):
    query = calls.to(query) if earlier else query
    query.obs["predicted_labels"] = "of CellTypist"
    with pytest.raises(DataError, match=r"obs\['predicted_labels'\] already, which cytonym did"):
        calls.to(query, compat="celltypist")
    query.write_h5ad(tmp_path / "mine.h5ad")
    with pytest.raises(DataError, match="already, which cytonym did not write"):
        calls.write(tmp_path / "mine.h5ad", tmp_path / "out.h5ad", compat="celltypist")
    assert not (tmp_path / "out.h5ad").exists()
    calls.to(query, compat="seurat")
    assert [*query.obs["predicted_labels"]] == ["of CellTypist"] * 2


def test_a_portal_s_file_can_be_annotated_again(calls, query, tmp_path):
    calls.to(query)
    query.write_h5ad(tmp_path / "named.h5ad")
    cytonym.export(tmp_path / "named.h5ad", "cellxgene").write(
        tmp_path / "named.h5ad", tmp_path / "out.h5ad"
    )
    calls.with_terms().write(tmp_path / "out.h5ad", tmp_path / "again.h5ad")
    calls.write(tmp_path / "out.h5ad", tmp_path / "bare.h5ad")
    assert f"{KEY}_ontology_term_id" in ad.read_h5ad(tmp_path / "again.h5ad").obs
    assert f"{KEY}_ontology_term_id" not in ad.read_h5ad(tmp_path / "bare.h5ad").obs


def test_a_tool_that_is_not_known_is_refused_with_those_that_are(calls, query):
    with pytest.raises(OptionError, match="Did you mean 'seurat'"):
        calls.to(query, compat="seurrat")
    assert [*query.obs] == []
