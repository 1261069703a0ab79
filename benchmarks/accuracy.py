"""Measure cytonym and its peers on the same splits of real data.

    python benchmarks/accuracy.py --data DIR --out FILE --methods all --tasks all --seeds 0-4

One JSON line is appended per (task, fold, method, seed); lines already in the file are not run
again. Each method is a competitor of ``cytonym.peers``: a process of its own that gets the labels
of the reference only, with the wall time, processor time and peak memory of that process in the
line. A peer whose packages are not here needs CYTONYM_BENCH_PYTHON (``make bench-env``). A
competitor that fails is told and leaves no line; the others go on, and the exit code is 1.
``table.py`` makes the page of the lines.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import accuracy_score, f1_score, recall_score

import splits
from cytonym import peers
from cytonym.errors import CytonymError
from cytonym.options import as_seeds
from cytonym.reproduce.lines import read_lines
from cytonym.reproduce.run import machine as processors

PACKAGES = ("numpy", "scipy", "scikit-learn", "anndata", "scanpy", "celltypist", "torch", "cytonym")
KEY = ("task", "fold", "method", "seed")


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro-F1 over the classes present in the truth."""
    over = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "balanced_accuracy": float(recall_score(truth, predicted, **over)),
        "macro_f1": float(f1_score(truth, predicted, **over)),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> str:
    """Processors, memory, and the threads that a process may use."""
    return f"{processors()}, OMP_NUM_THREADS {os.environ.get('OMP_NUM_THREADS', 'not set')}"


def measure(
    task: str, fold: int, method: str, seed: int, *, data_dir: Path, timeout: float | None = None
) -> dict[str, object]:
    """Run one competitor on one fold and return its result line."""
    cells = splits.cut(task, seed, data_dir, fold=fold)
    answer = peers.run(
        method,
        cells.reference,
        cells.query,
        label=cells.label,
        seed=seed,
        batch=cells.batch,
        timeout=timeout,
    )
    known, asked = (next(iter(side.values())) for side in (cells.reference, cells.query))
    return {
        "task": task,
        "fold": fold,
        "method": method,
        "seed": seed,
        **scores(asked.obs[cells.label].to_numpy().astype(str), answer.labels),
        "n_train": known.n_obs,
        "n_test": asked.n_obs,
        "n_features": {name: one.n_vars for name, one in cells.reference.items()},
        "fit_seconds": answer.fit_seconds,
        "name_seconds": answer.name_seconds,
        "seconds": answer.seconds,
        "cpu_seconds": answer.cpu_seconds,
        "peak_mib": answer.peak_mib,
        "versions": dict(answer.versions),
        "machine": machine(),
        "sha256": splits.data_hashes(task, data_dir),
    }


def is_fixed(task: str, method: str) -> bool:
    """Whether the seed makes no difference worth a second run: it draws no cells, and reaches at
    most the start vector of the method's decomposition (less than .001).
    """
    return not splits.ALL[task].is_drawn and not peers.COMPETITORS[method].seeded


def competes(method: str, task: str) -> bool:
    """Whether a competitor reads the modalities of a task, all of them, and no DNA."""
    one, have = peers.COMPETITORS[method], splits.ALL[task].modalities
    return {*one.reads(have)} == {*have} and not one.dna


def plan(tasks: Iterable[str], methods: Iterable[str], seeds: list[int]) -> list[tuple]:
    """All (task, fold, method, seed) to run; with the first seed only where it is fixed."""
    methods = list(methods)
    return [
        (task, fold, method, seed)
        for task in tasks
        for method in methods
        if competes(method, task)
        for seed in (seeds[:1] if is_fixed(task, method) else seeds)
        for fold in range(splits.ALL[task].n_folds)
    ]


def by_seed(lines: list[dict[str, object]], value: str) -> pd.Series:
    """Mean over the folds of each (task, method, seed)."""
    return pd.DataFrame(lines).groupby(["task", "method", "seed"])[value].mean()


def table(results: list[dict[str, object]]) -> pd.DataFrame:
    """Mean and standard deviation over seeds of macro-F1 per task and method."""
    grouped = by_seed(results, "macro_f1").groupby(["task", "method"])
    cells = grouped.apply(lambda f1: f"{f1.mean():.3f} ± {f1.std():.3f}".removesuffix(" ± nan"))
    wide = cells.unstack("method")
    return wide.reindex(index=[task for task in splits.ALL if task in wide.index])


def parse_names(text: str, known: Iterable[str]) -> list[str]:
    """Names from a comma-separated list, or all known ones for `all`."""
    names = list(known) if text == "all" else text.split(",")
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return names


def main() -> None:
    """Run what is missing, append it to the output, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--methods", default="all", help="competitors, comma-separated, or all")
    parser.add_argument("--tasks", default="all", help="comma-separated, or all")
    parser.add_argument("--seeds", default="0-4", help="such as 0-4 or 0,2")
    parser.add_argument("--timeout", type=float, help="seconds after which a run is ended")
    args = parser.parse_args()
    wanted = plan(
        parse_names(args.tasks, splits.ALL),
        parse_names(args.methods, peers.COMPETITORS),
        as_seeds(args.seeds),
    )
    done = {tuple(line[key] for key in KEY) for line in read_lines(args.out)}
    failed = 0
    for run in wanted:
        if run in done:
            continue
        try:
            found = measure(*run, data_dir=args.data, timeout=args.timeout)
        except CytonymError as error:
            failed += 1
            print(f"{' '.join(map(str, run))}: {error}", file=sys.stderr, flush=True)
            continue
        with args.out.open("a") as handle:
            handle.write(json.dumps(found) + "\n")
    if lines := read_lines(args.out):
        print(table(lines).to_string())
    if failed:
        raise SystemExit(f"{failed} of {len(wanted)} runs failed; the next call tries them again")


if __name__ == "__main__":
    main()
