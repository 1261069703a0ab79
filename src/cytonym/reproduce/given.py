"""The data of an experiment: the paper's own where its files are here, or those of the user."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.data.labels import read_labels
from cytonym.data.read import open_cells
from cytonym.data.source import Cells
from cytonym.datasets.record import File
from cytonym.errors import DataError, OptionError, Problem
from cytonym.reproduce.record import BATCH, LABEL, Data, Experiment


@dataclass(frozen=True)
class Beside:
    """Columns of the user's data, and files that some experiments need beside the cells."""

    labels: str = LABEL
    batch: str | None = None
    genome: Path | None = None
    genes: Path | None = None
    known: Path | None = None
    motifs: Path | None = None
    markers: Path | None = None


def on_files(experiment: Experiment, files: Sequence[Path], beside: Beside) -> list[Data]:
    """The user's data sets, checked against what the experiment reads.

    Raises
    ------
    DataError
        All problems of all files: cannot be read, no such column, a modality that is missing.
    """
    check_beside(experiment, beside)
    found, problems = [], []
    markers = read_markers(beside.markers) if beside.markers else experiment.markers
    for file in files:
        try:
            found.append(opened(open_cells(file), beside, {file.name: sha256_of(file)}, markers))
        except DataError as error:
            problems += [Problem(f"{file.name}: {one.what}", one.remedy) for one in error.problems]
    wanted = " and ".join(experiment.reads) or "two modalities"
    for data in found:
        lacking = [name for name in experiment.reads if name not in data.parts]
        if lacking or (not experiment.reads and len(data.parts) < 2):
            what = f"{data.name}: it has {', '.join(data.parts)}"
            problems.append(Problem(what, f"{experiment.name} reads {wanted}"))
    if len({data.name for data in found}) < len(found):
        names = ", ".join(data.name for data in found)
        problems.append(Problem(f"two files have one name ({names})", "rename one of them"))
    if problems:
        raise DataError(problems, subject=f"the data for {experiment.name}")
    return found


def of_paper(
    experiment: Experiment, folder: Path | None, beside: Beside
) -> tuple[list[Data], list[str]]:
    """The paper's own data sets that are here, and the names of those that are not.

    Raises
    ------
    DataError
        None is here (or, of an experiment that needs all, one is missing): which files, where
        they come from and where they belong.
    """
    from cytonym import datasets

    check_beside(experiment, beside)
    if folder is not None and not folder.is_dir():
        raise OptionError(f"--folder {folder}: there is no such folder\n    → look at its name")
    markers = read_markers(beside.markers) if beside.markers else experiment.markers
    lacking = {name: datasets.missing(name, folder) for name in experiment.data}
    here = [name for name, files in lacking.items() if not files]
    if not here or (experiment.all_needed and len(here) < len(lacking)):
        problems = [_absent(name, files) for name, files in lacking.items() if files]
        last = problems.pop()
        tip = f"or run it on other data: cytonym reproduce {experiment.name} --on FILE"
        problems.append(replace(last, remedy=f"{last.remedy}\n    → {tip}"))
        raise DataError(problems, subject=f"the data of {experiment.name}")
    found = []
    for name in here:
        cells = datasets.load(name, folder=folder)
        first = next(iter(cells.values())) if isinstance(cells, dict) else cells
        batch = next((column for column in ("stage", BATCH, "donor") if column in first.obs), None)
        columns, sums = replace(beside, labels=LABEL, batch=batch), dict(first.uns["sha256"])
        found.append(replace(opened(open_cells(cells), columns, sums, markers), name=name))
    return found, [name for name in lacking if name not in here]


def _absent(name: str, files: Sequence[File]) -> Problem:
    """Which files of a data set are not here, where they come from and where they belong."""
    listed = ", ".join(file.name for file in files)
    what = f"{name}: not here: {listed}"
    where = "; ".join(dict.fromkeys(file.where for file in files))
    fetched = all(file.url for file in files)
    more = "fetches them" if fetched else "says more"
    put = f"put into a folder {name} under --folder DIR"
    tail = f"`cytonym datasets {name}{' --out FILE' * fetched}` {more}; by hand: {put}"
    return Problem(what, f"{where}\n    → {tail}")


def check_beside(experiment: Experiment, beside: Beside) -> None:
    """Whether the files that the experiment needs beside the cells were given."""
    have = {"genome": beside.genome, "genes": beside.genes}
    about = {"genome": "the FASTA on which the peaks lie", "genes": "a BED file of genes"}
    lacking = [name for name in experiment.needs if have[name] is None]
    if lacking:
        words = "\n".join(f"    → --{name} FILE: {about[name]}" for name in lacking)
        raise OptionError(f"{experiment.name} needs {' and '.join(lacking)}\n{words}")


def opened(
    cells: Cells,
    beside: Beside,
    sha256: Mapping[str, str],
    markers: Mapping[str, tuple[str, ...]],
) -> Data:
    """All labelled cells that have every modality, in memory, with the files beside them."""
    labels = read_labels(cells.obs, beside.labels, cells.name)
    batch = beside.batch
    if batch is not None and batch not in cells.obs:
        columns = ", ".join(map(str, cells.obs.columns))
        what = f"obs has no column {batch!r} for batches"
        raise DataError(Problem(what, f"name one of: {columns}"), subject=cells.name)
    whole = [cells.present(name) for name in cells.spaces]
    rows = np.flatnonzero(reduce(np.logical_and, whole, labels.codes >= 0))
    obs = pd.DataFrame({LABEL: labels.names[labels.codes[rows]].astype(object)}, cells.cells[rows])
    if batch is not None:
        obs[BATCH] = cells.obs[batch].astype(str).to_numpy()[rows].astype(object)
    notes = (*cells.notes, *labels.notes)
    if lacking := int((labels.codes >= 0).sum()) - len(rows):
        notes += (f"{lacking:,} labelled cells lack a modality and are left out",)
    files = {name: getattr(beside, name) for name in ("genome", "genes", "known", "motifs")}
    given = [one for one in (*files.values(), beside.markers) if one is not None]
    return Data(
        cells.path.stem if cells.path is not None else cells.name,
        {name: _part(cells, name, rows, obs) for name in cells.spaces},
        {**sha256, **{one.name: sha256_of(one) for one in given}},
        markers=markers,
        notes=notes,
        columns={"labels": beside.labels, "batch": batch},
        **files,
    )


def _part(cells: Cells, modality: str, rows: np.ndarray, obs: pd.DataFrame) -> AnnData:
    space, x = cells.spaces[modality], cells.read(modality, rows)
    values: Any = x
    if cells.values[modality] == "rates":  # what is not stored was not observed
        values = np.full((len(rows), len(space)), np.nan, np.float32)
        place = x.tocoo()
        values[place.row, place.col] = place.data
    var = pd.DataFrame(dict(space.columns), index=pd.Index(space.names.astype(str)))
    if modality != "rna":
        var["feature_types"] = {"atac": "Peaks", "methylation": "DNA methylation"}[modality]
    return AnnData(values, obs.copy(), var)


def read_markers(path: Path) -> dict[str, tuple[str, ...]]:
    """Known genes by type, of a tab-separated table with the columns ``type`` and ``gene``.

    Raises
    ------
    DataError
        No such file, or other columns.
    """
    remedy = "give a tab-separated table with the columns type and gene"
    try:
        table = pd.read_csv(path, sep="\t", dtype=str).dropna()
    except (OSError, ValueError) as error:
        raise DataError(
            Problem(f"it cannot be read ({error})", remedy), subject=path.name
        ) from error
    if not {"type", "gene"} <= {*table.columns} or table.empty:
        what = f"its columns are {', '.join(table.columns)}; it has {len(table)} rows"
        raise DataError(Problem(what, remedy), subject=path.name)
    return {str(kind): tuple(own["gene"]) for kind, own in table.groupby("type", sort=False)}


def sha256_of(path: Path) -> str:
    """Of a file; of a folder, that of its files' names and hashes."""
    whole = hashlib.sha256()
    if path.is_dir():
        for one in sorted(path.rglob("*")):
            if one.is_file():
                whole.update(f"{one.relative_to(path)} {sha256_of(one)}\n".encode())
        return whole.hexdigest()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        remedy = "give the path of a data set"
        raise DataError(
            Problem(f"it cannot be read ({error})", remedy), subject=str(path)
        ) from error
