"""Which peaks may regulate a gene, by where they lie: in its body, before it, or near its start."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytonym.disk.numbers import numbers
from cytonym.dna.intervals import (
    FARTHEST,
    chromosomes,
    interval_library,
    interval_text,
)
from cytonym.errors import DataError, OptionError, Problem

COLUMNS = ("chrom", "start", "end", "gene", "strand")


def read_genes(path: str | Path) -> pd.DataFrame:
    """A table of genes from a BED file of six columns or more, plain or gzip.

    Returns
    -------
    DataFrame
        ``chrom`` (UCSC names), ``start``, ``end`` (0-based, half-open), ``gene``, ``strand``
        (``+`` or ``-``), in the order of the file.

    Raises
    ------
    DataError
        No such file, too few columns, or lines whose start, end or strand is none.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
        text = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        problem = Problem(f"it cannot be read ({error})", "give a BED file, plain or gzip")
        raise DataError(problem, subject=str(path)) from error
    lines = [
        (number, line.split("\t"))
        for number, line in enumerate(text.decode("utf-8", "replace").splitlines(), start=1)
        if line.strip() and not line.startswith(("#", "track", "browser", "chrom\t"))
    ]
    few = [number for number, fields in lines if len(fields) < 6]
    if few or not lines:
        what = (
            f"{len(few):,} lines have fewer than six columns; first: line {few[0]:,}" if few else ""
        )
        what = what or "it has no lines"
        remedy = "give tab-separated chrom, start, end, gene, score, strand (BED6)"
        raise DataError(Problem(what, remedy), subject=path.name)
    table: Any = pd.DataFrame(
        [(fields[0], fields[1], fields[2], fields[3], fields[5].strip()) for _, fields in lines],
        columns=pd.Index(COLUMNS),
    )
    start, end = (pd.Series(numbers(table[column])) for column in ("start", "end"))
    at = (start >= 0) & (start < end) & (end < FARTHEST)
    no_interval = ~(at & (start % 1 == 0) & (end % 1 == 0))
    no_strand = ~table["strand"].isin(["+", "-"])
    problems = []
    for wrong, what, remedy in (
        (no_interval, "hold no interval", "start and end are whole numbers, 0-based, half-open"),
        (no_strand, "have no strand", "the sixth column is + or -"),
    ):
        if wrong.any():
            number, fields = lines[int(np.flatnonzero(wrong)[0])]
            shown = " ".join(fields[:6])
            found = f"{int(wrong.sum()):,} of {len(table):,} lines {what}; first: line {number:,}"
            problems.append(Problem(f"{found}, {shown}", remedy))
    if problems:
        raise DataError(problems, subject=path.name)
    return table.assign(
        chrom=chromosomes(table["chrom"]).to_numpy(),
        start=start.astype(np.int64),
        end=end.astype(np.int64),
    )


def peaks_of_genes(
    peaks: pd.DataFrame,
    genes: pd.DataFrame,
    *,
    upstream: int = 2000,
    distance: int | None = None,
) -> pd.DataFrame:
    """Pairs of genes and peaks that share a base pair with the gene's region.

    Parameters
    ----------
    peaks
        ``chrom, start, end`` (0-based, half-open).
    genes
        ``chrom, start, end, gene, strand``.
    upstream
        The region is the body and so many bp before its start, by strand.
    distance
        Take instead the region from so many bp before to so many bp after the start of
        transcription; None: body and ``upstream``.

    Returns
    -------
    DataFrame
        ``gene``, ``peak`` (``chr1:100-600``), ``row`` (of ``peaks``, int64); each pair once,
        sorted by gene, then row.

    Raises
    ------
    OptionError
        A negative ``upstream`` or ``distance``.
    """
    for name, value in (("upstream", upstream), ("distance", distance or 0)):
        if value < 0:
            raise OptionError(f"{name}={value} is no distance; give 0 bp or more.")
    forward = (genes["strand"] == "+").to_numpy()
    start, end = (genes[column].to_numpy(np.int64) for column in ("start", "end"))
    if distance is None:
        low, high = (
            np.where(forward, start - upstream, start),
            np.where(forward, end, end + upstream),
        )
    else:
        first = np.where(forward, start, end - 1)
        low, high = first - distance, first + distance + 1
    regions = pd.DataFrame(
        {
            "chrom": chromosomes(pd.Series(genes["chrom"])).to_numpy(),
            "start": np.maximum(low, 0),
            "end": high,
        }
    )
    places = pd.DataFrame(
        {
            "chrom": chromosomes(pd.Series(peaks["chrom"])).to_numpy(),
            "start": peaks["start"].to_numpy(np.int64),
            "end": peaks["end"].to_numpy(np.int64),
        }
    )
    found = interval_library().overlap(
        regions, places, how="inner", return_input=False, return_index=True
    )
    rows = found["index_"].to_numpy(np.int64)
    names = interval_text(places).to_numpy(dtype=object)
    pairs = pd.DataFrame(
        {
            "gene": genes["gene"].to_numpy(dtype=object)[found["index"].to_numpy(np.int64)],
            "peak": names[rows],
            "row": rows,
        }
    )
    pairs = pairs.drop_duplicates(["gene", "row"]).sort_values(["gene", "row"])
    return pairs.reset_index(drop=True)
