"""Count a fragments file on the peaks of a model, a data set or a BED file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.annotator import Annotator, Data, load
from cytonym.bundle import is_model
from cytonym.data.align import space_of
from cytonym.data.fragments import count_fragments
from cytonym.data.intervals import intervals, parse_intervals
from cytonym.data.read import open_cells
from cytonym.errors import DataError, Problem


def count(
    fragments: str | Path,
    peaks: Annotator | Data,
    *,
    barcodes: str | Path | pd.Index | np.ndarray | list[str] | None = None,
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
        the given peaks and ``chrom, start, end`` (0-based, half-open).

    Raises
    ------
    DataError
        Not a fragments file, another genome build, or none of the cells in it.
    """
    path = Path(fragments).expanduser()
    if not path.is_file():
        raise DataError(Problem("there is no such file", "check the path"), subject=str(path))
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
        uns={"fragments": {"file": path.name, "what": what, "left_out": counted.left_out}},
    )


def _peaks(peaks: Annotator | Data) -> tuple[np.ndarray, pd.DataFrame]:
    """Names and coordinates."""
    if isinstance(peaks, str | Path):
        path = Path(peaks).expanduser()
        if is_model(path):
            peaks = load(path)
        elif ".bed" in path.suffixes or path.suffix in (".narrowPeak", ".broadPeak"):
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
    if not path.is_file():
        raise DataError(Problem("there is no such file", "check the path"), subject=str(path))
    try:
        rows = pd.read_csv(path, sep="\t", comment="#", header=None, usecols=range(3))
        start, end = (rows[column].astype(np.int64).astype(str) for column in (1, 2))
    except (OSError, ValueError, pd.errors.ParserError) as error:
        problem = Problem(
            f"it is no BED file ({error})", "give tab-separated chromosome, start and end"
        )
        raise DataError(problem, subject=path.name) from error
    names = (rows[0].astype(str) + ":" + start + "-" + end).to_numpy().astype(str)
    return names, parse_intervals(names)


def _barcodes(barcodes: str | Path | pd.Index | np.ndarray | list[str]) -> np.ndarray:
    if not isinstance(barcodes, str | Path):
        return np.asarray(barcodes, dtype=object)
    path = Path(barcodes).expanduser()
    if path.suffix.lower() in (".h5ad", ".h5mu", ".h5", ".zarr"):
        return open_cells(path).cells
    try:
        lines = pd.read_csv(path, header=None, sep="\t", dtype=str)
    except (OSError, ValueError) as error:
        problem = Problem(f"barcodes cannot be read ({error})", "give one barcode a line")
        raise DataError(problem, subject=path.name) from error
    return lines[0].to_numpy()
