"""A data set as a fitted model reads it, with what was found on the way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from anndata import AnnData

from cytonym.data.align import align
from cytonym.data.coverage import Coverage
from cytonym.data.loader import Feed
from cytonym.data.pairing import pairing
from cytonym.data.read import Reading, open_read
from cytonym.data.source import Cells
from cytonym.errors import DataError, OptionError, Problem
from cytonym.memory import resident, words
from cytonym.methods import Method
from cytonym.prep import inputs
from cytonym.trust.tally import Tally
from cytonym.types import CellSource, Checks, FeatureSpace, Transform

if TYPE_CHECKING:
    from mudata import MuData

Data: TypeAlias = "str | Path | AnnData | MuData | Mapping[str, str | Path | AnnData]"
"""A file, an object, or one of these for each modality."""


LEAST_PAIRED = 20
"""Cells with both modalities, from which to learn how these go together."""


@dataclass(frozen=True, slots=True, eq=False)
class Opened:
    """A data set bound to a model: its cells, their way to the network, and what was noted."""

    cells: Cells
    feed: Feed
    coverage: Mapping[str, Coverage]
    notes: tuple[str, ...]

    @property
    def tally(self) -> Tally:
        """Of the cells read so far, those that hold nothing, or nothing of one modality."""
        return Tally(empty=self.feed.n_empty, without=self.feed.n_without)

    def of(self, rows: np.ndarray) -> Opened:
        """Only some of the cells (int)."""
        return replace(self, feed=self.feed.of(rows))


def open_for(
    method: Method,
    options: Any,
    spaces: Mapping[str, FeatureSpace],
    transforms: Mapping[str, tuple[Transform, ...]],
    data: Data | Cells,
    how: Reading,
) -> Opened:
    """Open ``data`` and give it the columns ``spaces`` of a model with these ``transforms``.

    Data that are open already are taken as they are.

    Raises
    ------
    DataError
        The data cannot be read, lack what the method needs, or share too little with the
        reference.
    """
    cells = data if isinstance(data, Cells) else open_read(data, how)
    check_values(method, cells, cells.name)
    check_transforms(transforms, cells.spaces, cells.name)
    source, coverage = align(cells, spaces, genes=how.genes, own=method.own(options))
    way = inputs(transforms, method.targets(options), source.spaces)
    bound = {name: one for name, one in way.bound.items() if name in coverage}
    problems = [_unread(one.space) for one in bound.values()]
    if any(problems):
        raise DataError([one for one in problems if one], subject=cells.name)
    n = len(source.cells)
    feed = Feed(source, way, np.full(n, -1), np.arange(n), memory=0, domain=1)
    notes = [*cells.notes, *unread(cells, spaces)]
    pairs = pairing(cells) if len(spaces) > 1 else None
    notes += [pairs.note] if pairs and pairs.note else []
    notes += cells.read_as(coverage)
    notes += [str(found) for found in coverage.values()]
    notes += [
        f"{modality}: of the features that the model reads, {one.space.measured.mean():.0%} "
        "were measured"
        + "; fewer than half: a fit with query= (--query), on the genes of both, is safer"
        * bool(one.space.measured.mean() < 0.5)
        for modality, one in bound.items()
        if not one.space.measured.all()
    ]
    notes += [
        f"{modality}: fewer than half of the reference's features were measured; a fit with "
        "query= (--query), on the features of both, is safer"
        for modality, found in coverage.items()
        if found.share < 0.5 and bound[modality].space.measured.all()
    ]
    notes += [note for found in coverage.values() for note in found.notes]
    return Opened(cells, feed, coverage, tuple(notes))


def unread(source: CellSource, modalities: Collection[str]) -> list[str]:
    """Says so where the data have a modality that is not read."""
    left = [name for name in source.spaces if name not in modalities]
    return [f"{', '.join(left)}: not read by this model"] if left else []


def check_values(method: Method, source: CellSource, subject: str) -> None:
    """Whether the data have what the method needs; a DataError with all that is lacking."""
    problems = []
    spared = method.needs.optional and {*method.needs.modalities} & {*source.spaces}
    for modality in method.needs.modalities:
        if modality not in source.spaces:
            if spared:
                continue
            have = ", ".join(source.spaces)
            problems.append(
                Problem(
                    f"{method.name} reads {modality}, and the data have {have}",
                    "give data with that modality, or choose another method",
                )
            )
        elif method.needs.counts and source.values[modality] == "relative":
            problems.append(
                Problem(
                    f"{method.name} needs raw counts of {modality}, and only logged values exist",
                    "put the counts into layers['counts']",
                )
            )
    if problems:
        raise DataError(problems, subject=subject)


def check_loads(cells: Cells, limit: int) -> None:
    """An OptionError where a matrix that is read whole does not fit into ``limit`` bytes."""
    loads = sum(part.rows.loads for part in cells.parts.values())
    if loads and loads + resident() > limit:
        raise OptionError(
            f"A matrix is stored by columns (csc) and read whole: with {words(loads)} for it the "
            f"process takes {words(loads + resident())}, and max_memory is {words(limit)}\n"
            "    → store it by rows (csr), which are streamed, or give more"
        )


def check_together(method: Method, source: CellSource, subject: str) -> None:
    """Whether a reference has one modality of each group that the method learns together."""
    problems = []
    have = ", ".join(source.spaces)
    for group in method.needs.together:
        found = [name for name in group if name in source.spaces]
        if not found:
            what = f"{method.name} learns from {' or '.join(group)}, and the data have {have}"
            remedy = "give a reference with both modalities of the same cells"
            problems.append(Problem(what, remedy))
        elif len(found) > 1:
            what = f"{method.name} learns from one of {' and '.join(found)}, and the data have both"
            problems.append(Problem(what, "leave one of them out"))
    if problems:
        raise DataError(problems, subject=subject)
    if method.needs.together:
        there = [source.present(name) for name in method.needs.modalities if name in source.spaces]
        paired = int(np.logical_and.reduce(there).sum())
        if paired < LEAST_PAIRED:
            what = f"{paired:,} cells have all of {have}, and {LEAST_PAIRED} are the least"
            raise DataError(Problem(what, "give cells measured in both"), subject=subject)


def check_transforms(
    transforms: Mapping[str, tuple[Transform, ...]],
    spaces: Mapping[str, FeatureSpace],
    subject: str,
) -> None:
    """Whether the transforms can read these columns; told before any work."""
    problems = []
    for modality, chain in transforms.items():
        for transform in chain:
            if modality in spaces and isinstance(transform, Checks):
                try:
                    transform.check(spaces[modality])
                except DataError as error:
                    where = "" if error.subject == "the peaks" else f"{error.subject}: "
                    problems += [Problem(where + one.what, one.remedy) for one in error.problems]
    if problems:
        raise DataError(problems, subject=subject)


def _unread(space: FeatureSpace, *, least: float = 0.2) -> Problem | None:
    """What is wrong if most of the features that the network reads were not measured."""
    measured = int(space.measured.sum())
    if measured >= least * len(space):
        return None
    absent = ", ".join(space.names[~space.measured][:5])
    return Problem(
        f"{measured:,} of the {len(space):,} {space.modality} features that the model reads were "
        f"measured (at least {least:.0%} are needed); lacking are {absent}, ...",
        "give the data before genes were selected, or fit with query= (--query)",
    )
