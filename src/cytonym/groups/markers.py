"""What marks groups of cells: features that are higher in one than in all other cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.types import CellSource, FeatureSpace

TOP = 10
SEEN = {"rna": 0.25, "atac": 0.05}
"""By modality, the share of a group's cells in which a marker is seen."""

BLOCK = 2_048
PER_CELL = 1e4
MARKERS = (
    "population",
    "rank",
    "feature",
    "t",
    "mean",
    "mean_rest",
    "share",
    "share_rest",
)


def markers(
    codes: np.ndarray, titles: list[str], source: CellSource, rows: np.ndarray | None = None
) -> tuple[pd.DataFrame, str]:
    """Features that are higher in a group than in all other cells, and what to say about it.

    Of RNA, log1p CP10k; of ATAC, whether a peak is open. Ranked by Welch's t.

    Parameters
    ----------
    codes
        ``(cells,)`` int, the group of each cell, -1: none.
    titles
        The name of each group.
    """
    modality = next((one for one in SEEN if one in source.spaces), None)
    none = pd.DataFrame(columns=pd.Index(MARKERS))
    if modality is None:
        return none, "there is no RNA and no ATAC in which to look for markers of new populations"
    rows = np.arange(len(codes)) if rows is None else rows
    n, sums, squares, seen = totals(codes, len(titles), source, modality, rows)
    shown, parts = names_to_show(source.spaces[modality]), []
    for code, title in enumerate(titles):
        rest = n.sum() - n[code]
        if n[code] < 2 or rest < 2:
            continue
        mean, spread = moments(n[code], sums[code], squares[code])
        other, wide = moments(rest, *(one.sum(axis=0) - one[code] for one in (sums, squares)))
        error = np.sqrt(spread / n[code] + wide / rest)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = np.where(mean > other, (mean - other) / error, 0.0)
        share = seen[code] / n[code]
        t[share < SEEN[modality]] = 0.0
        best = np.argsort(-t, kind="stable")[:TOP]
        best = best[t[best] > 0]
        table = {
            "population": title,
            "rank": np.arange(1, len(best) + 1),
            "feature": shown[best],
            "t": t[best],
            "mean": mean[best],
            "mean_rest": other[best],
            "share": share[best],
            "share_rest": ((seen.sum(axis=0) - seen[code]) / rest)[best],
        }
        parts.append(pd.DataFrame(table, columns=pd.Index(MARKERS)))
    bare = [title for code, title in enumerate(titles) if n[code] < 2 or n.sum() - n[code] < 2]
    note = f"{', '.join(bare)}: no other cells with {modality} to compare with, so no markers"
    whole = pd.concat(parts, ignore_index=True) if parts else none
    return whole, note if bare else ""


def totals(
    codes: np.ndarray, groups: int, source: CellSource, modality: str, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """By group, with all other cells last: cells ``(groups + 1,)``; sums, sums of squares and cells
    in which a feature is seen, each ``(groups + 1, features)`` float64. One pass over the data.
    """
    width = len(source.spaces[modality])
    n = np.zeros(groups + 1)
    sums, squares, seen = (np.zeros((groups + 1, width)) for _ in range(3))
    there = source.present(modality)[rows]
    places, own = rows[there], np.where(codes < 0, groups, codes)[there]
    order = np.argsort(places, kind="stable")
    for first in range(0, len(order), BLOCK):
        part = order[first : first + BLOCK]
        block = source.read(modality, places[part])
        value = levels(block, modality)
        n += np.bincount(own[part], minlength=groups + 1)
        spot = np.repeat(own[part] * width, np.diff(value.indptr)) + value.indices
        for total, weight in (
            (sums, value.data),
            (squares, value.data**2),
            (seen, value.data > 0),
        ):
            total += np.bincount(spot, weight, total.size).reshape(total.shape)
    return n, sums, squares, seen


def levels(block: csr_matrix, modality: str) -> Any:
    """Values of ATAC as 0 and 1, others as log1p of counts per 10,000; float64."""
    value: Any = csr_matrix(block, dtype=np.float64, copy=True)
    value.sum_duplicates()  # a file may hold a value in parts
    if modality == "atac":
        value.data = (value.data > 0).astype(np.float64)
        return value
    depth = np.asarray(value.sum(axis=1)).ravel()
    factor = np.divide(PER_CELL, depth, out=np.zeros_like(depth), where=depth > 0)
    value.data = np.log1p(value.data * np.repeat(factor, np.diff(value.indptr)))
    return value


def moments(n: float, sums: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances (of a sample) by feature."""
    mean = sums / n
    return mean, np.maximum(squares - n * mean**2, 0.0) / (n - 1)


def names_to_show(space: FeatureSpace) -> np.ndarray:
    """``(features,)`` object, of str: symbols where the names are Ensembl identifiers and
    ``feature_name`` has any.
    """
    names = space.names.astype(object)
    symbols = space.columns.get("feature_name")
    if symbols is None:
        return names
    swap = [
        str(name).startswith("ENS") and str(s) != "" for name, s in zip(names, symbols, strict=True)
    ]
    return np.where(swap, symbols.astype(object), names)
