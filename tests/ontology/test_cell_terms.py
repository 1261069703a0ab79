"""An annotation with terms: what its probabilities support, and what is written of it."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import cytonym
from cytonym.errors import DataError, OptionError
from cytonym.ontology.terms import cell_ontology
from cytonym.result import Annotation

CD4, CD8, T, LYMPHOCYTE = "CL:0000624", "CL:0000625", "CL:0000791", "CL:0000542"
KEY = "cell_type_pred"
FACTS = {"method": "linear", "version": "0", "seed": 0, "options": "{}", "hash": "ab"}


def annotation(types, rows, labels=None) -> Annotation:
    """Cells c0, c1, ... with these probabilities, called by the highest unless told."""
    values = np.array(rows, dtype=np.float32)
    cells = np.array([f"c{i}" for i in range(len(values))])
    best = np.array(types, dtype=object)[values.argmax(1)]
    return Annotation(
        cells=cells,
        labels=best if labels is None else np.array(labels, dtype=object),
        confidence=values.max(1),
        probabilities=pd.DataFrame(values, index=cells, columns=pd.Index(types)),
        embedding=np.zeros((len(values), 2), np.float32),
        coverage={},
        notes=("read as counts",),
        model=FACTS,
    )


def query(calls):
    return ad.AnnData(np.ones((len(calls), 2), np.float32), pd.DataFrame(index=calls.cells))


def test_two_types_that_share_the_probability_back_off_to_their_parent():
    calls = annotation(["CD4 T", "CD8 T"], [[0.95, 0.05], [0.6, 0.4], [0.2, 0.8]])
    at = {level: [*calls.with_terms(level=level).terms.ids] for level in (0.9, 0.75, 0.5)}
    assert at == {0.9: [CD4, T, T], 0.75: [CD4, T, CD8], 0.5: [CD4, CD4, CD8]}
    terms = calls.with_terms().terms
    assert [*terms.names] == ["CD4-positive, alpha-beta T cell"] + ["mature alpha-beta T cell"] * 2
    np.testing.assert_allclose(terms.probability, [0.95, 1, 1], atol=1e-6)
    assert terms.notes == (
        f"Cell Ontology {cell_ontology().version}, level 0.9: of 3 cells 1 have the term of their "
        "type, 2 another (as a rule a wider one), 0 none",
    )


def test_cells_that_are_no_type_have_no_term_whatever_their_probabilities():
    types = ["CD4 T", "CD8 T", "doublets"]
    rows = [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0.3, 0.3, 0.4]]
    calls = annotation(types, rows, ["CD4 T", "Unknown", "new population 1", "doublets"])
    terms = calls.with_terms(level=0.5).terms
    assert [*terms.ids] == [CD4, "", "", ""]
    assert [*terms.names[1:]] == [""] * 3
    assert [*terms.probability] == [1, 0, 0, 0]


def test_types_without_a_sure_term_are_told_and_count_for_no_cell():
    calls = annotation(["CD4 T", "c7", "HSC"], [[0.9, 0.1, 0], [0.2, 0.8, 0], [0, 0, 1]])
    found = calls.with_terms()
    assert [*found.terms.ids] == [CD4, "", "CL:0000037"]  # HSC beside T is of the blood
    assert found.terms.open == ("c7",)
    assert found.notes[0] == "read as counts"
    assert found.notes[1].startswith("1 of 3 types have no sure Cell Ontology term")
    assert "'c7'; settle them in a review file" in found.notes[1]
    assert (
        "2 have the term of their type, 0 another (as a rule a wider one), 1 none"
        in (found.notes[2])
    )
    assert calls.terms is None  # the annotation itself is left as it is
    assert calls.notes == ("read as counts",)


def test_asked_again_the_terms_and_their_notes_are_replaced():
    calls = annotation(["CD4 T", "c7"], [[0.6, 0.4]])
    again = calls.with_terms(level=0.9).with_terms(level=0.5)
    assert again.notes == calls.with_terms(level=0.5).notes
    assert [*again.terms.ids] == [CD4]


def test_a_review_file_decides_which_term_a_type_has(tmp_path):
    calls = annotation(["CD4 T", "c7"], [[0.5, 0.5], [0, 1]])
    path = tmp_path / "review.tsv"
    cytonym.map_labels(calls.probabilities.columns).write_review(path)
    text = path.read_text("utf-8").splitlines()
    assert text[1].startswith("c7\t")
    path.write_text("\n".join([text[0], text[1] + CD8, text[2]]), "utf-8")
    found = calls.with_terms(path)
    assert [*found.terms.ids] == [T, CD8]
    assert found.terms.open == ()
    assert len(found.notes) == 2
    path.write_text("\n".join([text[0], text[1] + "none", text[2]]), "utf-8")
    found = calls.with_terms(path)
    assert [*found.terms.ids] == ["", ""]
    assert found.notes[1].endswith("count for none: 'c7'")  # nothing is left to settle
    path.write_text("\n".join([text[0], text[1] + "CL:9999999", text[2]]), "utf-8")
    with pytest.raises(DataError, match="is no term of the Cell Ontology"):
        calls.with_terms(path)


@pytest.mark.parametrize("level", [0, -0.1, 1.1, float("nan")])
def test_a_level_out_of_range_is_refused_before_the_labels_are_looked_at(level, monkeypatch):
    calls = annotation(["CD4 T", "CD8 T"], [[0.5, 0.5]])

    def refuse(*_, **__):
        raise AssertionError("work was begun")

    monkeypatch.setattr("cytonym.ontology.cell_terms.map_labels", refuse)
    with pytest.raises(OptionError, match="is no share"):
        calls.with_terms(level=level)


def test_terms_are_written_as_categories_with_facts_and_read_again(tmp_path):
    calls = annotation(["CD4 T", "CD8 T", "c7"], [[1, 0, 0], [0.5, 0.5, 0], [0, 0, 1]])
    calls = calls.with_terms(level=0.8)
    query(calls).write_h5ad(tmp_path / "query.h5ad")
    calls.write(tmp_path / "query.h5ad", tmp_path / "out.h5ad")
    written, held = ad.read_h5ad(tmp_path / "out.h5ad"), calls.to(query(calls)[::-1].copy())
    for cells, order in ((written, slice(None)), (held, slice(None, None, -1))):
        ids, names = (cells.obs[f"{KEY}_ontology_term{end}"] for end in ("_id", ""))
        assert ids.dtype == "category"
        assert names.dtype == "category"
        assert [*ids[order]] == [CD4, T, ""]
        assert [*names[order]] == [
            "CD4-positive, alpha-beta T cell",
            "mature alpha-beta T cell",
            "",
        ]
        facts = cells.uns[KEY]["ontology"]
        assert facts["level"] == 0.8
        assert facts["version"] == cell_ontology().version
        assert [*facts["open"]] == ["c7"]


def test_a_later_answer_without_terms_leaves_none_of_the_earlier(tmp_path):
    calls = annotation(["CD4 T", "CD8 T"], [[1, 0], [0, 1]])
    named = calls.with_terms().to(query(calls))
    named.obs["mine"] = 1
    named.write_h5ad(tmp_path / "named.h5ad")
    calls.write(tmp_path / "named.h5ad", tmp_path / "again.h5ad")
    for cells in (calls.to(named), ad.read_h5ad(tmp_path / "again.h5ad")):
        assert {*cells.obs} == {KEY, f"{KEY}_confidence", "mine"}
        assert "ontology" not in cells.uns[KEY]


def test_a_column_of_terms_that_the_user_made_is_not_replaced():
    calls = annotation(["CD4 T", "CD8 T"], [[1, 0], [0, 1]])
    named = calls.to(query(calls))
    named.obs[f"{KEY}_ontology_term_id"] = "by hand"
    with pytest.raises(DataError, match=f"{KEY}_ontology_term_id.*already, which cytonym did not"):
        calls.with_terms().to(named)
    assert [*named.obs[f"{KEY}_ontology_term_id"]] == ["by hand"] * 2
    calls.to(named)  # without terms it is not in the way, and stays
    assert f"{KEY}_ontology_term_id" in named.obs


def test_hostile_types_have_no_term_and_are_written(tmp_path):
    types = ["a\tb\nc", "<script>", "x" * 5_000, "細胞 🧫", "3", "NK/T", "CL:0000084", " NK "]
    calls = annotation(types, np.eye(len(types))).with_terms()
    # an id is a term's own name; blanks around a name do not count
    assert [*calls.terms.ids] == [""] * 6 + ["CL:0000084", "CL:0000623"]
    assert "6 of 8 types" in calls.notes[1]
    assert len(calls.notes[1]) < 400  # however long a label is
    query(calls).write_h5ad(tmp_path / "query.h5ad")
    calls.write(tmp_path / "query.h5ad", tmp_path / "out.h5ad")
    cells = ad.read_h5ad(tmp_path / "out.h5ad")
    assert [*cells.uns[KEY]["ontology"]["open"]] == [*calls.terms.open] == types[:6]
    assert [*cells.obs[f"{KEY}_ontology_term_id"]][-2:] == ["CL:0000084", "CL:0000623"]


def test_no_cells_give_no_terms():
    calls = annotation(["CD4 T", "CD8 T"], np.zeros((0, 2))).with_terms()
    assert len(calls.terms.ids) == len(calls.terms.names) == len(calls.terms.probability) == 0
