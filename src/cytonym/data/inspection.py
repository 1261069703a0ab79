"""The page that an inspection gives: facts, problems, and how they are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cytonym.data.coverage import Coverage
from cytonym.data.judge import Finding
from cytonym.data.pairing import Pairing
from cytonym.errors import Problem


@dataclass(frozen=True, slots=True)
class Identifier:
    """One identifier of the features: its type, five examples and the number of repeats."""

    type: str
    examples: list[str]
    repeats: int


@dataclass(frozen=True, slots=True)
class PeakFacts:
    """How peaks are written, and where they can lie.

    ``written`` is like ``"chr1:100-600"``; ``width`` the median in bp; ``builds`` the genome
    builds that they fit, with the ``evidence`` against others; ``binary`` is True where no
    sampled value is above 1.
    """

    written: str
    width: float
    builds: list[str]
    evidence: str
    binary: bool


@dataclass(frozen=True, slots=True)
class RateFacts:
    """What is observed of methylation, over all cells.

    Of ``size`` values (cells × sites) ``observed`` are not missing; ``zeros`` is the share of
    these that is 0, ``mean`` their mean rate; ``never`` sites are missing in every cell.
    """

    size: int
    observed: int
    zeros: float
    mean: float
    never: int


@dataclass(frozen=True, slots=True)
class ModalityFacts:
    """What a data set holds of one modality.

    ``findings`` has every place; ``used`` is the one that would be read (None: none can).
    ``density`` is the share of values that are not zero; ``per_cell`` the median sum of a cell
    in the unit of the place; ``empty_cells`` the sampled cells without any value; ``peaks`` is
    there for peaks (and sites) with coordinates; ``rates`` for methylation, whose ``density`` is
    the share of values that are observed and ``per_cell`` the median number of observed sites.
    """

    features: int
    findings: list[Finding]
    used: str | None
    density: float
    per_cell: float
    empty_cells: int
    identifiers: dict[str, Identifier]
    species: str
    species_evidence: str
    peaks: PeakFacts | None = None
    rates: RateFacts | None = None

    def summary(self) -> str:
        """How many features, and how full they are."""
        if self.rates is None:
            held = f"{self.density:.2%} not zero, median sum of a cell {self.per_cell:,.6g}"
            return f"{self.features:,} features, {held}"
        known = self.rates
        return (
            f"{self.features:,} sites, {known.observed:,} of {known.size:,} values observed "
            f"({self.density:.2%}), {known.zeros:.2%} of these 0, mean rate {known.mean:.2f}, "
            f"median of a cell {self.per_cell:,.6g} sites"
        )


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """A column of ``obs`` that could hold types or batches.

    ``sizes`` are the cells of each value, largest first; ``missing`` cells have none.
    """

    sizes: dict[str, int]
    missing: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that is known about a data set before it is used; ``print`` shows it on one page.

    ``memory`` holds estimates in GB: ``"in memory"`` for the sparse matrices, ``"streamed"``
    for what reading by blocks holds at once.
    """

    name: str
    format: str = "unknown"
    cells: int = 0
    modalities: dict[str, ModalityFacts] = field(default_factory=dict)
    labels: dict[str, ColumnFacts] = field(default_factory=dict)
    batches: dict[str, ColumnFacts] = field(default_factory=dict)
    memory: dict[str, float] = field(default_factory=dict)
    coverage: dict[str, Coverage] = field(default_factory=dict)
    pairing: Pairing | None = None
    notes: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON; of missing features, their number and the first 20."""
        facts = asdict(self)
        for modality, coverage in self.coverage.items():
            missing = coverage.missing
            facts["coverage"][modality] |= {
                "missing": [str(name) for name in missing[:20]],
                "n_missing": len(missing),
                "share": coverage.share,
                "notes": list(coverage.notes),
            }
        return facts | {"usable": self.usable}

    def __str__(self) -> str:
        state = "usable" if self.usable else "not usable"
        lines = [f"{self.name}: {self.format}, {self.cells:,} cells, {state}"]
        for modality, facts in self.modalities.items():
            lines += ["", f"{modality}: {facts.summary()}"]
            for finding in facts.findings:
                mark = "reads " if finding.where == facts.used else "      "
                lines.append(f"  {mark}{finding.where}: {finding.kind} ({finding.evidence})")
            for name, known in facts.identifiers.items():
                repeats = f", {known.repeats:,} repeats" if known.repeats else ""
                examples = ", ".join(known.examples)
                lines.append(f"  ids   {name}: {known.type}{repeats} ({examples})")
            if facts.peaks is None:
                if facts.rates is None:
                    lines.append(f"  from  {facts.species} ({facts.species_evidence})")
                continue
            held = ", open or not (no value above 1)" if facts.peaks.binary else ", counts"
            noun, held = ("peaks", held) if facts.rates is None else ("sites", "")
            lines.append(
                f"  {noun} like {facts.peaks.written}, median {facts.peaks.width:,.0f} bp{held}"
            )
            builds = " or ".join(facts.peaks.builds) or "no known build"
            lines.append(f"  genome {builds} ({facts.peaks.evidence})")
        lines.append("")
        for title, columns in (("types?", self.labels), ("batch?", self.batches)):
            for name, facts in columns.items():
                missing = f", {facts.missing:,} missing" if facts.missing else ""
                first = [f"{value} {size:,}" for value, size in [*facts.sizes.items()][:8]]
                more = len(facts.sizes) - len(first)
                first += (
                    [f"{more} more, the smallest {min(facts.sizes.values()):,}"] if more else []
                )
                lines.append(f"  {title} {name}: {len(facts.sizes)} values{missing}")
                lines.append(f"         {', '.join(first)}")
        if self.pairing is not None:
            lines.append(f"  pairs  {self.pairing}")
        if self.memory:
            sizes = ", ".join(f"{size:.2g} GB {how}" for how, size in self.memory.items())
            lines.append(f"  memory {sizes}")
        lines += [f"  fit    {coverage}" for coverage in self.coverage.values()]
        lines += [f"  note   {note}" for note in self.notes]
        lines += [f"  PROBLEM {problem}" for problem in self.problems]
        return "\n".join(lines)
