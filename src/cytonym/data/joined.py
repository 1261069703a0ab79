"""Several modalities with cells of their own, as one data set: MuData, and a file for each."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from cytonym.data.anndata_rows import open_anndata, open_group
from cytonym.data.contents import TYPES, Contents, unique_names
from cytonym.data.rows import MappedRows
from cytonym.data.source import Cells, Part, damaged
from cytonym.errors import DataError, Problem

Opened = tuple[dict[str, Contents], pd.DataFrame | None, list[str]]
"""By modality its contents; the facts that all cells share; notes."""


def open_modalities(data: Any, opened: Callable[[Any], Contents]) -> Opened | None:
    """The modalities of a MuData (a file or in memory) or of ``{"rna": ..., "atac": ...}``.

    None where ``data`` is something else; ``opened`` opens a single file or AnnData.
    """
    if isinstance(data, Mapping):
        return _known({str(key): opened(value) for key, value in data.items()}), None, []
    mudata = sys.modules.get("mudata")
    if mudata is not None and isinstance(data, mudata.MuData):
        parts = {str(name): open_anndata(one) for name, one in data.mod.items()}
        return _known(parts), pd.DataFrame(data.obs).copy(), _left(parts)
    if isinstance(data, str | Path) and Path(data).suffix.lower() == ".h5mu":
        path = Path(data).expanduser()
        if path.is_file() and path.stat().st_size:
            return _open_h5mu(path)
    return None


def _open_h5mu(path: Path) -> Opened:
    from anndata.io import read_elem

    try:
        root: Any = h5py.File(path, "r")
        group: Any = root["mod"]
        order = [str(name) for name in group.attrs.get("mod-order", list(group))]
        obs: Any = read_elem(root["obs"])
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise damaged(path.name, error) from error
    parts = {name: open_group(group[name], f"{path.name}/{name}", "h5mu", path) for name in order}
    return _known(parts), obs, _left(parts)


def _known(parts: Mapping[str, Contents]) -> dict[str, Contents]:
    """The modalities that have a place here, under their names here."""
    found: dict[str, Contents] = {}
    for name, contents in parts.items():
        modality = TYPES.get(name.lower(), name.lower())
        if modality not in TYPES.values():
            continue
        places = {w: replace(p, modality=modality) for w, p in contents.places.items()}
        if modality in found:
            what = f"two modalities are {modality}: {contents.name} and {found[modality].name}"
            raise DataError(Problem(what, "leave one of them out"))
        found[modality] = replace(contents, places=places)
    if not found:
        what = f"its modalities are {', '.join(parts) or 'none'}"
        raise DataError(Problem(what, "name them rna and atac"))
    return found


def _left(parts: Mapping[str, Contents]) -> list[str]:
    left = [n for n in parts if TYPES.get(n.lower(), n.lower()) not in TYPES.values()]
    return [f"modalities that are left out: {', '.join(left)}"] if left else []


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
    names = pd.Index([])
    for part in parts.values():
        names = names.append(part.obs.index.difference(names, sort=False))
    facts = pd.DataFrame(index=names)
    if obs is not None:
        facts = obs.copy()
        facts.index = unique_names(facts.index)[0]
        facts = facts.loc[facts.index.isin(names)]
    for part in parts.values():
        for column in part.obs.columns:
            own = part.obs[column].reindex(facts.index)
            if column not in facts:
                facts[column] = own
            elif bool(np.any(facts[column].isna())):  # a cell that only this modality has
                known = facts[column].astype(object)
                facts[column] = known.where(known.notna(), own.astype(object))
    joined, notes = {}, [*notes]
    for modality, part in parts.items():
        index = part.obs.index.get_indexer(facts.index)
        held = part.parts[modality]
        joined[modality] = Part(MappedRows(held.rows, index), held.columns, index >= 0)
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
    )
