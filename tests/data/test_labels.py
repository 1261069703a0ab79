"""Labels are read as training needs them, and all that is wrong is said at once."""

import numpy as np
import pandas as pd
import pytest

from cytonym.data.labels import candidates, check_labels, read_labels
from cytonym.errors import DataError


def obs(**columns) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_labels_become_sorted_names_and_codes():
    labels = read_labels(obs(t=pd.Categorical(["T", "B", " T", "B"], None)), "t")
    assert labels.names.tolist() == ["B", "T"]
    assert labels.codes.tolist() == [1, 0, 1, 0]
    assert labels.codes.dtype == np.int64
    assert labels.sizes.tolist() == [2, 2]
    assert labels.notes == ("1 labels differ from another only by spaces around them: made one",)


def test_missing_and_unknown_labels_are_kept_as_unlabelled_and_counted():
    labels = read_labels(obs(t=["T", "T", "B", "B", None, np.nan, "Unknown", " ", "NA"]), "t")
    assert labels.codes.tolist() == [1, 1, 0, 0, -1, -1, -1, -1, -1]
    assert labels.notes == (
        "5 of 9 cells have no label (missing, 'NA', 'Unknown'); they are kept as unlabelled",
    )


def test_unused_categories_are_no_types_and_whole_numbers_are():
    kept = pd.Categorical(["a", "a", "b", "b", "c"])[:4]
    assert read_labels(obs(t=kept), "t").names.tolist() == ["a", "b"]
    assert read_labels(obs(t=[1.0, 1.0, 2.0, 2.0, np.nan]), "t").names.tolist() == ["1", "2"]
    assert read_labels(obs(t=[3, 3, 2, 2]), "t").names.tolist() == ["2", "3"]
    assert read_labels(obs(t=[True, False] * 2), "t").names.tolist() == ["False", "True"]


WRONG = [
    (["a", "a", "b", "b"], "types", r"no column 'types'.*\n.*Did you mean 'type'\?"),
    (["a", "a", "a", None], "type", r"one type only \(a, 3 cells\)"),
    ([None, "unknown"], "type", r"'type'\] holds no label"),
    (["a", "a", "b", "b", "rare"], "type", r"type 'rare' has one cell.*\n.*merge it"),
    (["a", "a", "b", "c", "d"], "type", r"3 types have one cell: 'b', 'c', 'd'"),
    ([0.5, 0.25, 0.5, 0.25], "type", r"holds measurements \(such as 0.5\)"),
    ([f"cell{i}" for i in range(30)], "type", r"30 different values for 30 cells.*\n.*identifier"),
]


@pytest.mark.parametrize(("values", "column", "message"), WRONG)
def test_wrong_labels_are_refused_with_a_remedy(values, column, message):
    with pytest.raises(DataError, match=message):
        read_labels(obs(type=values), column, "cells.h5ad")


def test_an_error_names_the_columns_that_could_be_meant():
    table = obs(score=[0.1, 0.2, 0.3, 0.4], cluster=["a", "a", "b", "b"])
    with pytest.raises(DataError, match=r"columns that could be: cluster \(2 values\)"):
        read_labels(table, "score")
    with pytest.raises(DataError, match="add a column with the cell types to obs"):
        read_labels(obs(), "type")


def test_the_check_returns_what_could_be_read_together_with_the_problems():
    labels, problems = check_labels(obs(type=["a", "a", "rare"]), "type")
    assert labels.codes.tolist() == [0, 0, 1]
    assert len(problems) == 1


def test_candidates_are_texts_with_few_values():
    n = 20
    table = obs(
        type=["a", "b"] * 10,
        barcode=[f"c{i}" for i in range(n)],
        same=["x"] * n,
        depth=np.arange(n),
    )
    assert list(candidates(table)) == ["type"]
