"""Plots: each takes an ``Axes``, draws on it and returns it; matplotlib loads when one is drawn.

Colours can be told apart with every common form of colour vision: Okabe and Ito's eight, then
Paul Tol's muted nine, then the same again with another marker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cytonym.errors import CytonymError, OptionError, install, suggest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000"),
    *("#882255", "#999933", "#332288", "#AA4499", "#44AA99", "#CC6677", "#117733", "#88CCEE"),
    *("#DDCC77", "#F0E442"),
)
MARKERS = ("o", "^", "s", "D", "v")
GREY, INK = "#BDBDBD", "#333333"
MISSING = "(none)"


def check_matplotlib() -> None:
    """Raise a :class:`CytonymError` with the remedy where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise CytonymError(
            f"Plots need matplotlib, which is not installed.\n    → {install('report')}"
        )


def styles(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each name, by its place; hand the same list to every panel."""
    size = len(PALETTE)
    return {
        name: (PALETTE[place % size], MARKERS[place // size % len(MARKERS)])
        for place, name in enumerate(names)
    }


def confusion(ax: Axes, frame: pd.DataFrame) -> Axes:
    """Heat map of a confusion table: the share of each true type that was given each name.

    Parameters
    ----------
    ax
        Where to draw; about 0.4 inch for each type, and 2 inches for the names, look well.
    frame
        Cells by truth (rows) × prediction (columns), as :attr:`Scores.confusion`.
    """
    check_matplotlib()
    counts = frame.to_numpy(dtype=float)
    totals = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    many = max(frame.shape)
    size = 9 if many <= 20 else 7 if many <= 40 else 5
    rows = [
        f"{name}  ({int(total):,})" for name, total in zip(frame.index, totals[:, 0], strict=True)
    ]
    ax.set_yticks(range(len(rows)), rows, fontsize=size)
    ax.set_xticks(range(frame.shape[1]), [str(name) for name in frame.columns], fontsize=size)
    ax.tick_params(length=0)
    ax.tick_params(axis="x", rotation=45)
    for label in ax.get_xticklabels():
        label.set_horizontalalignment("right")
        label.set_rotation_mode("anchor")
    ax.set_xlabel("predicted")
    ax.set_ylabel("truth (cells)")
    ax.spines[:].set_visible(False)
    for edge in range(1, len(rows)):
        ax.axhline(edge - 0.5, color="#E6E6E6", linewidth=0.6)
    if many <= 20:
        for row, column in zip(*np.nonzero(share >= 0.005), strict=True):
            value = share[row, column]
            ink = "white" if value > 0.55 else INK
            ax.text(
                column, row, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize=8
            )
    bar = ax.figure.colorbar(image, ax=ax, fraction=0.035, pad=0.02)
    bar.ax.yaxis.set_major_formatter("{x:.0%}")
    bar.ax.tick_params(labelsize=8, length=2)
    bar.outline.set_visible(False)
    bar.set_label("share of the true type", fontsize=9)
    return ax


def embedding(
    ax: Axes,
    xy: np.ndarray,
    labels: Any,
    *,
    confidence: np.ndarray | None = None,
    names: Sequence[str] | None = None,
    legend: bool = True,
) -> Axes:
    """Cells in two dimensions, coloured by label, with the legend outside on the right.

    Parameters
    ----------
    ax
        Where to draw.
    xy
        ``(cells, 2)`` places.
    labels
        ``(cells,)`` names; missing ones are grey and drawn first.
    confidence
        ``(cells,)`` in [0, 1]; cells with less are drawn fainter.
    names
        All names in their order, where several panels share colours; default: sorted.
    legend
        Whether to draw the legend.
    """
    check_matplotlib()
    from matplotlib.colors import to_rgba

    found = pd.Series(labels).astype(object)
    missing = found.isna().to_numpy()
    text = np.where(missing, MISSING, found.to_numpy()).astype(str)
    order = list(names) if names is not None else sorted({*text[~missing]})
    style = {MISSING: (GREY, "o"), **styles(order)}
    size = float(np.clip(6000 / max(len(text), 1), 1.5, 22))
    for name in ([MISSING] if missing.any() else []) + order:
        here = text == name
        colour, marker = style[name]
        shade = np.full(here.sum(), 0.85)
        if confidence is not None:
            shade = 0.15 + 0.8 * np.clip(np.asarray(confidence)[here], 0, 1)
        ax.scatter(
            xy[here, 0],
            xy[here, 1],
            s=size,
            c=[to_rgba(colour, float(a)) for a in shade],
            marker=marker,
            linewidths=0,
            rasterized=len(text) > 5000,
        )
        # A mark of its own in the legend: as large as the text, never faint.
        ax.scatter([], [], s=36, c=colour, marker=marker, linewidths=0, label=name)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)
    ax.set_aspect("equal", adjustable="datalim")
    if legend:
        ax.legend(
            loc="center left",
            bbox_to_anchor=(1.01, 0.5),
            frameon=False,
            fontsize=9 if len(order) <= 25 else 7,
            ncols=-(-len(order) // 25),
            handletextpad=0.3,
            borderaxespad=0,
        )
    return ax


def loss(ax: Axes, records: Sequence[Mapping[str, Any]]) -> Axes:
    """Losses over the epochs of all stages on the left axis, validation scores on a right one.

    Parameters
    ----------
    ax
        Where to draw.
    records
        One for each epoch with ``stage``, ``epoch`` and numbers; those called ``score``,
        ``held_out_accuracy`` or ``held_out_macro_f1`` are scores, the rest losses.
    """
    check_matplotlib()
    from matplotlib.ticker import MaxNLocator

    frame = pd.DataFrame(list(records))
    if frame.empty:
        ax.text(0.5, 0.5, "no epochs", ha="center", va="center", transform=ax.transAxes)
        return ax
    place = np.arange(1, len(frame) + 1)
    skip = {"stage", "epoch", "seconds", "lr"}
    numbers = [
        n for n in frame.columns if n not in skip and pd.api.types.is_numeric_dtype(frame[n])
    ]
    known = ("score", "accuracy", "balanced_accuracy", "macro_f1")
    good = [name for name in numbers if name.removeprefix("held_out_") in known]
    losses = sorted((n for n in numbers if n not in good), key=lambda n: (n != "total", n))
    lines = []
    for turn, name in enumerate(losses):
        thick = 2.2 if name == "total" else 1.3
        colour = INK if name == "total" else PALETTE[turn % 7]
        lines += ax.plot(place, frame[name], color=colour, linewidth=thick, label=_words(name))
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.spines["top"].set_visible(False)
    if good:
        right = ax.twinx()
        for turn, name in enumerate(good):
            lines += right.plot(
                place,
                frame[name],
                color=PALETTE[5 - turn],
                linestyle="--",
                linewidth=1.6,
                label=f"{_words(name)} (right)",
            )
        right.set_ylabel("validation score")
        right.set_ylim(0, 1.02)
        right.spines["top"].set_visible(False)
    else:
        ax.spines["right"].set_visible(False)
    if "stage" in frame and frame["stage"].nunique() > 1:
        starts = np.flatnonzero(frame["stage"].ne(frame["stage"].shift()))
        for start in starts:
            if start:
                ax.axvline(start + 0.5, color=GREY, linewidth=1)
            ax.text(
                start + 0.7,
                1.01,
                _words(str(frame["stage"].iloc[start])),
                transform=ax.get_xaxis_transform(),
                fontsize=9,
                color=INK,
            )
    ax.set_xlim(0.5, len(frame) + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    left = 1.14 if good else 1.02
    ax.legend(
        handles=lines, loc="center left", bbox_to_anchor=(left, 0.5), frameon=False, fontsize=9
    )
    return ax


def genes(ax: Axes, table: pd.DataFrame, type: str, *, top: int = 15) -> Axes:
    """Bars of the genes that speak most for a type, the first on top.

    Parameters
    ----------
    ax
        Where to draw.
    table
        As :meth:`Annotator.explain` gives: ``type``, ``rank``, ``gene``, ``score``, ...
    type
        One of ``table["type"]``.
    top
        How many genes.
    """
    check_matplotlib()
    mine = table.loc[table["type"].astype(str) == type]
    mine = mine.iloc[np.argsort(np.asarray(mine["rank"]), kind="stable")].head(top)
    if mine.empty:
        raise OptionError(
            f"No type {type!r}. {suggest(type, [*table['type'].astype(str).unique()])}"
        )
    place = np.arange(len(mine))
    ax.barh(place, mine["score"], color=PALETTE[0], height=0.72)
    ax.set_yticks(place, [str(gene) for gene in mine["gene"]], fontsize=9, fontstyle="italic")
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linewidth=0.8)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_xlabel("share of the score")
    ax.set_title(type, loc="left", fontsize=11)
    return ax


def _words(name: str) -> str:
    return name.replace("_", " ")
