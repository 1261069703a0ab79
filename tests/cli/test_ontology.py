"""The commands about the Cell Ontology: terms of labels, scores by term, export."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from cytonym.cli import app
from cytonym.errors import CytonymError, DataError


def call(*words) -> str:
    """What the command prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


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
