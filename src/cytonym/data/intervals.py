"""Where peaks lie: coordinates from their names or columns, and the genome builds that fit them.

Intervals are 0-based and half-open; chromosomes are named as UCSC does (``chr1``, ``chrM``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem
from cytonym.types import FeatureSpace

INTERVAL = re.compile(r"^([\w.]+)[:_-](\d+)[-_](\d+)$")
"""``chr1:100-600``, ``chr1-100-600``, ``chr1_100_600``."""

COLUMNS = (
    ("chrom", "chr", "chromosome", "seqnames", "seqname"),
    ("start", "chromstart"),
    ("end", "chromend", "stop"),
)
"""What the columns of coordinates are called, in any case."""

BUILDS = {
    "hg19": ("hg19", "grch37"),
    "hg38": ("hg38", "grch38"),
    "mm9": ("mm9", "ncbi37"),
    "mm10": ("mm10", "grcm38"),
    "mm39": ("mm39", "grcm39"),
    "danRer11": ("danrer11", "grcz11"),
    "dm6": ("dm6", "bdgp6"),
    "ce11": ("ce11", "wbcel235"),
}
"""Genome builds that are told apart, and how files call them."""

SLACK = 1000
"""Base pairs by which a window around a peak may reach over the end of a chromosome."""

_PRIMARY = re.compile(r"chr(\d{1,2}|[XYM]|[IV]{1,3}|[234][LR])")


def interval_library() -> Any:
    """bioframe, an optional dependency."""
    try:
        import bioframe
    except ModuleNotFoundError as error:
        what = "bioframe, with which peaks are compared, is not installed"
        problem = Problem(what, "pip install 'cytonym[atac]'")
        raise DataError(problem, subject="peaks") from error
    return bioframe


def intervals(space: FeatureSpace) -> pd.DataFrame | None:
    """The coordinates of peaks: ``chrom`` (UCSC names), ``start``, ``end`` (bp); None: unknown.

    They come from the names, or from a text column that holds intervals. Rows are the features;
    one without coordinates has chrom ``""``, start and end 0.
    """
    for values in (space.names, *space.columns.values()):
        if values.dtype.kind == "U" and mostly_intervals(values):
            return parse_intervals(values)
    return None


def parse_intervals(values: Sequence[str] | np.ndarray) -> pd.DataFrame:
    """Text to ``chrom, start, end``; what is no interval gets chrom ``""``."""
    parts = pd.Series(np.asarray(values, dtype=object)).str.extract(INTERVAL)
    known = parts[0].notna()
    return pd.DataFrame(
        {
            "chrom": chromosomes(parts[0].where(known, "")),
            "start": parts[1].where(known, "0").astype(np.int64),
            "end": parts[2].where(known, "0").astype(np.int64),
        }
    )


def interval_names(var: pd.DataFrame) -> np.ndarray | None:
    """``(features,)`` str like ``chr1:100-600`` from columns of coordinates; None without them."""
    named = {str(column).lower(): column for column in var.columns}
    found = [next((named[n] for n in names if n in named), None) for names in COLUMNS]
    if None in found:
        return None
    chrom, start, end = (var[column] for column in found)
    if not all(pd.api.types.is_integer_dtype(one.dtype) for one in (start, end)):
        return None
    first, last = start.astype(str), end.astype(str)
    return (chrom.astype(str) + ":" + first + "-" + last).to_numpy().astype(str)


def mostly_intervals(values: np.ndarray) -> bool:
    """Whether at least nine tenths of some of the names are intervals."""
    some = values[:: max(1, len(values) // 1000)]
    return len(some) > 0 and float(np.mean([bool(INTERVAL.match(str(one))) for one in some])) > 0.9


def chromosomes(names: pd.Series) -> pd.Series:
    """Names as UCSC gives them: ``1`` is ``chr1``, ``MT`` is ``chrM``; others stay."""
    kinds = names.astype("category")
    categories = kinds.cat.categories.astype(str)
    return pd.Series(np.array([ucsc(one) for one in categories], dtype=object)[kinds.cat.codes])


def ucsc(name: str) -> str:
    """One chromosome name, as UCSC gives it."""
    bare = re.sub(r"^chr", "", name, flags=re.IGNORECASE)
    bare = {"MT": "M", "m": "M", "x": "X", "y": "Y"}.get(bare, bare)
    return f"chr{bare}" if _PRIMARY.fullmatch(f"chr{bare}") else name


def style(space: FeatureSpace) -> str:
    """How most peaks are written: ``"chr1:100-600"``, ``"1:100-600"``, ..."""
    for values in (space.names, *space.columns.values()):
        if values.dtype.kind == "U" and mostly_intervals(values):
            found = next(m for v in values if (m := INTERVAL.match(str(v))))
            text = found.string
            first, last = text[found.end(1)], text[found.end(2)]
            return f"{'chr1' if found[1].lower().startswith('chr') else '1'}{first}100{last}600"
    return "no coordinates"


@dataclass(frozen=True, slots=True)
class Build:
    """Which genome builds peaks can lie on, and why the others cannot be it."""

    possible: tuple[str, ...]
    against: Mapping[str, str]
    said: str = ""

    def why(self, *others: str) -> str:
        """The evidence, against the builds ``others`` (none given: all that come near)."""
        if self.said:
            return self.said
        asked = others or [b for b, reason in self.against.items() if "ends at" in reason]
        reasons = [self.against[one] for one in asked if one in self.against]
        return "; ".join(reasons) or "no peak lies beyond its chromosomes"

    def __str__(self) -> str:
        return " or ".join(self.possible) or "no known build"


def build_of(table: pd.DataFrame, genome: np.ndarray | None = None) -> Build:
    """Judge by what the file says, else by the chromosomes and where they end.

    Parameters
    ----------
    table
        ``chrom, start, end`` of the peaks.
    genome
        ``(peaks,)`` str: the column ``genome`` of 10x files.
    """
    if genome is not None and len(genome):
        values, counts = np.unique(genome, return_counts=True)
        common = str(values[counts.argmax()])
        for build, words in BUILDS.items():
            if any(word in common.lower() for word in words):
                return Build((build,), {}, f"the column genome says {common}")
    ends = table[table["chrom"] != ""].groupby("chrom", observed=True)["end"].max()
    primary = {str(n): int(end) for n, end in ends.items() if _PRIMARY.fullmatch(str(n))}
    against = {}
    for build in BUILDS:
        sizes = chromosome_sizes(build)
        alien = [name for name in primary if name not in sizes]
        beyond = {n: end for n, end in primary.items() if end > sizes.get(n, end) + SLACK}
        if alien:
            against[build] = f"{build} has no {', '.join(alien[:3])}"
        elif beyond:
            name = max(beyond, key=lambda name: beyond[name] - sizes[name])
            against[build] = (
                f"a peak ends at {name}:{beyond[name]:,}, {build}'s {name} ends at {sizes[name]:,}"
            )
    return Build(tuple(build for build in BUILDS if build not in against), against)


@cache
def chromosome_sizes(build: str) -> dict[str, int]:
    """Lengths (bp) of a build's chromosomes, which bioframe holds."""
    sizes = interval_library().assembly_info(build).chromsizes
    return {str(name): int(size) for name, size in sizes.items()}
