import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cytonym.nn.blocks import Block, feed_forward, observed, random_like


@pytest.mark.parametrize("seed", [0, 1, 12345, 2**62])
def test_20000_draws_of_one_seed_are_uniform_over_cells_and_over_columns(seed):
    draws = random_like(torch.arange(200), 100, seed=seed)
    assert draws.dtype == torch.float32
    assert draws.min() >= 0
    assert draws.max() < 1
    assert stats.kstest(draws.flatten().numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(draws[0].numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(draws[:, 0].numpy(), "uniform").pvalue > 1e-3


def test_neighbouring_cells_and_columns_are_not_correlated():
    draws = random_like(torch.arange(500), 64, seed=3).numpy()
    limit = 4 / np.sqrt(500)
    for one, other in ((draws[:-1], draws[1:]), (draws[:, :-1], draws[:, 1:])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < limit


def test_a_seed_and_the_next_share_no_draw_at_any_shift_of_columns():
    one, other = (random_like(torch.arange(50), 64, seed=seed).numpy() for seed in (8, 9))
    for shift in range(-16, 17):
        mine = one[:, max(shift, 0) : 64 + min(shift, 0)]
        theirs = other[:, max(-shift, 0) : 64 - max(shift, 0)]
        assert (mine == theirs).mean() < 0.01, f"shifted by {shift}"


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 2**40), min_size=1, max_size=12),
    st.integers(1, 30),
    st.integers(0, 2**63 - 1),
)
def test_a_cell_draws_the_same_whatever_its_neighbours_and_its_place(keys, width, seed):
    key = torch.tensor(keys)
    whole = random_like(key, width, seed=seed)
    assert whole.shape == (len(keys), width)
    for place in range(len(keys)):
        assert torch.equal(random_like(key[place : place + 1], width, seed=seed)[0], whole[place])
    assert torch.equal(random_like(key.flip(0), width, seed=seed), whole.flip(0))
    assert torch.equal(random_like(key, width + 7, seed=seed)[:, :width], whole)


def test_observed_puts_0_where_nothing_was_measured_and_says_where():
    values, seen = observed(torch.tensor([[1.0, torch.nan], [0.0, -2.0]]))
    assert values.tolist() == [[1, 0], [0, -2]]
    assert seen.tolist() == [[True, False], [True, True]]


def test_a_block_keeps_the_shape_and_treats_tokens_without_order():
    torch.manual_seed(0)
    block = Block(8, heads=2).eval()
    tokens = torch.randn(3, 5, 8)
    order = torch.tensor([4, 2, 0, 1, 3])
    assert block(tokens).shape == (3, 5, 8)
    torch.testing.assert_close(block(tokens[:, order]), block(tokens)[:, order])
    assert feed_forward(8, times=3)[0].out_features == 24
