"""Columns, matrices and facts that are added to a data set: in memory, in a file or a copy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr

from cytonym.copying import MATRICES, OWN, bare, check_change, copied, endings, in_memory
from cytonym.data.contents import split_types, unique_names
from cytonym.data.joined import facts_of
from cytonym.disk.files import changing_file, replacing, replacing_folder
from cytonym.disk.hdf5 import hdf5, write_anndata, write_mudata
from cytonym.disk.stamps import Stamp, our_own
from cytonym.disk.stores import changing_store, copy_store, is_store
from cytonym.errors import DataError, OptionError, Problem
from cytonym.stacked import Stacked
from cytonym.taken import check_free, is_answer, populations_of, written

if TYPE_CHECKING:
    from mudata import MuData

Some = TypeVar("Some", "ad.AnnData", "MuData")


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
        out: str | Path | None = None,
        *,
        matrix: bool = True,
    ) -> None:
        """Write ``query`` with the additions to ``out``, or into its own file.

        ``out`` ends in ``.h5mu`` for MuData and for several files or objects, else in ``.h5ad``
        (which may hold genes and peaks); that of a Zarr store may end in ``.zarr``.

        The matrix of a file is not read into memory. The result appears under its name only when
        it is complete: at every moment there is the old file or the new one.

        Parameters
        ----------
        out
            None: the file ``query`` itself, an ``.h5ad``, ``.h5mu`` or Zarr store.
        matrix
            False: ``out`` is a small file with ``obs``, ``var``, ``obsm``, ``varm`` and ``uns``,
            without ``X``, ``layers``, ``raw``, ``obsp`` and ``varp``.

        Raises
        ------
        OptionError
            The ending is another, or ``query`` has no file of its own to write into.
        DataError
            As for :meth:`to`, or ``query`` is a file that has changed since it was read.
        WriteError
            The disk is full, or nothing may be written there.
        CytonymError
            There is no room for a copy, or the file was changed meanwhile.
        """
        query = Path(query).expanduser() if isinstance(query, str | Path) else query
        if hasattr(query, "mod") and getattr(query, "isbacked", False):
            query = Path(str(query.filename))  # type: ignore[union-attr]
        out = None if out is None else Path(out).expanduser()
        if out is None or (isinstance(query, Path) and out.resolve() == query.resolve()):
            self._write_into(query, matrix=matrix)
            return
        known = endings(query)
        if out.suffix.lower() not in known:
            raise OptionError(f"{out.name} has to end in {' or '.join(known)} for this query.")
        read = [*query.values()] if isinstance(query, Mapping) else [query]
        stamp = self.stamp.only(Path(one) for one in read if isinstance(one, str | Path))
        stamp.check()
        if isinstance(query, Mapping):
            query = _joined(query, self.key, [*self.columns], [*self.matrices])
        self.check(query)
        if out.suffix.lower() == ".zarr":
            assert isinstance(query, Path)
            with replacing_folder(out) as partial:
                copy_store(query, partial, without=() if matrix else MATRICES)
                self._add_to_store(partial)
                stamp.check()
            return
        with replacing(out) as partial:
            if isinstance(query, Path):
                copied(query, partial, matrix=matrix)
                self._add_to_file(partial)
            else:
                held: Any = query
                held = held.to_memory() if held.isbacked else held.copy()
                self._write_whole(held if matrix else bare(held), partial)
            stamp.check()

    def _write_into(self, query: Any, *, matrix: bool) -> None:
        """Into the file of the query, by a copy that takes its place."""
        if not matrix:
            raise OptionError("Without its matrix a result needs a file of its own (out=).")
        if not isinstance(query, Path):
            raise OptionError("Only a single file can be written into: give out=, or use to().")
        check_change(query)
        self.check(query)
        self.stamp.only([query]).check()
        if is_store(query):
            with our_own(query), changing_store(query, own=OWN) as partial:
                self._add_to_store(partial)
        else:
            with our_own(query), changing_file(query) as partial:
                self._add_to_file(partial)

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
            for name in written(earlier, self.key)
            if name in obs and name not in (*self.columns, *self.kept)
        ]

    def _stale_uns(self, uns: Any) -> list[str]:
        """Populations that an earlier answer told of, and this one does not."""
        name = populations_of(self.key)
        return [name] * (is_answer(uns.get(self.key)) and name in uns and name not in self.uns)

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
            self._add(file)

    def _add_to_store(self, path: Path) -> None:
        listed = zarr.open_group(path, mode="r").metadata.consolidated_metadata is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on how it is written
            self._add(zarr.open_group(path, mode="r+", use_consolidated=False))
            if listed:  # readers trust the list of contents, where there is one
                zarr.consolidate_metadata(str(path))

    def _add(self, root: Any) -> None:
        """Add to an HDF5 file or a Zarr store; what goes is removed first, its room used again."""
        obs = root["obs"]
        index = pd.Index(np.asarray(ad.io.read_elem(obs[obs.attrs["_index"]])))
        order = self._order(index, "the file")
        for group in ("obsm", "uns"):
            if group not in root:
                ad.io.write_elem(root, group, {})
        obsm, uns = root["obsm"], root["uns"]
        facts, stale = self._facts(uns), self._stale_columns(obs, uns)
        for group, names in (
            (obs, (*stale, *self.columns)),
            (obsm, (*self._stale(obsm), *self.matrices)),
            (uns, (*self._stale_uns(uns), *facts)),
        ):
            for name in names:
                if name in group:
                    del group[name]
        columns = [str(name) for name in obs.attrs["column-order"] if name not in stale]
        for name, column in self.columns.items():
            ad.io.write_elem(obs, name, column[order])
        columns += [name for name in self.columns if name not in columns]
        in_file = isinstance(root, h5py.File)
        obs.attrs["column-order"] = np.array(columns, h5py.string_dtype()) if in_file else columns
        for name, matrix in self._matrices(order, index).items():
            if isinstance(matrix, Stacked):
                matrix.write(obsm, name)
            else:
                ad.io.write_elem(obsm, name, matrix)
        for name, value in facts.items():
            ad.io.write_elem(uns, name, value)


def _joined(
    parts: Mapping[str, str | Path | ad.AnnData], key: str, columns: list[str], matrices: list[str]
) -> MuData:
    """A MuData of several files or objects, with the facts of their cells, without an earlier
    answer under ``key``.
    """
    import mudata

    held = {}
    for name, one in parts.items():
        whole = one if isinstance(one, ad.AnnData) else in_memory(Path(one).expanduser())
        whole = whole.to_memory() if whole.isbacked else whole
        own = split_types(pd.DataFrame(whole.var))[0]
        part = (whole[:, own[name]] if len(own) > 1 and name in own else whole).copy()
        facts = pd.DataFrame(part.obs).set_axis(unique_names(part.obs_names)[0], axis=0)
        if is_answer(part.uns.get(key)):
            earlier = written(part.uns[key], key)
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
