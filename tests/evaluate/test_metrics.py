"""Scores, against numbers worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from cytonym.errors import DataError
from cytonym.evaluate import scores

# truth a a a a b b c c, predicted a a a b b b a d:
#   a: 4 true, 4 predicted, 3 right → precision .75, recall .75, f1 .75
#   b: 2 true, 3 predicted, 2 right → precision 2/3, recall 1,   f1 .8
#   c: 2 true, 0 predicted, 0 right → 0, 0, 0;  d is only predicted
TRUTH = ["a", "a", "a", "a", "b", "b", "c", "c"]
PREDICTED = ["a", "a", "a", "b", "b", "b", "a", "d"]


def test_eight_cells_give_the_figures_worked_out_by_hand():
    found = scores(TRUTH, PREDICTED, known="abcd")
    assert found.n == 8
    assert found.n_without_truth == 0
    assert found.accuracy == pytest.approx(5 / 8)
    assert found.balanced_accuracy == pytest.approx((0.75 + 1 + 0) / 3)
    assert found.macro_f1 == pytest.approx((0.75 + 0.8 + 0) / 3)  # d does not count
    assert found.weighted_f1 == pytest.approx((4 * 0.75 + 2 * 0.8) / 8)
    # chance agreement: (4·4 + 2·3 + 2·0 + 0·1) / 64 = 22/64
    assert found.kappa == pytest.approx((5 / 8 - 22 / 64) / (1 - 22 / 64))
    assert found.unknown_types == ()
    assert found.shared is None


def test_each_type_of_the_truth_has_its_line_and_its_row_of_the_confusion():
    found = scores(TRUTH, PREDICTED, known="abcd")
    assert found.per_type.index.tolist() == ["a", "b", "c"]
    assert found.per_type.loc["a"].tolist() == pytest.approx([4, 0.75, 0.75, 0.75])
    assert found.per_type.loc["b"].tolist() == pytest.approx([2, 2 / 3, 1, 0.8])
    assert found.per_type.loc["c"].tolist() == [2, 0, 0, 0]
    assert found.confusion.index.tolist() == ["a", "b", "c"]
    assert found.confusion.columns.tolist() == ["a", "b", "c", "d"]
    assert found.confusion.to_numpy().tolist() == [[3, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 1]]


def test_types_that_cannot_be_predicted_are_errors_and_the_others_are_scored_alone_too():
    found = scores(TRUTH, pd.Categorical(PREDICTED))  # categories a, b, d: c is not known
    assert found.accuracy == pytest.approx(5 / 8)
    assert found.unknown_types == ("c",)
    assert found.shared is not None
    assert found.shared.n == 6
    assert found.shared.accuracy == pytest.approx(5 / 6)
    # without the cells of c: a is predicted 3 times, all right → f1 = 2·1·.75/1.75 = 6/7
    assert found.shared.macro_f1 == pytest.approx((6 / 7 + 0.8) / 2)
    assert found.shared.balanced_accuracy == pytest.approx((0.75 + 1) / 2)
    assert "shared types only" in str(found)
    assert "always wrong: c" in str(found)


def test_a_type_that_was_never_predicted_but_could_have_been_is_not_unknown():
    found = scores(TRUTH, pd.Categorical(PREDICTED, categories=["a", "b", "c", "d"]))
    assert found.unknown_types == ()
    assert found.shared is None


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_two_cells_without_truth_are_left_out_and_counted(missing):
    truth = pd.Series([*TRUTH, missing, missing], dtype=object)
    found = scores(truth, [*PREDICTED, "a", "b"], known="abcd")
    assert (found.n, found.n_without_truth) == (8, 2)
    assert found.accuracy == pytest.approx(5 / 8)
    assert "2 cells without a known label" in str(found)


def test_a_missing_prediction_is_an_error():
    found = scores(["a", "b"], pd.Categorical(["a", None], categories=["a", "b"]))
    assert found.accuracy == 0.5
    assert found.confusion.columns.tolist() == ["a", "b", "(not predicted)"]


def test_labels_are_compared_as_text_so_that_cluster_numbers_match():
    assert scores(np.array([1, 2, 2]), pd.Categorical(["1", "2", "1"])).accuracy == pytest.approx(
        2 / 3
    )


def test_one_type_named_right_has_no_kappa_and_null_in_json():
    found = scores(["a", "a"], ["a", "a"])
    assert found.accuracy == found.macro_f1 == 1.0
    assert np.isnan(found.kappa)
    assert found.to_dict()["kappa"] is None


def test_the_dict_survives_strict_json():
    said = scores(TRUTH, pd.Categorical(PREDICTED)).to_dict()
    assert json.loads(json.dumps(said, allow_nan=False)) == said
    assert said["per_type"]["b"] == {"n": 2, "precision": 2 / 3, "recall": 1.0, "f1": 0.8}
    assert said["confusion"]["counts"][0] == [3, 1, 0, 0]
    assert said["shared_types_only"]["n"] == 6


def test_nothing_known_or_unequal_lengths_are_told_with_numbers():
    with pytest.raises(DataError, match="none of 2 cells has a known label"):
        scores([None, None], ["a", "a"])
    with pytest.raises(DataError, match="3 known labels but 2 predicted"):
        scores(["a", "a", "b"], ["a", "a"])


def test_types_with_few_cells_are_summed_up_apart():
    truth = ["a"] * 6000 + ["b"] * 55 + ["c"] * 4
    said = ["a"] * 6000 + ["b"] * 33 + ["a"] * 22 + ["c"] * 4
    found = scores(truth, said)
    assert found.rare.index.tolist() == ["b", "c"]  # below 1 % (60.59 cells), below 50 cells
    told = found.to_dict()["rare_types"]
    assert (told["types"], told["n"]) == (["b", "c"], 59)
    assert told["recall"] == pytest.approx((0.6 + 1) / 2)
    assert told["f1"] == pytest.approx((0.75 + 1) / 2)
    assert "Rare types (fewer than 50 cells, or 1%): 2 of 3, 59 cells, mean recall 0.800" in str(
        found
    )
    assert scores(["a"] * 99, ["a"] * 99).to_dict()["rare_types"]["recall"] is None
