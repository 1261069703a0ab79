"""What a published experiment is: data, how cells are divided, ways to run, figures, results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anndata import AnnData

LABEL, BATCH = "cell_type", "batch"
"""The columns of ``obs`` that every data set of an experiment has; types are str."""

Parts = Mapping[str, AnnData]
"""The same cells by modality (``rna``, ``atac``, ``methylation``), raw counts in ``X``."""


@dataclass(frozen=True, eq=False)
class Data:
    """The labelled cells of one data set.

    Attributes
    ----------
    name
        What tables call it.
    parts
        Cells by modality, with :data:`LABEL` in ``obs``, and :data:`BATCH` where it is known.
    sha256
        Of each file that was read, also those beside the cells.
    columns
        Of types and of batches.
    genome, genes, known, motifs
        Files that some experiments need: the FASTA on which peaks lie, a BED file of genes, a
        table of known factors and targets, motifs in the MEME format (None: JASPAR).
    markers
        Known genes by type, where the experiment asks for them.
    notes
        What was found in the file: cells without a label, values that are no counts.
    """

    name: str
    parts: Parts
    sha256: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str | None] = field(default_factory=dict)
    genome: Path | None = None
    genes: Path | None = None
    known: Path | None = None
    motifs: Path | None = None
    markers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def obs(self) -> Any:
        """Labels and batches."""
        return next(iter(self.parts.values())).obs


@dataclass(frozen=True, eq=False)
class Case:
    """Cells to learn from, cells to name, and what tells the case from others (``{"share": .1}``).

    The labels of the query are for :func:`cytonym.evaluate.scores` alone.
    """

    key: Mapping[str, Any]
    reference: Parts
    query: Parts
    data: Data


@dataclass(frozen=True)
class Way:
    """A method with its settings.

    ``adapts``: it sees the query's cells while it learns. ``peer``: it is one of
    :data:`cytonym.peers.COMPETITORS`, in a process of its own.
    """

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    adapts: bool = False
    peer: bool = False


@dataclass(frozen=True)
class Published:
    """Figures that a paper gives; never measured here."""

    data: str
    way: str
    figures: Mapping[str, float]
    source: str

    @property
    def text(self) -> str:
        """As printed, without digits that the paper does not give."""
        return " / ".join(f"{value:g}" for value in self.figures.values())


def published(
    table: str, columns: Sequence[str], figures: Sequence[str], source: str
) -> tuple[Published, ...]:
    """The rows of a table as text: a method, then for each of ``columns`` ``.817/.717``."""
    out = []
    for line in table.strip().splitlines():
        way, *texts = re.split(r"\s{2,}", line.strip())
        for name, text in zip(columns, texts, strict=True):
            numbers = map(float, text.split("/"))
            out.append(Published(name, way, dict(zip(figures, numbers, strict=True)), source))
    return tuple(out)


Divide = Callable[[Sequence[Data], int], Iterator[Case]]
"""From data sets and a seed to cases."""

Measure = Callable[[Case, Way, int], list[dict[str, Any]]]
"""Run a way with a seed on a case: rows of words (such as the type) and figures."""


@dataclass(frozen=True)
class Experiment:
    """One published experiment.

    Attributes
    ----------
    name
        What the command line calls it: paper and number.
    paper, shows, what
        The paper, which of its tables or figures, and what is asked there.
    data
        Names in :data:`cytonym.datasets.DATA_SETS`.
    reads
        The modalities that the data need; none named: any two.
    together, all_needed
        Whether data sets are divided together (one names another) or each is an experiment of
        its own; whether none may be missing.
    divide, measure
        How cells become cases, and what is measured on one.
    ways
        The methods that are compared, the default first.
    figures
        Columns of the table, of what ``measure`` gives.
    by
        What else, beside data and way, the rows of the table are.
    seeds
        Those that are run by default.
    published
        What the paper says.
    notes
        Where this differs from the paper, and why.
    needs
        Files beside the data: ``genome``, ``genes``.
    plot
        ``bars`` (a group of bars a data set), ``confusion``, or the column of rows that is the x
        axis of curves.
    markers
        Known genes by type, where they are asked for and the user gives none.
    """

    name: str
    paper: str
    shows: str
    what: str
    data: tuple[str, ...]
    reads: tuple[str, ...]
    divide: Divide
    measure: Measure
    ways: tuple[Way, ...]
    figures: tuple[str, ...]
    by: tuple[str, ...] = ()
    together: bool = False
    all_needed: bool = False
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    plot: str = "bars"
    markers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
