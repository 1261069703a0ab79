"""What a query differs by: its platform, its types, or both."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from cytonym.methods.shift import Types, shift

ADDED = np.array([0.0, 0.0, 1.5, -1.0, 0.5])


@pytest.fixture(scope="module")
def world():
    """Three types of 400 cells, five numbers each."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 400)
    x = rng.standard_normal((1200, 5)) + 4 * np.eye(5)[y]
    return x[::2], y[::2], x[1::2], y[1::2]


@pytest.mark.parametrize("kept", [[0, 1, 2], [1], [0, 2]], ids=["all types", "one", "two"])
@pytest.mark.parametrize("added", [0 * ADDED, ADDED], ids=["none", "added"])
def test_a_query_is_moved_by_what_its_platform_adds_not_by_its_types(world, kept, added):
    reference, y, x, theirs = world
    query = x[np.isin(theirs, kept)] + added
    np.testing.assert_allclose(shift(query, reference, y, "auto")[0], added, atol=0.25)
    wrong = shift(query, reference, y, "mean")[0] - added
    assert (np.abs(wrong).max() > 1) == (len(kept) < 3)


def test_a_single_cell_is_left_where_it_is(world):
    reference, y, x, _ = world
    for one in range(0, 600, 60):
        assert not shift(x[[one]], reference, y, "auto")[0].any()


def test_reference_cells_without_a_type_say_nothing_of_the_types(world):
    reference, y, x, theirs = world
    y = np.where(np.random.default_rng(1).random(600) < 0.5, -1, y)
    found, _ = shift(x[theirs == 1] + ADDED, reference, y, "auto")
    np.testing.assert_allclose(found, ADDED, atol=0.3)


def test_the_likeliest_explanation_is_named(world):
    reference, y, x, theirs = world
    assert shift(x[:40], reference, y, "auto")[1] == "none"
    assert shift(x + ADDED, reference, y, "auto")[1] == "mean"
    assert shift(x[theirs == 1] + ADDED, reference, y, "auto")[1] == "mixture"


def test_the_likelihood_is_that_of_a_mixture_of_gaussians(world):
    reference, y, x, _ = world
    types = Types(reference, y)
    covariance = np.linalg.inv(types.root @ types.root.T)
    density = [multivariate_normal(mean, covariance).pdf(x) for mean in types.means]
    shares = [np.array([a, b, 1 - a - b]) for a in (0.3, 1 / 3, 0.36) for b in (0.3, 1 / 3, 0.36)]
    best = max(np.log(share @ np.array(density)).mean() for share in shares)
    constant = multivariate_normal(types.means[0], covariance).logpdf(types.means[0])
    assert types.likelihood(x) + constant == pytest.approx(best, abs=2e-3)
