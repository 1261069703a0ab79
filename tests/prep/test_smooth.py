import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from sklearn.decomposition import PCA

from cytonym.prep import Smooth
from cytonym.prep.smooth import principal_axes


@pytest.fixture
def centred() -> np.ndarray:
    """300 cells × 60 features around 5 strong components, centred."""
    rng = np.random.default_rng(0)
    strength = np.array([9.0, 7.0, 5.0, 4.0, 3.0])
    x = (rng.standard_normal((300, 5)) * strength) @ rng.standard_normal((5, 60))
    x += rng.standard_normal((300, 60))
    return (x - x.mean(0)).astype(np.float32)


def test_the_first_5_axes_span_sklearn_s_to_a_thousandth(centred, held):
    axes = principal_axes(held(centred, size=64), 5, seed=0)
    theirs = PCA(5, svd_solver="full").fit(centred).components_.T
    np.testing.assert_allclose(axes.T @ axes, np.eye(5), atol=1e-5)
    assert subspace_angles(axes, theirs).max() < 1e-3
    np.testing.assert_allclose(axes @ axes.T, theirs @ theirs.T, atol=1e-3)
    for place in range(5):
        assert abs(axes[:, place] @ theirs[:, place]) > 1 - 1e-4


def test_axes_do_not_depend_on_the_seed_or_on_the_size_of_blocks(centred, held):
    one = principal_axes(held(centred), 5, seed=0)
    for size, seed in ((7, 0), (1000, 1)):
        np.testing.assert_allclose(
            principal_axes(held(centred, size), 5, seed=seed), one, atol=2e-3
        )


def test_alpha_0_leaves_cells_as_they_are_and_learns_nothing(centred, held):
    smooth = Smooth(5, 0.0).fit(held(centred))
    assert smooth.axes.size == 0
    assert smooth.bind(held.space(60)).apply(centred) is centred


def test_alpha_1_keeps_the_projection_alone_and_a_quarter_mixes_both(centred, held):
    theirs = PCA(5, svd_solver="full").fit(centred)
    projection = centred @ theirs.components_.T @ theirs.components_
    for alpha in (1.0, 0.25):
        out = Smooth(5, alpha).fit(held(centred)).bind(held.space(60)).apply(centred)
        np.testing.assert_allclose(out, alpha * projection + (1 - alpha) * centred, atol=0.02)


def test_missing_features_are_filled_by_ridge_regression_on_the_measured(centred, held):
    smooth = Smooth(5, 0.5).fit(held(centred))
    measured = np.arange(60) % 3 != 0
    part = np.where(measured, centred, np.nan).astype(np.float32)
    bound = smooth.bind(held.space(60, measured))
    out = bound.apply(part)
    seen, axes = centred[:, measured].astype(np.float64), smooth.axes.astype(np.float64)
    for cell in (0, 1, 299):
        a = axes[measured]
        where = np.linalg.solve(a.T @ a + 0.01 * np.eye(5), a.T @ seen[cell])
        fitted = axes @ where
        wanted = np.where(measured, 0.5 * fitted + 0.5 * centred[cell], fitted)
        np.testing.assert_allclose(out[cell], wanted, atol=1e-3)
    assert bound.space.measured.tolist() == measured.tolist()  # what is filled was not seen
    # The gaps are filled well: signal is some twenty times the noise.
    left = out[:, ~measured] - centred[:, ~measured]
    assert left.std() < 0.2 * centred[:, ~measured].std()


def test_no_more_components_than_cells_less_one_and_features(held):
    few = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    assert Smooth(100, 1.0).fit(held(few)).axes.shape == (4, 4)
    assert Smooth(100, 1.0).fit(held(few[:3])).axes.shape == (4, 2)


def test_a_state_given_back_makes_the_same_smoothing(centred, held):
    smooth = Smooth(5, 0.5).fit(held(centred))
    again = Smooth(5, 0.5).restore(smooth.state())
    out = [one.bind(held.space(60)).apply(centred) for one in (smooth, again)]
    np.testing.assert_array_equal(*out)


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 12), st.integers(1, 6), st.integers(0, 10**6))
def test_smoothing_with_alpha_1_twice_is_smoothing_once(width, k, seed):
    rng = np.random.default_rng(seed)
    smooth = Smooth(k, 1.0)
    smooth.axes = np.linalg.qr(rng.standard_normal((width, min(k, width))))[0].astype(np.float32)
    from cytonym.types import FeatureSpace

    space = FeatureSpace("rna", np.arange(width).astype(str), np.ones(width, bool))
    apply = smooth.bind(space).apply
    once = apply(rng.standard_normal((5, width)).astype(np.float32))
    np.testing.assert_allclose(apply(once), once, atol=1e-5)
