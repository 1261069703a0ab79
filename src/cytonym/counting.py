"""Count a fragments file on the peaks of a model, a data set or a BED file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.annotator import Annotator, load
from cytonym.bundle import is_model
from cytonym.data.align import space_of
from cytonym.data.fragments import count_fragments, open_text
from cytonym.data.read import open_cells
from cytonym.dna.intervals import interval_text, intervals, ucsc
from cytonym.errors import DataError, Problem
from cytonym.opening import Data

Barcodes: TypeAlias = "Data | pd.Index | pd.Series | np.ndarray | list[str]"
"""Names of cells, a text file with one a line, or a data set."""


def count(
    fragments: str | Path,
    peaks: Annotator | Data,
    *,
    barcodes: Barcodes | None = None,
    min_fragments: int = 200,
    what: Literal["insertions", "fragments"] = "insertions",
    progress: bool = True,
) -> AnnData:
    """Count a fragments file on given peaks, so that a model can read its cells.

    Parameters
    ----------
    fragments
        ``fragments.tsv.gz`` as Cell Ranger writes it; plain, gzip or bgzip.
    peaks
        A model (its reference's peaks), a data set with peaks, or a BED file.
    barcodes
        The cells to count, in this order: names, a text file with one a line, or a data set;
        default: all barcodes with at least ``min_fragments`` fragments.
    what
        ``insertions`` counts both ends of a fragment, as Cell Ranger does; ``fragments`` counts
        a fragment once for each peak that it overlaps.

    Returns
    -------
    AnnData
        X ``(cells, peaks)`` float32 counts; ``obs["n_fragments"]``; ``var`` with the names of
        the given peaks and ``chrom, start, end`` (0-based, half-open); ``uns["fragments"]`` with
        how many barcodes were left out for few fragments, and how many asked for have none.

    Raises
    ------
    DataError
        Not a fragments file, another genome build, or none of the cells in it.
    """
    path = Path(fragments).expanduser()
    if not path.is_file():
        what_ = "it is a folder" if path.is_dir() else "there is no such file"
        raise DataError(Problem(what_, "give a fragments file"), subject=str(path))
    names, table = _peaks(peaks)
    placed = (table["chrom"] != "").to_numpy()
    on = table.iloc[np.flatnonzero(placed)].reset_index(drop=True)
    counted = count_fragments(
        path,
        on,
        barcodes=None if barcodes is None else _barcodes(barcodes),
        min_fragments=min_fragments,
        what=what,
        progress=progress,
    )
    return AnnData(
        counted.counts,
        obs=pd.DataFrame({"n_fragments": counted.fragments}, index=pd.Index(counted.cells)),
        var=pd.DataFrame(on.to_dict("list"), index=pd.Index(names[placed])),
        uns={
            "fragments": {
                "file": path.name,
                "what": what,
                "left_out": counted.left_out,
                "without": int((counted.fragments == 0).sum()),
            }
        },
    )


def _peaks(peaks: Annotator | Data) -> tuple[np.ndarray, pd.DataFrame]:
    """Names and coordinates."""
    if isinstance(peaks, str | Path):
        path = Path(peaks).expanduser()
        if is_model(path):
            peaks = load(path)
        elif {".bed", ".narrowpeak", ".broadpeak"} & {one.lower() for one in path.suffixes}:
            return _bed(path)
    if isinstance(peaks, Annotator):
        spaces, name = peaks.spaces, f"the {peaks.method.name} model"
    else:
        cells = open_cells(peaks)
        spaces, name = space_of(cells), cells.name
    table = intervals(spaces["atac"]) if "atac" in spaces else None
    if table is None:
        have = ", ".join(spaces) if "atac" not in spaces else "atac, whose peaks have no place"
        problem = Problem(f"it has {have}", "give peaks with coordinates (chr1:100-600)")
        raise DataError(problem, subject=name)
    return spaces["atac"].names, table


def _bed(path: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """The first three columns; lines of ``track``, ``browser`` and comments are passed over."""
    if not path.is_file():
        raise DataError(Problem("there is no such file", "check the path"), subject=str(path))
    rows, wrong = [], []
    with open_text(path, path.suffix == ".gz") as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.split()
            head = not rows and [one.lower() for one in fields[1:3]] == ["start", "end"]
            if not fields or head or fields[0] in ("track", "browser") or line.startswith("#"):
                continue
            good = len(fields) > 2 and fields[1].isdecimal() and fields[2].isdecimal()
            if good and int(fields[1]) < int(fields[2]):
                rows.append((fields[0], int(fields[1]), int(fields[2])))
            else:
                wrong.append(f"line {number:,} is {line.strip()[:60]!r}")
    if wrong or not rows:
        what = f"{len(wrong):,} lines are no intervals; first: {wrong[0]}" if wrong else "no lines"
        problem = Problem(what, "give chromosome, start and end (0-based, half-open)")
        raise DataError(problem, subject=path.name)
    chrom, start, end = zip(*dict.fromkeys(rows), strict=True)
    table = pd.DataFrame({"chrom": chrom, "start": start, "end": end})
    names = interval_text(table).to_numpy().astype(str)
    return names, table.assign(chrom=[ucsc(one) for one in chrom])


def _barcodes(barcodes: Barcodes) -> np.ndarray:
    """Names as given, lines of a text file, or the cells of a data set."""
    if isinstance(barcodes, pd.Index | pd.Series | np.ndarray | list | tuple):
        return np.array([str(one) for one in barcodes], dtype=object)
    if isinstance(barcodes, str | Path):
        path = Path(barcodes).expanduser()
        if path.is_file() and not h5py.is_hdf5(path):
            with open_text(path, path.suffix == ".gz") as lines:
                return np.array([line.split()[0] for line in lines if line.strip()], dtype=object)
    return open_cells(barcodes).cells
