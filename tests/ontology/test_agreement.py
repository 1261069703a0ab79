"""A term below or above the true one is told from a wrong one."""

import numpy as np
import pandas as pd
import pytest

from cytonym.errors import DataError
from cytonym.ontology import label_scores, ontology_scores

T, CD4, NAIVE, B, CELL = "CL:0000084", "CL:0000624", "CL:0000895", "CL:0000236", "CL:0000000"


def test_five_shares_say_what_became_of_the_cells():
    truth = [CD4, CD4, CD4, CD4, CD4, CD4, "", None, "unknown"]
    said = [CD4, NAIVE, T, B, "", CELL, CD4, CD4, CD4]
    found = ontology_scores(truth, said)
    assert (found.n, found.n_without_truth) == (6, 3)
    assert [found.exact, found.narrower, found.wider, found.unknown] == [pytest.approx(1 / 6)] * 4
    assert found.other == pytest.approx(2 / 6)  # B, and cell, which says nothing
    assert found.right == pytest.approx(2 / 6)
    assert found.plain.accuracy == found.exact
    assert found.per_term.loc[CD4, "n"] == 6
    assert found.per_term.loc[CD4, "name"] == "CD4-positive, alpha-beta T cell"


def test_a_narrower_term_is_no_right_answer_where_the_truth_has_it_for_other_cells():
    assert ontology_scores([T, T, B], [NAIVE, CD4, B]).narrower == pytest.approx(2 / 3)
    found = ontology_scores([T, T, CD4], [NAIVE, CD4, NAIVE])
    assert (found.narrower, found.other) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    # In the ontology the CD16 monocytes lie below the CD14 ones.
    found, _ = label_scores(["CD14 Mono", "CD16 Mono"], ["CD16 Mono", "CD16 Mono"])
    assert (found.exact, found.other) == (0.5, 0.5)


def test_shares_sum_to_1_and_macro_f1_is_that_of_the_ids():
    rng = np.random.default_rng(0)
    truth, said = rng.choice([T, CD4, NAIVE, B], 200), rng.choice([T, CD4, B, ""], 200)
    found = ontology_scores(truth, said)
    whole = found.exact + found.narrower + found.wider + found.other + found.unknown
    assert whole == pytest.approx(1)
    assert found.per_term["n"].sum() == 200
    shares = found.per_term[["exact", "narrower", "wider", "other", "unknown"]]
    assert shares.sum(axis=1).to_numpy() == pytest.approx(1)
    assert (shares.mul(found.per_term["n"], axis=0).sum() / 200)["wider"] == pytest.approx(
        found.wider
    )
    assert 0 < found.plain.macro_f1 < 1
    assert "macro_f1" in str(found)
    assert found.to_dict()["per_term"][T]["n"] == (truth == T).sum()


def test_labels_in_two_spellings_agree_by_their_terms():
    truth = ["CD4+ T", "CD14+ Mono", "c1", None]
    found, mapping = label_scores(truth, ["T_CD4", "Mono_CD14", "NK", "NK"])
    assert (found.exact, found.n, found.n_without_truth) == (1, 2, 2)
    assert [one.label for one in mapping.open] == ["c1"]


def test_ids_of_the_annotation_are_taken_where_there_are_some():
    found, _ = label_scores(["CD4+ T"], ["whatever"], predicted_ids=pd.Series(pd.Categorical([T])))
    assert found.wider == 1


@pytest.mark.parametrize(
    ("truth", "said", "told"),
    [
        ([T], [T, T], "1 true terms but 2 predicted ones"),
        (["", None], [T, T], "none of 2 cells has a true term"),
        (["T cell"], [T], "1 of the true ids are no Cell Ontology terms in use: 'T cell'"),
        ([T], ["CL:0000003"], "CL:0000003 → CL:0000000"),
    ],
)
def test_what_cannot_be_scored_is_an_error_with_numbers(truth, said, told):
    with pytest.raises(DataError, match=told):
        ontology_scores(truth, said)
