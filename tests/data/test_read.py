"""Files are opened, counts are found by evidence, rows are read in any order."""

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData, read_h5ad
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix

from cytonym.data.read import open_cells
from cytonym.data.rows import DenseDiskRows, SparseDiskRows
from cytonym.errors import DataError

from .conftest import everything, log_normalised, saved, write_mtx_folder, write_tenx_h5


@pytest.mark.parametrize("kind", ["h5ad", "zarr2", "zarr3", "memory"])
@pytest.mark.parametrize("layout", [csr_matrix, csc_matrix, lambda x: x.toarray()])
def test_the_same_counts_come_out_of_every_kind_of_storage(cells, tmp_path, kind, layout):
    expected = cells.X.toarray()
    cells.X = layout(cells.X)
    source = open_cells(cells if kind == "memory" else saved(cells, tmp_path, kind))
    block = source.read("rna", np.arange(len(source)))
    assert isinstance(block, csr_matrix)
    assert block.dtype == np.float32
    np.testing.assert_array_equal(block.toarray(), expected)
    assert source.values == {"rna": "counts"}
    assert source.finding["rna"].kind == "counts"
    assert source.present("rna").all()
    assert not source.present("atac").any()
    assert source.obs["cell_type"].tolist() == cells.obs["cell_type"].tolist()


def test_files_are_streamed_and_a_column_wise_one_is_not_and_says_so(cells, tmp_path):
    source = open_cells(saved(cells, tmp_path, "h5ad"))
    assert isinstance(source.parts["rna"].rows, SparseDiskRows)
    assert isinstance(source.parts["rna"].rows.data, h5py.Dataset)
    assert source.notes == []
    del source  # closes the file
    cells.X = csc_matrix(cells.X)
    assert "column-wise" in open_cells(saved(cells, tmp_path, "h5ad")).notes[0]
    cells.X = cells.X.toarray()
    source = open_cells(saved(cells, tmp_path, "zarr3"))
    assert isinstance(source.parts["rna"].rows, DenseDiskRows)
    assert isinstance(source.parts["rna"].rows.array, zarr.Array)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """The same matrix as csr in HDF5, dense in HDF5, csr in Zarr and in memory."""
    rng = np.random.default_rng(0)
    values = rng.poisson(0.3, (60, 15))
    values[7:12] = 0  # empty rows in between
    counts = csr_matrix(values, dtype=np.float32)
    adata, folder = AnnData(counts), tmp_path_factory.mktemp("stored")
    sources = {"memory": open_cells(adata), "csr": open_cells(saved(adata, folder, "h5ad"))}
    sources["zarr"] = open_cells(saved(adata, folder, "zarr3"))
    adata.X = counts.toarray()
    (folder / "dense").mkdir()
    sources["dense"] = open_cells(saved(adata, folder / "dense", "h5ad"))
    return counts.toarray(), sources


@given(rows=st.lists(st.integers(0, 59), max_size=80), gap=st.sampled_from([0, 3, 10_000]))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_rows_in_any_order_equal_the_rows_of_the_matrix(stored, rows, gap):
    expected, sources = stored
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cytonym.data.rows.GAP", gap)
        patch.setattr("cytonym.data.rows.CELL_LIMIT", 100)
        for source in sources.values():
            block = source.read("rna", np.array(rows, dtype=np.int64))
            np.testing.assert_array_equal(block.toarray(), expected[np.array(rows, dtype=int)])


def test_one_slice_is_read_for_neighbours_and_two_for_rows_far_apart(cells, tmp_path, monkeypatch):
    rows = open_cells(saved(cells, tmp_path, "h5ad")).parts["rna"].rows
    slices = []
    read = SparseDiskRows._slice
    monkeypatch.setattr("cytonym.data.rows.GAP", 10)
    monkeypatch.setattr(
        SparseDiskRows, "_slice", lambda s, a, b: slices.append((a, b)) or read(s, a, b)
    )
    rows.read(np.arange(20, 50)[::-1])
    rows.read(np.array([100, 3]))
    assert slices == [(20, 50), (3, 4), (100, 101)]


def test_counts_are_found_in_the_layer_then_raw_then_x(cells):
    counts = cells.X.copy()
    cells.X = log_normalised(counts)
    with_raw = cells.copy()
    with_raw.raw = AnnData(counts, var=cells.var)
    with_raw = with_raw[:, :40].copy()  # raw keeps all genes
    source = open_cells(with_raw)
    assert source.finding["rna"].where == "raw.X"
    assert len(source.spaces["rna"]) == 100
    cells.layers["counts"] = counts
    source = open_cells(cells)
    assert source.finding["rna"].where == "layers['counts']"
    np.testing.assert_array_equal(everything(source), counts.toarray())


def test_evidence_counts_not_the_name_of_the_layer(cells):
    counts = cells.X.copy()
    cells.layers["counts"] = log_normalised(counts)
    assert open_cells(cells).finding["rna"].where == "X"


def test_the_layer_option_overrides_and_an_unknown_one_lists_what_there_is(cells):
    cells.layers["spliced"] = 2 * cells.X
    source = open_cells(cells, layer="spliced")
    np.testing.assert_array_equal(everything(source), 2 * cells.X.toarray())
    with pytest.raises(DataError, match=r"no layer 'splced'.*\n.*Did you mean 'spliced'\?.*X"):
        open_cells(cells, layer="splced")


def test_counts_in_a_layer_of_another_name_are_pointed_out(cells):
    cells.layers["umi"] = cells.X.copy()
    cells.X = log_normalised(cells.X)
    source = open_cells(cells)
    assert source.values["rna"] == "relative"
    assert any("layer='umi' reads it" in note for note in source.notes)
    cells.X = -cells.X
    with pytest.raises(DataError, match=r"(?s)scaled.*layer='umi' reads it"):
        open_cells(cells)
    cells.X = None
    with pytest.raises(DataError, match=r"only layers\['umi'\].*\n.*name the layer"):
        open_cells(cells)


@pytest.mark.parametrize(
    ("kind", "log"),
    [
        ("log1p(CP10k)", np.log1p),
        ("log2p", lambda x: np.log2(x + 1)),
        ("log10p", lambda x: np.log10(x + 1)),
        ("normalised", lambda x: x),
    ],
)
def test_a_logarithm_is_recognised_and_undone(cells, kind, log):
    expected = np.expm1(log_normalised(cells.X).toarray())
    cells.X = csr_matrix(log(expected.astype(np.float64)), dtype=np.float32)
    source = open_cells(cells)
    assert source.finding["rna"].kind == kind
    assert source.values == {"rna": "relative"}
    np.testing.assert_allclose(everything(source), expected, rtol=1e-4)


@pytest.mark.parametrize(("base", "kind"), [(np.e, "log1p"), (2, "log2p")])
def test_the_base_is_found_after_genes_were_selected(cells, base, kind):
    cells.X = csr_matrix(log_normalised(cells.X) / np.log(base), dtype=np.float32)
    finding = open_cells(cells[:, 20:80]).finding["rna"]
    assert finding.kind == kind
    assert "whole multiples of their smallest value" in finding.evidence


def test_fractional_counts_are_used_as_counts_with_a_note(cells):
    cells.X = csr_matrix(cells.X.toarray() * np.random.default_rng(0).uniform(0.5, 2, cells.shape))
    cells.X.data[0] = 300.5
    source = open_cells(cells)
    assert source.values == {"rna": "counts"}
    assert "not whole numbers" in source.notes[0]


def test_the_object_of_the_caller_stays_as_it_was(cells):
    cells.X = log_normalised(cells.X)
    before = cells.copy()
    source = open_cells(cells)
    source.obs["new"] = 1
    block = source.read("rna", np.arange(120))
    block.data[:] = -1
    assert list(cells.obs.columns) == list(before.obs.columns)
    np.testing.assert_array_equal(cells.X.toarray(), before.X.toarray())


def test_views_and_backed_objects_are_read(cells, tmp_path):
    expected = cells.X.toarray()
    view = cells[10:50, ::2]
    np.testing.assert_array_equal(everything(open_cells(view)), expected[10:50, ::2])
    assert view.is_view
    backed = read_h5ad(saved(cells, tmp_path, "h5ad"), backed="r")
    np.testing.assert_array_equal(everything(open_cells(backed)), expected)
    np.testing.assert_array_equal(everything(open_cells(backed[10:50, ::2])), expected[10:50, ::2])
    backed.file.close()


def test_a_tenx_file_of_version_3_is_split_by_feature_type(cells, tmp_path):
    kinds = ["Gene Expression"] * 60 + ["Peaks"] * 30 + ["Antibody Capture"] * 10
    path = write_tenx_h5(tmp_path / "m.h5", cells.X, cells.var_names, cells.var["gene_ids"], kinds)
    source = open_cells(path)
    assert {m: len(space) for m, space in source.spaces.items()} == {"rna": 60, "atac": 30}
    np.testing.assert_array_equal(everything(source), cells.X[:, :60].toarray())
    assert source.read("atac", np.array([5])).shape == (1, 30)
    assert source.spaces["rna"].columns["gene_ids"][0] == "ENSG90000000000"
    assert source.notes == ["10 features of type 'Antibody Capture' are left out"]
    assert source.cells[0] == "AAAC0000-1"


def test_a_tenx_file_of_version_2_is_read_and_several_genomes_are_refused(cells, tmp_path):
    path = write_tenx_h5(tmp_path / "m.h5", cells.X, cells.var_names, cells.var["gene_ids"])
    np.testing.assert_array_equal(everything(open_cells(path)), cells.X.toarray())
    with h5py.File(path, "r+") as file:
        file.copy("GRCh38", "mm10")
    with pytest.raises(DataError, match=r"2 genomes \(GRCh38, mm10\)"):
        open_cells(path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("zipped", [False, True])
def test_matrix_folders_of_both_versions_are_read(cells, tmp_path, version, zipped):
    kinds = ["Gene Expression"] * 90 + ["Antibody Capture"] * 10 if version == 3 else None
    names = cells.var_names, cells.var["gene_ids"]
    source = open_cells(write_mtx_folder(tmp_path / "m", cells.X, *names, kinds, zipped=zipped))
    n = 90 if version == 3 else 100
    np.testing.assert_array_equal(everything(source), cells.X[:, :n].toarray())


def test_a_matrix_folder_whose_files_disagree_names_the_sizes(cells, tmp_path):
    folder = write_mtx_folder(
        tmp_path / "m", cells.X, cells.var_names, cells.var["gene_ids"], zipped=False
    )
    (folder / "barcodes.tsv").write_text("only\ntwo\n")
    with pytest.raises(
        DataError, match=r"100 features × 120 cells, but genes.tsv has 100 lines and"
    ):
        open_cells(folder)
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(DataError, match=r"none of barcodes.tsv"):
        open_cells(folder)


def test_gene_names_come_from_the_named_column(cells):
    source = open_cells(cells, genes="gene_ids")
    assert source.spaces["rna"].names[0] == "ENSG90000000000"
    assert source.spaces["rna"].columns["var_names"][0] == "SIM0000"
    with pytest.raises(DataError, match=r"no text column 'symbol'.*\n.*Available: gene_ids"):
        open_cells(cells, genes="symbol")


def test_repeated_cell_names_are_numbered_with_a_note(cells):
    cells.obs.index = pd.Index(["a", "a", "a-1", "a", *cells.obs.index[4:]])
    source = open_cells(cells)
    assert len(set(source.cells)) == 120
    assert "2 cell names are repeats" in source.notes[0]


def test_all_real_files_open_as_counts(data_dir):
    for path in sorted((data_dir / "rna").glob("*.h5ad")) + sorted(
        (data_dir / "atac").glob("*.h5ad")
    ):
        source = open_cells(path)
        assert set(source.values.values()) == {"counts"}
        (modality,) = source.spaces
        assert modality == path.parent.name
        expected = read_h5ad(path).X
        rows = np.random.default_rng(0).permutation(len(source))
        np.testing.assert_array_equal(
            source.read(modality, rows).toarray(), expected[rows].toarray()
        )
