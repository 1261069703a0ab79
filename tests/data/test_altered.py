"""Cells with fewer counts, and doublets."""

import numpy as np
import pytest

from cytonym.data.altered import Doubled, Thinned, pairs_of
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate


@pytest.fixture(scope="module")
def source():
    return open_cells(simulate(60, 50, 3, seed=0, depth=400, markers_per_type=8))


def test_thinned_cells_keep_about_the_share_and_never_more(source):
    rows, share = np.repeat(np.arange(60), 2), np.tile([0.5, 0.1], 60)
    thin = Thinned(source, rows, share)
    found, whole = thin.read("rna", np.arange(120)), source.read("rna", rows)
    assert (found.toarray() <= whole.toarray()).all()
    kept = np.asarray(found.sum(1)).ravel() / np.asarray(whole.sum(1)).ravel()
    assert kept[::2].mean() == pytest.approx(0.5, abs=0.02)
    assert kept[1::2].mean() == pytest.approx(0.1, abs=0.02)


def test_a_thinned_cell_is_the_same_however_it_is_read(source):
    thin = Thinned(source, np.arange(60), np.full(60, 0.3))
    whole = thin.read("rna", np.arange(60)).toarray()
    np.testing.assert_array_equal(thin.read("rna", np.array([7, 3])).toarray(), whole[[7, 3]])


def test_a_doublet_is_the_sum_of_its_cells(source):
    pairs = np.array([[0, 1], [5, 9]])
    two = Doubled(source, pairs)
    want = source.read("rna", pairs[:, 0]) + source.read("rna", pairs[:, 1])
    np.testing.assert_array_equal(two.read("rna", np.arange(2)).toarray(), want.toarray())
    assert len(two.cells) == 2
    assert two.present("rna").tolist() == [True, True]


def test_pairs_are_of_different_types_and_one_kind():
    rng = np.random.default_rng(0)
    y, kind = rng.integers(0, 3, 100), rng.integers(0, 2, 100)
    pairs = pairs_of(y, kind, 200, seed=1)
    assert pairs.shape == (200, 2)
    assert (y[pairs[:, 0]] != y[pairs[:, 1]]).all()
    assert (kind[pairs[:, 0]] == kind[pairs[:, 1]]).all()
    assert len(pairs_of(np.zeros(50), np.zeros(50), 10, seed=1)) == 0
