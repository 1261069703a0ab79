"""Fit and annotate of cytonym, CellTypist and scANVI side by side: whole processes, in turn.

    python benchmarks/beside.py --data DIR --out FOLDER --peers .venv-bench/bin/python

From ``.h5ad`` on disk to a model on disk, and from both to labels on disk. Writes ``beside.md`` and
``.jsonl`` (a line for each process, as it ends; what is there is not run again).
"""

# At the top only what comes with Python: a child's peak memory is never below its parent's.
from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

LABEL, KEY = "cell_type", "cell_type_pred"
FIT = {"linear": "linear", "sctrans": "sctrans", "sctrans --fast": "sctrans"}


def peer(tool: str, task: str, *paths: str) -> None:
    """One process of a peer, in the peers' environment."""
    import anndata as ad
    import numpy as np

    def logged(path: str) -> Any:
        import scanpy as sc

        cells = ad.read_h5ad(path)
        sc.pp.normalize_total(cells, target_sum=1e4)
        sc.pp.log1p(cells)
        return cells

    if tool == "celltypist":
        import celltypist  # pyright: ignore[reportMissingImports]

        if task == "fit":
            cells = logged(paths[0])
            many = cells.n_obs > 50_000  # as its documentation advises for many cells
            how = {"use_SGD": True, "mini_batch": True} if many else {}
            celltypist.train(cells, LABEL, feature_selection=False, n_jobs=2, **how).write(paths[1])
            return
        found = celltypist.annotate(logged(paths[0]), model=paths[1], majority_voting=False)
        found.predicted_labels.to_csv(paths[2])
        return
    import scvi  # pyright: ignore[reportMissingImports]

    scvi.settings.seed = 0
    cells = ad.read_h5ad(paths[0])
    if task == "fit":
        scvi.model.SCVI.setup_anndata(cells, labels_key=LABEL)
        base = scvi.model.SCVI(cells, n_layers=2, n_latent=30)
        base.train(enable_progress_bar=False)
        model = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category="Unknown")
        model.train(max_epochs=20, n_samples_per_label=100, enable_progress_bar=False)
        model.save(paths[1], overwrite=True)
        return
    cells.obs[LABEL] = "Unknown"
    scvi.model.SCANVI.prepare_query_anndata(cells, paths[1])
    model = scvi.model.SCANVI.load_query_data(cells, paths[1], accelerator="cpu")
    model.is_trained = True
    np.savetxt(paths[2], model.predict(), fmt="%s")


def ours(tool: str, task: str, *paths: str) -> list[str]:
    """The words of a command of cytonym."""
    begin = ["-m", "cytonym", task, paths[0], "--quiet"]
    if task == "fit":
        method = ["--method", FIT[tool], "--max-memory", "3GB"]
        return [*begin, "--labels", LABEL, *method, "--out", paths[1]]
    fast = ["--fast"] * tool.endswith("--fast")
    return [*begin, "--model", paths[1], "--out", paths[2], "--no-matrix", *fast]


def timed(python: str, words: list[str], limit: float) -> dict[str, Any]:
    """Seconds, peak memory and exit code of a process; None: it was ended at the limit."""
    import signal
    import subprocess
    import time

    begin = time.perf_counter()
    # As installed: modules are compiled once, not at every start.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen([python, *words], stdout=subprocess.DEVNULL, env=env)
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(int(limit))
    _, status, usage = os.wait4(process.pid, 0)
    signal.alarm(0)
    code = process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - begin
    if code not in (0, -9):
        raise SystemExit(f"{words} ended with {code}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": round(seconds, 2) if code == 0 else None,
        "limit": limit,
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mib": round(usage.ru_maxrss * unit / 2**20),
    }


def make(kind: str, out: Path, data: str) -> None:
    """A file of cells: ``all``, ``N`` cells of all genes, or ``N x 2000`` of the most counted."""
    import anndata as ad
    import numpy as np

    import common
    from cytonym.data.simulate import simulate_large

    cells = ad.read_h5ad(Path(data, "rna", f"{common.SET}.h5ad"))
    n, _, genes = kind.partition("x")
    if genes:
        total = np.asarray(cells.X.sum(axis=0)).ravel()
        cells = cells[:, np.sort(np.argsort(-total, kind="stable")[: int(genes)])].copy()
    if n == "all":
        cells.write_h5ad(out)
    else:
        simulate_large(out, int(n), seed=0, source=cells)


def measure(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Every process that was not measured yet."""
    import subprocess

    lines = args.out / "beside.jsonl"
    done = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
    files = args.out / "beside_files"
    files.mkdir(parents=True, exist_ok=True)
    for world in args.worlds.split(","):
        learned, asked = world.split(":")
        genes = asked.partition("x")[2]
        kinds = {learned + ("x" + genes) * bool(genes and "x" not in learned), asked}
        for kind in kinds:
            if not (files / f"{kind}.h5ad").exists():
                words = ["--make", kind, f"{files / kind}.h5ad", str(args.data)]
                subprocess.run([sys.executable, __file__, *words], check=True)
        reference = files / f"{learned + ('x' + genes) * bool(genes and 'x' not in learned)}.h5ad"
        for tool in args.tools.split(","):
            ending = ".pkl" * (tool == "celltypist")  # it adds one by itself
            model = files / f"{tool.split()[0]}_{reference.stem}{ending}"
            for task, paths in (
                ("fit", (reference, model)),
                ("annotate", (files / f"{asked}.h5ad", model, files / "named.h5ad")),
            ):
                if task == "fit" and tool.endswith("--fast"):
                    continue
                known = {"tool": tool, "task": task, "reference": reference.stem, "query": asked}
                known = {**known, "query": ""} if task == "fit" else known
                if any(known.items() <= one.items() for one in done) or (
                    task == "annotate" and not model.exists()
                ):
                    continue
                words = [str(one) for one in paths]
                if tool in FIT:
                    found = timed(sys.executable, ours(tool, task, *words), args.limit)
                else:
                    words = [__file__, "--peer", tool, task, *words]
                    found = timed(args.peers, words, args.limit)
                done.append({**known, **found})
                print(done[-1], flush=True)
                with lines.open("a") as file:
                    file.write(json.dumps(done[-1]) + "\n")
    return done


def main() -> None:
    """Measure, then write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CYTONYM_DATA"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--peers", required=True, help="the python of the peers' environment")
    parser.add_argument("--tools", default="linear,sctrans,sctrans --fast,celltypist,scanvi")
    parser.add_argument(
        "--worlds",
        default="all:20000,100000:100000x2000",
        help="reference:query, each 'all' or cells, 'x' genes",
    )
    parser.add_argument("--limit", type=float, default=900, help="seconds of a process")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    done = measure(args)
    rows = [
        f"| {one['tool']} | {one['task']} | {one['reference']} | {one['query']} | "
        + (f"{one['seconds']:,.1f}" if one["seconds"] else f"not in {one['limit']:,.0f}")
        + f" | {one['processor_seconds']:,.0f} | {one['peak_mib']:,} |"
        for one in done
    ]
    head = "| tool | task | reference | query | seconds | processor seconds | peak MiB |"
    text = "\n".join([head, "|" + " --- |" * 7, *rows]) + "\n"
    (args.out / "beside.md").write_text(text)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    elif sys.argv[1:2] == ["--make"]:
        sys.path.insert(0, str(Path(__file__).parent))
        make(sys.argv[2], Path(sys.argv[3]), sys.argv[4])
    else:
        main()
