"""Prediction sets hold the type of a cell as often as was asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from cytonym.trust.conformal import ENOUGH, Conformal, lots, place, quantile


def cells(n, seed, types=6, sharp=2.0):
    rng = np.random.default_rng(seed)
    p = softmax(sharp * rng.standard_normal((n, types)), axis=1)
    y = np.array([rng.choice(types, p=one) for one in p])
    return p, y, rng.random(n)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("sharp", [0.5, 2.0, 8.0])
def test_the_coverage_is_met_within_two_points(coverage, sharp):
    found = Conformal.fit(*cells(4000, 0, sharp=sharp))
    p, y, lot = cells(4000, 1, sharp=sharp)
    within = found.sets(p, lot, coverage)
    assert within[np.arange(4000), y].mean() == pytest.approx(coverage, abs=0.02)


def test_it_is_met_for_models_that_are_far_too_sure_and_within_each_type():
    def sure(n, seed):
        p, y, lot = cells(n, seed)
        return softmax(5 * np.log(p), axis=1), y, lot

    found = Conformal.fit(*sure(6000, 0))
    p, y, lot = sure(6000, 1)
    within = found.sets(p, lot, 0.9)[np.arange(6000), y]
    for one in range(6):
        assert within[y == one].mean() == pytest.approx(0.9, abs=0.035)


def test_a_type_with_few_cells_shares_its_threshold():
    p, y, lot = cells(2000, 0)
    few = np.flatnonzero(y == 3)[: ENOUGH - 1]
    kept = np.concatenate([np.flatnonzero(y != 3), few])
    limit = Conformal.fit(p[kept], y[kept], lot[kept]).thresholds(6, 0.9)
    own = place(p, lot)[kept, y[kept]]
    assert limit[3] == quantile(own, 0.9)
    assert limit[0] == quantile(own[y[kept] == 0], 0.9)
    assert limit[0] != limit[3]


def test_the_place_of_a_type_by_hand():
    found = place(np.array([[0.2, 0.5, 0.3]]), np.array([0.5]))
    np.testing.assert_allclose(found, [[0.9, 0.25, 0.65]])


def test_the_quantile_by_hand():
    score = np.arange(1.0, 10.0)  # (9 + 1) * .8 = 8: the eighth
    assert quantile(score, 0.8) == 8
    assert quantile(score, 0.95) == np.inf


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_more_coverage_never_gives_a_smaller_set(seed, coverage, more):
    found = Conformal.fit(*cells(300, seed))
    p, _, lot = cells(50, seed + 1)
    assert (found.sets(p, lot, coverage) <= found.sets(p, lot, coverage + more)).all()


def test_a_coverage_that_is_none_is_refused():
    p, y, lot = cells(60, 0)
    with pytest.raises(ValueError, match=r"it is 1\.5"):
        Conformal.fit(p, y, lot).sets(p, lot, 1.5)


def test_lots_go_by_name_and_are_even():
    names = np.array([f"cell {i}" for i in range(4000)])
    found = lots(names)
    np.testing.assert_array_equal(lots(names[::-1]), found[::-1])
    assert 0 <= found.min() < found.max() < 1
    np.testing.assert_allclose(np.histogram(found, 4)[0] / 4000, 0.25, atol=0.03)
