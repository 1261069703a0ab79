"""Several modalities with cells of their own, as one data set: MuData, and a file for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import reduce
from itertools import combinations
from operator import or_
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from cytonym.data.anndata_rows import open_anndata, open_group
from cytonym.data.contents import TYPES, Contents, unique_names
from cytonym.data.rows import MappedRows
from cytonym.data.source import Cells, Part, damaged
from cytonym.disk.stamps import Stamp
from cytonym.errors import DataError, Problem, suggest

Opened = tuple[dict[str, Contents], pd.DataFrame | None, list[str]]
"""By modality its contents; the facts that all cells share; notes."""


def has_modalities(data: Any) -> bool:
    """Whether ``data`` is a MuData (a file or in memory) or ``{"rna": ..., "atac": ...}``."""
    mudata = sys.modules.get("mudata")
    if isinstance(data, Mapping) or (mudata is not None and isinstance(data, mudata.MuData)):
        return True
    return isinstance(data, str | Path) and Path(data).suffix.lower() == ".h5mu"


def modality_names(data: Any) -> list[str]:
    """What ``data`` call their modalities; none where they are no MuData or cannot be read."""
    if isinstance(data, Mapping):
        return [str(name) for name in data]
    if not has_modalities(data):
        return []
    if not isinstance(data, str | Path):
        return [str(name) for name in data.mod]
    try:
        with h5py.File(Path(data).expanduser(), "r") as file:
            group: Any = file["mod"]
            return [str(name) for name in group]
    except (OSError, KeyError):
        return []  # opening it will say what is wrong


def open_modalities(
    data: Any, opened: Callable[[Any], Contents], *, modalities: Mapping[str, str] | None = None
) -> Opened | None:
    """The modalities of a MuData (a file or in memory) or of ``{"rna": ..., "atac": ...}``.

    None where ``data`` is something else; ``opened`` opens a single file or AnnData.
    ``modalities`` says by what name the data call each: ``{"rna": "GEX"}``.

    Raises
    ------
    DataError
        No modality has a known name, two are the same, or one of ``modalities`` is not there.
    """
    if isinstance(data, Mapping):
        parts = {str(key): opened(value) for key, value in data.items()}
        return _known(parts, modalities), None, []
    mudata = sys.modules.get("mudata")
    if mudata is not None and isinstance(data, mudata.MuData):
        parts = {str(name): open_anndata(one) for name, one in data.mod.items()}
        known = _known(parts, modalities)
        return known, pd.DataFrame(data.obs).copy(), _left(parts, modalities)
    if isinstance(data, str | Path) and Path(data).suffix.lower() == ".h5mu":
        path = Path(data).expanduser()
        if path.is_file() and path.stat().st_size:
            return _open_h5mu(path, modalities)
    if modalities:
        what = f"modalities names {', '.join(modalities.values())}, and this is no MuData"
        raise DataError(Problem(what, "leave it out: the types of the features decide"))
    return None


def _open_h5mu(path: Path, modalities: Mapping[str, str] | None) -> Opened:
    from anndata.io import read_elem

    stamp = Stamp.of(path)
    try:
        root: Any = h5py.File(path, "r")
        group: Any = root["mod"]
        order = [str(name) for name in group.attrs.get("mod-order", list(group))]
        obs: Any = read_elem(root["obs"])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise damaged(path.name, error) from error
    parts = {name: open_group(group[name], f"{path.name}/{name}", "h5mu", path) for name in order}
    parts = {name: replace(one, stamp=stamp) for name, one in parts.items()}
    return _known(parts, modalities), obs, _left(parts, modalities)


def _modality(name: str, modalities: Mapping[str, str] | None) -> str | None:
    """What a part called ``name`` is; None: nothing that has a place here."""
    named = {theirs: ours for ours, theirs in (modalities or {}).items()}
    if name in named:
        return named[name]
    found = TYPES.get(name.lower(), name.lower())
    return found if found in TYPES.values() and found not in named.values() else None


def _known(
    parts: Mapping[str, Contents], modalities: Mapping[str, str] | None
) -> dict[str, Contents]:
    """The modalities that have a place here, under their names here."""
    found: dict[str, Contents] = {}
    have = ", ".join(parts) or "none"
    for ours, theirs in (modalities or {}).items():
        if ours not in TYPES.values():
            known = ", ".join(dict.fromkeys(TYPES.values()))
            raise DataError(Problem(f"there is no modality {ours!r} here", f"known: {known}"))
        if theirs not in parts:
            what = f"no modality is called {theirs!r}; there are {have}"
            raise DataError(Problem(what, suggest(theirs, [*parts])))
    for name, contents in parts.items():
        modality = _modality(name, modalities)
        if modality is None:
            continue
        places = {w: replace(p, modality=modality) for w, p in contents.places.items()}
        if modality in found:
            what = f"two modalities are {modality}: {contents.name} and {found[modality].name}"
            raise DataError(Problem(what, "leave one of them out"))
        found[modality] = replace(contents, places=places)
    if not found:
        remedy = "say which is which: modalities={'rna': NAME} (--modality rna=NAME)"
        raise DataError(Problem(f"its modalities are {have}", remedy))
    return found


def _left(parts: Mapping[str, Contents], modalities: Mapping[str, str] | None) -> list[str]:
    left = [name for name in parts if _modality(name, modalities) is None]
    return [f"modalities that are left out: {', '.join(left)}"] if left else []


def facts_of(frames: Mapping[str, pd.DataFrame], obs: pd.DataFrame | None) -> pd.DataFrame:
    """Facts of all cells that any modality has.

    A column of ``obs`` is taken as it is: what is missing there was left out on purpose. A column
    that only modalities have comes from the first, for cells that it lacks from the next.
    """
    names = pd.Index([])
    for frame in frames.values():
        names = names.append(frame.index.difference(names, sort=False))
    facts = pd.DataFrame(index=names)
    if obs is not None:
        facts = obs.copy()
        facts.index = unique_names(facts.index)[0]
        facts = facts.loc[facts.index.isin(names)]
    given, seen = {*facts.columns}, pd.Index([])
    for frame in frames.values():
        new = facts.index.isin(frame.index.difference(seen))
        for column in frame.columns:
            own = frame[column]
            if own.dtype.kind in "iub" and not facts.index.isin(frame.index).all():
                own = own.astype(object)  # else 1 becomes 1.0 where a cell has none
            own = own.reindex(facts.index)
            if column not in facts:
                facts[column] = own
            elif column not in given and new.any():
                mixed = facts[column].astype(object).where(~new, own.astype(object))
                kinds = {type(value) for value in mixed.dropna()}
                facts[column] = mixed if len(kinds) < 2 else mixed.map(str, na_action="ignore")
        seen = seen.union(frame.index)
    return facts


def _disagreements(parts: Mapping[str, Cells], given: Collection[str]) -> list[str]:
    """Columns, not numbers, that say different things of the same cells in two modalities."""
    said = []
    for (first, one), (second, other) in combinations(parts.items(), 2):
        cells = one.obs.index.intersection(other.obs.index)
        for column in one.obs.columns.intersection(other.obs.columns).difference([*given]):
            mine, theirs = (part.obs.loc[cells, column] for part in (one, other))
            if any(pd.api.types.is_numeric_dtype(values.dtype) for values in (mine, theirs)):
                continue  # a measure of the modality, such as its depth
            if differ := int((mine.astype(str) != theirs.astype(str)).sum()):
                said.append(
                    f"obs[{column!r}] differs between {first} and {second} in {differ:,} cells; "
                    f"that of {first} is taken"
                )
    return said


def join(parts: Mapping[str, Cells], obs: pd.DataFrame | None, notes: list[str]) -> Cells:
    """One data set of all cells that any modality has.

    Parameters
    ----------
    parts
        By modality, a data set of that modality alone.
    obs
        Facts of all cells, with their order; None: cells in the order of the modalities.
    notes
        What the user should know, beside the notes of the parts.

    Raises
    ------
    DataError
        No cell is in two modalities.
    """
    facts = facts_of({name: part.obs for name, part in parts.items()}, obs)
    notes = [*notes, *_disagreements(parts, () if obs is None else obs.columns)]
    joined = {}
    for modality, part in parts.items():
        index = part.obs.index.get_indexer(facts.index)
        held = part.parts[modality]
        there = (index >= 0) & (True if held.present is None else held.present[index])
        joined[modality] = Part(MappedRows(held.rows, index), held.columns, there)
        notes += [f"{modality}: {note}" for note in part.notes]
    shared = np.logical_and.reduce([part.present for part in joined.values()])
    name = next(iter(parts.values())).name.split("/")[0]
    if len(parts) > 1 and not shared.any():
        examples = "; ".join(f"{m}: {', '.join(p.cells[:3])}" for m, p in parts.items())
        problem = Problem(
            f"no cell is in all modalities ({examples})",
            "give the modalities of one experiment, with the same cell names in each",
        )
        raise DataError(problem, subject=name)
    if not shared.all():
        each = ", ".join(f"{int(p.present.sum()):,} have {m}" for m, p in joined.items())
        notes.append(f"{int(shared.sum()):,} of {len(facts):,} cells have all modalities; {each}")
    return Cells(
        name=name,
        obs=facts,
        spaces={m: part.spaces[m] for m, part in parts.items()},
        values={m: part.values[m] for m, part in parts.items()},
        finding={m: part.finding[m] for m, part in parts.items()},
        parts=joined,
        notes=notes,
        path=next(iter(parts.values())).path,
        stamp=reduce(or_, (part.stamp for part in parts.values())),
    )
