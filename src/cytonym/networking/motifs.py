"""How active motifs are in the cells of a data set: chromVAR's deviations, streamed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.annotator import Annotator, load
from cytonym.data.contents import unique_names
from cytonym.data.read import Reading, open_read
from cytonym.data.source import Cells
from cytonym.dna import (
    Motif,
    gc_content,
    scan,
)
from cytonym.errors import DataError, Problem
from cytonym.networking.given import (
    Attempts,
    Peaks,
    check_counts,
    held,
    motifs_of,
    placed,
    sequences_of,
)
from cytonym.opening import Data
from cytonym.regulation import (
    Activity,
    background_peaks,
    deviations,
)
from cytonym.regulation.activity import CELLS
from cytonym.types import Matrix


@dataclass(frozen=True, slots=True, eq=False)
class MotifActivity:
    """Deviations of motifs, with the cells and motifs that they belong to.

    Attributes
    ----------
    activity
        ``deviation`` and ``z``, cells × motifs; ``variability`` of each motif.
    obs
        Facts of the cells.
    motifs
        Names, ids and matrices.
    notes
        What the user should know.
    """

    activity: Activity
    obs: pd.DataFrame
    motifs: tuple[Motif, ...]
    notes: tuple[str, ...]

    def to_anndata(self) -> AnnData:
        """Cells × motifs: z in X (NaN where too few reads are expected), ``layers["deviation"]``;
        ``var`` is by the id of the motif and has ``name`` and ``variability``.
        """
        ids, _ = unique_names(pd.Index([motif.id for motif in self.motifs]))
        var = pd.DataFrame(
            {"name": self.activity.names, "variability": self.activity.variability}, index=ids
        )
        layers = {"deviation": self.activity.deviation}
        return AnnData(self.activity.z, self.obs.copy(), var, layers=layers)


@dataclass(frozen=True, slots=True)
class _Walks:
    """Some columns of blocks of cells, which can be walked more than once."""

    start: Callable[[], Iterator[Matrix]]
    columns: np.ndarray

    def __iter__(self) -> Iterator[Matrix]:
        for block in self.start():
            yield block[:, self.columns]


def motif_activity(
    data: Data,
    *,
    genome: str | Path,
    motifs: str | Path | None = None,
    model: Annotator | str | Path | None = None,
    layer: str | None = None,
    modalities: Mapping[str, str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> MotifActivity:
    """How much more open than expected the peaks with a motif are, in each cell (chromVAR).

    Cells without ATAC, peaks without coordinates and peaks without reads are left out. Counts are
    read from ``data`` in blocks, three times.

    Parameters
    ----------
    data
        As for :func:`cytonym.network`; RNA is not needed.
    genome, motifs, layer, modalities
        As there.
    model
        A fitted ``dcca`` model, or its folder: its denoised ATAC is taken in place of the counts,
        on the peaks that it decodes, with no least number of expected reads. Good for plots:
        values of one cell borrow from others, so z is no test.

    Raises
    ------
    DataError
        What is wrong with any of the files, before anything is scanned.
    OptionError
        A model that cannot denoise.
    """
    how = Reading(None, layer, modalities)
    fitted = load(model) if isinstance(model, str | Path) else model
    attempts = Attempts()
    opened = attempts.of(open_read, data, how)
    read = attempts.of(motifs_of, motifs)
    looked = None if opened is None else attempts.of(_seen, opened, fitted, data, how)
    dna = attempts.of(sequences_of, genome, None if looked is None else looked.peaks)
    attempts.check("the input")
    cells, seen, found = held(opened), held(looked), held(read)
    notes = [*cells.notes, *cells.read_as(("atac",)), *seen.peaks.note]
    notes.append(f"{len(seen.rows):,} of {len(cells):,} cells have ATAC: only these")
    if fitted is not None:
        notes.append(f"denoised by the model, on {seen.peaks.total:,} peaks: z is no test")
    walks = _Walks(seen.start, seen.peaks.columns)
    reads = sum((np.asarray(one.sum(axis=0), np.float64).ravel() for one in walks), np.zeros(1))
    some = np.flatnonzero(reads > 0)
    if not len(some):
        what = f"none of {len(reads):,} peaks has a read in {len(seen.rows):,} cells"
        raise DataError(Problem(what, "give raw counts"), subject=cells.name)
    if left := len(reads) - len(some):
        notes.append(f"{left:,} peaks without reads were left out")
    whole = [*held(dna)]
    sequences = [whole[place] for place in some]
    background = background_peaks(reads[some], gc_content(sequences), seed=seed)
    matches = scan(sequences, found, progress=progress).matches
    if absent := int((np.asarray(matches.sum(axis=0)).ravel() == 0).sum()):
        notes.append(f"{absent:,} of {len(found):,} motifs match in no peak: NaN")
    activity = deviations(
        _Walks(seen.start, seen.peaks.columns[some]),
        matches,
        background,
        names=[motif.name for motif in found],
        least_expected=1.0 if fitted is None else 0.0,  # what is denoised are no reads
        progress=progress,
    )
    return MotifActivity(activity, cells.obs.iloc[seen.rows], found, tuple(notes))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """The cells with ATAC, its peaks with a place, and how blocks of all peaks are begun."""

    rows: np.ndarray
    peaks: Peaks
    start: Callable[[], Iterator[Matrix]]


def _seen(cells: Cells, model: Annotator | None, data: Data, how: Reading) -> _Seen:
    """The counts, or what the model makes of them."""
    rows = check_counts(cells, ("atac",), least=1)
    if model is None:

        def counted() -> Iterator[Matrix]:
            for start in range(0, len(rows), CELLS):
                yield cells.read("atac", rows[start : start + CELLS])

        return _Seen(rows, placed(cells.spaces["atac"], cells.name), counted)
    made = model.denoise(data, modality="atac", layer=how.layer, modalities=how.modalities)

    def denoised() -> Iterator[Matrix]:
        for _, values in made.blocks(rows=rows):
            yield values

    return _Seen(rows, placed(made.space, cells.name), denoised)
