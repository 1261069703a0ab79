"""Count a fragments file on given peaks: one pass over its lines, in blocks."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix, csr_matrix
from tqdm.auto import tqdm

from cytonym.data.peaks import another_genome
from cytonym.data.source import damaged, guarded
from cytonym.disk.numbers import BY_PYTHON
from cytonym.dna.intervals import build_of, chromosomes, interval_library
from cytonym.errors import DataError, OptionError, Problem

BLOCK_LINES = 1_000_000
FIELDS = ("chrom", "start", "end", "barcode")

What = Literal["insertions", "fragments"]


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """A fragments file, counted.

    Attributes
    ----------
    cells
        ``(cells,)`` str barcodes.
    counts
        ``(cells, peaks)`` float32.
    fragments
        ``(cells,)`` int: fragments of each cell, in peaks or not.
    left_out
        Barcodes that were left out for having too few fragments.
    """

    cells: np.ndarray
    counts: csr_matrix
    fragments: np.ndarray
    left_out: int


def count_fragments(
    path: Path,
    peaks: pd.DataFrame,
    *,
    barcodes: np.ndarray | None = None,
    min_fragments: int = 200,
    what: What = "insertions",
    progress: bool = True,
) -> Counted:
    """Count the fragments of each cell in each peak.

    Parameters
    ----------
    path
        Tab-separated ``chrom, start, end, barcode`` (0-based, half-open), as Cell Ranger writes
        them: plain, gzip, or bgzip (an index is not needed). Further columns are not read.
    peaks
        ``chrom, start, end`` of each peak; chromosomes as UCSC names them.
    barcodes
        ``(cells,)`` str: the cells to count, in this order; None takes all barcodes with at
        least ``min_fragments``.
    what
        ``insertions`` counts both ends of a fragment, as Cell Ranger does; ``fragments`` counts
        a fragment once for each peak that it overlaps.

    Raises
    ------
    DataError
        Not a fragments file, damaged, of another genome build, or with none of the cells.
    """
    if what not in get_args(What):
        raise OptionError(f"what={what!r} cannot be counted; there are insertions and fragments.")
    known = pd.Index([] if barcodes is None else barcodes, dtype=object)
    if repeats := int(known.duplicated().sum()):
        problem = Problem(f"{repeats:,} barcodes are asked for twice", "give each one once")
        raise DataError(problem, subject=path.name)
    pieces: list[Any] = []
    fragments = np.zeros(len(known), np.int64)
    last: dict[str, int] = {}
    for block in _blocks(path, progress=progress):
        for name, start in block.groupby("chrom", observed=True)["start"].max().items():
            last[str(name)] = max(int(start), last.get(str(name), 0))
        if barcodes is None:
            known = known.append(pd.Index(block["barcode"].unique()).difference(known, sort=False))
            fragments = np.append(fragments, np.zeros(len(known) - len(fragments), np.int64))
        cell = known.get_indexer(pd.Index(block["barcode"]))
        block, cell = block[cell >= 0], cell[cell >= 0]
        fragments += np.bincount(cell, minlength=len(known))
        place, peak = _in_peaks(pd.DataFrame(block), peaks, what)
        pieces.append(_added(cell[place], peak, len(peaks)))
    if not last:
        raise DataError(Problem("it has no lines", "copy it again"), subject=path.name)
    table = pd.DataFrame({"chrom": [*last], "start": [*last.values()]})
    if problem := another_genome(build_of(table), build_of(peaks)):
        raise DataError(problem, subject=path.name)
    kept = np.arange(len(known))
    if barcodes is None:
        kept = np.flatnonzero(fragments >= min_fragments)
    if not fragments[kept].any():
        raise DataError(_nothing(known, fragments, barcodes, min_fragments), subject=path.name)
    rows, columns, values = (np.concatenate(part) for part in zip(*pieces, strict=True))
    if not len(values):
        there, wanted = (", ".join(str(n) for n in [*x][:4]) for x in (last, set(peaks["chrom"])))
        what_ = f"no fragment lies in a peak; the file has {there}, ..., the peaks {wanted}, ..."
        raise DataError(Problem(what_, "give fragments and peaks of one genome"), subject=path.name)
    shape = len(known), len(peaks)
    counts = csr_matrix(coo_matrix((values, (rows, columns)), shape=shape), dtype=np.float32)
    return Counted(
        known.to_numpy()[kept], csr_matrix(counts[kept]), fragments[kept], len(known) - len(kept)
    )


def _blocks(path: Path, *, progress: bool) -> Iterator[pd.DataFrame]:
    """The lines of the file, a block at a time, chromosomes as UCSC names them."""
    size = path.stat().st_size
    bar = tqdm(total=size, desc="counting", unit="B", unit_scale=True, disable=not progress)
    with path.open("rb") as raw, bar:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        stream: Any = gzip.GzipFile(fileobj=raw) if packed else raw
        try:
            head = _header(path, packed=packed)
            blocks = pd.read_csv(
                stream,
                sep="\t",
                quoting=csv.QUOTE_NONE,
                na_filter=False,
                skiprows=head,  # no comment="#": a barcode may hold one
                header=None,
                usecols=range(4),
                names=FIELDS,
                dtype={"chrom": "category", "start": np.int64, "end": np.int64, "barcode": str},
                chunksize=BLOCK_LINES,
                float_precision=BY_PYTHON,
            )
            for block in blocks:
                _check(block, path, head)
                block["chrom"] = chromosomes(block["chrom"]).to_numpy()
                yield block
                bar.update(raw.tell() - bar.n)
        except DataError:
            raise
        except (EOFError, zlib.error, OSError) as error:
            raise damaged(path.name, error) from error
        except (ValueError, OverflowError, pd.errors.ParserError) as error:
            with guarded(path.name):  # it is read again for the line
                raise DataError(_not_fragments(path, packed), subject=path.name) from error


def _header(path: Path, *, packed: bool) -> int:
    """How many lines at the start are comments."""
    with open_text(path, packed) as lines:
        return next((n for n, line in enumerate(lines) if not line.startswith("#")), 0)


def _check(block: pd.DataFrame, path: Path, head: int) -> None:
    """Raises for intervals that are none, and missing barcodes."""
    wrong = (
        (block["start"] < 0)
        | (block["end"] <= block["start"])
        | (block["barcode"] == "")
        | (block["chrom"] == "")
    )
    if wrong.any():
        first = block.index[wrong][0]
        row = " ".join(str(value) for value in block.loc[first])
        what = f"{wrong.sum():,} lines hold no fragment; first: line {first + head + 1:,}, {row}"
        remedy = "a line is chromosome, start, end (0-based, half-open) and barcode"
        raise DataError(Problem(what, remedy), subject=path.name)


def _not_fragments(path: Path, packed: bool) -> Problem:
    """The first line that cannot be read."""
    bad = "it has no lines"
    with open_text(path, packed) as lines:
        for number, line in enumerate(lines, start=1):
            fields = line.rstrip("\n").split("\t")
            ends = fields[1:3] if len(fields) > 3 else [""]
            numbers = all(one.isdecimal() and len(one) < 19 for one in ends)
            head = line.startswith("#") and bad == "it has no lines"
            if numbers or head or not line.strip():
                bad = bad if head else "its lines cannot be told apart"
                continue
            bad = f"line {number:,} is {line.rstrip()[:80]!r}"
            break
    return Problem(
        f"it is no fragments file: {bad}",
        "give tab-separated chromosome, start, end and barcode, as Cell Ranger writes them",
    )


def open_text(path: Path, packed: bool) -> Any:
    """The lines of a file; letters that cannot be read are replaced."""
    return gzip.open(path, "rt", errors="replace") if packed else path.open(errors="replace")


def _in_peaks(
    block: pd.DataFrame, peaks: pd.DataFrame, what: What
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of rows: of the block, and of the peak that its end (or the fragment) lies in."""
    at = block[["chrom", "start", "end"]].reset_index(drop=True)
    if what == "fragments":
        asked = [at]
    else:  # a cut site is the base at either end
        asked = [at.assign(end=at["start"] + 1), at.assign(start=at["end"] - 1)]
    places, found = [], []
    for points in asked:
        pairs = interval_library().overlap(
            points, peaks, how="inner", return_input=False, return_index=True
        )
        places.append(pairs["index"].to_numpy(np.int64))
        found.append(pairs["index_"].to_numpy(np.int64))
    return np.concatenate(places), np.concatenate(found)


def _added(cell: np.ndarray, peak: np.ndarray, n_peaks: int) -> tuple[np.ndarray, ...]:
    """Cell, peak and how often the pair came."""
    pairs, counts = np.unique(cell * n_peaks + peak, return_counts=True)
    return pairs // n_peaks, pairs % n_peaks, counts


def _nothing(
    known: pd.Index, fragments: np.ndarray, barcodes: np.ndarray | None, least: int
) -> Problem:
    if barcodes is not None:
        what = (
            f"it has none of the {len(barcodes):,} barcodes asked for ({', '.join(barcodes[:3])})"
        )
        return Problem(what, "give the barcodes as the file writes them (with their suffix, -1)")
    most = int(fragments.max()) if len(fragments) else 0
    what = f"none of its {len(known):,} barcodes has {least:,} fragments; the most is {most:,}"
    return Problem(what, "lower min_fragments (--min-fragments)")
