"""Plots of reproduced experiments: bars, curves and confusion tables, a panel a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytonym.disk.numbers import numbers
from cytonym.view.plots import check_matplotlib, confusion, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 40


def figure_of(plot: str, frame: Any, figures: Sequence[str], by: Sequence[str]) -> Figure:
    """One figure of all lines.

    Parameters
    ----------
    plot
        ``"bars"``; ``"confusion"`` (columns ``known``, ``predicted``, ``cells``); or the column
        that is the x axis of curves.
    frame
        A row a measurement, with ``data``, ``way``, ``seed``, the columns ``by`` and ``figures``.
    figures
        Up to two of them are drawn.
    """
    check_matplotlib()
    shown = [name for name in figures[:2] if name in frame and frame[name].notna().any()]
    if plot == "confusion":
        return _confusions(frame)
    height = 4.4 if plot != "bars" else 1.4 + 0.35 * min(len(_rows(frame, by).unique()), MOST_BARS)
    made, axes = _panels(len(shown), width=5.6, height=max(height, 2.6))
    colours = styles(list(dict.fromkeys(_groups(frame, plot, by))))
    for ax, figure in zip(axes, shown, strict=True):
        if plot == "bars":
            bars(ax, frame, figure, by, colours)
        else:
            curves(ax, frame, figure, plot, by, colours)
    if axes:
        handles, names = axes[0].get_legend_handles_labels()
        many = {"fontsize": 8, "frameon": False, "ncols": min(len(names), 3)}
        made.legend(handles, names, loc="outside lower center", **many)
    return made


def bars(
    ax: Axes, frame: Any, figure: str, by: Sequence[str], colours: dict[str, tuple[str, str]]
) -> Axes:
    """Every run as a point and their mean as a larger one: rows are data sets, colours are ways."""
    rows = _rows(frame, by)
    every = list(dict.fromkeys(rows))
    names = every[:MOST_BARS]
    if len(every) > len(names):
        ax.set_title(f"the first {len(names)} of {len(every)} rows", fontsize=9, loc="left")
    ways = list(dict.fromkeys(frame["way"]))
    for place, way in enumerate(ways):
        colour, marker = colours[way]
        shift = 0.7 * ((place + 0.5) / len(ways) - 0.5)
        for row, name in enumerate(names):
            found = numbers(frame.loc[(rows == name) & (frame["way"] == way), figure])
            own = found[~np.isnan(found)]
            ax.plot(own, np.full(len(own), row + shift), ".", color=colour, alpha=0.5)
            if len(own):
                label = way if row == 0 else None
                ax.plot(own.mean(), row + shift, marker, color=colour, label=label)
    panel = ax.get_subplotspec()
    first = panel is None or panel.is_first_col()
    ax.set_yticks(range(len(names)), names if first else [], fontsize=8)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="x", color="#E6E6E6", linewidth=0.6)
    ax.set_xlabel(_title(figure))
    return ax


def curves(
    ax: Axes,
    frame: Any,
    figure: str,
    plot: str,
    by: Sequence[str],
    colours: dict[str, tuple[str, str]],
) -> Axes:
    """Mean over the seeds at each x, with their standard deviation."""
    groups = pd.Series(_groups(frame, plot, by), frame.index)
    for name in dict.fromkeys(groups):
        own = frame[groups == name]
        table = pd.DataFrame({"x": numbers(own[plot]), "y": numbers(own[figure])}, own.index)
        by_seed: Any = table.groupby(["x", own["seed"]])["y"].mean()  # draws and folds first
        values = by_seed.groupby(level="x")
        mean, sd = values.mean(), values.std(ddof=1).fillna(0.0)
        colour, marker = colours[name]
        ax.errorbar(mean.index, mean, sd, color=colour, marker=marker, capsize=3, label=name)
    ax.set_xlabel(_title(plot))
    ax.set_ylabel(_title(figure))
    return ax


def _rows(frame: Any, by: Sequence[str]) -> Any:
    return frame[["data", *by]].astype(str).agg(", ".join, axis=1)


def _groups(frame: Any, plot: str, by: Sequence[str]) -> list[str]:
    """What a row is drawn as: its way; of curves also its data set and the other columns."""
    if plot == "bars":
        return frame["way"].tolist()
    several = ["data"] if frame["data"].nunique() > 1 else []
    parts = frame[["way", *several, *(name for name in by if name != plot)]]
    return parts.astype(str).agg(", ".join, axis=1).tolist()


def _confusions(frame: Any) -> Figure:
    kinds = list(frame.groupby(["data", "way"], sort=False))
    side = 2.5 + 0.4 * frame["known"].nunique()
    made, axes = _panels(len(kinds), width=side + 1, height=side)
    for ax, (name, own) in zip(axes, kinds, strict=True):
        table: Any = own.pivot_table(
            index="known", columns="predicted", values="cells", aggfunc="sum", fill_value=0
        )
        order = sorted({*table.index} | {*table.columns})
        confusion(ax, table.reindex(index=sorted(table.index), columns=order, fill_value=0))
        ax.set_title(", ".join(map(str, name)), fontsize=10)
    return made


def _panels(n: int, *, width: float, height: float = 4.4) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    made = Figure(figsize=(width * max(n, 1), height), layout="constrained")
    axes = list(made.subplots(1, n, squeeze=False)[0]) if n else []
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
    return made, axes


def _title(name: str) -> str:
    words = {"macro_f1": "macro-F1", "f1": "F1", "share": "share of the cells that teach"}
    words |= {"kept": "share of the sub-vectors that are read", "cells": "cells of the type"}
    return words.get(name, name.replace("_", " "))
