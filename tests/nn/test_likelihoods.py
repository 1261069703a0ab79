"""Likelihoods against torch.distributions and scipy, and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.sparse import csr_matrix
from torch.distributions import Bernoulli, Independent, NegativeBinomial, Normal, kl_divergence

from cytonym.nn.likelihoods import (
    bernoulli,
    divergence,
    negative_binomial,
    squared_error,
    zero_inflated,
)
from cytonym.types import SparseRows


def sparse(values) -> SparseRows:
    return SparseRows.of(csr_matrix(np.asarray(values, dtype=np.float32)))


@pytest.fixture
def drawn():
    """Counts, logarithms of means and of theta, and dropout logits, 6 × 5."""
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 40, (6, 5), generator=g).double()
    x[0] = 0
    mean, theta, drop = (torch.randn(6, 5, generator=g, dtype=torch.float64) * 2 for _ in range(3))
    return x, mean, theta, drop


def test_the_negative_binomial_is_that_of_torch_and_of_scipy(drawn):
    x, log_mean, log_theta, _ = drawn
    mine = negative_binomial(x, log_mean, log_theta)
    theta, mean = log_theta.float().double().exp(), log_mean.float().double().exp()
    torch.testing.assert_close(
        mine, NegativeBinomial(theta, logits=(mean / theta).log()).log_prob(x), rtol=1e-6, atol=1e-6
    )
    theirs = stats.nbinom.logpmf(x.numpy(), theta.numpy(), (theta / (theta + mean)).numpy())
    np.testing.assert_allclose(mine.numpy(), theirs, rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 100_000),
    st.floats(-20, 12),
    st.floats(-10, 10),
)
def test_the_negative_binomial_is_a_finite_log_probability_whatever_the_scale(x, mean, theta):
    found = negative_binomial(torch.tensor([float(x)]), torch.tensor([mean]), torch.tensor([theta]))
    assert torch.isfinite(found).all()
    assert found.item() <= 1e-2


def test_with_zero_inflation_zeros_are_a_mixture_and_counts_lose_the_share_that_is_dropped(drawn):
    x, log_mean, log_theta, drop = drawn
    mine = zero_inflated(x, log_mean, log_theta, drop).exp()
    lost = drop.float().double().sigmoid()
    counted = negative_binomial(x, log_mean, log_theta).exp()
    torch.testing.assert_close(mine, (x == 0) * lost + (1 - lost) * counted)
    never = zero_inflated(x, log_mean, log_theta, torch.full_like(drop, -40.0))
    torch.testing.assert_close(never, negative_binomial(x, log_mean, log_theta))


def test_bernoulli_of_sparse_rows_is_that_of_torch_summed_over_peaks():
    g = torch.Generator().manual_seed(1)
    y = (torch.rand(4, 30, generator=g) < 0.2).float()
    logits = torch.randn(4, 30, generator=g) * 4
    counts = y * torch.randint(1, 4, (4, 30), generator=g)  # a peak counted twice is open once
    theirs = Independent(Bernoulli(logits=logits), 1).log_prob(y)
    torch.testing.assert_close(bernoulli(sparse(counts), logits), theirs)


def test_the_squared_error_is_over_observed_sites_and_a_rate_of_0_is_observed():
    rates = csr_matrix((np.array([0.0, 1.0, 0.5], np.float32), ([0, 0, 1], [0, 2, 1])), (2, 3))
    mean = torch.tensor([[0.5, 0.9, 0.8], [0.1, 0.5, 0.1]])
    rows = SparseRows.of(rates)
    assert squared_error(rows, mean).tolist() == pytest.approx([0.25 + 0.04, 0.0])
    assert squared_error(rows, mean, mask="legacy").tolist() == pytest.approx([0.04, 0.0])


def test_the_divergence_is_that_of_torch_and_the_published_one_is_least_at_plus_and_minus_1():
    g = torch.Generator().manual_seed(2)
    mean, spread = torch.randn(7, 3, generator=g), torch.randn(7, 3, generator=g)
    own = Normal(mean, (spread / 2).exp())
    theirs = kl_divergence(own, Normal(torch.zeros(7, 3), torch.ones(7, 3))).sum(1)
    torch.testing.assert_close(divergence(mean, spread), theirs)
    grid = torch.linspace(-3, 3, 601)[:, None]
    legacy = divergence(torch.zeros_like(grid), grid, kl="legacy")
    least = grid[legacy < legacy.min() + 1e-5, 0].abs()
    assert least.tolist() == pytest.approx([1.0, 1.0], abs=0.02)
    sharp = divergence(mean, spread.abs() + 0.1, kl="legacy")
    own = Normal(mean, spread.abs() + 0.1)
    theirs = kl_divergence(own, Normal(torch.zeros(7, 3), torch.ones(7, 3))).sum(1)
    torch.testing.assert_close(sharp, theirs)


def test_gradients_of_all_likelihoods_are_finite_at_extremes():
    for scale in (-30.0, 0.0, 12.0):
        mean = torch.full((2, 3), scale, requires_grad=True)
        theta = torch.zeros(3, requires_grad=True)
        drop = torch.full((2, 3), -scale, requires_grad=True)
        x = torch.tensor([[0.0, 1.0, 1e4], [0.0, 0.0, 3.0]])
        zero_inflated(x, mean, theta, drop).sum().backward()
        assert all(torch.isfinite(one.grad).all() for one in (mean, theta, drop))
