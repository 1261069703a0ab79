"""Time and memory of seqalign by the number of cells, stage by stage.

    python benchmarks/seqalign_scale.py --out FOLDER --sizes 1000,10000,100000,120000

Half of the cells are a reference, half a query, over 4,000 simulated peaks each, of which 30 % are
at the same loci. Each size runs in a process of its own, which reads both from files. Lines go to
``seqalign_scale.jsonl``; ``growth`` is the slope of the logarithm of seconds between two sizes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from math import log
from pathlib import Path
from typing import Any

import pandas as pd

import common
import cytonym
from cytonym.data.simulate_domains import simulate_domains
from cytonym.dna.peaks import PeakReader
from cytonym.fitting import run
from cytonym.prep import SequenceCells
from seqalign_simulated import drawn

STAGES = ("DNA", "stage 1", "stage 2", "rest of the fit", "annotate")


@contextmanager
def timed(owner: Any, name: str, spent: dict[str, float], stage: str) -> Iterator[None]:
    """Adds up the seconds of all calls of a function."""
    real: Callable[..., Any] = getattr(owner, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        start = time.perf_counter()
        try:
            return real(*args, **kwargs)
        finally:
            spent[stage] = spent.get(stage, 0.0) + time.perf_counter() - start

    setattr(owner, name, call)
    try:
        yield
    finally:
        setattr(owner, name, real)


def peak_mib() -> float:
    """Most memory of this process; what getrusage tells includes its parent's before it began."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def child(folder: Path) -> None:
    """One fit and its answers; prints a line of JSON."""
    spent: dict[str, float] = {}
    start = time.perf_counter()
    with (
        timed(PeakReader, "__call__", spent, "DNA"),
        timed(SequenceCells, "fit", spent, "stage 1"),
        timed(run, "train", spent, "stage 2"),
    ):
        model = cytonym.fit(
            folder / "reference.h5ad",
            labels="cell_type",
            method="seqalign",
            query=folder / "query.h5ad",
            genome=folder / "genome.fa",
            options={"window": 500},
            validation=0,
            progress=False,
        )
        fitted = time.perf_counter()
        known = dict(spent)
        calls = model.annotate(folder / "query.h5ad", genome=folder / "genome.fa", progress=False)
    known["stage 1"] -= known["DNA"] / 2  # the reference's is read within
    known["rest of the fit"] = fitted - start - sum(known.values())
    known["annotate"] = time.perf_counter() - fitted
    peak = peak_mib()
    named = {"labels": calls.labels.astype(str).tolist()}
    print(json.dumps({"seconds": known, "peak_mib": round(peak), **named}))


def measure(args: argparse.Namespace, size: int) -> dict[str, Any]:
    """Simulate, write, and run a process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        world = simulate_domains(
            folder, drawn(0), seed=0, n_cells=size // 2, n_types=8, n_peaks=4000, overlap=0.3
        )
        world.reference.write_h5ad(folder / "reference.h5ad")
        world.query.write_h5ad(folder / "query.h5ad")
        query = world.query.obs[["cell_type"]]
        known = world.reference.obs["cell_type"].astype(str).unique()
        del world
        command = [sys.executable, __file__, "--out", str(args.out), "--child", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    line = json.loads(done.stdout.splitlines()[-1])
    truth = query["cell_type"].astype(str).to_numpy()
    named = pd.Series(line.pop("labels")).to_numpy()
    shared = pd.Series(truth).isin(known).to_numpy()
    right = float((named == truth)[shared].mean())
    return {**line, "accuracy": round(right, 4), "total": sum(line["seconds"].values())}


def main() -> None:
    """Every size, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--sizes", default="1000,10000,100000,120000")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child is not None:
        child(args.child)
        return
    args.cells, args.words = None, []
    args.out.mkdir(parents=True, exist_ok=True)
    path, lines = args.out / "seqalign_scale.jsonl", []
    for size in map(int, args.sizes.split(",")):
        lines.append(common.once(path, {"cells": size}, partial(measure, args, size)))
    rows = []
    for place, line in enumerate(lines):
        row = {"cells": f"{line['cells']:,}"}
        row |= {name: f"{line['seconds'].get(name, 0.0):.0f}" for name in STAGES}
        row |= {"seconds": f"{line['total']:.0f}", "peak MiB": line["peak_mib"]}
        if place:
            before = lines[place - 1]
            times, cells = line["total"] / before["total"], line["cells"] / before["cells"]
            row["growth"] = f"{log(times) / log(cells):.2f}"
        rows.append({**row, "accuracy": line["accuracy"]})
    common.write(args, "seqalign_scale", "seqalign by size", [pd.DataFrame(rows).fillna("")])


if __name__ == "__main__":
    main()
