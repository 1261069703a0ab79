"""What the page says, as plain records: everything is computed before anything is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytonym.evaluate import Scores
from cytonym.evaluate.reliability import Reliability


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """One name that was given.

    ``named`` is False for "Unknown" and other answers that are no type. ``quartiles`` and
    ``histogram`` (cells in 20 equal bins) are of the confidence, empty without one; ``below`` is
    the share of the cells with a confidence under .5; ``second`` the most common runner-up.
    """

    name: str
    named: bool
    n: int
    share: float
    quartiles: tuple[float, ...] = ()
    histogram: tuple[int, ...] = ()
    below: float | None = None
    second: str | None = None
    term: str | None = None


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """One batch: cells, the share without a type, mean confidence, accuracy where truth is known,
    and the share of its cells that each name has, in the order of the page.
    """

    name: str
    n: int
    unnamed: float
    confidence: float | None
    accuracy: float | None
    shares: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Batches:
    """A column of ``obs`` with batches."""

    column: str
    rows: tuple[BatchFacts, ...]


@dataclass(frozen=True, slots=True)
class Sets:
    """Prediction sets: how many cells have a set of each size; with truth, how many hold it."""

    sizes: tuple[tuple[int, int], ...]
    mean: float
    holds: float | None
    n_truth: int


@dataclass(frozen=True, slots=True)
class Votes:
    """Majority voting: cells whose name it changed, and the most common changes.

    ``agreement`` is the mean by cells of ``rows``, the clusters that agree least: cluster, cells,
    name, agreement, runner-up and its share.
    """

    changed: int
    clusters: int | None
    changes: tuple[tuple[str, str, int], ...]
    agreement: float | None = None
    rows: tuple[tuple[str, int, str, float, str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Overlap:
    """How many of the reference's features of one modality the query has."""

    modality: str
    reference: int
    shared: int
    matched_by: str

    @property
    def share(self) -> float:
        """Of the reference's features."""
        return self.shared / max(self.reference, 1)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name lies in the picture: the median of its cells, and the name next to it."""

    name: str
    n: int
    x: float
    y: float
    nearest: str | None


@dataclass(frozen=True, slots=True)
class Picture:
    """The cells in two dimensions.

    ``what`` says which; ``cells`` is what the script of the page reads (see picture.py);
    ``drawn`` of ``n`` cells are in it, ``left_out`` had no place.
    """

    what: str
    n: int
    drawn: int
    left_out: int
    places: tuple[Place, ...]
    colours: tuple[tuple[str, str], ...]
    batches: tuple[tuple[str, tuple[str, ...]], ...]
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Agreement with known labels.

    ``named`` has the scores of the cells that were given a type, where others were not;
    ``reliability`` is of the cells with a type and a confidence.
    """

    column: str
    scores: Scores
    named: Scores | None
    reliability: Reliability | None
    n_reliability: int


@dataclass(frozen=True, slots=True)
class Reason:
    """The features that speak most for a type: name, share of the score, "high" or "low"."""

    type: str
    features: tuple[tuple[str, float, str], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One loss or score over the epochs of all stages; None where an epoch has none."""

    name: str
    values: tuple[float | None, ...]
    score: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the model says about itself, and about its types.

    ``why_not`` says why there are no ``reasons``; ``other`` that the weights are not those that
    named the cells.
    """

    method: str
    reasons: tuple[Reason, ...]
    why_not: str | None
    other: bool
    n_reference: int
    n_held_out: int
    refitted: bool
    seconds: float
    held_out: tuple[Mapping[str, Any], ...]
    per_type: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    stages: tuple[tuple[str, int], ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Everything on the page; what a file does not have is None or empty."""

    name: str
    key: str
    n: int
    types: tuple[TypeFacts, ...]
    never: tuple[str, ...]
    confidence: float | None
    below: float | None
    batches: tuple[Batches, ...]
    sets: Sets | None
    votes: Votes | None
    overlap: tuple[Overlap, ...]
    notes: tuple[str, ...]
    populations: pd.DataFrame | None
    truth: Truth | None
    picture: Picture | None
    model: ModelFacts | None
    method: Mapping[str, Any]

    @property
    def named(self) -> tuple[TypeFacts, ...]:
        """The names that are types."""
        return tuple(one for one in self.types if one.named)

    @property
    def n_unnamed(self) -> int:
        """Cells without a type."""
        return sum(one.n for one in self.types if not one.named)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """The columns of one annotation, a value a cell.

    Attributes
    ----------
    cells
        ``(cells,)`` str names.
    codes
        ``(cells,)`` int: index into ``names``.
    names
        The names that were given, types first, the most common first.
    named
        ``(names,)`` bool: whether a name is a type.
    confidence
        ``(cells,)`` float in [0, 1], NaN where there is none; None without such a column.
    """

    cells: np.ndarray
    codes: np.ndarray
    names: tuple[str, ...]
    named: np.ndarray
    confidence: np.ndarray | None

    @property
    def typed(self) -> np.ndarray:
        """``(cells,)`` bool: has a type."""
        return self.named[self.codes]
