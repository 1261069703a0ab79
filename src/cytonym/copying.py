"""Data sets on disk, copied to where an answer is added, without loading their matrices."""

from __future__ import annotations

import os
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr
from scipy.sparse import csr_matrix, hstack

from cytonym.data.joined import has_modalities
from cytonym.data.read import open_cells, open_contents
from cytonym.data.source import Cells, damaged
from cytonym.disk.exchange import can_exchange
from cytonym.disk.files import check_copy, copy
from cytonym.disk.hdf5 import hdf5, write_anndata, write_rows
from cytonym.disk.stores import is_store
from cytonym.errors import OptionError

MATRICES = ("X", "layers", "raw", "obsp", "varp")
"""What grows with cells × features, or with pairs of cells."""

OWN = ("obs", "obsm", "uns")
"""What is added to."""

GROUPS = ("", "dict", "raw", "anndata", "MuData", "csr_matrix", "csc_matrix")
"""Encodings whose members are looked at one by one; "" is that of older files."""

BLOCK = 16 << 20
"""Bytes that are held at once."""

CELLS = 4096
"""Rows that are read at once."""


def endings(query: Any) -> tuple[str, ...]:
    """What the result of a query may end in."""
    if has_modalities(query):
        return (".h5mu",)
    return (".h5ad", ".zarr") if isinstance(query, Path) and is_store(query) else (".h5ad",)


def check_change(query: Path) -> None:
    """Whether a data set on disk can be changed in one step.

    Raises
    ------
    OptionError
        It is no ``.h5ad``, ``.h5mu`` or Zarr store, may not be written to, or lies on a file
        system that cannot exchange two folders.
    CytonymError
        There is no room for a copy.
    """
    elsewhere = "write the result to another file (--out, out=)"
    file = query.resolve()
    if is_store(file):
        if not can_exchange(file.parent) or any((file / one).is_symlink() for one in OWN):
            raise OptionError(
                f"{query} cannot be changed safely: its file system does not exchange two folders "
                f"in one step, or parts of it are links\n    → {elsewhere}"
            )
    elif file.is_file():
        if file.suffix.lower() not in (".h5ad", ".h5mu") or not is_modern(file):
            raise OptionError(
                f"{query} is no .h5ad (anndata 0.7 and later), .h5mu or Zarr store, so nothing can "
                f"be added to it\n    → {elsewhere}"
            )
        check_copy(file, file.parent)
    if file.exists() and not os.access(file, os.W_OK):
        raise OptionError(f"{query} is read-only\n    → allow writing to it, or {elsewhere}")


def copied(query: Path, to: Path, *, matrix: bool = True) -> None:
    """Any readable data set as a file that AnnData (or MuData) reads, at ``to``.

    Memory does not grow with the matrix, but of files of AnnData before 0.7.

    Parameters
    ----------
    matrix
        False: without :data:`MATRICES`.
    """
    if is_store(query):
        _stream_file(zarr.open_group(query, mode="r"), to, matrix=matrix)
    elif query.suffix.lower() in (".h5ad", ".h5mu") and is_modern(query):
        if matrix:
            copy(query, to)
            return
        with h5py.File(query, "r") as source:
            _stream_file(source, to, matrix=False)
        with query.open("rb") as source, to.open("r+b") as target:
            target.write(source.read(_head(query)))  # an .h5mu says there what it is
    elif open_contents(query).format == "h5ad":
        whole = in_memory(query)
        write_anndata(whole if matrix else bare(whole), to)
    else:
        _copy_cells(open_cells(query), to, matrix=matrix)


def is_modern(path: Path) -> bool:
    """Whether ``obs`` is a group of columns (anndata 0.7 and later) that can be added to."""
    try:
        with h5py.File(path, "r") as file:
            return "obs" in file and "column-order" in file["obs"].attrs
    except OSError as error:
        raise damaged(path.name, error) from error


def in_memory(path: Path) -> ad.AnnData:
    """Any readable data set as AnnData, with the features of all its modalities."""
    kind = open_contents(path).format
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "h5ad":
            return ad.read_h5ad(path)
        if kind == "Zarr":
            return ad.read_zarr(path)
    cells = open_cells(path)
    whole = _without_values(cells)
    rows = np.arange(len(cells.cells))
    whole.X = csr_matrix(hstack([cells.read(name, rows) for name in cells.spaces], "csr"))
    return whole


def bare(data: Any) -> Any:
    """An AnnData or MuData that may be changed, now without :data:`MATRICES`."""
    for one in data.mod.values() if hasattr(data, "mod") else [data]:
        one.X = None
        one.raw = None
        one.layers.clear()
    for one in [data, *(data.mod.values() if hasattr(data, "mod") else ())]:
        one.obsp.clear()
        one.varp.clear()
    return data


def _copy_cells(cells: Cells, to: Path, *, matrix: bool) -> None:
    """Files of CellRanger: what all cells share, then the values by blocks of cells."""
    whole = _without_values(cells)
    write_anndata(whole, to)
    if matrix:
        n = len(cells.cells)
        every = np.array_split(np.arange(n), -(-n // CELLS) or 1)
        blocks = (
            hstack([cells.read(name, rows) for name in cells.spaces], "csr") for rows in every
        )
        with hdf5(to, "r+") as file:
            write_rows(file, "X", whole.shape, blocks)


def _without_values(cells: Cells) -> ad.AnnData:
    parts = []
    for space in cells.spaces.values():
        var = pd.DataFrame(dict(space.columns), index=pd.Index(space.names))
        parts.append(ad.AnnData(obs=cells.obs.copy(), var=var))
        parts[-1].var_names_make_unique()
    return parts[0] if len(parts) == 1 else ad.concat(parts, axis="var", merge="first")


def _stream_file(source: Any, to: Path, *, matrix: bool) -> None:
    head = source.userblock_size if isinstance(source, h5py.File) else 0
    with warnings.catch_warnings(), hdf5(to, "w", userblock_size=head) as target:
        warnings.simplefilter("ignore")  # remarks on how it was written
        _stream(source, target, without=() if matrix else MATRICES)


def _head(path: Path) -> int:
    with h5py.File(path, "r") as file:
        return file.userblock_size


def _stream(source: Any, target: Any, *, without: Collection[str]) -> None:
    """All members of a group of an HDF5 file or Zarr store, into a group of an HDF5 file."""
    for name, value in source.attrs.items():
        words = isinstance(value, list) and all(isinstance(one, str) for one in value)
        target.attrs[name] = np.array(value, h5py.string_dtype()) if words else value
    whole = {"obs", "var"} <= {*source}
    for name in source:
        if whole and name in without:
            continue
        element = source[name]
        kind = str(element.attrs.get("encoding-type", ""))
        single = isinstance(element, h5py.Dataset | zarr.Array)
        if single and kind in ("array", "") and element.shape and element.dtype.kind in "biufc":
            _stream_array(element, target, name)
        elif not single and kind in GROUPS:
            _stream(element, target.create_group(name), without=without)
        else:
            ad.io.write_elem(target, name, ad.io.read_elem(element))


def _stream_array(array: Any, target: Any, name: str) -> None:
    made = target.create_dataset(name, shape=array.shape, dtype=array.dtype)
    made.attrs.update(dict(array.attrs))
    size = array.dtype.itemsize * int(np.prod(array.shape[1:]))
    step = array.chunks[0] if array.chunks else 1
    step *= max(BLOCK // (step * max(size, 1)), 1)
    for start in range(0, array.shape[0], step):
        made[start : start + step] = array[start : start + step]
