"""Match peaks by where they lie: the same interval, else any overlap; refuse another genome."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.data.coverage import Coverage
from cytonym.dna.intervals import (
    Build,
    build_of,
    interval_library,
    interval_text,
    intervals,
    style,
)
from cytonym.errors import Problem
from cytonym.types import FeatureSpace

WIDE = 5
"""Peaks that many times as wide as the reference's are remarked upon."""

EQUAL = 0.2
"""With so many equal peaks there is no need to ask what chance gives."""

SHIFT = 1_000_000
"""Base pairs by which peaks are moved to see how many overlap by chance."""


def match_peaks(query: FeatureSpace, reference: FeatureSpace) -> tuple[csr_matrix, Coverage] | None:
    """Match by coordinates; None where either side has none.

    A peak of the query that equals one of the reference counts for it. A peak of the reference
    that no peak equals gets the counts of all that overlap it, be it by one base pair.

    Returns
    -------
    tuple
        The selection matrix ``(query peaks, reference peaks)`` float32 of 0 and 1, and the
        coverage, whose notes say what was lost.
    """
    asked, known = intervals(query), intervals(reference)
    if asked is None or known is None:
        return None
    mine, theirs = (_keys(t, s) for t, s in ((asked, query), (known, reference)))
    first = np.flatnonzero(~theirs.duplicated())
    place = theirs[first].get_indexer(mine)
    rows = np.flatnonzero(place >= 0)
    columns = first[place[rows]]
    repeats = len(rows) - len(np.unique(columns))
    rest = np.setdiff1d(np.flatnonzero(known["chrom"] != ""), columns)
    by, notes, chance = "coordinates", [], None
    if repeats:
        notes.append(f"{repeats:,} repeated peaks were added up")
    over, under = _overlaps(asked, known.iloc[rest]) if len(rest) else (rest, rest)
    if len(under):
        by = "overlap of coordinates"
        if len(np.unique(columns)) < EQUAL * len(known):
            chance = by_chance(asked, known)
        if chance is not None and chance >= 0.5:
            notes.append(
                f"by chance {chance:.0%} of the reference's peaks would overlap: from where they "
                "lie nothing can be told of the genome"
            )
        wide = _width(asked.iloc[np.unique(over)]) / max(_width(known.iloc[rest]), 1)
        if wide > WIDE:
            notes.append(
                f"the data's peaks are {wide:.0f} times as wide as the reference's: a count in one "
                "says little of the peaks in it; count the fragments instead (cytonym count)"
            )
        notes.append(
            f"{len(np.unique(under)):,} peaks of the reference are no peaks of the data; they "
            f"get the counts of the {len(np.unique(over)):,} that overlap them"
        )
    rows, columns = np.append(rows, over), np.append(columns, rest[under])
    unread = len(query) - len(np.unique(rows))
    if unread:
        notes.append(
            f"{unread:,} of the {len(query):,} peaks of the data ({unread / len(query):.0%}) "
            "overlap none of the reference's and are not read"
        )
    notes += _renamed(query, reference)
    shared = np.unique(columns)
    ones = np.ones(len(rows), np.float32)
    selection = csr_matrix((ones, (rows, columns)), shape=(len(query), len(reference)))
    missing = np.delete(reference.names, shared)
    sizes = len(reference), len(query), len(shared)
    return selection, Coverage(query.modality, *sizes, by, missing, tuple(notes), chance)


def unlike(query: FeatureSpace, reference: FeatureSpace) -> Problem | None:
    """What is wrong if one side has no coordinates, or lies on another genome build."""
    asked, known = intervals(query), intervals(reference)
    if asked is None and known is None:
        return None
    if asked is None or known is None:
        who, space = ("the data", query) if asked is None else ("the reference", reference)
        examples = ", ".join(space.names[:3])
        return Problem(
            f"the peaks of {who} have no coordinates ({examples}, ...), those of the other side do",
            "name them chr1:100-600, or give columns chrom, start and end in var",
        )
    ours = build_of(asked, query.columns.get("genome"))
    return another_genome(ours, build_of(known, reference.columns.get("genome")))


def another_genome(ours: Build, theirs: Build) -> Problem | None:
    """What is wrong if two sets of intervals cannot lie on one genome build.

    Of what fits no known build nothing can be said.
    """
    if {*ours.possible} & {*theirs.possible} or not (ours.possible and theirs.possible):
        return None
    return Problem(
        "the intervals lie on different genome builds:"
        f"\n      the data: {ours} ({ours.why(*theirs.possible)})"
        f"\n      the reference: {theirs} ({theirs.why(*ours.possible)})",
        "lift the data over to the reference's build, or align the reads to it",
    )


def by_chance(asked: pd.DataFrame, known: pd.DataFrame) -> float:
    """The share of ``known`` peaks that overlap, were those of ``asked`` 1 Mb further on.

    The right genome gives many times as many.
    """
    moved = asked.assign(start=asked["start"] + SHIFT, end=asked["end"] + SHIFT)
    return len(np.unique(_overlaps(moved, known)[1])) / max(1, len(known))


def _overlaps(over: pd.DataFrame, under: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of row numbers of intervals that share a base pair."""
    over, under = (
        one.reset_index(drop=True).loc[lambda table: table["chrom"] != ""] for one in (over, under)
    )
    pairs = interval_library().overlap(
        over, under, how="inner", return_input=False, return_index=True
    )
    return pairs["index"].to_numpy(np.int64), pairs["index_"].to_numpy(np.int64)


def _width(table: pd.DataFrame) -> float:
    """Median, in bp."""
    return float((table["end"] - table["start"]).median())


def _keys(table: pd.DataFrame, space: FeatureSpace) -> pd.Index:
    """Intervals as text; the name where a peak has none."""
    placed = table["chrom"] != ""
    return pd.Index(interval_text(table).where(placed, pd.Series(space.names, dtype=object)))


def _renamed(query: FeatureSpace, reference: FeatureSpace) -> list[str]:
    """Says so where the chromosomes are called ``1`` on one side and ``chr1`` on the other."""
    sides = [style(space).startswith("chr") for space in (query, reference)]
    if sides[0] == sides[1]:
        return []
    words = [("1, 2, ...", "chr1, chr2, ...")[side] for side in sides]
    return [
        f"the data call chromosomes {words[0]} and the reference {words[1]}; "
        "they were taken for the same"
    ]
