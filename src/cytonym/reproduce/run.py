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

from cytonym.errors import CytonymError, DataError, OptionError, Problem, suggest
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
    """Run what is not in ``out`` yet, and write tables and a plot of what was asked for.

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
        Set for every way that has it and does not set it itself, such as ``{"epochs": 5}`` for a
        trial.
    missing
        Names of data sets that are not here, said on the page.

    Raises
    ------
    DataError
        ``out`` holds results of another experiment, other data, or another version of cytonym.
    OptionError
        An option that no way has.
    """
    chosen = [*_ways(experiment, ways), *_peers(experiment, peers)]
    chosen = _with(experiment, chosen, options or {})
    out.mkdir(parents=True, exist_ok=True)
    record = _same_run(experiment, data, out)
    lines, asked = Lines(out / "lines.jsonl"), []
    todo = list(_todo(experiment, data, seeds or experiment.seeds, chosen))
    for seed, case, way in tqdm(todo, desc=experiment.name, unit="fit", disable=not progress):
        key = {**case.key, "way": way.name, "options": dict(way.options), "seed": seed}
        line = lines.get(key)
        if line is None:
            start = time.monotonic()
            rows = experiment.measure(case, way, seed)
            facts = {"n_reference": _cells(case.reference), "n_query": _cells(case.query)}
            facts |= {"seconds": round(time.monotonic() - start, 2), "machine": record["machine"]}
            line = lines.add(key, rows, **facts)
        asked.append(line)
    frame = frame_of(asked)  # lines of other settings in the same folder are not mixed in
    words = {"seeds": seeds or experiment.seeds, "set": dict(options or {}), "peers": [*peers]}
    made = page(experiment, frame, {**record, **words, "ways": [*(ways or [])]}, missing)
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
) -> Iterator[tuple[int, Case, Way]]:
    sets = [data] if experiment.together else [[one] for one in data]
    for seed in seeds:
        for case in chain.from_iterable(experiment.divide(one, seed) for one in sets):
            for way in ways:
                yield seed, case, way


def _with(experiment: Experiment, ways: Sequence[Way], options: Mapping[str, Any]) -> list[Way]:
    """The ways with more options; what makes a way what it is stays."""
    known = {way: {*get(way.method).Options.model_fields} for way in experiment.ways}
    every = {name for own in known.values() for name in own}
    if unknown := [name for name in options if name not in every]:
        near = suggest(unknown[0], sorted(every))
        raise OptionError(f"No method here has an option {unknown[0]!r}.\n    → {near}")
    return [
        way
        if way.peer
        else replace(
            way, options={**{k: v for k, v in options.items() if k in known[way]}, **way.options}
        )
        for way in ways
    ]


def _peers(experiment: Experiment, names: Sequence[str]) -> Iterator[Way]:
    """Peers as ways; what they lack is told before anything is run."""
    if names and experiment.measure not in BY_NAMES:
        raise CytonymError(
            f"{experiment.name} asks for more than names, which peers do not give\n"
            "    → leave --peer out"
        )
    for name in names:
        one = competitor(name)
        if one.ours:
            raise CytonymError(f"{name} is a method of ours\n    → --way picks among these")
        if not one.reads(experiment.reads):
            reads, have = " and ".join(one.modalities), " and ".join(experiment.reads)
            raise CytonymError(
                f"{name} reads {reads}, and {experiment.name} has {have}\n    → leave it out"
            )
        interpreter(one)
        yield Way(f"peer {name}", name, peer=True)


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


def _same_run(experiment: Experiment, data: Sequence[Data], out: Path) -> dict[str, Any]:
    """Keep what was run on what beside the lines; anything else needs another folder."""
    path = out / "run.json"
    record = plain(
        {
            "experiment": experiment.name,
            "sha256": {name: one for part in data for name, one in part.sha256.items()},
            "columns": {part.name: part.columns for part in data},
            "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        }
    )
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        same = (before["experiment"], before["versions"]["cytonym"])
        other = [] if same == (experiment.name, record["versions"]["cytonym"]) else [" ".join(same)]
        for kind in ("sha256", "columns"):
            for name, one in record[kind].items():
                if before[kind].setdefault(name, one) != one:
                    other.append(f"another {name} ({kind})")
        if other:
            what = f"it holds results of {'; '.join(other)}"
            raise DataError(Problem(what, "give another folder (--out)"), subject=str(out))
        record = {**record, "sha256": before["sha256"], "columns": before["columns"]}
    with replacing(path) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return {**record, "machine": machine()}


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
