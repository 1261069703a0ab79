"""The process of a competitor: reads the task's folder, learns, names, writes the answer.

    python worker.py FOLDER

Needs numpy, scipy, pandas, anndata, and what the competitor needs. Nothing of cytonym is imported
but by ``own.py``.
"""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

LACKING = 69  # as in running.py
NOTED = ("numpy", "scipy", "pandas", "scikit-learn", "anndata", "scanpy", "torch")


@dataclass(frozen=True)
class Named:
    """``labels`` ``(cells,)``; ``confidence`` ``(cells,)`` from 0 to 1; ``embedding``
    ``(cells, dim)``; the last two where there are any.
    """

    labels: Any
    confidence: Any = None
    embedding: Any = None


@dataclass(frozen=True)
class Task:
    """What a recipe is given.

    ``reference`` and ``query`` are AnnData by modality with raw counts and perhaps
    ``obs["batch"]``; ``labels`` ``(cells,)`` str are the reference's. A recipe reads ``query``
    before it names only where its record says so (``sees_query``); otherwise it is None until
    then.
    """

    reference: Mapping[str, Any]
    labels: Any
    query: Mapping[str, Any] | None
    seed: int
    settings: Mapping[str, Any]


Recipe = Callable[[Task], Callable[[Mapping[str, Any]], Any]]
"""Learns from a task, and returns what names a query: a dict of the fields of ``Named``."""


def versions(packages: list[str]) -> tuple[dict[str, str], list[str]]:
    """Versions of what is installed, and which of ``packages`` are not."""
    found = {"python": platform.python_version()}
    for name in dict.fromkeys([*packages, *NOTED]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found, [name for name in packages if name not in found]


def set_threads() -> None:
    """As many threads of torch as ``OMP_NUM_THREADS`` says; numba, once loaded, changes it."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if threads.isdigit() and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(threads))


def read_parts(folder: Path, side: str, names: list[str]) -> dict[str, Any]:
    """The AnnData of a side, by modality."""
    import anndata

    return {name: anndata.read_h5ad(folder / f"{side}_{name}.h5ad") for name in names}


def write(folder: Path, said: Named, facts: Mapping[str, Any]) -> None:
    """``answer.npz`` and ``answer.json``, each whole or not at all."""
    import numpy as np

    kinds = {"labels": str, "confidence": np.float32, "embedding": np.float32}
    given = {name: getattr(said, name) for name in kinds}
    arrays: dict[str, Any] = {
        n: np.asarray(a).astype(kinds[n]) for n, a in given.items() if a is not None
    }
    with (folder / "answer.part").open("wb") as file:
        np.savez(file, **arrays)
    os.replace(folder / "answer.part", folder / "answer.npz")
    (folder / "facts.part").write_text(json.dumps(facts), encoding="utf-8")
    os.replace(folder / "facts.part", folder / "answer.json")


def main(folder: Path) -> int:
    """The task in ``folder``, from its files to its answer."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    found, lacking = versions(task["packages"])
    if lacking:
        sys.stderr.write(f"not installed: {', '.join(lacking)}\n")
        return LACKING
    module, _, function = task["recipe"].partition(".")
    recipe: Recipe = getattr(importlib.import_module(module), function)
    set_threads()
    reference = read_parts(folder, "reference", task["reference"])
    query = read_parts(folder, "query", task["query"])
    labels = next(iter(reference.values())).obs["label"].to_numpy().astype(str)
    for one in reference.values():
        del one.obs["label"]
    seen = query if task["sees_query"] else None
    start = time.perf_counter()
    name = recipe(Task(reference, labels, seen, task["seed"], task["settings"]))
    learned = time.perf_counter()
    said = Named(**name(query))
    done = time.perf_counter()
    times = {"fit_seconds": round(learned - start, 3), "name_seconds": round(done - learned, 3)}
    write(folder, said, {**times, "versions": found})
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
