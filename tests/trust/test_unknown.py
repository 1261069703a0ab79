"""Cells of a type that the reference lacks are told from the others."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from cytonym.trust.unknown import KEPT, Near, Rejector, signs

TYPES = 5


def cells(n, seed, types=TYPES):
    """Types at the corners of a cross; scores that fall with the distance to each centre."""
    rng = np.random.default_rng(seed)
    centres = 4 * np.eye(8)[: types + 1]
    y = rng.integers(0, types, n)
    z = (centres[y] + rng.standard_normal((n, 8))).astype("f4")
    new = (centres[types] + rng.standard_normal((n // 4, 8))).astype("f4")
    return z, y, new


def scores(z):
    return -((z[:, None] - 4 * np.eye(8)[:TYPES][None]) ** 2).sum(2) / 2


@pytest.fixture(scope="module")
def rejector():
    z, y, _ = cells(1500, 0)
    held, theirs, _ = cells(400, 1)
    return Rejector.fit(scores(held), held, theirs, Near.of(z, y, TYPES))


def test_a_new_type_is_told_from_known_ones(rejector):
    z, _, new = cells(1000, 2)
    found = np.concatenate([rejector.score(scores(z), z), rejector.score(scores(new), new)])
    assert roc_auc_score(np.arange(len(found)) >= len(z), found) > 0.95


@pytest.mark.parametrize("reject", [0.01, 0.05, 0.2])
def test_about_as_many_known_cells_are_lost_as_was_allowed(rejector, reject):
    z, _, _ = cells(4000, 3)
    lost = (rejector.score(scores(z), z) > rejector.threshold(reject)).mean()
    assert lost == pytest.approx(reject, abs=0.025)


def test_none_is_lost_where_none_may_be(rejector):
    assert rejector.threshold(0.0) == np.inf
    with pytest.raises(ValueError, match=r"it is 1\.0"):
        rejector.threshold(1.0)


def test_distances_are_those_of_scikit_learn_in_units_of_the_types():
    z, y, new = cells(300, 0)
    near = Near.of(z, y, TYPES)
    far, rows = NearestNeighbors(n_neighbors=10).fit(near.z).kneighbors(new)
    want = np.log((far / near.scale[near.y[rows]]).mean(1) + 1e-6)
    np.testing.assert_allclose(near.distance(new), want, rtol=1e-5)


def test_signs_do_not_see_a_type_that_is_left_out():
    z, y, _ = cells(300, 0)
    near = Near.of(z, y, TYPES)
    said = scores(z[:50])
    other = said.copy()
    other[:, 2] += 7
    left = signs(said, z[:50], near, without=2)
    np.testing.assert_allclose(signs(other, z[:50], near, without=2), left)


def test_small_types_keep_their_cells_in_a_sample_of_the_reference():
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(3 * KEPT, dtype=int), np.ones(30, dtype=int)]
    near = Near.of(rng.standard_normal((len(y), 3)), y, 3)
    assert len(near.y) == KEPT
    assert (near.y == 1).sum() == 30
    assert np.isfinite(near.scale).all()


def test_it_comes_back_from_its_state(rejector):
    z, _, _ = cells(50, 5)
    again = Rejector.restore(rejector.state())
    np.testing.assert_array_equal(again.score(scores(z), z), rejector.score(scores(z), z))
    assert again.threshold(0.1) == rejector.threshold(0.1)
