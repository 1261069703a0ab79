"""Files of CellRanger, HDF5 (version 2 and 3) and matrix folders, as :class:`Contents`."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from scipy.io import mmread
from scipy.sparse import csr_matrix

from cytonym.data.contents import Contents, Place, unique_names
from cytonym.data.rows import MemoryRows, Rows, SparseDiskRows
from cytonym.data.source import damaged
from cytonym.errors import DataError, Problem


def open_tenx_h5(path: Path) -> Contents:
    """A 10x ``.h5`` file; its matrix is stored by cell, so that it is streamed."""
    try:
        file: Any = h5py.File(path, "r")
        if "matrix" in file:
            group, version = file["matrix"], 3
            features = {
                key: _text(group[f"features/{key}"]) for key in _V3 if key in group["features"]
            }
            var = pd.DataFrame({_V3[key]: values for key, values in features.items()})
        else:
            group, version = _genome(file, path.name), 2
            var = pd.DataFrame(
                {"name": _text(group["gene_names"]), "gene_ids": _text(group["genes"])}
            )
        cells = _text(group["barcodes"])
        n_features, n_cells = (int(n) for n in group["shape"][:])
        pointers = group["indptr"][:]
        rows = SparseDiskRows(group["data"], group["indices"], pointers, (n_cells, n_features))
    except (OSError, KeyError, RuntimeError) as error:
        raise damaged(path.name, error) from error
    return _contents(path, f"10x HDF5, version {version}", cells, var, rows)


_V3 = {"name": "name", "id": "gene_ids", "feature_type": "feature_types", "genome": "genome"}


def _genome(file: Any, name: str) -> Any:
    genomes = [key for key in file if isinstance(file[key], h5py.Group) and "barcodes" in file[key]]
    if len(genomes) == 1:
        return file[genomes[0]]
    if genomes:
        what = f"it holds {len(genomes)} genomes ({', '.join(genomes)}), each with its own cells"
        remedy = "write the one you want to its own file (scanpy.read_10x_h5 has genome=)"
    else:
        what = f"it is HDF5, but not of 10x: it holds {', '.join(sorted(file)[:8]) or 'nothing'}"
        remedy = "give the filtered_feature_bc_matrix.h5 of CellRanger, or an .h5ad"
    raise DataError(Problem(what, remedy), subject=name)


def find_matrix(folder: Path) -> Path | None:
    """The ``[prefix]matrix.mtx[.gz]`` of a folder, if there is exactly one."""
    found = sorted(folder.glob("*matrix.mtx")) + sorted(folder.glob("*matrix.mtx.gz"))
    return found[0] if len(found) == 1 else None


def open_mtx_folder(folder: Path, matrix: Path) -> Contents:
    """A folder with a matrix, its features (or genes) and its barcodes; held in memory."""
    prefix = matrix.name.split("matrix.mtx")[0]

    def beside(*stems: str) -> Path:
        names = [f"{prefix}{stem}.tsv{end}" for stem in stems for end in ("", ".gz")]
        found = [folder / name for name in names if (folder / name).exists()]
        if not found:
            what = f"there is a {matrix.name}, but none of {', '.join(names)}"
            problem = Problem(what, "copy the whole folder that CellRanger wrote")
            raise DataError(problem, subject=folder.name)
        return found[0]

    features, barcodes = beside("features", "genes"), beside("barcodes")
    try:
        table = pd.read_csv(features, sep="\t", header=None, dtype=str, keep_default_na=False)
        cells = pd.read_csv(barcodes, sep="\t", header=None, dtype=str)[0].to_numpy()
        opener = gzip.open if matrix.suffix == ".gz" else open
        with opener(matrix, "rb") as stream:
            values: Any = csr_matrix(mmread(stream).T, dtype=np.float32)
    except (OSError, EOFError, ValueError, zlib.error, pd.errors.ParserError) as error:
        raise damaged(folder.name, error) from error
    if values.shape != (len(cells), len(table)):
        what = (
            f"{matrix.name} is {values.shape[1]:,} features × {values.shape[0]:,} cells, but "
            f"{features.name} has {len(table):,} lines and {barcodes.name} {len(cells):,}"
        )
        problem = Problem(what, "take the three files from the same folder")
        raise DataError(problem, subject=folder.name)
    names = table[1] if table.shape[1] > 1 else table[0]
    var = pd.DataFrame({"name": names, "gene_ids": table[0]})
    if table.shape[1] > 2:
        var["feature_types"] = table[2]
    return _contents(folder, "10x matrix folder", cells, var, MemoryRows(values))


def _contents(
    path: Path, format: str, cells: np.ndarray, var: pd.DataFrame, rows: Rows
) -> Contents:
    """Name features by symbol, as scanpy does; their IDs stay in ``gene_ids``."""
    obs = pd.DataFrame(index=pd.Index(cells, dtype=object))
    obs.index, repeats = unique_names(obs.index)
    notes = (
        [f"{repeats:,} cell names are repeats; they were numbered -1, -2, ..."] if repeats else []
    )
    place = Place("X", var.set_index("name"), lambda: rows)
    return Contents(path.name, format, obs, {"X": place}, notes, path, repeats)


def _text(dataset: Any) -> np.ndarray:
    return dataset.asstr()[:].astype(object)
