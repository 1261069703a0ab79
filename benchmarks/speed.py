"""Time and memory of ``cytonym annotate``, against scikit-learn doing the same work.

    python benchmarks/speed.py --data DIR --out FOLDER

Whole processes, from ``.h5ad`` on disk to labels on disk, in turn. Writes ``speed.md``, ``.csv``
and ``.png``; models and queries are kept in ``speed_files*``, which may be deleted.
"""

# At the top only what comes with Python: this file is also the process that is measured, and the
# one that starts it. A child's peak memory is never below its parent's, which must stay small.
from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KEY, PEER, METHODS = "cell_type_pred", "scikit-learn", ("linear", "sctrans")


def launch(command: list[str]) -> None:
    """Run a command; print its seconds and its peak memory in MiB."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    print(json.dumps({"seconds": seconds, "peak_mib": usage.ru_maxrss * unit / 2**20}))


def peer(model: str, query: str, out: str) -> None:
    """The work of ``cytonym annotate`` with scikit-learn, sparse all the way."""
    import anndata as ad
    import joblib
    import numpy as np
    import pandas as pd
    from scipy.sparse import csr_matrix

    genes, classifier = joblib.load(model)
    adata = ad.read_h5ad(query)
    x = csr_matrix(adata.X, copy=True)
    totals = np.maximum(np.asarray(x.sum(axis=1)).ravel(), 1)
    x.data *= np.repeat(1e4 / totals, np.diff(x.indptr)).astype(np.float32)
    np.log1p(x.data, out=x.data)
    names = classifier.classes_
    found = classifier.predict_proba(x[:, genes])
    adata.obs[KEY] = pd.Categorical(names[found.argmax(1)], categories=names)
    adata.obs[f"{KEY}_confidence"] = found.max(1)
    columns = [name.replace("/", "|") for name in names]
    adata.obsm[f"{KEY}_probabilities"] = pd.DataFrame(found, adata.obs_names, columns)
    adata.write_h5ad(out)


def make_models(args: Any, adata: Any, folder: Path) -> None:
    """Fit the three models on ``adata``, where they are not there yet."""
    import joblib
    from sklearn.linear_model import LogisticRegression

    import common
    from cytonym.peers.recipes import inputs

    folder.mkdir(parents=True, exist_ok=True)
    if not (file := folder / f"{PEER}.joblib").exists():
        logged = inputs.log_cp10k(adata)
        genes = inputs.variable_genes(logged).nonzero()[0]
        classifier = LogisticRegression(max_iter=1000, random_state=0)
        classifier.fit(inputs.dense(logged.X[:, genes]), common.truth(adata))
        joblib.dump((genes, classifier), file)
    for method in METHODS:
        if not (folder / method).exists():
            settings = {"epochs": 1, **args.settings} if method == "sctrans" else {}
            common.fit(adata, method, 0, settings).save(folder / method)


def make_query(adata: Any, file: Path, n_cells: int) -> Path:
    """Cells drawn from ``adata``, thinned, in a file."""
    from cytonym.data.simulate import simulate_large

    if not file.exists():
        simulate_large(file.with_suffix(".part"), n_cells, seed=0, source=adata).replace(file)
    return file


def run(name: str, models: Path, query: Path) -> dict[str, Any]:
    """One process; its seconds and peak memory."""
    out = query.with_name("named.h5ad")
    model = ["--model", f"{models / name}", "--out", f"{out}", "--quiet"]
    work = ["-c", "from cytonym.cli import main; main()", "annotate", f"{query}", *model]
    if name == PEER:
        work = [__file__, "--peer", f"{models / PEER}.joblib", f"{query}", f"{out}"]
    command = [sys.executable, __file__, "--launch", sys.executable, *work]
    # As installed: modules are compiled once, not at every start.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    said = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True)
    out.unlink()
    print(name, query.name, said.stdout.strip())
    return json.loads(said.stdout)


def measure(args: Any) -> tuple[Any, Any]:
    """Every process of the time table, and of the memory table."""
    import numpy as np
    import pandas as pd

    import common

    names, memory = (PEER, *METHODS), []
    files = args.out / f"speed_files{common.tag(args)}"
    adata = common.cells(args)
    make_models(args, adata, files / "all_genes")
    query = make_query(adata, files / f"query_{args.query_cells}.h5ad", args.query_cells)
    times = [
        {"round": turn, "process": name, **run(name, files / "all_genes", query)}
        for turn in range(args.repeats + 1)  # the first is not counted: it fills caches
        for name in names
    ][len(names) :]
    total = np.asarray(adata.X.sum(axis=0)).ravel()
    most = np.sort(np.argsort(-total, kind="stable")[: args.genes])
    small = adata[:, most].copy()
    make_models(args, small, models := files / "fewer_genes")
    for n_cells in args.memory_cells:
        query = make_query(small, files / f"query_{args.genes}_genes_{n_cells}.h5ad", n_cells)
        for name in names:
            memory.append({"cells": n_cells, "process": name, **run(name, models, query)})
    return pd.DataFrame(times), pd.DataFrame(memory)


def report(args: Any, times: Any, memory: Any) -> None:
    """Write both tables and the plot."""
    import pandas as pd

    import common
    from cytonym.view.plots import PALETTE

    both = pd.concat([times.assign(table="time"), memory.assign(table="memory")])
    both.to_csv(args.out / "speed.csv", index=False)
    names = [PEER, *METHODS]
    seconds = times.pivot(index="round", columns="process", values="seconds")[names]
    table = pd.DataFrame({"process": names})
    table["seconds"] = [f"{value:.2f}" for value in seconds.median()]
    table["cells/s"] = [f"{args.query_cells / value:,.0f}" for value in seconds.median()]
    ratio = seconds.div(seconds[PEER], axis=0).median()
    table["time / scikit-learn's"] = [f"{value:.2f}" for value in ratio]
    peaks = memory.pivot(index="process", columns="cells", values="peak_mib").loc[names]
    second = pd.DataFrame({"process": names})
    for n_cells in args.memory_cells:
        second[f"{n_cells:,} cells, MiB"] = [f"{value:,.0f}" for value in peaks[n_cells]]
    low, high = args.memory_cells[0], args.memory_cells[-1]
    grown = (peaks[high] - peaks[low]) * 1024 / max(high - low, 1)
    second["KiB for each further cell"] = [f"{value:.2f}" for value in grown]
    parts = [
        f"From `.h5ad` on disk to labels on disk, whole processes with their start, in turn: "
        f"medians of {args.repeats} rounds after one that is not counted. Query: "
        f"{args.query_cells:,} cells drawn from `{common.SET}` (all genes), every count kept with "
        "probability .9. scikit-learn: LogisticRegression on log1p CP10k of 3,000 variable genes, "
        "sparse. sctrans was fitted for one epoch with the input it chooses by default: the work "
        "of naming is the same, and the names are not scored here.",
        table,
        f"## Peak memory\n\nThe {args.genes:,} genes with most counts of the same cells.",
        second,
    ]
    common.write(args, "speed", "Time and memory of naming cells", parts)
    made, axes = common.figure(2)
    axes[0].barh(names, seconds.median(), color=PALETTE[: len(names)])
    axes[0].set(xlabel=f"seconds for {args.query_cells:,} cells", ylim=(len(names) - 0.5, -0.5))
    for place, name in enumerate(names):
        common.curve(axes[1], peaks.columns, [[x] for x in peaks.loc[name]], place, name)
    axes[1].set(xlabel=f"cells ({args.genes:,} genes)", ylabel="peak memory, MiB", ylim=(0, None))
    axes[1].xaxis.set_major_formatter("{x:,.0f}")
    axes[1].legend(frameon=False)
    common.save(made, args, "speed")


def main() -> None:
    """Measure all, then write."""
    import common

    parser = common.arguments(__doc__)
    parser.add_argument("--query-cells", type=int, default=20_000, help="of the time table")
    parser.add_argument("--repeats", type=int, default=3, help="rounds that are counted")
    parser.add_argument("--memory-cells", default="10000,100000", help="comma-separated")
    parser.add_argument("--genes", type=int, default=2_000, help="of the memory table")
    args = common.start(parser)
    args.memory_cells = [int(text) for text in args.memory_cells.split(",")]
    report(args, *measure(args))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--launch"]:
        launch(sys.argv[2:])
    elif sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
    else:
        main()
