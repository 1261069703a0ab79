"""Make the page of benchmarks from the lines of ``accuracy.py``.

    python benchmarks/table.py bench/accuracy.jsonl --out docs/benchmarks.md

Every number on the page is from the lines. A miss, a task where the best peer is ahead of our
default, is bold and has a minus sign in a circle; each task lost
in macro-F1 is named below the table with the reason, as far as it was found (``losses.toml``).
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

import splits
from accuracy import by_seed
from cytonym.disk.files import replacing
from cytonym.errors import CytonymError, Problem
from cytonym.methods import registry
from cytonym.peers import COMPETITORS
from cytonym.reproduce.lines import read_lines
from cytonym.reproduce.tables import markdown, spread

GROUPS = {
    "RNA": ("rna",),
    "RNA and ATAC of the same cells": ("rna", "atac"),
    "ATAC": ("atac",),
}
DEFAULTS = {("rna",): "sctrans", ("rna", "atac"): "scmoanno", ("atac",): "scmoanno"}
"""What ``method="auto"`` takes for these modalities without a genome."""

MISS = "⊖"
WHY = Path(__file__).with_name("losses.toml")
FIGURES = {"macro_f1": "Macro-F1", "accuracy": "Accuracy"}
COSTS = {
    "seconds": ("Wall time of the whole process", "s", 0),
    "cpu_seconds": ("Processor time of the whole process", "s", 0),
    "peak_mib": ("Peak memory of the whole process", "MiB", 0),
}

Lines = list[dict]


def seeds_said(values: pd.Series, most: int, *, drawn: bool) -> str:
    """The spread, with the number of seeds where some are missing; one may be all that differ."""
    text, some = spread(values.to_list()), len(values) < most and (drawn or len(values) > 1)
    return f"{text} ({len(values)} of {most} seeds)" if some else text


def of_task(lines: Lines, task: str) -> Lines:
    """Lines of a task, and those on a part of its modalities, of competitors not run on all."""
    own = [line for line in lines if line["task"] == task]
    for part in splits.ALL[task].parts:
        have = {line["method"] for line in own}
        own += [{**x, "task": task} for x in lines if x["task"] == part and x["method"] not in have]
    return own


def ordered(methods: set[str], default: str) -> list[str]:
    """Our default and its preset ``paper``, the rest of ours, then the peers."""
    first = [name for name in (default, f"{default}:paper") if name in methods]
    rest = [name for name in COMPETITORS if name in methods and name not in first]
    return first + sorted(rest, key=lambda name: not COMPETITORS[name].ours)


@dataclass(frozen=True)
class Against:
    """Our default and the best peer in a task, or in the mean of all: their figures."""

    task: str
    peer: str
    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        """Ours / theirs."""
        return self.ours / self.theirs

    def cells(self) -> list[str]:
        """The peer and the ratio, marked where we are behind."""
        said = f"**{MISS} {self.ratio:.3f}**" if self.ratio < 1 else f"{self.ratio:.3f}"
        return [f"`{self.peer}`", said]


def against(task: str, means: dict[str, float], default: str) -> Against | None:
    """Our default against the best peer; None where one of them is not there."""
    peers = {name: x for name, x in means.items() if not COMPETITORS[name].ours and x > 0}
    if default not in means or not peers:
        return None
    best = max(peers, key=peers.__getitem__)
    return Against(task, best, means[default], peers[best])


def accuracy_rows(
    lines: Lines, tasks: Sequence[str], value: str, default: str
) -> tuple[list[str], list[list[str]], list[Against]]:
    """Head and rows of the table of a figure, and ours against the best peer of each task.

    The last row is the mean over the tasks, of the methods that ran in all of them.
    """
    found = {task: by_seed(of_task(lines, task), value).loc[task] for task in tasks}
    have = {task: set(series.index.unique("method")) for task, series in found.items()}
    columns = ordered(set[str]().union(*have.values()), default)
    means = {
        task: {name: float(series.loc[name].mean()) for name in columns if name in have[task]}
        for task, series in found.items()
    }
    rows, duels = [], [against(task, means[task], default) for task in tasks]
    for duel, (task, series) in zip(duels, found.items(), strict=True):
        most = max(len(series.loc[name]) for name in have[task])
        cells = [
            seeds_said(series.loc[name], most, drawn=splits.ALL[task].is_drawn)
            if name in have[task]
            else "–"
            for name in columns
        ]
        rows.append([task, *cells, *(duel.cells() if duel else ["–", "–"])])
    if len(tasks) > 1:
        everywhere = [name for name in columns if all(name in one for one in means.values())]
        mean = {name: sum(means[task][name] for task in tasks) / len(tasks) for name in everywhere}
        duel = against("mean", mean, default)
        cells = [f"{mean[name]:.3f}" if name in mean else "–" for name in columns]
        rows.append(["**mean**", *cells, *(duel.cells() if duel else ["–", "–"])])
    head = ["task", *(f"`{name}`" for name in columns), "best peer", "ours / best peer"]
    return head, rows, [duel for duel in duels if duel]


def reasons(duels: Sequence[Against]) -> str:
    """The tasks where the best peer is ahead, and why, as far as it was found."""
    known = tomllib.loads(WHY.read_text(encoding="utf-8"))
    assert {*known} <= {*splits.ALL}, f"{WHY.name} names what is no task"
    told = [
        f"- `{one.task}`, {one.ours:.3f} against {one.theirs:.3f} of `{one.peer}`: "
        f"{known.get(one.task, 'not found yet')}."
        for one in duels
        if one.ratio < 1
    ]
    return "\n".join(told)


def cost_rows(
    lines: Lines, tasks: Sequence[str], value: str, default: str, digits: int
) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table of medians over folds and seeds."""
    frame = pd.DataFrame([line for task in tasks for line in of_task(lines, task)])
    wide = frame.groupby(["task", "method"])[value].median().unstack("method")
    columns = ordered(set(wide.columns), default)
    rows = [
        [task, *(f"{x:,.{digits}f}" if pd.notna(x) else "–" for x in wide.loc[task, columns])]
        for task in tasks
    ]
    return ["task", *(f"`{name}`" for name in columns)], rows


def group(title: str, lines: Lines, tasks: Sequence[str], default: str) -> list[str]:
    """The part of the page on tasks of the same modalities."""
    texts = [f"## {title}", f"Ours by default: `{default}`."]
    if any(splits.ALL[task].parts for task in tasks):
        texts.append("Methods that read one of the modalities compete too, on the same cells.")
    have = {line["method"] for task in tasks for line in of_task(lines, task)}
    if seeing := [f"`{name}`" for name in ordered(have, default) if COMPETITORS[name].sees_query]:
        texts.append(f"Learns from the query's cells too, without labels: {', '.join(seeing)}.")
    for value, name in FIGURES.items():
        head, rows, duels = accuracy_rows(lines, tasks, value, default)
        texts += [f"### {name}, {title}", markdown(pd.DataFrame(rows, columns=head))]
        if duels:
            behind = sum(one.ratio < 1 for one in duels)
            texts.append(
                f"Behind the best peer ({MISS}) in {behind} of {len(duels)} tasks; mean ratio "
                f"{sum(one.ratio for one in duels) / len(duels):.3f}."
            )
            if value == "macro_f1" and behind:
                texts.append(reasons(duels))
    for value, (name, unit, digits) in COSTS.items():
        head, rows = cost_rows(lines, tasks, value, default, digits)
        texts += [f"### {name} ({unit}), {title}", markdown(pd.DataFrame(rows, columns=head))]
    return texts


def sources(lines: Lines) -> list[str]:
    """Cells, seeds, machine, versions and files that the lines are from."""
    frame = pd.DataFrame(lines)
    size = []
    for task in [task for task in splits.ALL if task in set(frame["task"])]:
        own = frame[frame["task"] == task]
        seeds = ", ".join(str(seed) for seed in sorted(own["seed"].unique()))
        cells = [f"{own[name].min():,}–{own[name].max():,}" for name in ("n_train", "n_test")]
        cells = [one.split("–")[0] if len({*one.split("–")}) == 1 else one for one in cells]
        size.append([task, ", ".join(splits.ALL[task].modalities), *cells, seeds])
    head = ["task", "modalities", "reference cells", "query cells", "seeds"]
    files = {name: digest for line in lines for name, digest in line["sha256"].items()}
    versions: dict[str, set[str]] = {}
    for line in lines:
        for name, number in line["versions"].items():
            versions.setdefault(name, set()).add(number)
    said = [[name, " and ".join(sorted(numbers))] for name, numbers in sorted(versions.items())]
    hashes = [[name, f"`{files[name]}`"] for name in sorted(files)]
    machines = sorted({line["machine"] for line in lines})
    return [
        "## What was run",
        markdown(pd.DataFrame(size, columns=head)),
        "### Machine",
        "\n".join(f"- {one}" for one in machines),
        "### Versions",
        "Two versions of a package: one is of ours and of scikit-learn's methods, the other of the "
        "peers' own environment.",
        markdown(pd.DataFrame(said, columns=["package", "version"])),
        "### Files (SHA-256)",
        markdown(pd.DataFrame(hashes, columns=["set", "SHA-256"])),
    ]


def check(lines: Lines, path: Path) -> None:
    """Refuse lines of other data under one name, and lines of an earlier form."""
    problems, seen = [], {}
    old = sum(not {"fold", "seconds", "cpu_seconds", "peak_mib"} <= {*line} for line in lines)
    if not lines or old:
        what = f"{path} has {len(lines)} lines, {old} of them without fold, time or memory"
        problems.append(Problem(what, "make them with benchmarks/accuracy.py"))
    for line in lines:
        for name, digest in line["sha256"].items():
            if seen.setdefault(name, digest) != digest:
                what = f"the lines of {line['task']} are of two files called {name}"
                problems.append(Problem(what, "measure all of them on one file"))
    folds: dict[tuple, set[int]] = {}
    for line in [] if old else lines:
        folds.setdefault((line["task"], line["method"], line["seed"]), set()).add(line["fold"])
    for (task, method, seed), own in folds.items():
        if lacking := {*range(splits.ALL[task].n_folds)} - own:
            what = f"{method} on {task}, seed {seed}, lacks the folds {sorted(lacking)}"
            problems.append(Problem(what, "run benchmarks/accuracy.py again: it tries them"))
    found = {line["versions"]["cytonym"] for line in lines if "cytonym" in line["versions"]}
    if len(found) > 1:
        what = f"the lines are of cytonym {' and '.join(sorted(found))}"
        problems.append(Problem(what, "measure all of them with one version"))
    if problems:
        raise CytonymError("\n".join(dict.fromkeys(str(problem) for problem in problems)))


def page(lines: Lines, command: str, note: str = "") -> str:
    """The whole page."""
    tasks = [task for task in splits.ALL if any(line["task"] == task for line in lines)]
    texts = [
        "# Benchmarks",
        "Written by `benchmarks/table.py`; do not edit. Mean ± standard deviation over seeds of "
        "the mean over folds; without ±: one seed (no other, where it changes nothing). Every "
        "method is a process of its own that gets the reference's labels and no other, see "
        "[peers.md](peers.md). Costs are medians over folds and seeds, with the start of Python "
        f"and all imports. **{MISS}**: the best peer is ahead of our default. **mean**: over the "
        "tasks of a table, of the methods that ran in all of them.",
    ]
    if note:
        texts.append(note)
    for title, modalities in GROUPS.items():
        own = [task for task in tasks if splits.ALL[task].modalities == modalities]
        if own:
            texts += group(title, lines, own, DEFAULTS[modalities])
    return "\n\n".join([*texts, *sources(lines), "### Command", f"```bash\n{command}\n```"]) + "\n"


def main() -> None:
    """Read the lines, write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("lines", type=Path, help="the output of accuracy.py")
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    parser.add_argument("--command", default="make bench DATA=DIR", help="that made the lines")
    parser.add_argument("--note", default="", help="a paragraph at the top of the page")
    args = parser.parse_args()
    assert set(DEFAULTS.values()) <= set(registry())
    try:
        lines = read_lines(args.lines)
        check(lines, args.lines)
    except CytonymError as error:
        raise SystemExit(str(error)) from None
    with replacing(args.out) as partial:
        partial.write_text(page(lines, args.command, args.note), encoding="utf-8")


if __name__ == "__main__":
    main()
