"""Cells take the most common name of their cluster."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytonym.errors import DataError, OptionError, Problem
from cytonym.reserved import HETEROGENEOUS

COLUMNS = ("cluster", "cells", "label", "agreement", "second", "second_share")


@dataclass(frozen=True, slots=True, eq=False)
class Vote:
    """What a vote gave.

    Attributes
    ----------
    labels
        ``(cells,)`` object, of str: the name of each cell's cluster, or ``Heterogeneous``.
    clusters
        ``(cells,)`` object, of str.
    table
        A row for each cluster, the largest first: ``cluster``, ``cells``, ``label`` (what its
        cells get), ``agreement`` (the share of its cells that had the most common name),
        ``second`` (the next common name, empty where all agree) and ``second_share``.
    min_prop
        The agreement that a cluster needs.
    column
        The column of ``obs`` that the clusters came from; None: none.
    """

    labels: np.ndarray
    clusters: np.ndarray
    table: pd.DataFrame
    min_prop: float
    column: str | None = None


def vote(
    labels: Sequence[str] | np.ndarray,
    clusters: Sequence[object] | np.ndarray,
    *,
    min_prop: float = 0.0,
    confidence: np.ndarray | None = None,
    column: str | None = None,
) -> Vote:
    """Let the cells of each cluster vote; ``Unknown`` counts as a name like the others.

    Parameters
    ----------
    labels, clusters
        ``(cells,)`` names, and the cluster of each cell.
    min_prop
        A cluster whose most common name has a smaller share of its cells is ``Heterogeneous``.
    confidence
        ``(cells,)`` in [0, 1]. Of equally common names the one wins whose cells have the higher
        mean confidence, then the first in the alphabet; without it the first in the alphabet.
    column
        Where the clusters are from.

    Raises
    ------
    OptionError
        ``min_prop`` is no share.
    DataError
        Different lengths, or cells without a cluster.
    """
    if not 0 <= min_prop <= 1:
        raise OptionError(f"min_prop (--min-prop) is a share from 0 to 1; it is {min_prop}.")
    own, groups = np.asarray(labels, dtype=object), pd.Series(np.asarray(clusters, dtype=object))
    if len(own) != len(groups):
        what = f"there are {len(groups):,} clusters for {len(own):,} cells"
        raise DataError(Problem(what, "give the cluster of each cell"), subject="the clusters")
    if gaps := int(groups.isna().sum()):
        problem = Problem(
            f"{gaps:,} of {len(own):,} cells have no cluster",
            "give every cell one, or leave these cells out of the query",
        )
        raise DataError(problem, subject=f"obs[{column!r}]" if column else "the clusters")
    sure = None if confidence is None else np.asarray(confidence, dtype=np.float64)
    names, groups = own.astype(str), groups.astype(str).to_numpy(dtype=object)
    _, place = np.unique(groups.astype(str), return_inverse=True)
    order = np.argsort(place, kind="stable")
    voted, rows = np.empty(len(own), dtype=object), []
    for mine in np.split(order, np.flatnonzero(np.diff(place[order])) + 1) if len(own) else []:
        ranked = _ranked(names[mine], None if sure is None else sure[mine])
        first, n = ranked[0]
        second, n_second = ranked[1] if len(ranked) > 1 else ("", 0)
        agreement = n / len(mine)
        label = first if agreement >= min_prop else HETEROGENEOUS
        voted[mine] = label
        shares = agreement, second, n_second / len(mine)
        rows.append((groups[mine[0]], len(mine), label, *shares))
    table = pd.DataFrame(rows, columns=pd.Index(COLUMNS))
    table = table.sort_values(["cells", "cluster"], ascending=[False, True], ignore_index=True)
    return Vote(voted, groups, table, float(min_prop), column)


def _ranked(names: np.ndarray, sure: np.ndarray | None) -> list[tuple[str, int]]:
    """Names with their cells: the most common first, then the surest, then by the alphabet."""
    found, counts = np.unique(names, return_counts=True)
    # fsum is exact, so that the order of the cells does not decide.
    mean = [0.0 if sure is None else math.fsum(sure[names == one]) for one in found]
    order = sorted(range(len(found)), key=lambda i: (-counts[i], -mean[i] / counts[i], found[i]))
    return [(str(found[i]), int(counts[i])) for i in order]
