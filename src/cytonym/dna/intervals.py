"""Where peaks lie: coordinates from their names or columns, and the genome builds that fit them.

Intervals are 0-based and half-open; chromosomes are named as UCSC does (``chr1``, ``chrM``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd

from cytonym.disk.numbers import numbers
from cytonym.errors import DataError, Problem, install
from cytonym.types import FeatureSpace

INTERVAL = re.compile(r"^([\w.]+)[:_-]([\d,]{1,15})[-_]([\d,]{1,15})$")
"""``chr1:100-600``, ``chr1-100-600``, ``chr1_100_600``, ``chr1:1,000-1,500``."""

COLUMNS = (
    ("chrom", "chr", "chromosome", "seqnames", "seqname"),
    ("start", "chromstart"),
    ("end", "chromend", "stop"),
)
"""What the columns of coordinates are called, in any case."""

FARTHEST = 2**53
"""Beyond it float64 does not hold every whole number."""

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

_PRIMARY = re.compile(r"chr(\d{1,2}|[XYM]|[IV]{1,3}|[234][LR])")


def interval_library() -> Any:
    """bioframe, an optional dependency."""
    try:
        import bioframe
    except ModuleNotFoundError as error:
        what = "bioframe, with which peaks are compared, is not installed"
        problem = Problem(what, install("atac"))
        raise DataError(problem, subject="peaks") from error
    return bioframe


def intervals(space: FeatureSpace) -> pd.DataFrame | None:
    """The coordinates of peaks: ``chrom`` (UCSC names), ``start``, ``end`` (bp); None: unknown.

    They come from the names, or from a text column that holds intervals. Rows are the features;
    one without coordinates has chrom ``""``, start and end 0.
    """
    written = _written(space)
    return None if written is None else parse_intervals(written)


def _written(space: FeatureSpace) -> np.ndarray | None:
    """The names, or the first text column, that are intervals."""
    columns = (space.names, *space.columns.values())
    return next((v for v in columns if v.dtype.kind == "U" and mostly_intervals(v)), None)


def parse_intervals(values: Sequence[str] | np.ndarray) -> pd.DataFrame:
    """Text to ``chrom, start, end``; what is no interval gets chrom ``""``."""
    parts = pd.Series(np.asarray(values, dtype=object)).str.extract(INTERVAL)
    start, end = (_whole(parts[column].str.replace(",", "")) for column in (1, 2))
    known = start < end  # NaN is not
    return pd.DataFrame(
        {
            "chrom": chromosomes(parts[0].where(known, "")),
            "start": np.where(known, start, 0).astype(np.int64),
            "end": np.where(known, end, 0).astype(np.int64),
        }
    )


def _whole(values: Iterable[Any]) -> np.ndarray:
    """``(values,)`` float64 of text or numbers; NaN where it is no whole number."""
    found = numbers(values)
    found[~(np.abs(found) < FARTHEST)] = np.nan
    return np.where(found % 1 == 0, found, np.nan)


def interval_text(table: pd.DataFrame) -> pd.Series:
    """``chrom, start, end`` as ``chr1:100-600``."""
    start, end = table["start"].astype(str), table["end"].astype(str)
    return table["chrom"].astype(object) + ":" + start + "-" + end


def interval_names(var: pd.DataFrame) -> np.ndarray | None:
    """``(features,)`` str like ``chr1:100-600`` from columns of coordinates; None without them."""
    named = {str(column).lower(): column for column in var.columns}
    found = [next((named[n] for n in names if n in named), None) for names in COLUMNS]
    if None in found:
        return None
    chrom, *ends = (var[column].to_numpy(dtype=object) for column in found)
    start, end = (_whole(one) for one in ends)
    if not np.isfinite([start, end]).all():
        return None
    places = {"start": start.astype(np.int64), "end": end.astype(np.int64)}
    table = pd.DataFrame({"chrom": chrom.astype(str), **places})
    return interval_text(table).to_numpy().astype(str)


def mostly_intervals(values: np.ndarray) -> bool:
    """Whether at least nine tenths of some of the names are intervals."""
    some = values[:: max(1, len(values) // 1000)]
    return len(some) > 0 and float(np.mean([bool(INTERVAL.match(str(one))) for one in some])) > 0.9


def chromosomes(names: pd.Series) -> pd.Series:
    """Names as UCSC gives them: ``1`` is ``chr1``, ``MT`` is ``chrM``; others stay."""
    kinds = names.astype("category")
    categories = kinds.cat.categories.astype(str)
    named = np.array([*(ucsc(one) for one in categories), ""], dtype=object)  # -1: none
    return pd.Series(named[kinds.cat.codes])


def ucsc(name: str) -> str:
    """One chromosome name, as UCSC gives it."""
    bare = re.sub(r"^chr", "", name, flags=re.IGNORECASE)
    bare = {"MT": "M", "m": "M", "x": "X", "y": "Y"}.get(bare, bare)
    return f"chr{bare}" if _PRIMARY.fullmatch(f"chr{bare}") else name


def style(space: FeatureSpace) -> str:
    """How peaks on numbered chromosomes are written: ``"chr1:100-600"``, ``"1:100-600"``, ..."""
    written = _written(space)
    if written is None:
        return "no coordinates"
    found = (m for value in written if (m := INTERVAL.match(str(value))))
    some = next(found)
    one = next((m for m in chain([some], found) if _PRIMARY.fullmatch(ucsc(m[1]))), some)
    first, last = one.string[one.end(1)], one.string[one.end(2)]
    return f"{'chr1' if one[1].lower().startswith('chr') else '1'}{first}100{last}600"


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
        asked = others or [b for b, reason in self.against.items() if "begins at" in reason]
        reasons = [self.against[one] for one in asked if one in self.against]
        return "; ".join(reasons) or "none lies beyond its chromosomes"

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
        named = [b for b, words in BUILDS.items() if any(w in common.lower() for w in words)]
        if len(named) == 1:  # two are a mixture of species
            return Build((named[0],), {}, f"the column genome says {common}")
    # A window may reach over the end of a chromosome; it cannot begin there.
    last = table[table["chrom"] != ""].groupby("chrom", observed=True)["start"].max()
    primary = {str(n): int(start) for n, start in last.items() if _PRIMARY.fullmatch(str(n))}
    against = {}
    for build in BUILDS:
        sizes = chromosome_sizes(build)
        alien = [name for name in primary if name not in sizes]
        beyond = {n: at for n, at in primary.items() if at >= sizes.get(n, at + 1)}
        if alien:
            against[build] = f"{build} has no {', '.join(alien[:3])}"
        elif beyond:
            name = max(beyond, key=lambda name: beyond[name] - sizes[name])
            against[build] = (
                f"one begins at {name}:{beyond[name]:,}, {build}'s {name} ends at {sizes[name]:,}"
            )
    return Build(tuple(build for build in BUILDS if build not in against), against)


def has_interval_library() -> bool:
    """Whether bioframe is installed."""
    try:
        interval_library()
    except DataError:
        return False
    return True


@cache
def chromosome_sizes(build: str) -> dict[str, int]:
    """Lengths (bp) of a build's chromosomes, which bioframe holds."""
    sizes = interval_library().assembly_info(build).chromsizes
    return {str(name): int(size) for name, size in sizes.items()}
