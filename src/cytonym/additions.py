"""Columns, matrices and facts that are added to a data set: in memory, or to a copy of a file."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr

from cytonym.data.contents import split_types, unique_names
from cytonym.data.joined import facts_of, has_modalities
from cytonym.data.read import open_cells, open_contents
from cytonym.data.source import damaged
from cytonym.errors import DataError, OptionError, Problem
from cytonym.files import replacing
from cytonym.hdf5 import hdf5, write_anndata, write_mudata
from cytonym.stacked import Stacked
from cytonym.stamps import Stamp

if TYPE_CHECKING:
    from mudata import MuData

Some = TypeVar("Some", "ad.AnnData", "MuData")

CLUSTERS = "over_clustering"
"""The column of ``obs`` with the clusters that voted."""


@dataclass(frozen=True, slots=True, eq=False)
class Additions:
    """What is added to a data set, by cell.

    Attributes
    ----------
    cells
        ``(cells,)`` str cell names.
    columns, matrices
        For ``obs`` and ``obsm``: ``(cells,)`` and ``(cells, ...)``, in the order of ``cells``.
    key
        The name in ``uns`` under which ``facts`` come.
    facts
        What was done; ``method`` and ``hash`` are among them, by which an earlier answer is known.
        The names of ``columns`` are added, by which those of an earlier answer are known.
    uns, lacking
        What else comes into ``uns``: always, and where it is not there yet.
    kept
        Columns of an earlier answer that stay as they are.
    stamp
        What the files were that were read; those that :meth:`write` copies must still be it.
    """

    cells: np.ndarray
    columns: Mapping[str, Any]
    matrices: Mapping[str, np.ndarray | pd.DataFrame]
    key: str
    facts: Mapping[str, Any]
    uns: Mapping[str, Any] = field(default_factory=dict)
    lacking: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    stamp: Stamp = field(default_factory=Stamp)

    def to(self, adata: Some) -> Some:
        """Put everything into ``adata`` (AnnData or MuData), in place, and return it.

        Raises
        ------
        DataError
            ``adata`` does not hold the same cells (in any order), or has other things under
            these names; an earlier answer is replaced.
        """
        self.check(adata)
        order = self._order(adata.obs_names, "the AnnData")
        for name in self._stale(adata.obsm):
            del adata.obsm[name]
        if stale := self._stale_columns(adata.obs, adata.uns):
            adata.obs = pd.DataFrame(adata.obs).drop(columns=stale)
        for name, column in self.columns.items():
            adata.obs[name] = column[order]
        for name, matrix in self._matrices(order, adata.obs_names).items():
            adata.obsm[name] = matrix if isinstance(matrix, pd.DataFrame) else np.array(matrix)
        for name in self._stale_uns(adata.uns):
            del adata.uns[name]
        for name, value in self._facts(adata.uns).items():
            adata.uns[name] = value
        return adata

    def check(self, query: Any) -> None:
        """Refuse a query that holds something else under one of the names."""
        check_free(query, self.key, columns=self.columns, matrices=self.matrices)

    def write(
        self,
        query: str | Path | ad.AnnData | MuData | Mapping[str, str | Path | ad.AnnData],
        out: str | Path,
    ) -> None:
        """Write ``query`` with the additions to ``out``.

        ``out`` ends in ``.h5mu`` for MuData and for several files or objects, else in ``.h5ad``
        (which may hold genes and peaks).

        An ``.h5ad`` or ``.h5mu`` is copied and added to without reading its matrix. The file
        appears under its name only when it is complete.

        Raises
        ------
        DataError
            ``query`` does not hold the same cells, has other things under these names, or is a
            file that has changed since it was read.
        WriteError
            The disk is full, or nothing may be written there.
        """
        out = Path(out).expanduser()
        query = Path(query).expanduser() if isinstance(query, str | Path) else query
        if hasattr(query, "mod") and getattr(query, "isbacked", False):
            query = Path(str(query.filename))  # type: ignore[union-attr]
        several = has_modalities(query)
        ending = ".h5mu" if several else ".h5ad"
        if out.suffix.lower() != ending:
            raise OptionError(f"{out.name} has to end in {ending} for this kind of query.")
        copied = [*query.values()] if isinstance(query, Mapping) else [query]
        stamp = self.stamp.only(Path(one) for one in copied if isinstance(one, str | Path))
        stamp.check()
        if isinstance(query, Mapping):
            query = _joined(query, self.key, [*self.columns], [*self.matrices])
        self.check(query)
        with replacing(out) as partial:
            if not isinstance(query, Path):
                held: Any = query
                self._write_whole(held.to_memory() if held.isbacked else held.copy(), partial)
            elif query.suffix.lower() in (".h5ad", ".h5mu") and _is_modern(query):
                shutil.copyfile(query, partial)
                self._add_to_file(partial)
            else:
                self._write_whole(_in_memory(query), partial)
            stamp.check()

    def _order(self, names: pd.Index, subject: str) -> np.ndarray:
        """Where the cells called ``names`` lie in the answer; they must be the same cells."""
        own = unique_names(names)[0]
        order = pd.Index(self.cells).get_indexer(own)
        if len(own) != len(self.cells) or (order < 0).any():
            problem = Problem(
                f"it has {len(own):,} cells, the answer has {len(self.cells):,}, and "
                f"{int((order >= 0).sum()):,} names of its cells are among them",
                "give the data that were annotated",
            )
            raise DataError(problem, subject=subject)
        return order

    def _stale(self, obsm: Any) -> list[str]:
        """Views that an earlier embedding left, and this one does not replace."""
        views = self.key if self.key.startswith("X_") else f"X_{self.facts['method']}"
        return [
            name for name in [*obsm] if name.startswith(f"{views}_") and name not in self.matrices
        ]

    def _stale_columns(self, obs: Any, uns: Any) -> list[str]:
        """Columns that an earlier answer wrote, and this one does not replace."""
        earlier = uns.get(self.key, {})
        return [
            name
            for name in _written(earlier, self.key)
            if name in obs and name not in (*self.columns, *self.kept)
        ]

    def _stale_uns(self, uns: Any) -> list[str]:
        """Populations that an earlier answer told of, and this one does not."""
        name = populations_of(self.key)
        return [name] * (_is_answer(uns.get(self.key)) and name in uns and name not in self.uns)

    def _facts(self, uns: Any) -> dict[str, Any]:
        """What comes into ``uns``."""
        columns = {"columns": np.array([*self.columns], dtype=str)} if self.columns else {}
        lacking = {name: value for name, value in self.lacking.items() if name not in uns}
        return {self.key: {**self.facts, **columns}, **self.uns, **lacking}

    def _matrices(self, order: np.ndarray, cells: pd.Index) -> dict[str, Any]:
        def sorted_(matrix: np.ndarray | pd.DataFrame) -> Any:
            as_it_is = (order == np.arange(len(order))).all()
            if isinstance(matrix, pd.DataFrame):
                matrix = matrix if as_it_is else matrix.iloc[order]
                return matrix.set_axis(cells, axis=0)
            return matrix if as_it_is else matrix[order]

        return {name: sorted_(matrix) for name, matrix in self.matrices.items()}

    def _write_whole(self, data: Any, path: Path) -> None:
        self.to(data)
        write_mudata(data, path) if hasattr(data, "mod") else write_anndata(data, path)

    def _add_to_file(self, path: Path) -> None:
        with hdf5(path, "r+") as file:
            obs: Any = file["obs"]
            index = pd.Index(np.asarray(ad.io.read_elem(obs[obs.attrs["_index"]])))
            order = self._order(index, "the file")
            for group in ("obsm", "uns"):
                if group not in file:
                    _put(file, group, {})
            stale = self._stale_columns(obs, file["uns"])
            for name in stale:
                del obs[name]
            columns = [str(name) for name in obs.attrs["column-order"] if name not in stale]
            for name, column in self.columns.items():
                _put(obs, name, column[order])
                columns += [name] if name not in columns else []
            obs.attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
            obsm: Any = file["obsm"]
            for name in self._stale(obsm):
                del obsm[name]
            for name, matrix in self._matrices(order, index).items():
                _put(obsm, name, matrix)
            uns: Any = file["uns"]
            for name in self._stale_uns(uns):
                del uns[name]
            for name, value in self._facts(uns).items():
                _put(uns, name, value)


def populations_of(key: str) -> str:
    """The name in ``uns`` of the table of new populations."""
    return f"{key}_populations"


def check_key(key: str) -> None:
    """A key becomes the name of a column and of a place in the file."""
    if not re.fullmatch(r"\w[^/\r\n\t]*", key) or key in ("_index", "index"):
        raise OptionError(
            f"The key {key!r} cannot name a column; give a word such as 'cell_type_pred' "
            "(it begins with a letter or number, has no '/', and is not 'index')."
        )


def check_free(query: Any, key: str, *, columns: Iterable[str], matrices: Iterable[str]) -> None:
    """Refuse names under which the query holds something that is not an earlier answer.

    ``query`` is a path, an AnnData or a MuData.

    Raises
    ------
    OptionError
        The key cannot name a column.
    DataError
        What is in the way.
    """
    check_key(key)
    wanted = [*columns], [*matrices]
    if not isinstance(query, Path):
        names = {*query.obs, query.obs.index.name}
        _check_free(names, query.obsm, query.uns, key, *wanted, "the AnnData")
    elif query.is_dir() and any((query / mark).exists() for mark in (".zgroup", "zarr.json")):
        _check_group(zarr.open_group(query, mode="r"), key, *wanted, query.name)
    elif query.is_file() and h5py.is_hdf5(query):
        try:
            file = h5py.File(query, "r")
        except OSError as error:
            raise damaged(query.name, error) from error
        with file:
            _check_group(file, key, *wanted, query.name)


def _check_group(
    group: Any, key: str, columns: list[str], matrices: list[str], subject: str
) -> None:
    obs = group.get("obs", {})
    names = obs.dtype.names if isinstance(obs, h5py.Dataset) else {*obs}
    obsm, uns = (group.get(name, {}) for name in ("obsm", "uns"))
    _check_free(names, obsm, uns, key, columns, matrices, subject)


def _check_free(
    names: Any,
    obsm: Any,
    uns: Any,
    key: str,
    columns: list[str],
    matrices: list[str],
    subject: str,
) -> None:
    answers = {name for name in uns if _is_answer(uns[name])}
    own_names = {f"X_{_text(uns[name]['method'])}" for name in answers}
    earlier = [*_written(uns[key], key)] if key in answers else []
    # The clusters are shared by all answers, as embeddings are.
    earlier += [CLUSTERS] * any(CLUSTERS in _written(uns[name], name) for name in answers)
    there = [f"obs[{name!r}]" for name in columns if name in names and name not in earlier]
    reserved = (key, populations_of(key))
    there += [f"uns[{name!r}]" for name in reserved if name in uns and key not in answers]
    for name in matrices:  # embeddings are shared by all answers of a method
        own = key in answers or any(name == one or name.startswith(f"{one}_") for one in own_names)
        there += [f"obsm[{name!r}]"] * (name in obsm and not own)
    if there:
        remedy = "give another name for the answer (key= or --key), or rename what is there"
        if there == [f"obs[{CLUSTERS!r}]"]:
            remedy = f"rename it, or let these clusters vote (--over-clustering {CLUSTERS})"
        problem = Problem(f"it has {', '.join(there)} already, which cytonym did not write", remedy)
        raise DataError(problem, subject=subject)


def _is_answer(value: Any) -> bool:
    return hasattr(value, "keys") and {"method", "hash"} <= {*value}


def _written(answer: Any, key: str) -> tuple[str, ...]:
    """The columns of ``obs`` that an earlier answer under ``key`` wrote."""
    if not _is_answer(answer):
        return ()
    if "columns" not in answer:  # one of an older version, or without columns
        return key, f"{key}_confidence", f"{key}_set"
    names = answer["columns"]
    names = ad.io.read_elem(names) if isinstance(names, h5py.Dataset | zarr.Array) else names
    return tuple(str(name) for name in np.atleast_1d(np.asarray(names)))


def _text(value: Any) -> str:
    """A string of a file or of an object."""
    value = value[()] if isinstance(value, h5py.Dataset | zarr.Array) else value
    return value.decode() if isinstance(value, bytes) else str(value)


def _put(group: Any, name: str, value: Any) -> None:
    if name in group:
        del group[name]
    if isinstance(value, Stacked):
        value.write(group, name)
    else:
        ad.io.write_elem(group, name, value)


def _is_modern(path: Path) -> bool:
    """Whether ``obs`` is a group of columns (anndata 0.7 and later) that can be added to."""
    with h5py.File(path, "r") as file:
        return "column-order" in file["obs"].attrs


def _joined(
    parts: Mapping[str, str | Path | ad.AnnData], key: str, columns: list[str], matrices: list[str]
) -> MuData:
    """A MuData of several files or objects, with the facts of their cells, without an earlier
    answer under ``key``.
    """
    import mudata

    held = {}
    for name, one in parts.items():
        whole = one if isinstance(one, ad.AnnData) else _in_memory(Path(one).expanduser())
        whole = whole.to_memory() if whole.isbacked else whole
        own = split_types(pd.DataFrame(whole.var))[0]
        part = (whole[:, own[name]] if len(own) > 1 and name in own else whole).copy()
        facts = pd.DataFrame(part.obs).set_axis(unique_names(part.obs_names)[0], axis=0)
        if _is_answer(part.uns.get(key)):
            earlier = _written(part.uns[key], key)
            facts = facts.drop(columns=[*columns, *earlier], errors="ignore")
            for matrix in (*matrices, f"X_{part.uns.pop(key)['method']}"):
                part.obsm.pop(matrix, None)
        part.obs = facts
        held[name] = part
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        joined = mudata.MuData(held)
    facts = facts_of({name: pd.DataFrame(one.obs, copy=True) for name, one in held.items()}, None)
    joined.obs = facts.reindex(joined.obs_names)
    return joined


def _in_memory(path: Path) -> ad.AnnData:
    """Any readable data set as AnnData, with the features of all its modalities."""
    kind = open_contents(path).format
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind == "h5ad":
            return ad.read_h5ad(path)
        if kind == "Zarr":
            return ad.read_zarr(path)
    cells = open_cells(path)
    rows = np.arange(len(cells.cells))
    parts = []
    for modality, space in cells.spaces.items():
        var = pd.DataFrame(dict(space.columns), index=pd.Index(space.names))
        parts.append(ad.AnnData(cells.read(modality, rows), obs=cells.obs.copy(), var=var))
        parts[-1].var_names_make_unique()
    return parts[0] if len(parts) == 1 else ad.concat(parts, axis="var", merge="first")
