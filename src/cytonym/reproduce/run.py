"""Run an experiment: what its file of lines lacks, then its tables and its plot."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from cytonym.errors import CytonymError, DataError, Problem
from cytonym.files import replacing
from cytonym.methods import get
from cytonym.peers.competitors import competitor
from cytonym.peers.running import interpreter
from cytonym.reproduce.lines import Lines, plain
from cytonym.reproduce.measures.naming import BY_NAMES
from cytonym.reproduce.record import Case, Data, Experiment, Way
from cytonym.reproduce.tables import frame_of, page

PACKAGES = ("cytonym", "torch", "numpy", "scipy", "scikit-learn", "anndata")


@dataclass(frozen=True, eq=False)
class Results:
    """What an experiment gave.

    Attributes
    ----------
    frame
        One row a figure of a case, way and seed.
    table
        Mean and standard deviation over the seeds, as text.
    folder
        ``lines.jsonl``, ``table.md``, ``table.csv``, ``rows.csv``, ``figure.png``, ``run.json``.
    """

    experiment: Experiment
    frame: pd.DataFrame
    table: pd.DataFrame
    folder: Path


def run(
    experiment: Experiment,
    data: Sequence[Data],
    out: Path,
    *,
    seeds: Sequence[int] | None = None,
    ways: Sequence[str] | None = None,
    peers: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    missing: Sequence[str] = (),
    progress: bool = True,
) -> Results:
    """Run what is not in ``out`` yet, and write tables and a plot of all lines there.

    Parameters
    ----------
    data
        The data sets that are there.
    out
        A folder, made if need be. Lines are appended one by one: a run that was killed goes on.
    seeds, ways
        Of those that the experiment declares; None: all.
    peers
        Names in :data:`cytonym.peers.COMPETITORS` to run beside the ways, where the experiment
        asks for names alone.
    options
        Set for every way on top of its own, such as ``{"epochs": 5}`` for a trial; where a method
        lacks one it is left out there.
    missing
        Names of data sets that are not here, said on the page.

    Raises
    ------
    DataError
        ``out`` holds results of other data.
    """
    chosen = [*_ways(experiment, ways), *_peers(experiment, peers)]
    out.mkdir(parents=True, exist_ok=True)
    _same_data(experiment, data, out)
    lines = Lines(out / "lines.jsonl")
    todo = list(_todo(experiment, data, seeds or experiment.seeds, chosen, options or {}))
    words = f"{experiment.name}"
    for seed, case, way in tqdm(todo, desc=words, unit="fit", disable=not progress):
        key = {**case.key, "way": way.name, "options": dict(way.options), "seed": seed}
        if lines.get(key) is None:
            start = time.monotonic()
            rows = experiment.measure(case, way, seed)
            facts = {"n_reference": _cells(case.reference), "n_query": _cells(case.query)}
            lines.add(key, rows, **facts, seconds=round(time.monotonic() - start, 2))
    frame = frame_of(lines.found)
    made = page(experiment, frame, json.loads((out / "run.json").read_text()), missing)
    for name, text in made.files.items():
        with replacing(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    _plot(experiment, frame, out)
    return Results(experiment, frame, made.table, out)


def _todo(
    experiment: Experiment,
    data: Sequence[Data],
    seeds: Sequence[int],
    ways: Sequence[Way],
    options: Mapping[str, Any],
) -> Iterator[tuple[int, Case, Way]]:
    sets = [data] if experiment.together else [[one] for one in data]
    for seed in seeds:
        for case in chain.from_iterable(experiment.divide(one, seed) for one in sets):
            for way in ways:
                yield seed, case, _but(way, options)


def _but(way: Way, options: Mapping[str, Any]) -> Way:
    if way.peer:
        return way
    known = {*get(way.method).Options.model_fields, "preset"}
    more = {name: value for name, value in options.items() if name in known}
    return replace(way, options={**way.options, **more})


def _peers(experiment: Experiment, names: Sequence[str]) -> Iterator[Way]:
    """Peers as ways; what they lack is told before anything is run."""
    if names and experiment.measure not in BY_NAMES:
        raise CytonymError(
            f"{experiment.name} asks for more than names, which peers do not give\n"
            "    → leave --peer out"
        )
    for name in names:
        interpreter(competitor(name))
        yield Way(name, name, peer=True)


def _ways(experiment: Experiment, names: Sequence[str] | None) -> Sequence[Way]:
    if not names:
        return experiment.ways
    known = {way.name: way for way in experiment.ways}
    if unknown := [name for name in names if name not in known]:
        raise CytonymError(
            f"{experiment.name} has no way {', '.join(unknown)}\n    → one of: {'; '.join(known)}"
        )
    return [known[name] for name in names]


def _cells(parts: Mapping[str, Any]) -> int:
    return next(iter(parts.values())).n_obs


def _same_data(experiment: Experiment, data: Sequence[Data], out: Path) -> None:
    """Keep what was run on what beside the lines; other data need another folder."""
    path = out / "run.json"
    sha256 = {name: one for part in data for name, one in part.sha256.items()}
    before = json.loads(path.read_text()) if path.exists() else {"sha256": {}}
    other = [name for name, one in sha256.items() if before["sha256"].get(name, one) != one]
    if before.get("experiment", experiment.name) != experiment.name or other:
        what = f"it holds {before.get('experiment')} on other files ({', '.join(other) or 'none'})"
        raise DataError(Problem(what, "give another folder (--out)"), subject=str(out))
    record = {
        "experiment": experiment.name,
        "sha256": {**before["sha256"], **sha256},
        "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        "machine": machine(),
    }
    with replacing(path) as partial:
        partial.write_text(json.dumps(plain(record), indent=1), encoding="utf-8")


def machine() -> str:
    """Processors and memory."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    kind = names[0] if names else platform.processor() or platform.machine()
    text = f"{os.cpu_count()} × {kind}"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        text += f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return text


def _plot(experiment: Experiment, frame: pd.DataFrame, out: Path) -> None:
    from cytonym.view.experiments import figure_of

    made = figure_of(experiment.plot, frame, experiment.figures, experiment.by)
    with replacing(out / "figure.png") as partial:
        made.savefig(partial, dpi=150, format="png")
