"""Batches and donors, and whole ones held out."""

import numpy as np
import pandas as pd
import pytest

from cytonym.data.batches import read_batches
from cytonym.errors import DataError
from cytonym.evaluate.splits import holdout


def frame(**columns):
    return pd.DataFrame(columns, index=[f"c{i}" for i in range(60)])


def test_donors_are_found_where_there_are_enough():
    donors = pd.DataFrame({"donor_id": [f"d{i % 6}" for i in range(180)]})
    codes, note = read_batches(donors, None, "file")
    assert codes.tolist() == [i % 6 for i in range(180)]
    assert note == "donor_id"
    names = frame(batch=[f"b{i}" for i in range(60)])  # a batch a cell is none
    assert read_batches(names, None, "file") == (None, "")
    few = frame(batch=[f"b{i % 4}" for i in range(60)])
    assert read_batches(few, None, "file") == (None, "")
    assert read_batches(few, "batch", "file")[0] is not None


@pytest.mark.parametrize(
    ("column", "values", "what"),
    [
        ("btach", [str(i % 4) for i in range(60)], "no column 'btach'"),
        ("batch", [None, *["a"] * 30, *["b"] * 29], "no value in 1 cells"),
        ("batch", ["a"] * 60, "one batch only"),
    ],
)
def test_a_column_that_will_not_do_is_refused(column, values, what):
    with pytest.raises(DataError, match=what):
        read_batches(frame(batch=values), column, "file")


def test_whole_groups_are_held_out_and_types_of_one_group_stay():
    rng = np.random.default_rng(0)
    groups, y = np.repeat(np.arange(6), 50), rng.integers(0, 3, 300)
    for seed in range(6):
        alone = y.copy()
        alone[groups == 0] = 7  # a type of group 0 alone
        held = holdout(alone, share=0.1, seed=seed, groups=groups)
        shares = pd.Series(held).groupby(groups).mean()
        assert set(shares) <= {0.0, 1.0}
        assert not held[alone == 7].any()
    assert holdout(y, share=0.1, seed=0, groups=groups).sum() == 50
    assert not holdout(y, share=0, seed=0, groups=groups).any()
    large = np.repeat([0, 1, 2], [240, 30, 30])  # one of them is too large
    for seed in range(6):
        held = holdout(y, share=0.1, seed=seed, groups=large)
        assert held.sum() == 30
        assert not held[large == 0].any()
