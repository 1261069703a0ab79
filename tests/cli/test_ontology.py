"""The commands about the Cell Ontology: terms of labels, scores by term, export."""

import json
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cytonym
from command import call
from cytonym.data.simulate import simulate
from cytonym.errors import CytonymError, DataError, OptionError
from cytonym.ontology import back_off, map_labels


@pytest.fixture
def file(tmp_path):
    """40 cells whose known and predicted labels are spelled in two ways."""
    obs = pd.DataFrame(index=pd.Index([f"c{i}" for i in range(40)]))
    obs["known"] = np.repeat(["CD4+ T", "CD14+ Mono", "CD34+", "Unknown"], 10)
    obs["cell_type_pred"] = np.tile(["T_CD4", "Mono_CD14"], 20)
    obs["cell_type_pred_confidence"] = np.float32(0.5)
    path = tmp_path / "named.h5ad"
    ad.AnnData(np.ones((40, 3), np.float32), obs).write_h5ad(path)
    return path


def test_ontology_prints_what_is_sure_and_what_is_open_and_writes_the_review_file(file):
    out = file.with_name("review.tsv")
    text = call("ontology", file, "--labels", "known", "--out", out)
    assert "CD4+ T      CL:0000624  CD4-positive, alpha-beta T cell  normalised" in text
    assert "CD34+  unsure  hematopoietic precursor cell (CL:0008001)" in text
    assert "2 of 3 labels have a Cell Ontology term" in text
    lines = out.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("CD34+\tCL:0008001")


def test_a_filled_review_file_given_back_settles_the_rest(file):
    out, new = file.with_name("review.tsv"), file.with_name("new.tsv")
    call("ontology", file, "--labels", "known", "--out", out)
    out.write_text(out.read_text("utf-8").replace("unsure\t\t", "unsure\t\tCL:0000037"), "utf-8")
    text = call("ontology", file, "--labels", "known", "--review", out, "--out", new)
    assert "3 of 3 labels" in text
    assert "CL:0000037  hematopoietic stem cell          review" in text
    found = json.loads(
        call("ontology", file, "--labels", "known", "--review", out, "--out", new, "--json")
    )
    assert {row["label"]: row["cells"] for row in found["labels"]}["CD34+"] == 10
    with pytest.raises(CytonymError, match="is read, or written"):
        call("ontology", file, "--labels", "known", "--review", out, "--out", out)


def test_ontology_of_a_column_that_is_not_there_or_holds_no_label_is_an_error(file):
    out = file.with_name("review.tsv")
    with pytest.raises(DataError, match="no column 'knwon'"):
        call("ontology", file, "--labels", "knwon", "--out", out)
    with pytest.raises(DataError, match="measurements"):
        call("ontology", file, "--labels", "cell_type_pred_confidence", "--out", out)
    with pytest.raises(CytonymError, match=r"does not end in \.tsv"):
        call("ontology", file, "--labels", "known", "--out", file.with_name("review.csv"))
    assert not out.exists()


def test_evaluate_by_term_scores_labels_in_two_spellings(file):
    with pytest.raises(DataError, match="--ontology"):
        call("evaluate", file, "--truth", "known")
    text = call("evaluate", file, "--truth", "known", "--ontology")
    assert "By Cell Ontology term: 20 cells, 2 terms (20 without a true term left out)" in text
    assert "1 labels have no sure term: 'CD34+'" in text
    found = json.loads(call("evaluate", file, "--truth", "known", "--ontology", "--json"))
    assert found["ontology"]["exact"] == 0.5
    assert found["ontology"]["open"] == ["CD34+"]
    assert "accuracy" not in found  # no label is spelled the same


def test_evaluate_takes_ids_that_the_annotation_gave_and_prints_both_scores(file):
    cells = ad.read_h5ad(file)
    cells.obs["cell_type_pred"] = cells.obs["known"]
    cells.obs["cell_type_pred_ontology_term_id"] = "CL:0000738"  # leukocyte, above both
    cells.write_h5ad(file)
    found = json.loads(call("evaluate", file, "--truth", "known", "--ontology", "--json"))
    assert found["accuracy"] == 1
    assert found["ontology"]["wider"] == 1
    assert "macro_f1" in call("evaluate", file, "--truth", "known", "--ontology")


def test_a_review_file_without_ontology_is_an_error(file):
    with pytest.raises(CytonymError, match="--review is for --ontology"):
        call("evaluate", file, "--truth", "known", "--review", file)


def test_export_writes_a_copy_and_lists_what_is_missing(file):
    out = file.with_name("out.h5ad")
    text = call("export", file, "--to", "cellxgene", "--out", out, "--publish")
    assert "obs['cell_type_ontology_term_id']" in text
    assert "Missing for cellxgene" in text
    assert "Wrote" in text
    assert set(ad.read_h5ad(out).obs["cell_type_ontology_term_id"]) == {"CL:0000624", "CL:0001054"}
    text = call("export", file, "--to", "seurat", "--out", out)
    assert "obs['cell_type_pred'] is now obs['predicted.id']" in text
    assert "Missing" not in text


def test_export_refuses_to_write_over_what_it_reads_and_unknown_targets(file):
    with pytest.raises(CytonymError, match="is read too"):
        call("export", file, "--to", "cap", "--out", file)
    with pytest.raises(CytonymError, match="no target 'scanpy'"):
        call("export", file, "--to", "scanpy", "--out", file.with_name("out.h5ad"))


# --- annotate with terms, and under other names ------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model of three types, one without a term, and 60 cells to name."""
    folder = tmp_path_factory.mktemp("terms")
    cells = simulate(240, 120, 3, seed=0)
    types = {"type A": "CD4 T", "type B": "CD8 T", "type C": "c7"}
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(str).map(types)
    cells[180:].copy().write_h5ad(folder / "query.h5ad")
    model = cytonym.fit(
        cells[:180].copy(),
        labels="cell_type",
        method="linear",
        options={"penalty": 2, "genes": None},
        progress=False,
    )
    model.save(folder / "model")
    return folder


def annotate(world, out, *words) -> str:
    given = ("--model", world / "model", "--out", out, "--quiet")
    return call("annotate", world / "query.h5ad", *given, *words)


def test_annotate_adds_terms_that_evaluate_and_export_then_use(world, tmp_path):
    out, upload = tmp_path / "named.h5ad", tmp_path / "upload.h5ad"
    text = annotate(world, out, "--ontology", "--level", "0.999")
    assert "CD4-positive, alpha-beta T cell  CL:0000624" in text
    assert "1 of 3 types have no sure Cell Ontology term" in text
    cells = ad.read_h5ad(out)
    chances = cells.obsm["cell_type_pred_probabilities"]
    expected = back_off(chances, map_labels(["CD4 T", "CD8 T", "c7"]), 0.999).ids
    ids = cells.obs["cell_type_pred_ontology_term_id"].to_numpy(dtype=object)
    known = cells.obs["cell_type_pred"].astype(str).to_numpy() != "Unknown"
    assert [*ids] == [*np.where(known, expected, "")]
    assert "CL:0000791" in ids  # some are backed off to the parent
    call("export", out, "--to", "cellxgene", "--publish", "--out", upload)
    curated = ad.read_h5ad(upload).obs["cell_type_ontology_term_id"].to_numpy(dtype=object)
    assert [*curated] == [*np.where(ids == "", "unknown", ids)]
    found = json.loads(call("evaluate", out, "--truth", "cell_type", "--ontology", "--json"))
    truth = cells.obs["cell_type"].map({"CD4 T": "CL:0000624", "CD8 T": "CL:0000625"})
    have = truth.notna().to_numpy()
    right = (truth.to_numpy(dtype=object) == ids)[have].mean()
    assert found["ontology"]["exact"] == pytest.approx(right)
    assert found["ontology"]["wider"] == pytest.approx((ids == "CL:0000791")[have].mean())


def test_a_review_file_of_the_model_s_types_settles_the_open_one(world, tmp_path):
    review = tmp_path / "review.tsv"
    call("ontology", world / "query.h5ad", "--labels", "cell_type", "--out", review)
    text = review.read_text("utf-8").splitlines()
    assert text[1].startswith("c7\t")
    review.write_text("\n".join([text[0], text[1] + "CL:0000236", *text[2:]]), "utf-8")
    told = annotate(world, tmp_path / "named.h5ad", "--ontology", "--review", review)
    assert "B cell" in told
    assert "no sure Cell Ontology term" not in told


@pytest.mark.parametrize(
    ("words", "error", "told"),
    [
        (["--ontology", "--level", "0"], OptionError, "level=0 is no share"),
        (["--ontology", "--level", "nan"], OptionError, "level=nan is no share"),
        (["--level", "0.5"], CytonymError, "--level is for --ontology"),
        (["--review", "r.tsv"], CytonymError, "--review is for --ontology"),
        (["--ontology", "--review", "r.tsv"], DataError, "there is no file r.tsv"),
        (["--compat", "seurrat"], OptionError, "Did you mean 'seurat'"),
        (["--compat", "seurat", "--report", "r.html"], CytonymError, "leave out --compat"),
    ],
)
def test_what_does_not_go_together_is_refused_before_cells_are_named(
    world, tmp_path, monkeypatch, words, error, told
):
    def refuse(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr(cytonym.Annotator, "annotate", refuse)
    with pytest.raises(error, match=told):
        annotate(world, tmp_path / "named.h5ad", *words)
    assert [*tmp_path.iterdir()] == []


def test_without_the_extra_the_error_says_what_to_install_before_the_model_is_read(
    world, tmp_path, monkeypatch
):
    from cytonym.ontology.terms import cell_ontology

    cell_ontology.cache_clear()
    monkeypatch.setitem(sys.modules, "cellxgene_ontology_guide.ontology_parser", None)
    given = ("--model", tmp_path / "none", "--out", tmp_path / "named.h5ad")
    with pytest.raises(CytonymError, match=r"pip install '\.\[onto\]' in a clone"):
        call("annotate", world / "query.h5ad", *given, "--ontology")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("celltypist", ["predicted_labels", "conf_score"]),
        ("seurat", ["predicted.id", "prediction.score.max"]),
        ("openproblems", ["label_pred", "cell_type_pred_confidence"]),
    ],
)
def test_annotate_writes_the_columns_under_the_names_of_a_tool(world, tmp_path, tool, names):
    out = tmp_path / "named.h5ad"
    text = annotate(world, out, "--compat", tool)
    assert f"obs[{names[0]!r}] and obs[{names[1]!r}] of 60 cells" in text
    cells = ad.read_h5ad(out)
    assert {*names} <= {*cells.obs}
    assert "cell_type_pred" not in cells.obs
    if tool == "openproblems":
        ids = ("dataset_id", "normalization_id", "method_id")
        assert [cells.uns[one] for one in ids] == ["query", "log_cp10k", "cytonym_linear"]
