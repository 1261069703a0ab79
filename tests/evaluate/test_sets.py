"""How often prediction sets hold the type."""

import pytest

from cytonym.errors import DataError
from cytonym.evaluate import set_scores

TRUTH = ["B", "B", "T", "T", None]
SETS = [["B"], ["T"], ["T", "B"], ["T"], ["B"]]


def test_coverage_and_size_by_hand():
    table = set_scores(TRUTH, SETS, ["x", "y", "x", "y", "y"]).set_index(["by", "group"])
    assert table.loc[("all", "all")].tolist() == [4, 0.75, 1.25]
    assert table.loc[("type", "B")].tolist() == [2, 0.5, 1.0]
    assert table.loc[("type", "T")].tolist() == [2, 1.0, 1.5]
    assert table.loc[("batch", "x")].tolist() == [2, 1.0, 1.5]
    assert table.loc[("batch", "y")].tolist() == [2, 0.5, 1.0]


def test_an_empty_set_holds_nothing_and_a_type_that_no_set_holds_is_missed():
    table = set_scores(["B", "NK"], [[], ["B"]])
    assert table["coverage"].tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("truth", "sets", "what"),
    [(["B"], [], "the lengths differ: 0, 1"), ([None], [["B"]], "no cell has a known type")],
)
def test_what_cannot_be_scored_is_refused(truth, sets, what):
    with pytest.raises(DataError, match=what):
        set_scores(truth, sets)
