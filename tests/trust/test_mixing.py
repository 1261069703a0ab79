"""Several models' answers as one."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize_scalar

from cytonym.trust.mixing import PRIOR, mixed, weights


def test_the_weights_are_the_likeliest_ones_under_the_prior():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 400)
    sharp = np.full((400, 3), 0.1) + 0.7 * np.eye(3)[y]
    vague = rng.dirichlet(np.ones(3), 400)

    def loss(share):
        own = (share * sharp + (1 - share) * vague)[np.arange(400), y]
        return -np.log(own).sum() - PRIOR * (np.log(share) + np.log(1 - share))

    best = minimize_scalar(loss, bounds=(1e-3, 1 - 1e-3), method="bounded").x
    np.testing.assert_allclose(weights([sharp, vague], y), [best, 1 - best], atol=1e-3)
    assert best > 0.9


def test_equal_models_count_alike():
    p = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(weights([p, p, p], np.zeros(50, dtype=int)), 1 / 3)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(arrays(float, (3, 5, 4), elements=st.floats(0.01, 1)))
def test_a_mixture_is_a_probability_and_lies_between_the_models(raw):
    chances = raw / raw.sum(2, keepdims=True)
    w = weights([*chances], np.zeros(5, dtype=int))
    assert abs(w.sum() - 1) < 1e-9
    both = mixed([*chances], w)
    np.testing.assert_allclose(both.sum(1), 1)
    assert (both <= chances.max(0) + 1e-12).all()
    assert (both >= chances.min(0) - 1e-12).all()
