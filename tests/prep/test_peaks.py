"""Peaks: open or not, TF-IDF, components; against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.linalg import subspace_angles
from scipy.sparse import csr_matrix, random_array
from sklearn.decomposition import PCA, TruncatedSVD

from cytonym.errors import OptionError
from cytonym.prep import Components, Open, TfIdf, fit_chain


@pytest.fixture
def peaks() -> csr_matrix:
    """300 cells × 120 peaks in 3 groups, counts 0 to 3."""
    rng = np.random.default_rng(0)
    rate = np.full((300, 120), 0.05)
    for group in range(3):
        rate[group::3, group * 40 : group * 40 + 40] = 0.6
    depth = rng.lognormal(0, 0.4, (300, 1))
    return csr_matrix(rng.poisson(rate * depth).astype(np.float32))


def test_peaks_open_in_too_few_cells_are_left_out_and_values_become_1(held):
    counts = csr_matrix(np.array([[3, 0, 1, 0], [1, 0, 0, 2], [5, 1, 0, 0], [2, 0, 0, 0]], float))
    opened = Open(0.5, least=1).fit(held(counts))
    assert opened.index.tolist() == [0]
    bound = Open(0.25, least=1).fit(held(counts)).bind(held.space(4))
    np.testing.assert_array_equal(bound.apply(counts).toarray(), counts.toarray() > 0)
    assert Open(0.25, least=1, most=2).fit(held(counts)).index.tolist() == [0, 1]
    assert counts.max() == 5


def test_tf_idf_is_that_worked_by_hand(held):
    x = csr_matrix(np.array([[1, 1, 0], [1, 0, 0], [1, 1, 1], [1, 0, 0]], dtype=np.float32))
    out = TfIdf(100).fit(held(x)).bind(held.space(3)).apply(x).toarray()
    idf = np.array([4 / 4, 4 / 2, 4 / 1])
    np.testing.assert_allclose(out[2], np.log1p(100 / 3 * idf), rtol=1e-5)
    np.testing.assert_allclose(out[1], np.log1p(100 * np.array([1.0, 0, 0])), rtol=1e-5)


def test_a_lost_peak_leaves_the_weights_of_the_others_on_their_scale(peaks, held):
    binary = csr_matrix((peaks > 0).astype(np.float32))
    fitted = TfIdf().fit(held(binary))
    whole = fitted.bind(held.space(120)).apply(binary)
    measured = np.arange(120) % 4 != 0
    part = csr_matrix(binary.toarray() * measured)
    lost = fitted.bind(held.space(120, measured)).apply(part)
    assert lost[:, ~measured].nnz == 0
    ratio = lost[:, measured].sum() / whole[:, measured].sum()
    assert ratio == pytest.approx(1, abs=0.01)


def test_components_of_sparse_blocks_are_those_of_truncated_svd(peaks, held):
    theirs = TruncatedSVD(3, algorithm="arpack").fit(peaks.astype(np.float64))
    mine = Components(3).fit(held(peaks, 64))
    assert subspace_angles(mine.axes, theirs.components_.T).max() < 1e-3
    out = mine.bind(held.space(120)).apply(peaks)
    ours, known = (np.linalg.norm(z, axis=0) for z in (out, theirs.transform(peaks)))
    np.testing.assert_allclose(ours, known, rtol=1e-3)


def test_components_of_centred_blocks_are_those_of_pca(peaks, held):
    dense = peaks.toarray() - peaks.toarray().mean(0)
    theirs = PCA(2, svd_solver="full").fit_transform(dense)
    ours = Components(2).fit(held(dense)).bind(held.space(120)).apply(dense)
    for place in range(2):
        related = np.corrcoef(ours[:, place], theirs[:, place])[0, 1]
        assert abs(related) > 0.999


def test_components_that_follow_depth_are_dropped_and_nothing_left_is_an_error(peaks, held):
    chain = (Open(0.0), TfIdf(), Components(5))
    fit_chain(chain, held(peaks))
    assert chain[2].axes.shape == (120, 5)
    dropped = (Open(0.0), Components(5, depth_limit=0.8))
    fit_chain(dropped, held(peaks))
    binary = csr_matrix((peaks > 0).astype(np.float32))
    depth = np.log1p(np.asarray(binary.sum(1)).ravel())
    related = [abs(np.corrcoef(depth, z)[0, 1]) for z in (binary @ dropped[1].axes).T]
    assert len(related) == 4
    assert max(related) <= 0.8
    with pytest.raises(OptionError, match="All 3 components follow the depth"):
        Components(3, depth_limit=0.0).fit(held(peaks))
    with pytest.raises(OptionError, match="No peak is open in 90"):
        Open(0.9).fit(held(peaks))


def test_a_modality_without_any_measured_feature_gives_zeros(peaks, held):
    fitted = Components(3).fit(held(peaks))
    out = fitted.bind(held.space(120, np.zeros(120, bool))).apply(peaks)
    np.testing.assert_array_equal(out, np.zeros((300, 3)))


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 1000), size=st.integers(1, 50))
def test_state_goes_round_and_blocks_of_any_size_give_the_same(held, seed, size):
    counts = csr_matrix(random_array((60, 30), density=0.3, rng=seed, dtype=np.float32))
    chain = (Open(0.05, least=1), TfIdf(), Components(3, depth_limit=0.9))
    whole = np.concatenate([*fit_chain(chain, held(counts))])
    again = (Open(), TfIdf(), Components(1))
    space = held.space(30)
    block = counts
    for old, new in zip(chain, again, strict=True):
        bound = new.restore(old.state()).bind(space)
        block, space = bound.apply(block), bound.space
    np.testing.assert_allclose(block, whole, rtol=1e-5, atol=1e-6)
    pieces = np.concatenate([*fit_chain(chain, held(counts, size))])
    np.testing.assert_allclose(np.abs(pieces), np.abs(whole), rtol=0.05, atol=0.05)
