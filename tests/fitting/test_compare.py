"""What a fit says about the simple methods beside it."""

import pytest

import cytonym
from cytonym.data.simulate import simulate
from cytonym.errors import DataError
from cytonym.fitting.compare import verdict


def row(method, f1, right):
    return {"method": method, "macro_f1": f1, "n": 81, "right": right}


def test_a_simple_method_ahead_by_more_than_a_hundredth_is_told_with_the_cells_behind_it():
    ahead = verdict((row("linear", 0.837, 70), row("knn", 0.850, 71)))
    assert ahead == [
        "knn did better than linear on the 81 held-out cells: macro-F1 0.850 against 0.837, "
        "71 against 70 cells right; do not trust this model before you know why"
    ]
    assert verdict((row("linear", 0.84, 70), row("knn", 0.85, 71))) == []


def test_rna_without_labels_is_refused_with_the_columns_that_could_hold_them():
    cells = simulate(60, 60, 3, seed=0)
    with pytest.raises(DataError, match=r"no labels were named(?s:.*)cell_type \(3 values\)"):
        cytonym.fit(cells, progress=False)
