"""Distances to known cells, against scikit-learn and scipy."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from cytonym.trust.axes import Axes
from cytonym.trust.distance import Clouds, Near

TYPES = 4


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    y = rng.integers(0, TYPES, 300)
    mixing = rng.standard_normal((6, 6))
    return (rng.standard_normal((300, 6)) @ mixing + 3 * np.eye(6)[y]).astype("f4"), y, rng


def test_nearest_cells_are_those_of_scikit_learn_in_units_of_the_types(cells):
    z, y, rng = cells
    new = rng.standard_normal((40, 6)).astype("f4")
    near = Near.of(z, y, TYPES)
    far, rows = NearestNeighbors(n_neighbors=10).fit(z).kneighbors(new)
    want = np.log((far / near.scale[y[rows]]).mean(1) + 1e-6)
    np.testing.assert_allclose(near.distance(new), want, rtol=1e-5)


def test_clouds_are_those_of_scipy(cells):
    z, y, rng = cells
    new = rng.standard_normal((40, 6))
    cloud = Clouds.of(z, y, TYPES)
    centres = np.stack([z[y == one].mean(0) for one in range(TYPES)])
    spread = LedoitWolf(assume_centered=True).fit((z - centres[y]).astype(float)).covariance_
    want = cdist(new, centres, "mahalanobis", VI=np.linalg.inv(spread)).min(1) ** 2
    np.testing.assert_allclose(cloud.distance(new), np.log(want), rtol=1e-3)


def test_a_type_of_one_cell_and_one_without_cells_do_no_harm():
    z = np.r_[np.random.default_rng(0).standard_normal((30, 3)), [[9, 9, 9]]].astype("f4")
    y = np.r_[np.zeros(30, dtype=int), 2]
    near, cloud = Near.of(z, y, 4), Clouds.of(z, y, 4)
    assert np.isfinite(near.scale).all()
    assert np.isfinite(near.distance(z)).all()
    assert np.isfinite(cloud.distance(z)).all()
    assert cloud.distance(z)[-1] == cloud.distance(z).min()


def test_cells_that_are_equal_have_a_finite_distance():
    z, y = np.ones((50, 3), dtype="f4"), np.arange(50) % 2
    assert np.isfinite(Near.of(z, y, 2).distance(z)).all()
    assert np.isfinite(Clouds.of(z, y, 2).distance(z)).all()


def test_axes_hold_what_varies_most():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 80)).astype("f4")
    x[:, 7] *= 20
    x[0, 3] = np.nan
    axes = Axes.of(x)
    assert len(axes) == 50
    other = rng.standard_normal((400, 80)).astype("f4")
    without = axes.real(x, other)  # these do not vary along the first direction
    other[:, 7] *= 20
    assert axes.real(x, other) == without + 1
    assert abs(axes.directions[7, 0]) > 0.99
    np.testing.assert_allclose(axes.project(x).mean(0), 0, atol=0.05)
