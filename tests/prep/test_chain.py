import numpy as np
import pytest

from cytonym.prep import (
    Depth,
    Log1p,
    Panel,
    Scale,
    Smooth,
    bind_chain,
    chain_state,
    fit_chain,
    restore_chain,
)


def chain():
    return (Depth(), Log1p(), Panel(30), Scale(), Smooth(4, 0.5))


def test_a_state_given_back_to_a_new_chain_gives_the_same_features_bit_for_bit(counts, held):
    first, second = chain(), chain()
    fit_chain(first, held(counts))
    state = chain_state(first)
    assert {"0.profile", "2.index", "3.mean", "3.spread", "4.axes"} <= state.keys()
    restore_chain(second, state)
    wanted, found = (bind_chain(one, held.space(80)).apply(counts) for one in (first, second))
    np.testing.assert_array_equal(found, wanted)
    assert found.shape == (200, 30)


def test_the_stream_of_a_fitted_chain_is_the_bound_chain_over_its_blocks(counts, held):
    made = chain()
    stream = fit_chain(made, held(counts, size=64))
    assert len(stream) == 200
    blocks = [*stream]
    assert [len(block) for block in blocks] == [64, 64, 64, 8]
    bound = bind_chain(made, held.space(80))
    np.testing.assert_array_equal(stream.space.names, bound.space.names)
    np.testing.assert_allclose(np.concatenate(blocks), bound.apply(counts), atol=1e-5)


@pytest.mark.parametrize("size", [7, 1])
def test_blocks_of_7_or_1_rows_give_the_features_of_one_of_1000(size, counts, held):
    few, one = chain(), chain()
    fit_chain(few, held(counts, size=size))
    fit_chain(one, held(counts))
    wanted = bind_chain(one, held.space(80)).apply(counts)
    np.testing.assert_allclose(bind_chain(few, held.space(80)).apply(counts), wanted, atol=1e-2)
    np.testing.assert_array_equal(few[2].index, one[2].index)


def test_a_query_without_20_of_80_genes_has_nothing_missing_after_smoothing(counts, held):
    made = chain()
    fit_chain(made, held(counts))
    measured = np.arange(80) % 4 != 1
    rest = counts.toarray()
    rest[:, ~measured] = 0
    bound = bind_chain(made, held.space(80, measured))
    assert np.isfinite(bound.apply(type(counts)(rest))).all()
    unsmoothed = bind_chain(made[:4], held.space(80, measured))
    gaps = np.isnan(unsmoothed.apply(type(counts)(rest)))
    np.testing.assert_array_equal(gaps.all(0), ~measured[made[2].index])
    np.testing.assert_array_equal(gaps.any(0), gaps.all(0))
