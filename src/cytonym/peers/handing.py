"""What the process of a competitor is given and what it gives back: files in a folder.

The process sees counts, names of features, the reference's labels and, where they are told, the
batches. Cells get numbers for names, and nothing else of the query is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.data.contents import split_types
from cytonym.data.judge import judge, sample_rows
from cytonym.disk.files import replacing
from cytonym.disk.hdf5 import write_anndata
from cytonym.errors import CytonymError, DataError, Problem, suggest
from cytonym.peers.competitors import Competitor

LABEL, BATCH = "label", "batch"
"""The only columns of ``obs`` that are written, under these names."""

Cells = AnnData | Mapping[str, AnnData]


@dataclass(frozen=True, slots=True, eq=False)
class Handed:
    """Reference and query as a competitor reads them: by modality, with nothing that it may not
    see. ``labels`` are those of the reference; ``n_query`` the cells to name.
    """

    reference: Mapping[str, AnnData]
    query: Mapping[str, AnnData]
    n_query: int


def handed(
    one: Competitor, reference: Cells, query: Cells, *, label: str, batch: str | None
) -> Handed:
    """What ``one`` gets of the data.

    Peers get the features that both have, in the order of the reference, and the modalities that
    both have; ours get all that they read, and match for themselves.

    Raises
    ------
    DataError
        All that is wrong with the data, at once.
    """
    parts = {"reference": as_parts(reference, "reference"), "query": as_parts(query, "query")}
    problems = [p for side, found in parts.items() for p in _problems(side, found, label, batch)]
    if not problems:
        problems = _modality_problems(one, parts)
    if problems:
        raise DataError(problems, subject=f"the data for {one.name}")
    taken = {side: _read(one, parts, side) for side in parts}
    columns = {
        side: {LABEL: label} if side == "reference" else {} for side in parts
    }  # the query's labels are written nowhere
    if batch is not None:
        columns = {side: {**names, BATCH: batch} for side, names in columns.items()}
    shown = {
        side: {name: _bare(parts[side][name], _obs(parts[side], columns[side])) for name in names}
        for side, names in taken.items()
    }
    if not one.ours:
        shown = _shared(one, shown)
    return Handed(shown["reference"], shown["query"], next(iter(parts["query"].values())).n_obs)


def as_parts(data: Cells, side: str) -> dict[str, AnnData]:
    """Cells by modality; what a lone AnnData holds is told by its features."""
    parts = dict(data) if isinstance(data, Mapping) else {side: data}
    if strange := {name: type(one) for name, one in parts.items() if not isinstance(one, AnnData)}:
        kinds = ", ".join(f"{name}: {kind.__name__}" for name, kind in strange.items())
        remedy = "read a file first (anndata.read_h5ad); of a MuData give dict(mudata.mod)"
        raise DataError(Problem(f"the {side} is no AnnData ({kinds})", remedy))
    if isinstance(data, Mapping):
        return {str(name): one for name, one in data.items()}
    var: Any = data.var
    kinds = [*split_types(var)[0]]
    if len(kinds) > 1:
        what = f"an AnnData holds several modalities ({', '.join(kinds)})"
        remedy = 'give {"rna": ..., "atac": ...}, one AnnData for each'
        raise DataError(Problem(what, remedy))
    return {next(iter(kinds), "rna"): data}


def _problems(
    side: str, parts: Mapping[str, AnnData], label: str, batch: str | None
) -> list[Problem]:
    """What is wrong with one side, whoever reads it."""
    if not parts:
        return [Problem(f"the {side} has no modality", 'give {"rna": ...}')]
    found = []
    sizes = {name: one.n_obs for name, one in parts.items()}
    first = next(iter(parts.values()))
    if any(not one.obs_names.equals(first.obs_names) for one in parts.values()):
        counted = ", ".join(f"{name} {n:,}" for name, n in sizes.items())
        what = f"the modalities of the {side} are not of the same cells in one order ({counted})"
        found.append(Problem(what, "give the cells that have all of them, in one order"))
    if not first.n_obs:
        found.append(Problem(f"the {side} has no cells", "look at how it was cut"))
    wanted = {label} if side == "reference" else set()
    for column in sorted(wanted | ({batch} if batch is not None else set())):
        where = [one.obs for one in parts.values() if column in one.obs]
        if not where:
            known = sorted({str(name) for one in parts.values() for name in one.obs})
            remedy = suggest(column, known) if known else "obs is empty"
            found.append(Problem(f"the {side} has no column {column!r} in obs", remedy))
        elif n := int(where[0][column].isna().sum()):
            what = f"{n:,} of {len(where[0]):,} cells of the {side} have no {column!r}"
            found.append(Problem(what, "leave them out"))
    for name, one in parts.items():
        found += _value_problems(side, name, one)
    return found


def _value_problems(side: str, name: str, one: AnnData) -> list[Problem]:
    """What is wrong with the numbers of a modality."""
    x = _matrix(one)
    values = x.data
    found = []
    if n := int((~np.isfinite(values)).sum()):
        what = f"{n:,} values of {name} in the {side} are not finite"
        found.append(Problem(what, "give raw counts in X"))
    elif n := int((values < 0).sum()):
        what = f"{n:,} values of {name} in the {side} are negative, the lowest {values.min():g}"
        found.append(Problem(what, "give raw counts in X"))
    elif logged := _logged(one, x):
        what = f"the values of {name} in the {side} are no counts but {logged}"
        found.append(Problem(what, "give raw counts in X"))
    if n := int(one.var_names.duplicated().sum()):
        what = f"{n:,} features of {name} in the {side} have the name of another"
        found.append(Problem(what, "make them unique (var_names_make_unique)"))
    return found


def _logged(one: AnnData, x: csr_matrix) -> str:
    """What proves that values are logged; empty where nothing does (fractions may be counts)."""
    rows = sample_rows(one.n_obs, x.nnz)
    cells, features = one.obs_names[rows].to_numpy(), one.var_names.to_numpy()
    found = judge(x[rows], "X", cells=cells, features=features, whole=len(rows) == one.n_obs)
    return f"{found.kind} ({found.evidence})" if found.is_logged else ""


def _modality_problems(one: Competitor, parts: Mapping[str, Mapping[str, AnnData]]) -> list:
    """Modalities that the competitor would need, and the data lack."""
    have = {side: [*found] for side, found in parts.items()}
    if _read(one, parts, "reference") and _read(one, parts, "query"):
        return []
    needs = " and ".join(one.modalities)
    said = "; ".join(f"the {side} has {', '.join(names)}" for side, names in have.items())
    what = f"{one.name} reads {needs}, and {said}"
    return [Problem(what, "give these modalities, or take a competitor that does without")]


def _read(
    one: Competitor, parts: Mapping[str, Mapping[str, AnnData]], side: str
) -> tuple[str, ...]:
    """The modalities of a side that the competitor gets."""
    both = [name for name in parts["reference"] if name in parts["query"]]
    if not one.ours:
        return one.reads(both)
    learned = one.reads([*parts["reference"]])
    if side == "reference":
        return learned
    asked = tuple(name for name in learned if name in parts["query"])
    return asked if one.optional or asked == learned else ()


def _shared(
    one: Competitor, shown: Mapping[str, Mapping[str, AnnData]]
) -> dict[str, dict[str, AnnData]]:
    """Both sides with the features that both have, in the order of the reference."""
    out: dict[str, dict[str, AnnData]] = {"reference": {}, "query": {}}
    problems = []
    for name, known in shown["reference"].items():
        asked = shown["query"][name]
        both = known.var_names[known.var_names.isin(asked.var_names)]
        if not len(both):
            what = (
                f"reference ({known.n_vars:,}) and query ({asked.n_vars:,}) share no {name} feature"
            )
            remedy = (
                "bring both to the same features first; of ours, seqalign needs no shared peaks"
            )
            problems.append(Problem(what, remedy))
        out["reference"][name], out["query"][name] = known[:, both].copy(), asked[:, both].copy()
    if problems:
        raise DataError(problems, subject=f"the data for {one.name}")
    return out


def _obs(parts: Mapping[str, AnnData], columns: Mapping[str, str]) -> pd.DataFrame:
    """The columns that may be seen, for cells with numbers for names."""
    n = next(iter(parts.values())).n_obs
    obs = pd.DataFrame(index=pd.Index([str(row) for row in range(n)]))
    for name, column in columns.items():
        frame = next(one.obs for one in parts.values() if column in one.obs)
        obs[name] = frame[column].astype(str).to_numpy().astype(object)
    return obs


def _bare(one: AnnData, obs: pd.DataFrame) -> AnnData:
    """Counts and features of a modality with other facts about its cells."""
    kept = [
        column
        for column in one.var
        if one.var[column].dtype.kind in "biuf"
        or isinstance(one.var[column].dtype, pd.CategoricalDtype)
        or pd.api.types.infer_dtype(one.var[column]) == "string"
    ]
    var: Any = one.var[kept].copy()
    return AnnData(_matrix(one), obs.copy(), var)


def _matrix(one: AnnData) -> csr_matrix:
    """The values as float32 sparse rows."""
    return csr_matrix(one.to_memory().X if one.isbacked else one.X, dtype=np.float32)


def write(handed: Handed, folder: Path, task: Mapping[str, Any]) -> None:
    """Write ``reference_<modality>.h5ad``, ``query_<modality>.h5ad`` and ``task.json``."""
    for side, parts in (("reference", handed.reference), ("query", handed.query)):
        for name, one in parts.items():
            path = folder / f"{side}_{name}.h5ad"
            with replacing(path) as partial:
                write_anndata(one, partial)
    names = {"reference": [*handed.reference], "query": [*handed.query]}
    text = json.dumps({**task, **names}, indent=1)
    (folder / "task.json").write_text(text, encoding="utf-8")


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a process answered; see :class:`cytonym.peers.Answer`."""

    labels: np.ndarray
    confidence: np.ndarray | None
    embedding: np.ndarray | None
    facts: Mapping[str, Any]


def read(folder: Path, name: str, n_cells: int) -> Said:
    """What the process wrote: ``answer.npz`` and ``answer.json``.

    Raises
    ------
    CytonymError
        There is no answer, or not one for each cell.
    """
    files = folder / "answer.json", folder / "answer.npz"
    if not all(file.is_file() for file in files):
        what = f"{name} ended without an error and without an answer"
        raise CytonymError(str(Problem(what, "keep the folder (work=) and look at its stdout")))
    facts = json.loads(files[0].read_text(encoding="utf-8"))
    with np.load(files[1], allow_pickle=False) as arrays:
        found = {key: arrays[key] for key in arrays.files}
    wrong = {key: len(array) for key, array in found.items() if len(array) != n_cells}
    if wrong or "labels" not in found:
        counted = ", ".join(f"{n:,} {key}" for key, n in wrong.items()) or "no labels"
        what = f"{name} gave {counted} for {n_cells:,} cells"
        raise CytonymError(str(Problem(what, "report it: its recipe is wrong")))
    return Said(found["labels"], found.get("confidence"), found.get("embedding"), facts)
