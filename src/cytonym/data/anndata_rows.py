"""AnnData, on disk (h5ad, Zarr) or in memory, as :class:`Contents`; never loaded, never touched."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr
from anndata import AnnData, OldFormatWarning
from anndata.io import read_elem
from scipy.sparse import csr_matrix, issparse

from cytonym.data.contents import Contents, Place, unique_names
from cytonym.data.rows import (
    ColumnDiskRows,
    DenseDiskRows,
    MemoryRows,
    Rows,
    SparseDiskRows,
    check_sparse,
)
from cytonym.data.source import damaged, guarded
from cytonym.errors import DataError, Problem


def open_anndata_file(path: Path) -> Contents:
    """An ``.h5ad`` file or a Zarr store; in memory only obs, var and row pointers."""
    format = "Zarr" if path.is_dir() else "h5ad"
    with warnings.catch_warnings():
        # It asks to write the file anew, which is not for a reader to do.
        warnings.simplefilter("ignore", OldFormatWarning)
        try:
            root: Any = zarr.open_group(path, mode="r") if path.is_dir() else h5py.File(path, "r")
        except (OSError, ValueError, RuntimeError) as error:
            raise damaged(path.name, error) from error
    return open_group(root, path.name, format, path)


def open_group(root: Any, name: str, format: str, path: Path) -> Contents:
    """An AnnData in a group of an HDF5 file or Zarr store; ``name`` is for messages."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OldFormatWarning)
        try:
            if not all(
                isinstance(root.get(key), h5py.Group | zarr.Group) for key in ("obs", "var")
            ):
                raise DataError(_not_anndata(root), subject=name)
            obs, var = _table(root["obs"]), _table(root["var"])
            sources = {"X": (root.get("X"), var)}
            if isinstance(root.get("raw"), h5py.Group | zarr.Group):
                sources["raw.X"] = (root["raw"].get("X"), _table(root["raw/var"]))
            for layer in root.get("layers", {}):
                sources[f"layers[{str(layer)!r}]"] = (root[f"layers/{layer}"], var)
        except (OSError, KeyError, ValueError, RuntimeError) as error:
            if isinstance(error, DataError):
                raise
            raise damaged(name, error) from error
    places = {
        where: Place(where, table, lambda e=e, t=table: _opened(e, (len(obs), len(t)), name))
        for where, (e, table) in sources.items()
        if e is not None
    }
    return _contents(name, format, obs, places, path)


def open_anndata(adata: AnnData) -> Contents:
    """An AnnData in memory, a view, or a backed one."""
    name = f"AnnData ({adata.n_obs:,} × {adata.n_vars:,})"
    sources: dict[str, tuple[Any, Any]] = {"X": (adata.X, adata.var)}
    if adata.raw is not None:
        sources["raw.X"] = (adata.raw.X, adata.raw.var)
    for layer in adata.layers:
        sources[f"layers[{layer!r}]"] = (adata.layers[layer], adata.var)
    places = {
        where: Place(where, pd.DataFrame(var), lambda e=e, w=where: _held(e, w))
        for where, (e, var) in sources.items()
        if e is not None
    }
    return _contents(name, "AnnData in memory", pd.DataFrame(adata.obs), places, None)


def _contents(
    name: str, format: str, obs: pd.DataFrame, places: dict[str, Place], path: Path | None
) -> Contents:
    """Put places in the order in which counts are looked for, and give cells unique names."""
    order = ["layers['counts']", "raw.X", "X", *places]
    obs, notes = obs.copy(), []
    obs.index, repeats = unique_names(obs.index)
    if repeats:
        notes.append(f"{repeats:,} cell names are repeats; they were numbered -1, -2, ...")
    ordered = {where: places[where] for where in dict.fromkeys(order) if where in places}
    return Contents(name, format, obs, ordered, notes, path, repeats)


def _table(group: Any) -> pd.DataFrame:
    table = read_elem(group)
    assert isinstance(table, pd.DataFrame)
    return table


def _not_anndata(root: Any) -> Problem:
    keys = ", ".join(sorted(root)[:8]) or "nothing"
    return Problem(
        f"it holds {keys}, but not obs and var in the form of AnnData 0.7 and later",
        "write it with a current anndata (adata.write_h5ad or adata.write_zarr)",
    )


def _opened(element: Any, shape: tuple[int, int], name: str) -> Rows:
    """The rows of a matrix on disk, whatever its encoding."""
    if isinstance(element, h5py.Dataset | zarr.Array):
        rows: Rows = DenseDiskRows(element)
        found = rows.shape
    else:
        kind = str(element.attrs.get("encoding-type", element.attrs.get("h5sparse_format", "?")))
        if kind[:3] not in ("csr", "csc"):
            problem = Problem(f"a matrix is stored as {kind!r}", "store it as csr, csc or dense")
            raise DataError(problem, subject=name)
        found = tuple(
            int(n) for n in element.attrs.get("shape", element.attrs.get("h5sparse_shape"))
        )
        pointers = np.asarray(element["indptr"][:])
        if len(pointers) != found[kind[:3] == "csc"] + 1:
            raise damaged(name, ValueError(f"{len(pointers)} row pointers for shape {found}"))
        rows_class = SparseDiskRows if kind[:3] == "csr" else ColumnDiskRows
        rows = rows_class(element["data"], element["indices"], pointers, (found[0], found[1]))
    if found != shape:
        raise damaged(name, ValueError(f"a matrix is {found}, but obs × var are {shape}"))
    return rows


def _held(matrix: Any, where: str) -> Rows:
    """The rows of a matrix of an AnnData object."""
    if hasattr(matrix, "group"):  # a backed sparse matrix of anndata
        return _opened(matrix.group, matrix.shape, where)
    if isinstance(matrix, h5py.Dataset | zarr.Array):
        return DenseDiskRows(matrix)
    if issparse(matrix):
        with guarded(where):
            check_sparse(matrix)
        note = None
        if matrix.format != "csr":
            note = f"the matrix is {matrix.format}: a csr copy of it is held in memory"
        return MemoryRows(csr_matrix(matrix), note)
    if isinstance(matrix, np.ndarray):
        return MemoryRows(np.asarray(matrix))
    kind = type(matrix).__name__
    problem = Problem(
        f"{where} is a {kind}", "make it a csr_matrix or a numpy array, or give a path"
    )
    raise DataError(problem)
