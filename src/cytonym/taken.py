"""Whether the names of an answer are free in a data set: only an earlier answer is replaced."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import zarr

from cytonym.data.source import damaged
from cytonym.disk.stores import is_store
from cytonym.errors import DataError, OptionError, Problem

CLUSTERS = "over_clustering"
"""The column of ``obs`` with the clusters that voted."""


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
    elif is_store(query):
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
    answers = {name for name in uns if is_answer(uns[name])}
    own_names = {f"X_{_text(uns[name]['method'])}" for name in answers}
    earlier = [*written(uns[key], key)] if key in answers else []
    # The clusters are shared by all answers, as embeddings are.
    earlier += [CLUSTERS] * any(CLUSTERS in written(uns[name], name) for name in answers)
    there = [f"obs[{name!r}]" for name in columns if name in names and name not in earlier]
    reserved = (key, populations_of(key))
    there += [f"uns[{name!r}]" for name in reserved if name in uns and key not in answers]
    for name in matrices:  # embeddings are shared by all answers of a method
        own = key in answers or any(name == one or name.startswith(f"{one}_") for one in own_names)
        there += [f"obsm[{name!r}]"] * (name in obsm and not own)
    if there:
        remedy = "give another name for the answer (key= or --key), or rename what is there"
        if all(one.startswith("obsm['X_") for one in there):  # no key is in that name
            remedy = "rename what is there"
        if there == [f"obs[{CLUSTERS!r}]"]:
            remedy = f"rename it, or let these clusters vote (--over-clustering {CLUSTERS})"
        problem = Problem(f"it has {', '.join(there)} already, which cytonym did not write", remedy)
        raise DataError(problem, subject=subject)


def is_answer(value: Any) -> bool:
    """Whether something in ``uns`` is what an answer of ours says of itself."""
    return hasattr(value, "keys") and {"method", "hash"} <= {*value}


def written(answer: Any, key: str) -> tuple[str, ...]:
    """The columns of ``obs`` that an earlier answer under ``key`` wrote."""
    if not is_answer(answer):
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
