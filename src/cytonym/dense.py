"""Dense matrices too large for memory, written to AnnData files block by block."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from anndata import AnnData

from cytonym.disk.files import check_room, replacing, replacing_folder
from cytonym.disk.hdf5 import hdf5, write_anndata, write_mudata
from cytonym.disk.stores import is_store
from cytonym.errors import OptionError

Blocks = Iterable[tuple[np.ndarray, np.ndarray]]
"""Row numbers and values ``(rows, features)``, all rows once."""

ROWS, COLUMNS = 512, 1024
"""Of a chunk that is written at once, at most."""


def check_target(out: Path, *read: Path | None, several: bool) -> None:
    """Whether ``out`` can be written: its ending, nothing else in its place, and not ``read``."""
    endings = (".zarr", ".h5mu" if several else ".h5ad")
    if out.suffix.lower() not in endings:
        kind = "several modalities" if several else "one modality"
        instead = "; or ask for one of them (modality=, --of)" * several
        raise OptionError(f"{out.name} has to end in {' or '.join(endings)} for {kind}{instead}.")
    store = is_store(out)
    zarred = out.suffix.lower() == ".zarr"
    if out.exists() and (zarred != store or zarred != out.is_dir()):
        raise OptionError(f"{out} exists and is something else; choose another name.")
    if any(one is not None and out.resolve() == one.resolve() for one in read):
        raise OptionError(f"{out} is read too; give the result another name.")
    if not out.absolute().parent.is_dir():
        raise OptionError(f"There is no folder {out.absolute().parent}; create it first.")


def write_blocks(
    out: Path, tables: Mapping[str, AnnData], values: Mapping[str, Blocks], *, size: int = ROWS
) -> None:
    """Write ``tables`` with a matrix each, float16 in ``.zarr``, float32 in HDF5.

    Parameters
    ----------
    out
        ``.zarr``, ``.h5ad``, or ``.h5mu``; appears only when it is complete.
    tables
        By modality, everything but X: one is written as AnnData, several as MuData.
    values
        By modality, the blocks of X.
    size
        Rows of a block.

    Raises
    ------
    CytonymError
        There is no room for them. Not known before of ``.zarr``, which is compressed.
    """
    zarred = out.suffix.lower() == ".zarr"
    if not zarred:
        needed = sum(4 * table.n_obs * table.n_vars for table in tables.values())
        remedy = "free some, write to another disk (--out), or to a .zarr, which takes half or less"
        check_room("a matrix", needed, out.absolute().parent, remedy)
    with (replacing_folder if zarred else replacing)(out) as partial:
        _write_tables(partial, tables)
        if zarred:
            store: Any = nullcontext(zarr.open_group(partial, mode="r+", use_consolidated=False))
        else:
            store = hdf5(partial, "r+")
        with store as root:
            for name, table in tables.items():
                group = root if len(tables) == 1 else root["mod"][name]
                _write_matrix(group, table.shape, values[name], "f2" if zarred else "f4", size)
        if zarred:
            _consolidate(partial)


def _write_tables(path: Path, tables: Mapping[str, AnnData]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if len(tables) == 1:
            (table,) = tables.values()
            table.write_zarr(path) if path.suffix == ".zarr" else write_anndata(table, path)
            return
        import mudata

        whole = mudata.MuData(dict(tables))
        whole.write_zarr(path) if path.suffix == ".zarr" else write_mudata(whole, path)


def _consolidate(path: Path) -> None:
    """Bring the list of contents of a store up to date, which readers trust."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(path))


def _write_matrix(
    group: Any, shape: tuple[int, int], blocks: Blocks, dtype: str, size: int
) -> None:
    wide = COLUMNS * ROWS // size  # fewer rows, more columns: as many files
    chunks = (max(min(size, shape[0]), 1), max(min(wide, shape[1]), 1))
    if "X" in group:
        del group["X"]
    create = group.create_array if hasattr(group, "create_array") else group.create_dataset
    matrix = create("X", shape=shape, dtype=dtype, chunks=chunks)
    matrix.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    for rows, block in blocks:
        matrix[int(rows[0]) : int(rows[-1]) + 1] = block.astype(dtype)
