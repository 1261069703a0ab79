"""Memory and time of ``cytonym generate`` into Zarr, by the number of cells.

    python benchmarks/dcca_memory.py --out FOLDER

Fits dcca (two epochs a turn: how well does not matter here) on 1,500 simulated cells × 2,000 genes
and 20,000 peaks, then makes ATAC for RNA files of 5,000, 10,000 and 40,000 cells, each by the
installed command in a process of its own. Memory is the most that the process held. A table goes
to ``dcca_memory.md``.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd

import cytonym
from cytonym.data.simulate import simulate_large, simulate_multiome
from cytonym.reproduce.tables import markdown

SIZES = (5_000, 10_000, 40_000)


def main() -> None:
    """A model, then one process for each size."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    parts = simulate_multiome(1_500, 2_000, 8, seed=0, n_peaks=20_000, open_share=0.01)
    model = cytonym.fit(dict(parts), method="dcca", options={"epochs": 2}, progress=False)
    model.save(out / "memory.cytonym")
    rows = []
    for n in SIZES:
        file = simulate_large(out / f"rna_{n}.h5ad", n, seed=0, source=parts["rna"])
        made = out / f"atac_{n}.zarr"
        rows.append({"cells": n, **measured(file, out / "memory.cytonym", made)})
        file.unlink()
        shutil.rmtree(made)
    table = pd.DataFrame(rows)
    (out / "dcca_memory.md").write_text(markdown(table) + "\n", encoding="utf-8")
    print(table.to_string(index=False))


def measured(file: Path, model: Path, made: Path) -> dict[str, float]:
    """Seconds, and MiB at most, of one command."""
    command = Path(sys.executable).with_name("cytonym")
    words = ["generate", file, "--model", model, "--to", "atac", "--out", made, "--quiet"]
    start = time.monotonic()
    process = subprocess.Popen([command, *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"cytonym generate ended with {status}")
    assert isinstance(usage, resource.struct_rusage)
    seconds = round(time.monotonic() - start, 1)
    return {"seconds": seconds, "MiB": round(usage.ru_maxrss / 1024)}


if __name__ == "__main__":
    main()
