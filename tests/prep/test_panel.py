import numpy as np
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.prep import Panel
from cytonym.prep.panel import _moments, dispersion


@pytest.fixture
def logged(counts) -> csr_matrix:
    """log1p of 200 cells × 80 genes at CP10k."""
    totals = np.maximum(np.asarray(counts.sum(1)), 1)
    return csr_matrix(counts.multiply(1e4 / totals), dtype=np.float32).log1p()


@pytest.fixture
def theirs(logged, scanpy):
    """What scanpy says of these genes."""
    table = AnnData(logged.copy())
    table.uns["log1p"] = {}
    return scanpy.pp.highly_variable_genes(table, flavor="seurat", n_top_genes=25, inplace=False)


def test_the_dispersion_equals_scanpy_s_seurat_flavour_to_4_digits(logged, held, theirs):
    mean, variance, _ = _moments(held(logged), 1.0)
    ours = dispersion(mean, variance)
    known = np.isfinite(theirs["dispersions_norm"])
    assert known.sum() == 79
    assert ours[~known].tolist() == [-np.inf]
    np.testing.assert_allclose(ours[known], theirs["dispersions_norm"][known], rtol=1e-4, atol=1e-4)


def test_the_25_most_variable_genes_are_scanpy_s(logged, held, theirs):
    panel = Panel(25, min_cells=1).fit(held(logged))
    assert {*panel.index} == {*np.flatnonzero(theirs["highly_variable"])}
    assert (np.diff(panel.index) > 0).all()


def test_all_genes_means_those_found_in_3_cells(held):
    found = np.zeros((40, 4), dtype=np.float32)
    for gene, cells in enumerate((40, 3, 2, 0)):
        found[:cells, gene] = 1
    assert Panel(None).fit(held(csr_matrix(found))).index.tolist() == [0, 1]
    assert Panel(10).fit(held(csr_matrix(found))).index.tolist() == [0, 1]


def test_a_marker_belongs_to_the_panel_however_little_it_varies(logged, held):
    plain = Panel(10).fit(held(logged)).index
    left = next(i for i in range(80) if i not in plain)
    kept = Panel(10, keep=(f"G{left}",)).fit(held(logged)).index
    assert {*kept} == {*plain, left}


def test_the_same_genes_come_in_three_orders(logged, held):
    given, random, again, paired = (
        Panel(30, order=order, seed=seed).fit(held(logged)).index
        for order, seed in (("given", 0), ("random", 1), ("random", 1), ("coexpression", 0))
    )
    assert {*given} == {*random} == {*paired}
    np.testing.assert_array_equal(random, again)
    assert given.tolist() != random.tolist()


def test_coexpression_puts_12_shuffled_genes_of_3_groups_side_by_side(held):
    rng = np.random.default_rng(0)
    group = np.tile(np.arange(3), 4)
    signal = rng.gamma(1.0, 1.0, (300, 3))[:, group]
    values = np.log1p(signal + rng.gamma(1.0, 0.05, (300, 12))).astype(np.float32)
    order = Panel(None, order="coexpression").fit(held(csr_matrix(values))).index
    assert (np.diff(group[order]) != 0).sum() == 2


def test_blocks_of_7_rows_choose_the_same_as_one_of_1000(logged, held):
    for order in ("given", "coexpression"):
        few = Panel(25, order=order).fit(held(logged, size=7))
        one = Panel(25, order=order).fit(held(logged))
        np.testing.assert_array_equal(few.index, one.index)
    dense = Panel(25).fit(held(logged.toarray()))
    np.testing.assert_array_equal(dense.index, Panel(25).fit(held(logged)).index)


def test_the_bound_panel_takes_columns_and_their_names(logged, held):
    panel = Panel(10, order="random", seed=3).fit(held(logged))
    measured = np.arange(80) % 2 == 0
    bound = panel.bind(held.space(80, measured))
    np.testing.assert_array_equal(bound.space.names, [f"G{i}" for i in panel.index])
    np.testing.assert_array_equal(bound.space.measured, panel.index % 2 == 0)
    block = bound.apply(logged).toarray()
    np.testing.assert_array_equal(block, logged.toarray()[:, panel.index])
    again = Panel(10).restore(panel.state()).bind(held.space(80)).apply(logged).toarray()
    np.testing.assert_array_equal(again, block)


def test_dispersion_by_hand_a_bin_of_one_gene_gives_1_and_two_give_their_z_score():
    mean = np.array([1.0, 1.0, np.exp(3) - 1])
    ratio = np.array([1.0, np.e, 5.0])
    found = dispersion(mean, ratio * mean)
    # Logarithms 0 and 1 in one bin: mean 0.5, standard deviation (n - 1) 0.7071.
    np.testing.assert_allclose(found, [-0.5 / np.sqrt(0.5), 0.5 / np.sqrt(0.5), 1.0])
