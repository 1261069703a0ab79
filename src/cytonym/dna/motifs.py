"""Which words a transcription factor binds: motifs from a MEME file or from JASPAR."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cytonym.errors import DataError, OptionError, Problem, install, suggest

SITES = 20.0
"""Sites that a matrix counts for where its file does not say, as MEME takes it."""

TAXA = ("vertebrates", "plants", "fungi", "insects", "nematodes", "urochordates")
"""Groups of species that JASPAR tells apart."""

SHOWN = 8
"""Problems of one file that are told one by one."""

_SETTING = re.compile(r"(\w+)\s*=\s*(\S+)")


@dataclass(frozen=True, slots=True, eq=False)
class Motif:
    """How often each base stands at each place of a binding site.

    Attributes
    ----------
    name
        The factor, ``"Neurod1"``; partners of a dimer are joined, ``"Ahr::Arnt"``.
    id
        As the collection names it: ``"MA0108.2"``.
    frequencies
        ``(4, length)`` float64, rows A, C, G, T; columns sum to 1.
    sites
        How many sites were counted: few make the pseudocount weigh more.
    """

    name: str
    id: str
    frequencies: np.ndarray
    sites: float = SITES

    def __len__(self) -> int:
        return self.frequencies.shape[1]


def factors(motif: Motif) -> tuple[str, ...]:
    """The transcription factors of a motif: two of ``Ahr::Arnt``; ``JUN(var.2)`` is ``JUN``."""
    bare = (re.sub(r"\(.*?\)", "", name).strip() for name in motif.name.split("::"))
    return tuple(dict.fromkeys(name for name in bare if name))


def factor_genes(
    motifs: Sequence[Motif], genes: Sequence[str] | np.ndarray
) -> dict[str, list[int]]:
    """The motifs (by number) of each gene that is a factor: ``{gene: [motif, ...]}``.

    Names are compared without regard to case, since human and mouse differ in it only. A gene
    that is there twice counts by the name that comes first.
    """
    known: dict[str, str] = {}
    for gene in genes:
        known.setdefault(str(gene).upper(), str(gene))
    found: dict[str, list[int]] = {}
    for number, motif in enumerate(motifs):
        for name in factors(motif):
            if (gene := known.get(name.upper())) is not None:
                found.setdefault(gene, []).append(number)
    return found


def jaspar_motifs(
    release: str = "JASPAR2024", taxa: Sequence[str] = ("vertebrates",)
) -> tuple[Motif, ...]:
    """The latest version of each CORE motif, from the copy of JASPAR inside pyjaspar.

    Raises
    ------
    DataError
        pyjaspar is not installed.
    OptionError
        It has no such release or taxa, or no motif of them.
    """
    try:
        from pyjaspar import jaspardb
    except ModuleNotFoundError as error:
        what = "pyjaspar, which holds the motifs of JASPAR, is not installed"
        problem = Problem(what, f"{install('atac')}, or give a MEME file")
        raise DataError(problem, subject="motifs") from error
    if unknown := {*taxa} - {*TAXA} or not taxa:
        named = ", ".join(sorted(unknown)) if isinstance(unknown, set) else "none given"
        raise OptionError(f"taxa: {named}. There are {', '.join(TAXA)}.")
    known = [str(one) for one in jaspardb().get_releases()]
    if release not in known:
        raise OptionError(f"pyjaspar has no release {release!r}. {suggest(release, known)}")
    fetched: Any = jaspardb(release=release).fetch_motifs(
        collection="CORE", tax_group=[*taxa], all_versions=False
    )
    if not fetched:
        raise OptionError(f"{release} has no CORE motif of {', '.join(taxa)}.")
    return tuple(_of_counts(one) for one in fetched)


def _of_counts(found: Any) -> Motif:
    """A motif of Biopython's, which holds counts."""
    counts = np.array([found.counts[base] for base in "ACGT"], dtype=np.float64)
    sums = counts.sum(axis=0)
    return Motif(str(found.name), str(found.matrix_id), counts / sums, float(sums.mean()))


@dataclass(slots=True)
class _Open:
    """A motif whose rows are still being read."""

    line: int
    name: str
    id: str
    width: int | None = None
    sites: float = SITES
    rows: list[list[float]] = field(default_factory=list)
    reading: bool = False


def read_motifs(path: str | Path) -> tuple[Motif, ...]:
    """Motifs of a text file in the MEME format (version 4 and later, minimal or full).

    Biopython reads such files too, but keeps neither the factor's name nor more than rounded
    counts, so this is a reader of its own.

    Raises
    ------
    DataError
        No such file, no MEME file, another alphabet than ACGT, or rows that are no
        probabilities; all of them with their lines.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        problem = Problem(f"it cannot be read ({error.strerror})", "give a MEME text file")
        raise DataError(problem, subject=str(path)) from error
    if not any(line.startswith("MEME version") for line in lines):
        first = next((line.strip()[:60] for line in lines if line.strip()), "")
        problem = Problem(
            f"no line says 'MEME version'; the first is {first!r}",
            "give motifs in the MEME format; JASPAR offers it for download",
        )
        raise DataError(problem, subject=path.name)
    done, wrong = _motifs(lines)
    if not done and not wrong:
        wrong = [(len(lines), "the file names no MOTIF")]
    if wrong:
        told = [Problem(f"line {n:,}: {what}", "mend the line") for n, what in wrong[:SHOWN]]
        if len(wrong) > SHOWN:
            told.append(Problem(f"{len(wrong) - SHOWN:,} more lines are wrong", "mend them too"))
        raise DataError(told, subject=path.name)
    return tuple(done)


def _motifs(lines: list[str]) -> tuple[list[Motif], list[tuple[int, str]]]:
    """What the lines hold, and what is wrong with which line."""
    done: list[Motif] = []
    wrong: list[tuple[int, str]] = []
    now: _Open | None = None
    for number, text in enumerate([*lines, "MOTIF"], start=1):
        line = text.strip()
        if line.startswith("ALPHABET") and not re.search(r"ACGT\b|DNA", line):
            wrong.append((number, f"the alphabet is not ACGT: {line[:60]!r}"))
        elif line.startswith("MOTIF"):
            if now is not None:
                _close(now, done, wrong)
            words = line.split()[1:]
            id = words[0] if words else ""
            name = words[1].removeprefix(f"{id}.") if len(words) > 1 else id
            now = _Open(number, name, id)
            if not words and number <= len(lines):
                wrong.append((number, "a motif without a name"))
        elif now is not None and line.startswith("letter-probability matrix"):
            said = dict(_SETTING.findall(line))
            now.reading = True
            now.width = int(said["w"]) if said.get("w", "").isdigit() else None
            now.sites = _number(said.get("nsites", "")) or SITES
            if said.get("alength", "4") != "4":
                wrong.append((number, f"a matrix of {said['alength']} letters, not 4"))
        elif now is not None and now.reading:
            _row(line, number, now, wrong)
    return done, wrong


def _row(line: str, number: int, now: _Open, wrong: list[tuple[int, str]]) -> None:
    """One line that should be four probabilities; any other ends the matrix."""
    full = now.width is not None and len(now.rows) >= now.width
    if full or not line or line.startswith("URL"):
        now.reading = full or not now.rows  # an empty line may come before the rows
        return
    values = [_number(word) for word in line.split()]
    row = [value for value in values if value is not None and value >= 0]
    if len(row) != 4 or len(values) != 4:
        wrong.append((number, f"not four probabilities: {line[:60]!r}"))
        row = [0.25] * 4
    elif abs(sum(row) - 1) > 0.01:
        wrong.append((number, f"four numbers that sum to {sum(row):.3g}, not 1"))
    now.rows.append(row)


def _close(now: _Open, done: list[Motif], wrong: list[tuple[int, str]]) -> None:
    """Keep a motif whose lines have ended."""
    if not now.rows:
        wrong.append((now.line, f"motif {now.id!r} has no letter-probability matrix"))
    elif now.width is not None and len(now.rows) != now.width:
        wrong.append((now.line, f"motif {now.id!r} has {len(now.rows)} rows, not {now.width}"))
    else:
        values = np.array(now.rows).T
        done.append(Motif(now.name, now.id, values / values.sum(axis=0), now.sites))


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
