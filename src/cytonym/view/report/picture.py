"""The cells in two dimensions, and what the script of the page needs to draw and filter them.

Numbers go as base64 of little-endian integers: ``x`` and ``y`` uint16 (one scale for both axes),
confidence uint16 in ten-thousandths (65535: none), codes of a column uint8 or uint16.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem, suggest
from cytonym.view.report.cells import Annotated, drawn, matrix
from cytonym.view.report.facts import Answers, Picture, Place

MOST_DRAWN = 200_000
NO_CONFIDENCE = 65535


def picture(
    found: Annotated,
    answers: Answers,
    embedding: str | None,
    method: str | None,
    *,
    batches: Mapping[str, np.ndarray],
    known: np.ndarray | None,
    right: np.ndarray | None,
) -> Picture | None:
    """The picture, or None where there is nothing to draw.

    Parameters
    ----------
    found, answers
        The cells.
    embedding
        A name in ``obsm``; None: a UMAP or t-SNE that is there, else ``X_<method>``.
    batches
        Columns to colour and filter by.
    known, right
        Known labels, and whether the given ones agree, where truth is given.

    Raises
    ------
    DataError
        No such embedding, or no numbers in it.
    """
    axes = _axes(found, embedding, method)
    if axes is None:
        return None
    xy, what = axes
    have = np.flatnonzero(np.isfinite(xy).all(axis=1))
    # A random order, so that no type lies on top of all others because it comes last.
    rows = np.random.default_rng(0).permutation(have)[:MOST_DRAWN]
    columns = _columns(answers, batches, known, right, rows)
    colours = [("type", "cell type")]
    colours += [("confidence", "confidence")] if answers.confidence is not None else []
    colours += [("unknown", "with or without a type")]
    colours += [(one["id"], one["title"]) for one in columns[1:]]
    choices = [(one["id"], tuple(one["names"])) for one in columns if one["batch"]]
    cells = {
        "n": len(rows),
        **_placed(xy[rows]),
        "cells": answers.cells[rows].tolist(),
        "named": [bool(one) for one in answers.named],
        "confidence": _confidence(answers, rows),
        "columns": columns,
    }
    left_out, places = len(xy) - len(have), _places(xy, have, answers)
    drawn = len(rows)
    return Picture(what, len(xy), drawn, left_out, places, tuple(colours), tuple(choices), cells)


def _columns(
    answers: Answers,
    batches: Mapping[str, np.ndarray],
    known: np.ndarray | None,
    right: np.ndarray | None,
    rows: np.ndarray,
) -> list[dict[str, Any]]:
    """What the cells ``rows`` can be coloured and filtered by, the type first."""
    columns = [_column("type", "cell type", answers.names, answers.codes[rows])]
    for column, values in batches.items():
        columns.append(_column(f"batch:{column}", column, *_coded(values, rows)))
    if known is not None and right is not None:
        labels = np.array(["(not known)" if one is None else one for one in known], dtype=object)
        columns.append(_column("truth", "known label", *_coded(labels, rows)))
        agree = np.where(np.isnan(right), 2, right == 0)[rows]
        columns.append(_column("right", "right or wrong", ("right", "wrong", "not known"), agree))
    return columns


def _axes(
    found: Annotated, embedding: str | None, method: str | None
) -> tuple[np.ndarray, str] | None:
    """``(cells, 2)`` places and what they are; None where nothing was asked for and none is fit."""
    name = drawn(found.there, embedding, method)
    if name is None:
        return None
    if name not in found.there:
        there = [*found.there]
        remedy = suggest(name, there) if there else "obsm is empty; leave it out"
        raise DataError(Problem(f"there is no obsm[{name!r}]", remedy), subject=found.name)
    try:
        xy, what = _two(matrix(found, name), name)
        if not np.isfinite(xy).all(axis=1).any():
            problem = Problem(f"obsm[{name!r}] holds no finite numbers", "name another embedding")
            raise DataError(problem, subject=found.name)
    except DataError:
        if embedding is None:
            return None
        raise
    return xy, what


def _two(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """Two columns, and what they are in words."""
    if values.shape[1] == 2:
        return values, f"the two columns of {name}, as they are in the data"
    from sklearn.decomposition import PCA

    have = np.isfinite(values).all(axis=1)
    xy = np.full((len(values), 2), np.nan)
    if have.sum() < 2:  # one cell has no components
        xy[have] = 0.0
        return xy, f"those of {name}; a single cell lies in the middle"
    pca = PCA(2, svd_solver="covariance_eigh")
    some = values[have]
    some -= some.mean(axis=0, dtype=np.float64).astype(some.dtype)  # far from 0 digits are lost
    with np.errstate(invalid="ignore"):  # shares of no variance, where all cells are alike
        xy[have] = pca.fit_transform(some)
    share = float(np.nan_to_num(pca.explained_variance_ratio_).sum())
    return xy, (
        f"the first two principal components of {name} ({values.shape[1]} dimensions); they hold "
        f"{share:.0%} of its variance, so groups that overlap here may be apart in the others"
    )


def _placed(xy: np.ndarray) -> dict[str, Any]:
    """Both axes on one scale, from 0 to 65535; the longer one fills it."""
    xy = xy.astype(np.float64)
    low = xy.min(axis=0)
    scale = 65535 / max(float((xy.max(axis=0) - low).max()), 1e-12)
    whole = np.round((xy - low) * scale).astype("<u2")
    return {
        "x": _base64(whole[:, 0]),
        "y": _base64(whole[:, 1]),
        "width": int(whole[:, 0].max()),
        "height": int(whole[:, 1].max()),
    }


def _confidence(answers: Answers, rows: np.ndarray) -> str | None:
    """Rounded down, so that a filter at .5 agrees with the tables."""
    if answers.confidence is None:
        return None
    sure = answers.confidence[rows]
    # A float32 .9 lies a little below .9: the sixth digit is rounding, not confidence.
    whole = np.floor(np.round(np.clip(np.nan_to_num(sure), 0, 1) * 10_000, 2))
    return _base64(np.where(np.isfinite(sure), whole, NO_CONFIDENCE).astype("<u2"))


def _column(id: str, title: str, names: Sequence[str], codes: np.ndarray) -> dict[str, Any]:
    batch = id.startswith("batch:")
    return {"id": id, "title": title, "names": [*names], "codes": _packed(codes), "batch": batch}


def _coded(values: np.ndarray, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The sorted names among ``values``, and the codes of ``rows``."""
    names = sorted(map(str, pd.unique(values)))
    return names, np.asarray(pd.Categorical(values[rows], categories=names).codes)


def _packed(codes: np.ndarray) -> dict[str, Any]:
    wide = bool(codes.max(initial=0) > 255)
    return {"wide": wide, "data": _base64(codes.astype("<u2" if wide else np.uint8))}


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def _places(xy: np.ndarray, have: np.ndarray, answers: Answers) -> tuple[Place, ...]:
    """Where the names lie: medians, and the nearest other median."""
    codes, middles = answers.codes[have], {}
    for code in range(len(answers.names)):
        mine = xy[have[codes == code]]
        if len(mine):
            middles[code] = np.median(mine, axis=0), len(mine)
    places = []
    for code, (middle, n) in middles.items():
        far = {o: float(np.linalg.norm(middle - m)) for o, (m, _) in middles.items() if o != code}
        nearest = answers.names[min(far, key=far.__getitem__)] if far else None
        places.append(Place(answers.names[code], n, float(middle[0]), float(middle[1]), nearest))
    return tuple(places)
