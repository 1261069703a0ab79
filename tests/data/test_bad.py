"""Every kind of bad input is refused with a message that says what was seen and what to do."""

import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.data.judge import sample_rows
from cytonym.data.read import open_cells
from cytonym.errors import DataError

from .conftest import everything, saved

BAD = [
    (lambda x: np.where(x > 5, -x, x), r"X: .* negative values in 120 cells, lowest -\d+, all"),
    (
        lambda x: np.where(x > 5, np.nan, x),
        r"X: [\d,]+ NaN and 0 infinite values.*first: cell cell\d",
    ),
    (lambda x: np.where(x > 5, np.inf, x), r"X: 0 NaN and [\d,]+ infinite values"),
    (lambda x: (x - x.mean(0)) / x.std(0), r"X: .*centred or scaled.*\n.*cannot be turned back"),
    (lambda x: np.log1p(np.log1p(x / x.sum(1, keepdims=True) * 1e4)), r"logarithm was taken twice"),
    (lambda x: 0 * x, r"X: all values of 120 cells are zero"),
]


@pytest.mark.parametrize(("spoil", "message"), BAD)
@pytest.mark.parametrize("kind", ["memory", "h5ad"])
def test_bad_numbers_are_refused_with_what_was_seen(cells, tmp_path, spoil, message, kind):
    cells.X = spoil(cells.X.toarray().astype(np.float64)).astype(np.float32)
    with pytest.raises(DataError, match=message):
        open_cells(cells if kind == "memory" else saved(cells, tmp_path, kind))


def test_a_bad_layer_is_passed_over_with_a_note_if_another_place_is_sound(cells):
    cells.layers["counts"] = csr_matrix(-cells.X)
    source = open_cells(cells)
    assert source.finding["rna"].where == "X"
    assert "layers['counts'] was passed over" in source.notes[0]


def test_nan_that_the_sample_missed_is_refused_when_it_is_read(cells, monkeypatch):
    monkeypatch.setattr("cytonym.data.judge.SAMPLE_ROWS", 50)
    missed = min(set(range(120)) - set(sample_rows(120, cells.X.nnz)))
    dense = cells.X.toarray()
    dense[missed, 4] = np.nan
    cells.X = csr_matrix(dense)
    source = open_cells(cells)
    with pytest.raises(DataError, match=rf"1 negative, NaN.*cell cell{missed}, feature SIM0004"):
        source.read("rna", np.arange(120))


def test_no_cells_and_no_genes_are_problems(cells, tmp_path):
    with pytest.raises(DataError, match="it has no cells"):
        open_cells(saved(cells[:0].copy(), tmp_path, "h5ad"))
    with pytest.raises(DataError, match="it has no genes"):
        open_cells(cells[:, :0].copy())
    with pytest.raises(DataError, match=r"2 problems"):
        open_cells(AnnData(obs=pd.DataFrame(index=pd.Index([]))))


def test_files_that_are_not_what_they_seem_are_named(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    with pytest.raises(DataError, match="no such file"):
        open_cells(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"empty \(0 bytes\)"):
        open_cells(path)
    path.write_text("<html>not found</html>")
    with pytest.raises(DataError, match=r"not HDF5 \(it begins with b'<html>no'\)"):
        open_cells(path)
    with h5py.File(path, "w") as file:
        file["counts"] = np.ones(3)
    with pytest.raises(DataError, match="it holds counts, but not obs and var in the form"):
        open_cells(path)
    (tmp_path / "cells.csv").write_text("a,b")
    with pytest.raises(DataError, match=r"\.csv is not a known format"):
        open_cells(tmp_path / "cells.csv")
    with pytest.raises(DataError, match=r"the folder holds cells.csv, cells.h5ad"):
        open_cells(tmp_path)
    with pytest.raises(DataError, match="DataFrame is not a kind of data"):
        open_cells(cells.obs)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_called_truncated(cells, tmp_path, share):
    path = saved(cells, tmp_path, "h5ad")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match="truncated or damaged"):
        everything(open_cells(path))


def test_a_zarr_store_without_its_obs_is_refused(cells, tmp_path):
    path = saved(cells, tmp_path, "zarr3")
    shutil.rmtree(path / "obs")
    with pytest.raises(DataError, match="damaged"):
        open_cells(path)


def test_a_matrix_of_another_size_than_its_cells_is_damaged(cells, tmp_path):
    path = saved(cells, tmp_path, "h5ad")
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = np.array([120, 99])
    with pytest.raises(DataError, match=r"a matrix is \(120, 99\), but obs × var are \(120, 100\)"):
        open_cells(path)
