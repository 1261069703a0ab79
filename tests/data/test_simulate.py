"""Simulated cells have the types, sizes and formats that are asked for."""

import numpy as np
import pytest
from anndata import read_h5ad
from sklearn.linear_model import LogisticRegression

from cytonym.data.align import space_of
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate, simulate_large, simulate_multiome
from cytonym.errors import OptionError


def accuracy(adata) -> float:
    """Of a linear classifier on log counts: one half to learn, one half to test."""
    x, y = np.log1p(adata.X.toarray()), adata.obs["cell_type"].to_numpy()
    return LogisticRegression(C=0.01, max_iter=1000).fit(x[::2], y[::2]).score(x[1::2], y[1::2])


def test_the_same_seed_gives_the_same_cells_and_another_seed_others():
    first, again, other = (simulate(50, 100, seed=s) for s in (1, 1, 2))
    assert (first.X != again.X).nnz == 0
    assert (first.X != other.X).nnz > 0
    assert first.obs.equals(again.obs)


def test_counts_are_whole_overdispersed_and_as_deep_as_asked():
    adata = simulate(300, 200, seed=0, depth=1000)
    counts = adata.X.toarray()
    assert (counts == np.round(counts)).all()
    assert 850 < np.median(counts.sum(1)) < 1150
    assert np.median(counts.var(0) / counts.mean(0)) > 1.5
    assert adata.obs["cell_type"].value_counts().tolist() == [75] * 4


def test_types_can_be_learned_and_are_alike_without_a_fold_change():
    assert accuracy(simulate(seed=0)) > 0.95
    assert accuracy(simulate(seed=0, fold=1)) < 0.4


def test_batches_shift_genes():
    adata = simulate(400, 100, 2, seed=0, batches=2)
    means = [adata[adata.obs["batch"] == b].X.toarray().mean(0) for b in ("batch0", "batch1")]
    assert np.std(np.log(means[0] / means[1])) > 0.2


def test_more_markers_than_genes_are_refused():
    with pytest.raises(OptionError, match="need 80 genes, and n_genes is 50"):
        simulate(10, 50, 4, seed=0)


def test_a_multiome_pairs_the_same_cells_and_both_parts_know_the_types():
    parts = simulate_multiome(seed=0)
    assert parts["rna"].obs.equals(parts["atac"].obs)
    assert accuracy(parts["atac"]) > 0.8
    assert set(np.unique(parts["atac"].X.data)) == {1.0}
    space = space_of(open_cells(parts["atac"]))["atac"]
    assert space.names[0] == "chr1:1000-1500"


def test_a_large_file_is_written_in_blocks_and_reads_as_anndata(tmp_path):
    source = simulate(30, 80, 2, seed=0)
    path = simulate_large(tmp_path / "large.h5ad", 1_003, seed=1, source=source, block=100)
    written = read_h5ad(path)
    assert written.shape == (1_003, 80)
    assert written.obs["cell_type"].nunique() == 2
    assert list(written.var_names) == list(source.var_names)
    assert 0.85 < written.X.sum() / 1_003 / (source.X.sum() / 30) < 0.95
    cells = open_cells(path)
    assert cells.finding["rna"].kind == "counts"
    np.testing.assert_array_equal(
        cells.read("rna", np.arange(1_003)).toarray(), written.X.toarray()
    )
    again = simulate_large(tmp_path / "again.h5ad", 1_003, seed=1, source=source, block=100)
    assert (read_h5ad(again).X != written.X).nnz == 0
