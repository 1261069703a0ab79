"""Methylation: sites seen in enough cells, centred over what is observed; against numpy."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cytonym.errors import OptionError
from cytonym.prep import Centre, Sites, bind_chain, chain_state, fit_chain, restore_chain

NAN = np.nan


def stored(dense) -> csr_matrix:
    """What is not NaN, zeros too."""
    dense = np.asarray(dense, dtype=np.float32)
    cells, sites = np.nonzero(~np.isnan(dense))
    pointers = np.concatenate([[0], np.cumsum((~np.isnan(dense)).sum(1))])
    return csr_matrix((dense[cells, sites], sites, pointers), shape=dense.shape)


def shown(sparse: csr_matrix) -> np.ndarray:
    """Dense again, NaN where nothing is stored."""
    dense = np.full(sparse.shape, NAN, dtype=np.float32)
    coo = sparse.tocoo()
    dense[coo.row, coo.col] = coo.data
    return dense


def some_rates(seed: int, cells: int = 60, sites: int = 25) -> np.ndarray:
    """Rates of which half are missing and a third of the others is 0."""
    rng = np.random.default_rng(seed)
    rates = rng.choice([0.0, 0.25, 0.5, 1.0], (cells, sites), p=[0.35, 0.2, 0.2, 0.25])
    return np.where(rng.random((cells, sites)) < 0.5, NAN, rates).astype(np.float32)


#                 seen in 4    3 (constant) 2        1        0
TINY = np.array(
    [
        [0.0, 1.0, NAN, NAN, NAN],
        [1.0, 1.0, 0.0, NAN, NAN],
        [0.5, 1.0, NAN, 0.3, NAN],
        [0.0, NAN, 1.0, NAN, NAN],
    ]
)


def test_sites_seen_in_too_few_cells_and_constant_ones_are_left_out(held):
    for share, left in ((0.0, [0, 2]), (0.5, [0, 2]), (0.51, [0]), (1.0, [0])):
        assert Sites(share).fit(held(stored(TINY))).index.tolist() == left
    # The variances of the observed rates are 0.229 and 0.5.
    assert Sites(0.5, most=1).fit(held(stored(TINY))).index.tolist() == [2]


def test_a_share_of_a_tenth_of_30_cells_is_3_cells_and_cells_without_any_site_do_not_count(held):
    rates = np.full((40, 3), NAN)
    rates[:30, 0] = np.arange(30) / 30
    rates[:3, 1] = 0, 0.5, 1
    rates[:2, 2] = 0, 1
    assert Sites(0.1).fit(held(stored(rates))).index.tolist() == [0, 1]


def test_zeros_stay_stored_in_the_kept_sites_and_the_block_is_left_alone(held):
    block = stored(TINY)
    before = block.copy()
    out = Sites(0.5).fit(held(block)).bind(held.space(5)).apply(block)
    assert out.nnz == 6
    assert (out.data == 0).sum() == 3
    np.testing.assert_array_equal(shown(out), TINY[:, [0, 2]].astype(np.float32))
    np.testing.assert_array_equal(block.data, before.data)
    assert block.nnz == before.nnz


def test_no_site_left_is_an_error_with_the_numbers_that_say_why(held):
    with pytest.raises(OptionError, match=r"left of 4: 1 are observed in 60.00% of the 4 cells"):
        Sites(0.6).fit(held(stored(TINY[:, 1:])))
    with pytest.raises(OptionError, match=r"seen most in 0\), 0 are not constant. Lower the share"):
        Sites().fit(held(stored(np.full((5, 3), NAN))))


def test_centred_rates_are_those_worked_by_hand_and_missing_is_nan_not_0(held):
    out = Centre().fit(held(stored(TINY))).bind(held.space(5)).apply(stored(TINY))
    assert out.dtype == np.float32
    wanted = TINY - [0.375, 1.0, 0.5, 0.3, NAN]
    np.testing.assert_allclose(out, wanted, atol=1e-7)
    # A site that the reference never saw says nothing in a query either.
    query = stored([[0.375, 0.0, NAN, 0.0, 0.9]])
    seen = Centre().fit(held(stored(TINY))).bind(held.space(5)).apply(query)
    np.testing.assert_allclose(seen, [[0.0, -1.0, NAN, -0.3, NAN]], atol=1e-7)


def test_a_site_that_a_data_set_did_not_measure_is_nan_and_others_do_not_change(held):
    fitted = Centre().fit(held(stored(some_rates(0))))
    measured = np.arange(25) % 3 != 0
    whole = fitted.bind(held.space(25)).apply(stored(some_rates(1)))
    part = fitted.bind(held.space(25, measured)).apply(stored(some_rates(1)))
    assert np.isnan(part[:, ~measured]).all()
    np.testing.assert_array_equal(part[:, measured], whole[:, measured])


def test_a_cell_without_any_site_is_a_row_of_nan(held):
    rates = some_rates(2)
    rates[7] = NAN
    out = Centre().fit(held(stored(rates))).bind(held.space(25)).apply(stored(rates))
    assert np.isnan(out[7]).all()
    assert np.isfinite(np.delete(out, 7, axis=0)).any(axis=1).all()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 1000), size=st.integers(1, 70), most=st.sampled_from([None, 5]))
def test_blocks_of_any_size_give_what_numpy_gives_and_state_goes_round(held, seed, size, most):
    rates = some_rates(seed)
    chain = (Sites(0.45, most=most), Centre())
    out = np.concatenate([*fit_chain(chain, held(stored(rates), size))])
    enough = (~np.isnan(rates)).mean(0) >= 0.45
    variance = np.where(enough, np.nanvar(rates.astype(float), axis=0, ddof=1), -1)
    index = chain[0].index
    assert len(index) == (enough.sum() if most is None else min(5, enough.sum()))
    left = np.setdiff1d(np.flatnonzero(enough), index)
    assert not len(left) or variance[left].max() <= variance[index].min() + 1e-9
    kept = rates[:, index]
    np.testing.assert_allclose(out, kept - np.nanmean(kept, axis=0), atol=1e-6)
    again = (Sites(), Centre())
    restore_chain(again, chain_state(chain))
    np.testing.assert_array_equal(bind_chain(again, held.space(25)).apply(stored(rates)), out)
