import numpy as np
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from cytonym.prep import Depth, Log1p


def dense(block):
    return block.toarray() if hasattr(block, "toarray") else block


def test_depth_then_log1p_equals_scanpy_to_6_digits(counts, held, scanpy):
    theirs = AnnData(counts.copy())
    scanpy.pp.normalize_total(theirs, target_sum=1e4)
    scanpy.pp.log1p(theirs)
    depth = Depth().fit(held(counts))
    block = depth.bind(held.space(80)).apply(counts)
    ours = Log1p().fit(held(block)).bind(held.space(80)).apply(block)
    np.testing.assert_allclose(ours.toarray(), theirs.X.toarray(), rtol=1e-6, atol=1e-6)
    assert ours.dtype == np.float32


def test_log1p_of_base_2_equals_numpy_log2(counts, held):
    ours = Log1p(2.0).bind(held.space(80)).apply(counts)
    np.testing.assert_allclose(ours.toarray(), np.log2(1 + counts.toarray()), rtol=1e-6)


def test_an_empty_cell_stays_empty_and_the_input_is_left_alone(counts, held):
    before = counts.copy()
    block = Depth().fit(held(counts)).bind(held.space(80)).apply(counts)
    logged = Log1p(2.0).bind(held.space(80)).apply(block)
    assert block[17].nnz == logged[17].nnz == 0
    np.testing.assert_array_equal(counts.toarray(), before.toarray())


def test_sparse_and_dense_blocks_give_the_same(counts, held):
    bound = Depth().fit(held(counts)).bind(held.space(80))
    log = Log1p(2.0).bind(held.space(80))
    sparse = log.apply(bound.apply(counts)).toarray()
    np.testing.assert_allclose(log.apply(bound.apply(counts.toarray())), sparse, rtol=1e-6)


def test_the_profile_is_the_mean_share_of_a_gene_in_its_cell(held):
    two = csr_matrix(np.array([[1, 3, 0], [6, 2, 2], [0, 0, 0]], dtype=np.float32))
    profile = Depth().fit(held(two)).profile
    np.testing.assert_allclose(profile, [(0.25 + 0.6) / 2, (0.75 + 0.2) / 2, 0.1], rtol=1e-6)


def test_without_a_gene_of_a_fifth_of_the_counts_the_target_is_four_fifths(held):
    counts = csr_matrix(np.array([[2, 3, 5], [2, 5, 3]], dtype=np.float32))
    depth = Depth(1000).fit(held(counts))
    measured = np.array([False, True, True])
    rest = counts.copy().tolil()
    rest[:, 0] = 0
    block = depth.bind(held.space(3, measured)).apply(csr_matrix(rest)).toarray()
    np.testing.assert_allclose(block.sum(1), 800, rtol=1e-6)
    whole = depth.bind(held.space(3)).apply(counts).toarray()
    np.testing.assert_allclose(block[:, 1:], whole[:, 1:], rtol=1e-6)


def test_blocks_of_7_rows_teach_the_same_as_one_of_1000(counts, held):
    few, one = Depth().fit(held(counts, size=7)), Depth().fit(held(counts))
    np.testing.assert_allclose(few.profile, one.profile, rtol=1e-6)
    np.testing.assert_allclose(one.profile.sum(), 1, rtol=1e-6)


matrices = st.lists(
    st.lists(st.integers(0, 500), min_size=6, max_size=6), min_size=1, max_size=8
).map(lambda rows: np.array(rows, dtype=np.float32))


@settings(deadline=None, max_examples=60)
@given(matrices, st.sampled_from([1.0, 1e4, 1e6]))
def test_every_cell_with_counts_has_the_target_as_total(rows, target):
    depth = Depth(target)
    depth.profile = np.full(6, 1 / 6)
    from cytonym.types import FeatureSpace

    space = FeatureSpace("rna", np.array([*"abcdef"]), np.ones(6, bool))
    totals = dense(depth.bind(space).apply(csr_matrix(rows))).sum(1)
    np.testing.assert_allclose(totals, np.where(rows.sum(1) > 0, target, 0), rtol=1e-5)


@settings(deadline=None, max_examples=60)
@given(matrices, st.sampled_from([None, 2.0, 10.0]))
def test_the_logarithm_can_be_undone(rows, base):
    bound = Log1p(base).bind(None)
    logged = bound.apply(csr_matrix(rows)).toarray().astype(np.float64)
    back = np.expm1(logged) if base is None else base**logged - 1
    np.testing.assert_allclose(back, rows, rtol=1e-4, atol=1e-4)
    assert (logged[rows == 0] == 0).all()


def test_depth_of_only_empty_cells_is_no_division_by_zero(held):
    empty = csr_matrix((4, 3), dtype=np.float32)
    depth = Depth().fit(held(empty))
    assert depth.profile.tolist() == [0, 0, 0]
    assert depth.bind(held.space(3)).apply(empty).nnz == 0


@pytest.mark.parametrize("transform", [Depth(), Log1p()])
def test_a_state_given_back_makes_the_same_transform(transform, counts, held):
    transform.fit(held(counts))
    again = type(transform)().restore(transform.state())
    first = transform.bind(held.space(80)).apply(counts).toarray()
    np.testing.assert_array_equal(again.bind(held.space(80)).apply(counts).toarray(), first)
