import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.preprocessing import StandardScaler

from cytonym.prep import Scale


@pytest.mark.parametrize("unit", [True, False])
def test_scaled_values_equal_sklearn_s_with_n_minus_1(unit, counts, held):
    dense = counts.toarray().astype(np.float64)
    theirs = StandardScaler(with_std=unit).fit_transform(dense)
    if unit:
        theirs *= np.sqrt(199 / 200)
    ours = Scale(unit=unit, clip=None).fit(held(counts)).bind(held.space(80)).apply(counts)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_a_gene_that_never_varies_comes_out_as_0_not_as_infinity(counts, held):
    ours = Scale().fit(held(counts)).bind(held.space(80)).apply(counts)
    assert (ours[:, 5] == 0).all()
    assert np.isfinite(ours).all()


def test_values_end_at_the_clip_of_10(held):
    counts = np.zeros((400, 1), dtype=np.float32)
    counts[0] = 1  # (1 - 1/400) / 0.05 = 19.95
    sparse = csr_matrix(counts)
    for clip, most in ((10.0, 10.0), (None, 19.95)):
        out = Scale(clip=clip).fit(held(sparse)).bind(held.space(1)).apply(sparse)
        assert out.max() == pytest.approx(most)
        assert out.min() == pytest.approx(-0.05)


def test_a_gene_that_was_not_measured_comes_out_as_nan_and_others_do_not_change(counts, held):
    scale = Scale().fit(held(counts))
    measured = np.arange(80) % 4 != 0
    whole = scale.bind(held.space(80)).apply(counts)
    part = scale.bind(held.space(80, measured)).apply(counts)
    assert np.isnan(part[:, ~measured]).all()
    np.testing.assert_array_equal(part[:, measured], whole[:, measured])


def test_blocks_of_7_rows_sparse_or_dense_teach_the_same_as_one_of_1000(counts, held):
    one = Scale().fit(held(counts))
    for matrix in (counts, counts.toarray()):
        few = Scale().fit(held(matrix, size=7))
        np.testing.assert_allclose(few.mean, one.mean, rtol=1e-6)
        np.testing.assert_allclose(few.spread, one.spread, rtol=1e-6)


def test_the_input_is_left_alone_and_a_state_given_back_makes_the_same_scale(counts, held):
    dense = counts.toarray()
    before = dense.copy()
    scale = Scale().fit(held(dense))
    out = scale.bind(held.space(80)).apply(dense)
    np.testing.assert_array_equal(dense, before)
    again = Scale().restore(scale.state()).bind(held.space(80)).apply(dense)
    np.testing.assert_array_equal(again, out)


def test_together_divides_by_one_number_and_keeps_which_features_vary_most(held):
    rng = np.random.default_rng(0)
    dense = (rng.normal(size=(200, 3)) * [4.0, 2.0, 1.0] + 5).astype(np.float32)
    out = Scale(together=True, clip=None).fit(held(dense)).bind(held.space(3)).apply(dense)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(out.var(0, ddof=1).mean(), 1, rtol=1e-5)
    theirs = dense.std(0, ddof=1)
    np.testing.assert_allclose(
        out.std(0, ddof=1) / theirs, 1 / np.sqrt((theirs**2).mean()), rtol=1e-5
    )
