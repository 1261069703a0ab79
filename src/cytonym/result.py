"""What a user gets: names, how sure they are, and the columns they become; writes when asked."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import zarr

from cytonym.data.contents import split_types, unique_names
from cytonym.data.coverage import Coverage
from cytonym.data.joined import facts_of, has_modalities
from cytonym.data.read import open_cells, open_contents
from cytonym.data.source import damaged
from cytonym.errors import DataError, OptionError, Problem
from cytonym.files import replacing

if TYPE_CHECKING:
    from mudata import MuData

Some = TypeVar("Some", "ad.AnnData", "MuData")


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Names for the cells of one query.

    Attributes
    ----------
    cells
        ``(cells,)`` str cell names.
    labels
        ``(cells,)`` object, of str: the most probable type.
    confidence
        ``(cells,)`` float32 in [0, 1]: its probability.
    probabilities
        ``(cells, types)`` float32, rows sum to 1.
    embedding
        ``(cells, dim)`` float32.
    coverage
        By modality, how much of the reference's features the query has.
    notes
        What the user should know.
    model
        Facts of the model: method, version, seed, options, hash of its weights.
    """

    cells: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    probabilities: pd.DataFrame
    embedding: np.ndarray
    coverage: Mapping[str, Coverage]
    notes: tuple[str, ...]
    model: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        names, counts = np.unique(self.labels, return_counts=True)
        common = ", ".join(f"{names[i]} {counts[i]:,}" for i in np.argsort(-counts)[:5])
        more = ", ..." * (len(names) > 5)
        return f"<Annotation of {len(self):,} cells by {self.model['method']}: {common}{more}>"

    def table(self) -> pd.DataFrame:
        """One row a cell: ``label``, ``confidence``, and the runner-up with its probability."""
        values = self.probabilities.to_numpy()
        second = np.argsort(-values, axis=1)[:, min(1, values.shape[1] - 1)]
        return pd.DataFrame(
            {
                "label": self.labels,
                "confidence": self.confidence,
                "second": self.probabilities.columns.to_numpy()[second],
                "second_confidence": values[np.arange(len(values)), second],
            },
            index=pd.Index(self.cells, name="cell"),
        )

    def to(self, adata: Some, *, key: str = "cell_type_pred") -> Some:
        """Put the answer into ``adata`` (AnnData or MuData), in place, and return it.

        Writes ``obs[key]`` (categorical), ``obs[f"{key}_confidence"]``,
        ``obsm[f"{key}_probabilities"]``, ``obsm["X_<method>"]`` and ``uns[key]``; nothing else
        is touched.

        Raises
        ------
        DataError
            ``adata`` does not hold the cells that were annotated (in any order), or has other
            things under these names; an earlier answer is replaced.
        """
        check_free(adata, key, method=str(self.model["method"]))
        order = self._order(adata.obs_names, "the AnnData")
        for name, column in self._columns(key, order).items():
            adata.obs[name] = column
        for name, matrix in self._matrices(key, order, adata.obs_names).items():
            adata.obsm[name] = matrix
        adata.uns[key] = self._facts()
        return adata

    def _order(self, names: pd.Index, subject: str) -> np.ndarray:
        """Where the cells called ``names`` lie in the answer; they must be the same cells."""
        own = unique_names(names)[0]
        order = pd.Index(self.cells).get_indexer(own)
        if len(own) != len(self) or (order < 0).any():
            problem = Problem(
                f"it has {len(own):,} cells, the answer has {len(self):,}, and "
                f"{int((order >= 0).sum()):,} names of its cells are among them",
                "give the data that were annotated",
            )
            raise DataError(problem, subject=subject)
        return order

    def write(
        self,
        query: str | Path | ad.AnnData | MuData | Mapping[str, str | Path | ad.AnnData],
        out: str | Path,
        *,
        key: str = "cell_type_pred",
    ) -> None:
        """Write ``query`` with the answer to ``out``.

        ``out`` ends in ``.h5mu`` for MuData and for several files or objects, else in ``.h5ad``
        (which may hold genes and peaks).

        An ``.h5ad`` or ``.h5mu`` is copied and added to without reading its matrix. The file
        appears under its name only when it is complete.
        """
        out = Path(out).expanduser()
        query = Path(query).expanduser() if isinstance(query, str | Path) else query
        if hasattr(query, "mod") and getattr(query, "isbacked", False):
            query = Path(str(query.filename))  # type: ignore[union-attr]
        several = has_modalities(query)
        ending = ".h5mu" if several else ".h5ad"
        if out.suffix.lower() != ending:
            raise OptionError(f"{out.name} has to end in {ending} for this kind of query.")
        if isinstance(query, Mapping):
            query = _joined(query, key)
        check_free(query, key, method=str(self.model["method"]))
        with replacing(out) as partial:
            if not isinstance(query, Path):
                held: Any = query
                self._write_whole(held.to_memory() if held.isbacked else held.copy(), partial, key)
            elif query.suffix.lower() in (".h5ad", ".h5mu") and _is_modern(query):
                shutil.copyfile(query, partial)
                self._add_to_file(partial, key)
            else:
                self._write_whole(_in_memory(query), partial, key)

    def _write_whole(self, data: Any, path: Path, key: str) -> None:
        """An AnnData as ``.h5ad``, a MuData as ``.h5mu``, whatever the path is called."""
        self.to(data, key=key)
        if hasattr(data, "mod"):
            whole = path.with_suffix(".h5mu")
            data.write_h5mu(whole)
            whole.replace(path)
        else:
            data.write_h5ad(path)

    def _add_to_file(self, path: Path, key: str) -> None:
        with h5py.File(path, "r+") as file:
            obs: Any = file["obs"]
            index = pd.Index(np.asarray(ad.io.read_elem(obs[obs.attrs["_index"]])))
            order = self._order(index, "the file")
            columns = [str(name) for name in obs.attrs["column-order"]]
            for name, column in self._columns(key, order).items():
                _put(obs, name, column)
                columns += [name] if name not in columns else []
            obs.attrs["column-order"] = np.array(columns, dtype=h5py.string_dtype())
            for group in ("obsm", "uns"):
                if group not in file:
                    _put(file, group, {})
            for name, matrix in self._matrices(key, order, index).items():
                _put(file["obsm"], name, matrix)
            _put(file["uns"], key, self._facts())

    def _columns(self, key: str, order: np.ndarray) -> dict[str, Any]:
        types = self.probabilities.columns.astype(str)
        labels = pd.Categorical(self.labels, categories=types)
        return {key: labels[order], f"{key}_confidence": self.confidence[order]}

    def _matrices(self, key: str, order: np.ndarray, cells: pd.Index) -> dict[str, Any]:
        # A "/" in a key would be a folder in the file; the exact names are in uns[key]["types"].
        names = pd.Index([str(name).replace("/", "|") for name in self.probabilities.columns])
        names = unique_names(names)[0]
        chances = self.probabilities.iloc[order].set_axis(names, axis=1).set_axis(cells, axis=0)
        return {
            f"{key}_probabilities": chances,
            f"X_{self.model['method']}": self.embedding[order],
        }

    def _facts(self) -> dict[str, Any]:
        coverage = {
            modality: {
                "reference": found.reference,
                "shared": found.shared,
                "matched_by": found.matched_by,
            }
            for modality, found in self.coverage.items()
        }
        return {
            **self.model,
            "types": np.array(self.probabilities.columns, dtype=str),
            "coverage": coverage,
            "notes": np.array(self.notes, dtype=str),
        }


def check_key(key: str) -> None:
    """A key becomes the name of a column and of a place in the file."""
    if not re.fullmatch(r"\w[^/\r\n\t]*", key) or key in ("_index", "index"):
        raise OptionError(
            f"The key {key!r} cannot name a column; give a word such as 'cell_type_pred' "
            "(it begins with a letter or number, has no '/', and is not 'index')."
        )


def check_free(query: Any, key: str, *, method: str) -> None:
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
    if not isinstance(query, Path):
        names = {*query.obs, query.obs.index.name}
        _check_free(names, query.obsm, query.uns, key, method, "the AnnData")
    elif query.is_dir() and any((query / mark).exists() for mark in (".zgroup", "zarr.json")):
        _check_group(zarr.open_group(query, mode="r"), key, method, query.name)
    elif query.is_file() and h5py.is_hdf5(query):
        try:
            file = h5py.File(query, "r")
        except OSError as error:
            raise damaged(query.name, error) from error
        with file:
            _check_group(file, key, method, query.name)


def _check_group(group: Any, key: str, method: str, subject: str) -> None:
    obs = group.get("obs", {})
    names = obs.dtype.names if isinstance(obs, h5py.Dataset) else {*obs}
    obsm, uns = (group.get(name, {}) for name in ("obsm", "uns"))
    _check_free(names, obsm, uns, key, method, subject)


def _check_free(names: Any, obsm: Any, uns: Any, key: str, method: str, subject: str) -> None:
    answers = {name for name in uns if _is_answer(uns[name])}
    there = []
    if key not in answers:
        there += [f"obs[{name!r}]" for name in (key, f"{key}_confidence") if name in names]
        there += [f"obsm['{key}_probabilities']"] * (f"{key}_probabilities" in obsm)
        there += [f"uns[{key!r}]"] * (key in uns)
    if f"X_{method}" in obsm and not answers:
        there.append(f"obsm['X_{method}']")
    if there:
        problem = Problem(
            f"it has {', '.join(there)} already, which cytonym did not write",
            "give another name for the answer (key= or --key), or rename what is there",
        )
        raise DataError(problem, subject=subject)


def _is_answer(value: Any) -> bool:
    return hasattr(value, "keys") and {"method", "types"} <= {*value}


def _put(group: Any, name: str, value: Any) -> None:
    if name in group:
        del group[name]
    ad.io.write_elem(group, name, value)


def _is_modern(path: Path) -> bool:
    """Whether ``obs`` is a group of columns (anndata 0.7 and later) that can be added to."""
    with h5py.File(path, "r") as file:
        return "column-order" in file["obs"].attrs


def _joined(parts: Mapping[str, str | Path | ad.AnnData], key: str) -> MuData:
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
            facts = facts.drop(columns=[key, f"{key}_confidence"], errors="ignore")
            part.obsm.pop(f"{key}_probabilities", None)
            part.obsm.pop(f"X_{part.uns.pop(key)['method']}", None)
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
