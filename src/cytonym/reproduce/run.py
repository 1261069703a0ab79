"""Run an experiment: what its file of lines lacks, then its tables and its plot."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout
from tqdm import tqdm

from cytonym.disk.files import replacing
from cytonym.errors import CytonymError, DataError, OptionError, Problem, suggest
from cytonym.methods import get
from cytonym.options import parse
from cytonym.peers.competitors import competitor
from cytonym.peers.running import interpreter
from cytonym.places import check_folder
from cytonym.reproduce.lines import Lines, plain
from cytonym.reproduce.measures.naming import BY_NAMES
from cytonym.reproduce.record import Case, Data, Experiment, Way
from cytonym.reproduce.tables import frame_of, numbers, page

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
    numbers
        The same as numbers: a record a row, ``{"mean": ..., "sd": ...}`` for each figure.
    folder
        ``lines.jsonl``, ``table.md``, ``table.csv``, ``rows.csv``, ``figure.png``, ``run.json``.
    """

    experiment: Experiment
    frame: pd.DataFrame
    table: pd.DataFrame
    numbers: list[dict[str, Any]]
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
    check_folder(out)
    peers, seeds = [*dict.fromkeys(peers)], [*dict.fromkeys(seeds or experiment.seeds)]
    chosen = [*_ways(experiment, ways), *_peers(experiment, peers)]
    chosen = _with(experiment, chosen, options or {})
    todo = list(_todo(experiment, data, seeds, chosen))
    out.mkdir(exist_ok=True)
    with _alone(out):
        lines = Lines(out / "lines.jsonl")
        record = _same_run(experiment, data, out, begun=bool(lines.found))
        asked = _measured(experiment, todo, lines, record["machine"], progress)
        frame = frame_of(asked)  # lines of other settings in the same folder are not mixed in
        words = {"seeds": seeds, "set": dict(options or {}), "peers": [*peers]}
        made = page(experiment, data, frame, {**record, **words, "ways": [*(ways or [])]}, missing)
        for name, text in made.files.items():
            with replacing(out / name) as partial:
                partial.write_text(text, encoding="utf-8")
        _plot(experiment, frame, out)
    return Results(experiment, frame, made.table, numbers(experiment, frame), out)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """The folder for this process alone; the lock goes with the process, however it ends."""
    lock = FileLock(out / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise CytonymError(
            f"another run writes into {out}\n    → wait for its end, or give another folder (--out)"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _measured(
    experiment: Experiment,
    todo: Sequence[tuple[int, Case, Way]],
    lines: Lines,
    machine: str,
    progress: bool,
) -> list[dict[str, Any]]:
    """The line of each run, measured and appended where there is none."""
    keys = [
        {**case.key, "way": way.name, "options": _options(way), "seed": seed}
        for seed, case, way in todo
    ]
    have = [lines.get(key) for key in keys]
    done, asked, quiet = sum(line is not None for line in have), [], not progress
    with tqdm(
        total=len(todo), initial=done, desc=experiment.name, unit="run", disable=quiet
    ) as bar:
        for (seed, case, way), key, line in zip(todo, keys, have, strict=True):
            if line is None:
                start = time.monotonic()
                rows = experiment.measure(case, way, seed)
                facts = {"n_reference": _cells(case.reference), "n_query": _cells(case.query)}
                facts |= {"seconds": round(time.monotonic() - start, 2), "machine": machine}
                line = lines.add(key, rows, **facts)
                bar.update()
            asked.append(line)
    return asked


def _options(way: Way) -> dict[str, Any]:
    """All options, also those left alone: a default that has changed makes another line."""
    if way.peer:
        return {}
    recipe = get(way.method)
    return parse(recipe.Options, way.options, presets=recipe.presets).model_dump(mode="json")


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
    return [known[name] for name in dict.fromkeys(names)]


def _cells(parts: Mapping[str, Any]) -> int:
    return next(iter(parts.values())).n_obs


def _same_run(
    experiment: Experiment, data: Sequence[Data], out: Path, *, begun: bool
) -> dict[str, Any]:
    """Keep what was run on what beside the lines; where these have begun, anything else needs
    another folder.
    """
    path = out / "run.json"
    record = plain(
        {
            "experiment": experiment.name,
            "sha256": {name: one for part in data for name, one in part.sha256.items()},
            "columns": {part.name: part.columns for part in data},
            "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        }
    )
    if begun:
        before = _before(path)
        same = (before["experiment"], before["versions"]["cytonym"])
        other = [] if same == (experiment.name, record["versions"]["cytonym"]) else [" ".join(same)]
        for name, one in record["sha256"].items():
            if before["sha256"].setdefault(name, one) != one:
                other.append(f"another {name} (SHA-256)")
        for name, one in record["columns"].items():
            had = before["columns"].setdefault(name, one)
            other += [
                f"{name} with {had.get(kind)!r} as {kind}, not {column!r}"
                for kind, column in one.items()
                if had.get(kind) != column
            ]
        if other:
            what = f"it holds results of {'; '.join(other)}"
            raise DataError(Problem(what, "give another folder (--out)"), subject=str(out))
        record = {**record, "sha256": before["sha256"], "columns": before["columns"]}
    with replacing(path) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return {**record, "machine": machine()}


def _before(path: Path) -> dict[str, Any]:
    """What was kept of the earlier run."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        _ = before["experiment"], before["versions"]["cytonym"]
        _ = {**before["sha256"]}, [{**one} for one in before["columns"].values()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{path.name} is missing or damaged ({error!r}): nobody knows what the lines are of"
        problem = Problem(what, "give another folder (--out)")
        raise DataError(problem, subject=str(path.parent)) from error
    return before


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
