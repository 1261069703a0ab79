"""The DNA of peaks, from an indexed FASTA file."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytonym.disk.files import replacing
from cytonym.dna.fetch import GENOMES
from cytonym.dna.intervals import interval_text, ucsc
from cytonym.errors import DataError, Problem, install


def peak_sequences(fasta: str | Path, peaks: pd.DataFrame) -> Iterator[str]:
    """The sequence of each peak, in order; upper and lower case and N stay as they are.

    Parameters
    ----------
    fasta
        A FASTA file, plain or bgzip. Its index (``.fai``) is written beside it, or, where that
        is not possible, to a temporary folder for as long as it is read.
    peaks
        ``chrom, start, end`` (0-based, half-open). ``1`` and ``chr1`` are the same.

    Raises
    ------
    DataError
        No FASTA file, chromosomes that it lacks, or peaks beyond the ends of theirs; told at
        once, before the first sequence.
    """
    path = Path(fasta)
    _checked(path, peaks)
    return _fetched(path, peaks)


def _checked(path: Path, peaks: pd.DataFrame) -> dict[str, int]:
    """The lengths of the chromosomes by UCSC name, on which all peaks lie."""
    with _opened(path) as genome:
        lengths = {ucsc(str(name)): len(genome[name]) for name in genome.keys()}  # noqa: SIM118
    renamed = {c: ucsc(c) for c in peaks["chrom"].astype(str).unique()}
    table = peaks.assign(chrom=[renamed[c] for c in peaks["chrom"].astype(str)])
    if problems := _misplaced(table, lengths):
        raise DataError(problems, subject=path.name)
    return lengths


def _fetched(path: Path, peaks: pd.DataFrame) -> Iterator[str]:
    starts, ends = (peaks[column].to_numpy(np.int64).tolist() for column in ("start", "end"))
    with _opened(path) as genome:
        own = [str(name) for name in genome.keys()]  # noqa: SIM118
        names = {ucsc(name): name for name in own} | {name: name for name in own}
        for chrom, start, end in zip(peaks["chrom"].astype(str), starts, ends, strict=True):
            read = str(genome[names.get(chrom) or names[ucsc(chrom)]][start:end])
            if len(read) != end - start:
                what = f"its index does not fit it: {chrom}:{start}-{end} has {len(read):,} bases"
                problem = Problem(what, f"remove {path.name}.fai, which is then made anew")
                raise DataError(problem, subject=path.name)
            yield read


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file, indexed; closed in the end."""
    try:
        import pyfaidx
    except ModuleNotFoundError as error:
        what = "pyfaidx, with which FASTA files are read, is not installed"
        problem = Problem(what, install("atac"))
        raise DataError(problem, subject=path.name) from error
    if not path.is_file():
        what = "it is a folder" if path.is_dir() else "there is no such file"
        remedy = f"give a FASTA file, or a genome by name ({', '.join(GENOMES)})"
        raise DataError(Problem(what, remedy), subject=str(path))
    index = Path(f"{path}.fai")
    there = index.is_file() and index.stat().st_mtime >= path.stat().st_mtime
    with tempfile.TemporaryDirectory() as folder:
        used = index if there else Path(folder) / "genome.fai"
        try:
            genome: Any = pyfaidx.Fasta(str(path), indexname=str(used), as_raw=True)
        except pyfaidx.UnsupportedCompressionFormat as error:
            what = "it is compressed by gzip, in which no place can be looked up"
            problem = Problem(what, "unpack it (gunzip), or pack it with bgzip")
            raise DataError(problem, subject=path.name) from error
        except (pyfaidx.FastaIndexingError, RuntimeError, ValueError, OSError) as error:
            problem = Problem(f"it cannot be indexed ({error})", "give a FASTA file")
            raise DataError(problem, subject=path.name) from error
        try:
            if not [*genome.keys()]:
                problem = Problem("it holds no sequence", "give a FASTA file")
                raise DataError(problem, subject=path.name)
            if not there:
                _keep(used, index)
            yield genome
        finally:
            genome.close()


def _keep(made: Path, index: Path) -> None:
    """Put an index beside its genome, where that can be written."""
    with suppress(OSError), replacing(index) as partial:
        shutil.copyfile(made, partial)


def _misplaced(peaks: Any, lengths: dict[str, int]) -> list[Problem]:
    """What is wrong with where the peaks lie."""
    problems = []
    size = peaks["chrom"].map(lengths)
    missing = peaks["chrom"][size.isna()].value_counts()
    if len(missing):
        some = ", ".join(f"{name or '(none)'} ({n:,} peaks)" for name, n in missing.items())
        there = ", ".join([*lengths][:5]) + (", ..." if len(lengths) > 5 else "")
        what = f"it has no {some}; it has {there}"
        remedy = "give the FASTA of the genome that the reads were aligned to, or drop these peaks"
        problems.append(Problem(what, remedy))
    beyond = (peaks["end"] > size) | (peaks["start"] < 0) | (peaks["start"] >= peaks["end"])
    if beyond.any():
        first = peaks[beyond].iloc[:1]
        chrom = str(first["chrom"].iloc[0])
        what = (
            f"{int(beyond.sum()):,} of {len(peaks):,} peaks do not lie within their chromosomes; "
            f"first: {interval_text(first).iloc[0]}, {chrom} ends at {lengths.get(chrom, 0):,}"
        )
        problems.append(Problem(what, "check the genome build, or drop these peaks"))
    return problems


def gc_content(sequences: Iterable[str]) -> np.ndarray:
    """The share of G and C among the known bases: ``(peaks,)`` float64; NaN where none is known."""
    found = np.array(
        [[sum(map(one.count, "GCgc")), sum(map(one.count, "ACGTacgt"))] for one in sequences],
        dtype=np.float64,
    ).reshape(-1, 2)
    out = np.full(len(found), np.nan)
    return np.divide(found[:, 0], found[:, 1], out=out, where=found[:, 1] > 0)


def windows(fasta: str | Path, peaks: pd.DataFrame, width: int) -> Iterator[str]:
    """The ``width`` bases around the middle of each peak, upper case; N beyond a chromosome.

    Raises
    ------
    DataError
        As :func:`peak_sequences`: told at once, before the first sequence.
    """
    middle = (peaks["start"] + peaks["end"]).to_numpy(np.int64) // 2
    path = Path(fasta)
    lengths = _checked(path, peaks)
    named = [ucsc(one) for one in peaks["chrom"].astype(str)]
    size = np.array([lengths[one] for one in named], dtype=np.int64)
    start, end = middle - width // 2, middle - width // 2 + width
    inside = pd.DataFrame(
        {"chrom": named, "start": start.clip(0), "end": np.minimum(end, size)}, index=peaks.index
    )
    left, right = np.maximum(-start, 0).tolist(), np.maximum(end - size, 0).tolist()
    found = zip(_fetched(path, inside), left, right, strict=True)
    return ("N" * before + one.upper() + "N" * after for one, before, after in found)
