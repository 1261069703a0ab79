"""Changes to the columns and facts of a data set: in memory, or in a copy of its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from anndata.io import read_elem, write_elem

from cytonym.data.source import damaged
from cytonym.disk.files import copy, replacing
from cytonym.disk.hdf5 import hdf5, write_anndata
from cytonym.disk.stamps import Stamp
from cytonym.errors import DataError, OptionError, Problem

SAMPLE = 1000
"""Names of features that are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What is known of a data set without its matrix.

    Attributes
    ----------
    name
        For messages.
    obs
        Facts of the cells.
    uns
        The keys of ``uns``; those of a dict with their own, flat values and short lists as they
        are.
    obsm
        Name to shape.
    features
        The first names of ``var``.
    stamp
        What the file was when it was opened.
    """

    name: str
    obs: pd.DataFrame
    uns: Mapping[str, Any]
    obsm: Mapping[str, tuple[int, ...]]
    features: tuple[str, ...]
    stamp: Stamp = field(default_factory=Stamp)


def held(data: AnnData | str | Path) -> Held:
    """Look at an AnnData or an ``.h5ad``.

    Raises
    ------
    DataError
        Another kind of data, no such file, a damaged one, or one in the form of anndata 0.6.
    """
    if isinstance(data, AnnData):
        features = tuple(map(str, data.var_names[:SAMPLE]))
        shapes = {str(name): np.shape(value) for name, value in data.obsm.items()}
        return Held("the AnnData", pd.DataFrame(data.obs), dict(data.uns), shapes, features)
    if not isinstance(data, str | Path):
        what = f"{type(data).__name__} cannot be exported"
        raise DataError(Problem(what, "give an AnnData, one modality of a MuData, or an .h5ad"))
    path = Path(data).expanduser()
    if not path.is_file() or path.suffix.lower() != ".h5ad":
        what = "there is no such file" if not path.exists() else f"it is no .h5ad ({path.name})"
        remedy = "give an .h5ad, such as cytonym annotate writes; of an .h5mu one modality"
        raise DataError(Problem(what, remedy), subject=path.name)
    stamp = Stamp.of(path)
    try:
        with h5py.File(path, "r") as file:
            return replace(_held_file(file, path.name), stamp=stamp)
    except OSError as error:
        raise damaged(path.name, error) from error


def _held_file(file: h5py.File, name: str) -> Held:
    obs: Any = file.get("obs")
    if not isinstance(obs, h5py.Group) or "column-order" not in obs.attrs:
        what = "obs is not stored as a group of columns, as anndata 0.7 and later do"
        raise DataError(Problem(what, "read it with anndata and write it again"), subject=name)
    var: Any = file.get("var")
    features: tuple[str, ...] = ()
    if isinstance(var, h5py.Group) and "_index" in var.attrs:
        first: Any = var[str(var.attrs["_index"])]
        if isinstance(first, h5py.Dataset):
            features = tuple(str(one) for one in first.asstr()[:SAMPLE])
    obsm: Any = file.get("obsm", {})
    shapes = {str(n): tuple(v.shape) for n, v in obsm.items() if isinstance(v, h5py.Dataset)}
    uns: Any = file.get("uns", {})
    facts = {str(key): _flat(uns[key]) for key in uns}
    frame: Any = read_elem(obs)
    return Held(name, frame, facts, shapes, features)


def _flat(value: Any) -> Any:
    """A text or number as it is, a dict or a short list of these; nothing large is read."""
    if isinstance(value, h5py.Group):
        return {str(key): _flat(value[key]) for key in value}
    if isinstance(value, h5py.Dataset) and value.shape == ():
        found = value[()]
        return found.decode() if isinstance(found, bytes) else found
    if isinstance(value, h5py.Dataset) and value.ndim == 1 and len(value) <= SAMPLE:
        return read_elem(value)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """What becomes of a data set.

    Attributes
    ----------
    name
        Of the data set, for messages.
    cells
        ``(cells,)`` str cell names.
    columns
        Name to ``(cells,)`` values: columns of ``obs`` that are added, or replaced.
    renamed
        Old to new name of columns of ``obs``, which keep their place.
    uns
        What is put into ``uns``; a dict is joined with one that is there.
    missing
        What the target asks for and the data lack, each with what to fill in.
    notes
        What the user should know.
    stamp
        What the file was that was looked at; one that :meth:`write` copies must still be it.
    """

    name: str
    cells: pd.Index
    columns: Mapping[str, Any]
    renamed: Mapping[str, str]
    uns: Mapping[str, Any]
    missing: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    stamp: Stamp = field(default_factory=Stamp)

    def to(self, adata: AnnData) -> AnnData:
        """Change ``adata`` in place, and return it.

        Raises
        ------
        DataError
            It does not hold the same cells in the same order.
        """
        self._check(pd.Index(adata.obs_names), "the AnnData")
        obs = pd.DataFrame(adata.obs).rename(columns=dict(self.renamed))
        for name, column in self.columns.items():
            obs[name] = column
        adata.obs = obs
        for key, value in self.uns.items():
            there: Any = adata.uns.get(key)
            if isinstance(there, Mapping) and isinstance(value, Mapping):
                value = {**dict(there), **value}
            adata.uns[key] = value
        return adata

    def write(self, data: AnnData | str | Path, out: str | Path) -> None:
        """Write ``data`` with the changes to ``out``, an ``.h5ad``.

        A file is copied and changed without reading its matrix. The result appears under its
        name only when it is complete.

        Raises
        ------
        DataError
            It does not hold the same cells in the same order, or has changed since it was
            looked at.
        OptionError
            ``out`` does not end in ``.h5ad``.
        WriteError
            The disk is full, or nothing may be written there.
        """
        out = Path(out).expanduser()
        if out.suffix.lower() != ".h5ad":
            raise OptionError(f"{out.name} has to end in .h5ad.")
        with replacing(out) as partial:
            if isinstance(data, AnnData):
                whole = data.to_memory() if data.isbacked else data.copy()
                write_anndata(self.to(whole), partial)
            else:
                with self.stamp.only([Path(data).expanduser()]).unchanged():
                    copy(Path(data).expanduser(), partial)
                self._change_file(partial)

    def _change_file(self, path: Path) -> None:
        with hdf5(path, "r+") as file:
            obs: Any = file["obs"]
            index: Any = read_elem(obs[obs.attrs["_index"]])
            self._check(pd.Index(np.asarray(index)), "the file")
            order = [str(name) for name in obs.attrs["column-order"]]
            for old, new in self.renamed.items():
                obs.move(old, new)
            order = [self.renamed.get(name, name) for name in order]
            for name, column in self.columns.items():
                if name in obs:
                    del obs[name]
                write_elem(obs, name, column)
                order += [name] if name not in order else []
            obs.attrs["column-order"] = np.array(order, dtype=h5py.string_dtype())
            if "uns" not in file:
                write_elem(file, "uns", {})
            for key, value in self.uns.items():
                _join(file["uns"], key, value)

    def _check(self, cells: pd.Index, subject: str) -> None:
        if not cells.astype(str).equals(self.cells.astype(str)):
            what = f"its {len(cells):,} cells are not the {len(self.cells):,} of the export"
            raise DataError(Problem(what, "give the data that were looked at"), subject=subject)


def _join(group: Any, key: str, value: Any) -> None:
    if isinstance(value, Mapping) and isinstance(group.get(key), h5py.Group):
        for name, part in value.items():
            _join(group[key], name, part)
        return
    if key in group:
        del group[key]
    write_elem(group, key, value)
