"""What the scripts that measure share: arguments, data, fits, JSON lines, tables and figures."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

import accuracy
import cytonym
import splits
from accuracy import versions
from cytonym import Annotator
from cytonym.options import as_dict, as_seeds
from cytonym.reproduce.lines import read_lines
from cytonym.reproduce.tables import markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SET, LABEL = "zheng_facs_pbmc", "cell_type"
"""Sorted blood cells: ten of the eleven types of the paper's Zheng68K, 3,874 cells."""


def arguments(doc: str | None) -> argparse.ArgumentParser:
    """The arguments that all scripts take; a script may add its own."""
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument(
        "--data",
        type=Path,
        default=os.environ.get("CYTONYM_DATA"),
        required="CYTONYM_DATA" not in os.environ,
        help="folder of the .h5ad files (default: CYTONYM_DATA)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for tables and plots")
    parser.add_argument("--seeds", default="0", help="such as 0 or 0-4 or 0,2")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="words",
        metavar="KEY=VALUE",
        help="an option of sctrans for every fit; repeatable",
    )
    parser.add_argument("--cells", type=int, help="take so many cells of the data only (a trial)")
    return parser


def start(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the arguments, with ``seeds`` and ``settings`` ready to use, and make the folder."""
    args = parser.parse_args()
    args.seeds = as_seeds(args.seeds)
    args.settings = as_dict(args.words)
    args.out.mkdir(parents=True, exist_ok=True)
    return args


def cells(args: argparse.Namespace) -> ad.AnnData:
    """The sorted blood cells with their labels; ``--cells`` of them, stratified."""
    adata = ad.read_h5ad(splits.data_file(SET, args.data))
    labels = adata.obs[LABEL].astype(str).astype(object)
    adata.obs = pd.DataFrame({LABEL: labels})
    if args.cells is None or args.cells >= adata.n_obs:
        return adata
    chosen, _ = train_test_split(
        np.arange(adata.n_obs), train_size=args.cells, stratify=labels, random_state=0
    )
    return adata[np.sort(chosen)].copy()


def truth(adata: ad.AnnData) -> np.ndarray:
    """The known labels."""
    return adata.obs[LABEL].to_numpy().astype(str)


def fit(reference: ad.AnnData, method: str, seed: int, settings: dict[str, Any]) -> Annotator:
    """A fitted method; the first fit, which only serves the report's table, is left out."""
    common = {"labels": LABEL, "validation": 0, "progress": False}
    return cytonym.fit(reference, method=method, seed=seed, options=settings, **common)


def once(path: Path, key: dict[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The line of ``path`` with the values of ``key``; measured and appended if there is none."""
    key = json.loads(json.dumps(key))
    for line in read_lines(path):
        if all(name in line and line[name] == value for name, value in key.items()):
            return line
    line = json.loads(json.dumps({**key, **measure()}))
    with path.open("a") as handle:
        handle.write(json.dumps(line) + "\n")
    short = {name: value for name, value in line.items() if isinstance(value, str | int | float)}
    print(", ".join(f"{name} {value}" for name, value in short.items()))
    return line


def tag(args: argparse.Namespace) -> str:
    """What tells a run's files from those of other settings; empty with none."""
    words = [f"cells={args.cells}"] * (args.cells is not None) + sorted(args.words)
    return "".join(f"_{word.replace('/', '-')}" for word in words)


# --- tables ------------------------------------------------------------------------------------


def write(
    args: argparse.Namespace, name: str, title: str, parts: Sequence[str | pd.DataFrame]
) -> None:
    """Write ``name.md``: the paragraphs and tables in turn, then where the numbers are from."""
    words = [Path(sys.argv[0]).name, *sys.argv[1:]]
    words = ["..." if before in ("--data", "--out") else w for before, w in pairwise(["", *words])]
    source = [f"`python {' '.join(words)}`", machine()]
    if args.cells is not None:
        source.insert(0, f"**A trial on {args.cells:,} cells, not a result.**")
    texts = [part if isinstance(part, str) else markdown(part) for part in parts]
    page = "\n\n".join([f"# {title}", *texts, *source]) + "\n"
    (args.out / f"{name}.md").write_text(page)
    print(page)


def machine() -> str:
    """Processor, memory and versions, in a sentence."""
    known = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f"Machine: {accuracy.machine()}. {known}."


# --- figures -----------------------------------------------------------------------------------


def figure(panels: int, width: float = 5.4, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    """A figure with panels side by side, in the style of :mod:`cytonym.view`."""
    from matplotlib.figure import Figure

    from cytonym.view.plots import check_matplotlib

    check_matplotlib()
    made = Figure(figsize=(width * panels, height), layout="constrained")
    axes = list(made.subplots(1, panels, squeeze=False)[0])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return made, axes


def curve(
    ax: Axes,
    x: Sequence[float],
    runs: Sequence[Sequence[float]],
    place: int,
    label: str,
    *,
    line: bool = True,
) -> None:
    """Mean over the runs at each x with its standard deviation; ``place`` picks the colour."""
    from cytonym.view.plots import MARKERS, PALETTE

    ax.errorbar(
        x,
        [float(np.mean(values)) for values in runs],
        [float(np.std(values, ddof=1)) if len(values) > 1 else 0.0 for values in runs],
        color=PALETTE[place],
        marker=MARKERS[place % len(MARKERS)],
        linestyle="-" if line else "",
        capsize=3,
        label=label,
    )


def save(made: Figure, args: argparse.Namespace, name: str) -> None:
    """Write ``name.png``."""
    made.savefig(args.out / f"{name}.png", dpi=150)
