"""One competitor on one split, as a process of its own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from cytonym.errors import CytonymError, OptionError, Problem, suggest
from cytonym.methods import get
from cytonym.options import parse
from cytonym.peers.competitors import Competitor, competitor
from cytonym.peers.handing import Cells, handed, read, write
from cytonym.peers.process import Usage, measured

WORKER = Path(__file__).parent / "recipes" / "worker.py"
PYTHON = "CYTONYM_BENCH_PYTHON"
"""The environment variable with the Python that has the peers' packages."""

LACKING = 69
"""How the worker ends where a package is missing; ``EX_UNAVAILABLE`` of sysexits.h."""

HOW = f"make the environment with `make bench-env`, then set {PYTHON}=.venv-bench/bin/python"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What a competitor said, and what it took.

    Attributes
    ----------
    labels
        ``(cells,)`` str, the name of each query cell.
    confidence
        ``(cells,)`` float32 from 0 to 1, the probability of that name; None where it gives none.
    embedding
        ``(cells, dim)`` float32 of the query; None where it has none.
    fit_seconds, name_seconds
        Time in which it learned, and named, without imports and reading.
    seconds
        Wall time of its process from start to end.
    cpu_seconds
        Processor time of all its threads, which the load of the machine hardly changes.
    peak_mib
        Largest resident memory of its process, MiB.
    versions
        Of Python and of the packages that it used.
    """

    labels: np.ndarray
    confidence: np.ndarray | None
    embedding: np.ndarray | None
    fit_seconds: float
    name_seconds: float
    seconds: float
    cpu_seconds: float
    peak_mib: float
    versions: Mapping[str, str]


def run(
    name: str,
    reference: Cells,
    query: Cells,
    *,
    label: str,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    batch: str | None = None,
    timeout: float | None = None,
    python: str | Path | None = None,
    work: str | Path | None = None,
) -> Answer:
    """Let a competitor learn from a reference and name the cells of a query.

    It runs as a process that is given files: raw counts of both, the reference's labels and, with
    ``batch``, that column. The query's other columns, its labels among them, are not written.

    Parameters
    ----------
    name
        One of :data:`COMPETITORS`.
    reference, query
        AnnData, or ``{"rna": ..., "atac": ...}`` of the same cells; raw counts in ``X``.
    label
        The column of the reference's ``obs`` with the types; no cell may be without.
    seed
        Of all that is random in it.
    options
        Its settings, where not the defaults; of ours, those of the method, and ``genome``.
    batch
        A column of both ``obs`` that it may see. Only ``scanvi`` reads it.
    timeout
        Seconds after which it is ended; None: none.
    python
        The Python that runs it. Default: this one if it has the packages, else that of the
        environment variable ``CYTONYM_BENCH_PYTHON``.
    work
        An empty folder for the files, which are then kept; made if need be.

    Raises
    ------
    OptionError
        Unknown competitor or option.
    DataError
        Data that it cannot read; all problems at once.
    CytonymError
        The process failed (with its last lines), took too long, or lacks packages.
    """
    one = competitor(name)
    settings = _settings(one, options)
    given = handed(one, reference, query, label=label, batch=batch)
    program = interpreter(one, python)
    task = {
        "recipe": one.recipe,
        "packages": one.packages,
        "seed": seed,
        "settings": settings,
        "sees_query": one.sees_query,
    }
    with _folder(work) as folder:
        write(given, folder, task)
        used = measured(
            [program, str(WORKER), str(folder)],
            folder,
            name=name,
            env=_environment(program),
            timeout=timeout,
        )
        if used.code:
            raise CytonymError(_failure(one, used, program, folder if work else None))
        said = read(folder, name, given.n_query)
    facts = said.facts
    return Answer(
        labels=said.labels,
        confidence=said.confidence,
        embedding=said.embedding,
        fit_seconds=facts["fit_seconds"],
        name_seconds=facts["name_seconds"],
        seconds=used.seconds,
        cpu_seconds=used.cpu_seconds,
        peak_mib=used.peak_mib,
        versions=facts["versions"],
    )


def _settings(one: Competitor, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Its settings with those given; an unknown one is told before anything runs."""
    given = dict(options or {})
    if one.ours:
        settings = {**one.settings, **given}
        genome = settings.get("genome")
        method = get(settings["method"])
        own = {key: value for key, value in settings.items() if key not in ("method", "genome")}
        parsed = parse(method.Options, own, presets=method.presets)
        if method.own(parsed) and genome is None:
            what = f"{one.name} reads the DNA under the peaks, and there is no genome"
            remedy = 'give options={"genome": "hg38.fa"}, or take a competitor that reads counts'
            raise OptionError(str(Problem(what, remedy)))
        return settings if genome is None else {**settings, "genome": str(genome)}
    if unknown := sorted({*given} - {*one.settings}):
        known = suggest(unknown[0], [*one.settings]) if one.settings else "It has no options."
        raise OptionError(f"{one.name} has no option {unknown[0]!r}. {known}")
    return {**one.settings, **given}


def interpreter(one: Competitor, python: str | Path | None = None) -> str:
    """The Python that runs a competitor: that given, this one if it has the packages, else that
    of ``CYTONYM_BENCH_PYTHON``.

    Raises
    ------
    CytonymError
        There is none, with how it is made.
    """
    if python is not None:
        return str(Path(python).expanduser().absolute())
    lacking = [package for package in one.packages if not _installed(package)]
    if not lacking:
        return sys.executable
    if named := os.environ.get(PYTHON):
        return str(Path(named).expanduser().absolute())
    what = (
        f"{one.name} needs {', '.join(lacking)}, which this Python lacks, and {PYTHON} is not set"
    )
    raise CytonymError(str(Problem(what, HOW)))


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def _environment(program: str) -> dict[str, str]:
    """Our environment; another Python does not get to see our folders of packages."""
    env = dict(os.environ)
    if program != sys.executable:
        env = {key: env[key] for key in env if key not in ("PYTHONPATH", "PYTHONHOME")}
    return env


def _failure(one: Competitor, used: Usage, program: str, kept: Path | None) -> str:
    """What is said of a process that failed."""
    if used.code == LACKING:
        return str(Problem(f"{one.name} cannot run under {program}:\n{used.said}", HOW))
    how = f"exit code {used.code}" if used.code > 0 else f"signal {-used.code}"
    what = (
        f"{one.name} failed after {used.seconds:,.1f} s ({how}, {used.peak_mib:,.0f} MiB); "
        f"its last lines:\n{used.said or '    (none)'}"
    )
    remedy = f"the rest is in {kept}" if kept else "run it with work=FOLDER to keep its files"
    if used.code == -9:
        remedy = f"was the memory used up? Give it fewer cells; {remedy}"
    return str(Problem(what, remedy))


@contextmanager
def _folder(work: str | Path | None) -> Any:
    """An empty folder: the one given, or one that is gone afterwards."""
    if work is None:
        with tempfile.TemporaryDirectory(prefix="cytonym-peer-") as name:
            yield Path(name)
        return
    folder = Path(work).expanduser().absolute()
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        what = f"the folder {folder} is not empty"
        raise CytonymError(str(Problem(what, "name an empty or a new one (work=)")))
    yield folder
