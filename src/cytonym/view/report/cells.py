"""What an annotated data set holds beside its matrix, which is never read."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import read_elem
from scipy.sparse import issparse

from cytonym.data.contents import unique_names
from cytonym.data.joined import facts_of
from cytonym.data.labels import UNLABELLED
from cytonym.data.read import open_contents
from cytonym.data.rows import check_sparse
from cytonym.data.source import damaged, guarded
from cytonym.errors import DataError, Problem, suggest
from cytonym.memory import Memory, check_fits, resident
from cytonym.view.report.facts import Answers

if TYPE_CHECKING:
    from mudata import MuData

NO_TYPE = UNLABELLED | {"doublet", "doublets", "junk", "heterogeneous", "ambiguous"}
"""Answers, in lower case, that are no type (unless the model has a type of that name)."""

MAPS = ("X_umap", "X_tsne")
"""Pictures that a data set may bring, the first one that is there is drawn."""

CELL = 500
"""Bytes that a page takes for each cell beside the table of cells and what is drawn
(``docs/scale.md``).
"""

NONE = "(none)"
"""The name of cells that have none."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotated:
    """The facts of the cells, and what else lies beside the matrix.

    ``there`` are all names in ``obsm``; of a file only those that the page may need are read.
    """

    name: str
    obs: pd.DataFrame
    obsm: Mapping[str, Any]
    uns: Mapping[str, Any]
    there: tuple[str, ...] = ()


def read_annotated(
    data: str | Path | AnnData | MuData,
    key: str,
    embedding: str | None = None,
    max_memory: Memory | None = None,
) -> Annotated:
    """``obs``, what is drawn of ``obsm`` and what concerns ``key`` in ``uns``.

    Raises
    ------
    DataError
        No such file, damaged, no cells, or nothing annotated under ``key``.
    OptionError
        A page about so many cells takes more than ``max_memory``.
    """
    found = _read(data, key, embedding, max_memory)
    if key not in found.obs:
        raise DataError(_not_annotated(found, key), subject=found.name)
    if not len(found.obs):
        problem = Problem("it has no cells", "annotate a data set that has some")
        raise DataError(problem, subject=found.name)
    _check_memory(len(found.obs), 0, max_memory)  # the matrices are there
    return found


def _read(
    data: str | Path | AnnData | MuData, key: str, embedding: str | None, limit: Memory | None
) -> Annotated:
    mudata = sys.modules.get("mudata")
    if mudata is not None and isinstance(data, mudata.MuData):
        held: Any = data
        parts = {str(name): pd.DataFrame(one.obs) for name, one in held.mod.items()}
        obs = facts_of(parts, pd.DataFrame(held.obs))
        return Annotated("the MuData", obs, dict(held.obsm), dict(held.uns), (*held.obsm,))
    if isinstance(data, AnnData):
        obsm = dict(data.obsm)
        return Annotated("the AnnData", _named(data.obs), obsm, dict(data.uns), (*obsm,))
    if not isinstance(data, str | Path):
        what = f"{type(data).__name__} is no annotated data set"
        raise DataError(Problem(what, "give a path, an AnnData or a MuData"))
    path = Path(data).expanduser()
    if path.suffix.lower() != ".h5mu" or not path.is_file():
        contents = open_contents(path)  # says what is wrong with a path, in words
        if contents.format not in ("h5ad", "Zarr"):
            return Annotated(path.name, contents.obs, {}, {})
    try:
        zarr_store = path.is_dir()
        opened: Any = (
            nullcontext(zarr.open_group(path, mode="r")) if zarr_store else h5py.File(path, "r")
        )
    except (OSError, ValueError) as error:
        raise damaged(path.name, error) from error
    with opened as root, warnings.catch_warnings(), guarded(path.name):
        warnings.simplefilter("ignore")  # of old encodings, which are read all the same
        return _of_group(root, path.name, key, embedding, limit)


def _of_group(
    root: Any, name: str, key: str, embedding: str | None, limit: Memory | None
) -> Annotated:
    if "obs" not in root:
        return Annotated(name, pd.DataFrame(), {}, {})
    obs: Any = read_elem(root["obs"])
    if "mod" in root:
        parts: Any = {str(m): read_elem(root["mod"][m]["obs"]) for m in root["mod"]}
        obs = facts_of(parts, obs)
    uns, obsm = root.get("uns", {}), root.get("obsm", {})
    facts = {one: read_elem(uns[one]) for one in uns if one in (key, f"{key}_populations")}
    marks = {one: {} for one in uns if _is_answer(uns[one])}  # names of other answers
    own = facts.get(key)
    method = own.get("method") if isinstance(own, Mapping) else None
    wanted = {f"{key}_probabilities", drawn([*obsm], embedding, method)}
    read = [one for one in obsm if one in wanted]
    _check_memory(len(obs), sum(_bytes(obsm[one]) for one in read), limit)
    matrices = {one: read_elem(obsm[one]) for one in read}
    return Annotated(name, _named(obs), matrices, marks | facts, tuple(map(str, obsm)))


def _check_memory(n: int, read: int, limit: Memory | None) -> None:
    what = f"A page about {n:,} cells"
    check_fits(what, resident() + read + CELL * n, limit, "give as much")


def _bytes(stored: Any) -> int:
    """What it takes once it is read: an array, which is centred in a copy, or a group of them; a
    sparse matrix is made dense.
    """
    if hasattr(stored, "shape"):
        return 2 * stored.size * stored.dtype.itemsize
    if "indptr" in stored:
        return 2 * int(np.prod(stored.attrs["shape"])) * stored["data"].dtype.itemsize
    return sum(_bytes(one) for one in stored.values())


def drawn(there: Sequence[str], embedding: str | None, method: Any) -> str | None:
    """Which of the matrices ``there`` is drawn: what was asked for, a UMAP or t-SNE, or the place
    in the space of the method; None where there is none.
    """
    if embedding is not None:
        return embedding
    return next((name for name in (*MAPS, f"X_{method}") if name in there), None)


def _named(obs: Any) -> pd.DataFrame:
    frame = pd.DataFrame(obs).copy()
    frame.index = unique_names(frame.index)[0]
    return frame


def _is_answer(value: Any) -> bool:
    return hasattr(value, "keys") and {"method", "hash", "types"} <= {*value}


def _not_annotated(found: Annotated, key: str) -> Problem:
    keys = [name for name in found.uns if name in found.obs]
    if keys:
        remedy = f"{suggest(key, keys)} Name one with key= or --key"
        return Problem(f"no annotation is called {key!r} in it", remedy)
    columns = ", ".join(str(name) for name in found.obs.columns[:6]) or "no columns"
    return Problem(
        f"its cells have not been named: obs has no {key!r} (it has {columns})",
        "name them first: cytonym annotate QUERY --model MODEL --out named.h5ad; "
        "if other names are meant, say which column: --key NAME",
    )


def read_answers(found: Annotated, key: str) -> Answers:
    """The names that were given, and how sure they are.

    Raises
    ------
    DataError
        The column holds measurements.
    """
    values = pd.Series(found.obs[key])
    if pd.api.types.is_float_dtype(values.dtype) and values.notna().any():
        what = f"obs[{key!r}] holds numbers (such as {values.dropna().iloc[0]:.4g})"
        raise DataError(Problem(what, "name the column with the types: --key"), subject=found.name)
    text = as_text(values, NONE)
    counts = Counter(text)
    types = {str(name) for name in model_types(found, key)}
    no_type = {n for n in counts if n == NONE or (n.lower() in NO_TYPE and n not in types)}
    order = sorted(counts, key=lambda name: (name in no_type, -counts[name], name))
    codes = np.asarray(pd.Categorical(text, categories=order).codes, dtype=np.int64)
    confidence = None
    if f"{key}_confidence" in found.obs:
        confidence = np.asarray(found.obs[f"{key}_confidence"], dtype=float)
    named = np.array([name not in no_type for name in order])
    cells = found.obs.index.to_numpy().astype(str)
    return Answers(cells, codes, tuple(order), named, confidence)


def as_text(values: Any, missing: str) -> np.ndarray:
    """A column as ``(cells,)`` object, of str."""
    column = pd.Series(values).astype(object)
    pairs = zip(column, column.isna(), strict=True)
    return np.array([missing if gap else str(value) for value, gap in pairs], dtype=object)


def model_types(found: Annotated, key: str) -> list[str]:
    """The types that the model could give; empty where the file does not say."""
    facts = found.uns.get(key, {})
    return [str(name) for name in facts.get("types", ())] if hasattr(facts, "get") else []


def matrix(found: Annotated, name: str) -> np.ndarray:
    """``obsm[name]`` as ``(cells, dim)`` float32 or float64; a DataError where it is none."""
    values: Any = found.obsm[name]
    values = values.to_numpy() if isinstance(values, pd.DataFrame) else values
    with guarded(found.name):
        check_sparse(values)
    values = np.asarray(values.toarray() if issparse(values) else values)
    if values.ndim != 2 or values.shape[1] < 2 or values.dtype.kind not in "fiu":
        what = f"obsm[{name!r}] is {values.shape} of {values.dtype}, and cannot be drawn"
        remedy = "name a matrix (cells, 2 or more) of numbers"
        raise DataError(Problem(what, remedy), subject=found.name)
    whole = values.dtype in (np.float32, np.float64)
    return values if whole else values.astype(np.float32)
