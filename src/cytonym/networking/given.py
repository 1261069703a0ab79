"""What regulation is inferred from, opened and checked: every problem of every file at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import pandas as pd

from cytonym.annotator import Annotator, load
from cytonym.data.labels import Labels, check_labels
from cytonym.data.read import Reading, open_read
from cytonym.data.source import Cells
from cytonym.dna import (
    Motif,
    factor_genes,
    jaspar_motifs,
    peak_sequences,
    read_motifs,
)
from cytonym.dna.fetch import genome_file
from cytonym.dna.intervals import intervals
from cytonym.errors import CytonymError, DataError, Problem
from cytonym.opening import Data
from cytonym.regulation import (
    read_edges,
    read_genes,
)
from cytonym.regulation.inference import FEWEST_CELLS
from cytonym.types import FeatureSpace

P = ParamSpec("P")
Some = TypeVar("Some")


class Attempts:
    """Steps of which each may fail; the errors are kept, and told together."""

    def __init__(self) -> None:
        self.errors: list[CytonymError] = []

    def of(self, step: Callable[P, Some], *args: P.args, **named: P.kwargs) -> Some | None:
        """What the step gives of its arguments, or None where it fails."""
        try:
            return step(*args, **named)
        except CytonymError as error:
            self.errors.append(error)
            return None

    def check(self, subject: str) -> None:
        """Raises what was kept: a single error as it is, several as one."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise DataError([one for error in self.errors for one in _told(error)], subject=subject)


def held(value: Some | None) -> Some:
    """What a step gave, once it is known that none has failed."""
    assert value is not None
    return value


def _told(error: CytonymError) -> Iterator[Problem]:
    if isinstance(error, DataError):
        yield from (Problem(f"{error.subject}: {one.what}", one.remedy) for one in error.problems)
    else:
        yield Problem(str(error), "give a model that fits")


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """The peaks that have a place, and their DNA.

    Attributes
    ----------
    columns
        ``(placed,)`` int64: which peaks of the space these are.
    table
        ``chrom, start, end`` (0-based, half-open; bp) of each.
    total
        How many peaks the space has.
    """

    columns: np.ndarray
    table: pd.DataFrame
    total: int

    @property
    def note(self) -> tuple[str, ...]:
        """Says how many have none."""
        left = self.total - len(self.columns)
        return (f"{left:,} of {self.total:,} peaks have no coordinates: left out",) * (left > 0)


def placed(space: FeatureSpace, subject: str) -> Peaks:
    """The peaks with coordinates, by their names or by columns of text.

    Raises
    ------
    DataError
        None has any.
    """
    table = intervals(space)
    known = np.flatnonzero(table["chrom"] != "") if table is not None else np.array([], np.int64)
    if table is None or not len(known):
        what = f"none of the {len(space):,} peaks has coordinates ({', '.join(space.names[:2])})"
        problem = Problem(what, "name them chr1:100-600, or add columns chrom, start and end")
        raise DataError(problem, subject=subject)
    return Peaks(known, table.iloc[known].reset_index(drop=True), len(space))


def sequences_of(genome: str | Path, peaks: Peaks | None) -> Iterator[str]:
    """The DNA of the peaks, later; whether the file has them all is checked now."""
    nothing = pd.DataFrame({"chrom": [], "start": [], "end": []})
    return peak_sequences(genome_file(genome), nothing if peaks is None else peaks.table)


def motifs_of(motifs: str | Path | None) -> tuple[Motif, ...]:
    """Of a MEME file, or the vertebrates of JASPAR."""
    return jaspar_motifs() if motifs is None else read_motifs(Path(motifs).expanduser())


def check_counts(
    cells: Cells, modalities: tuple[str, ...], *, least: int = FEWEST_CELLS
) -> np.ndarray:
    """``(rows,)`` int64: the cells with all of ``modalities``, which have to be raw counts.

    Raises
    ------
    DataError
        A modality is lacking or is no counts, or too few cells have all.
    """
    problems = []
    names = " and ".join(one.upper() for one in modalities)
    for name in modalities:
        if name not in cells.spaces:
            what = f"there is no {name}; the data have {', '.join(cells.spaces)}"
            problems.append(Problem(what, f"give {names} of the same cells"))
        elif cells.values[name] != "counts":
            what = f"raw counts of {name} are needed, and there are {cells.values[name]} values"
            problems.append(Problem(what, "put the counts into layers['counts']"))
    there = np.logical_and.reduce([cells.present(name) for name in modalities])
    rows = np.flatnonzero(there)
    if not problems and len(rows) < least:
        what = f"{len(rows):,} of {len(cells):,} cells have {names}, and {least} are needed"
        problems.append(Problem(what, "give more cells in which this was measured"))
    if problems:
        raise DataError(problems, subject=cells.name)
    return rows


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """All that a network is inferred from.

    Attributes
    ----------
    cells, rows
        The data set, and which of its cells have RNA and ATAC (int64).
    peaks, sequences
        Those with a place, and their DNA, to be walked once.
    places
        Of ``read_genes``.
    labels
        The type of every cell, or None.
    known
        Of ``read_edges``, or None.
    """

    cells: Cells
    rows: np.ndarray
    peaks: Peaks
    sequences: Iterator[str]
    places: pd.DataFrame
    motifs: tuple[Motif, ...]
    labels: Labels | None
    known: pd.DataFrame | None
    model: Annotator | None


def given(
    data: Data,
    how: Reading,
    *,
    genome: str | Path,
    genes: str | Path,
    motifs: str | Path | None,
    labels: str | None,
    model: Annotator | str | Path | None,
    known: str | Path | None,
) -> Given:
    """Open everything; see :func:`cytonym.network` for what each is.

    Raises
    ------
    DataError
        With what is wrong in all of the files.
    """
    attempts = Attempts()
    cells = attempts.of(open_read, data, how)
    places = attempts.of(read_genes, Path(genes).expanduser())
    found = attempts.of(motifs_of, motifs)
    edges = None if known is None else attempts.of(read_edges, Path(known).expanduser())
    fitted = attempts.of(load, model) if isinstance(model, str | Path) else model
    rows = peaks = said = None
    if cells is not None:
        rows = attempts.of(check_counts, cells, ("rna", "atac"))
        if "atac" in cells.spaces:
            peaks = attempts.of(placed, cells.spaces["atac"], cells.name)
        if "rna" in cells.spaces:
            attempts.of(_check_genes, cells.spaces["rna"], places, found, edges, cells.name)
        if labels is not None and rows is not None:
            said = attempts.of(_groups, cells, rows, labels)
        if fitted is not None and rows is not None:
            attempts.of(fitted.opened, cells, how)
    dna = attempts.of(sequences_of, genome, peaks)
    attempts.check("the input")
    return Given(
        held(cells),
        held(rows),
        held(peaks),
        held(dna),
        held(places),
        held(found),
        said,
        edges,
        fitted,
    )


def _check_genes(
    space: FeatureSpace,
    places: pd.DataFrame | None,
    motifs: tuple[Motif, ...] | None,
    known: pd.DataFrame | None,
    subject: str,
) -> None:
    """Whether the genes of the RNA are known to the table, the motifs and the known edges."""
    problems = []
    shown = ", ".join(space.names[:3])
    if places is not None and not np.isin(space.names, places["gene"].to_numpy(str)).any():
        what = f"none of its {len(space):,} genes ({shown}, ...) is in the table of genes"
        there = ", ".join(places["gene"].astype(str)[:3])
        remedy = f"give the table of this species, which names them alike ({there}, ...)"
        problems.append(Problem(what, remedy + _better(space.columns, places)))
    factors = None if motifs is None else factor_genes(motifs, space.names)
    if motifs is not None and factors is not None and len(factors) < 2:
        names = ", ".join(motif.name for motif in motifs[:3])
        what = (
            f"{len(factors)} of its {len(space):,} genes ({shown}, ...) have one of "
            f"{len(motifs):,} motifs ({names}, ...), and a gene needs two candidate factors"
        )
        problems.append(Problem(what, "give motifs whose names are genes of the RNA"))
    elif factors is not None and known is not None:
        theirs = {*known["factor"].astype(str).str.upper()}
        if not theirs & {name.upper() for name in factors}:
            what = f"none of the {len(theirs):,} known factors is one of its {len(factors):,}"
            problems.append(Problem(what, "check the species, and that names are symbols in both"))
    if problems:
        raise DataError(problems, subject=subject)


def _better(columns: Mapping[str, np.ndarray], places: pd.DataFrame) -> str:
    """The column of ``var`` whose names the table has, if there is one."""
    known = places["gene"].to_numpy(str)
    fits = {name: int(np.isin(values, known).sum()) for name, values in columns.items()}
    best = max(fits, key=lambda name: fits[name], default=None)
    if best is None or not fits[best]:
        return ""
    return f"; {fits[best]:,} of var[{best!r}] are in it: gene_column={best!r} (--gene-column)"


def _groups(cells: Cells, rows: np.ndarray, column: str) -> Labels:
    """The types of the cells; one type will do, and small ones are left out later."""
    labels, problems = check_labels(cells.obs.iloc[rows], column)
    if not len(labels.names):
        raise DataError(problems, subject=cells.name)
    if labels.sizes.max() < FEWEST_CELLS:
        what = (
            f"no type of obs[{column!r}] has {FEWEST_CELLS} cells with RNA and ATAC; the largest, "
            f"{labels.names[labels.sizes.argmax()]}, has {labels.sizes.max():,}"
        )
        problem = Problem(what, "name a column with larger types, or leave labels out")
        raise DataError(problem, subject=cells.name)
    return labels
