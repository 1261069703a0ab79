"""How often prediction sets hold the type, and how large they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem


def set_scores(
    truth: Sequence[str | None],
    sets: Iterable[Iterable[str]],
    batch: Sequence[object] | None = None,
) -> pd.DataFrame:
    """Coverage and size of prediction sets: of all cells, of each type, of each batch.

    Parameters
    ----------
    truth
        ``(cells,)`` types; cells without one are left out. A type that no set can hold counts as
        not covered.
    sets
        ``(cells,)`` the types of each set.
    batch
        ``(cells,)`` batches.

    Returns
    -------
    DataFrame
        A row a group with columns ``by`` (all, type, batch), ``group``, ``cells``, ``coverage``
        and ``size`` (types on average).

    Raises
    ------
    DataError
        Different lengths, or no cell with a known type.
    """
    some = [frozenset(one) for one in sets]
    lengths = {len(truth), len(some)} | ({len(batch)} if batch is not None else set())
    if len(lengths) > 1:
        listed = ", ".join(f"{one:,}" for one in sorted(lengths))
        raise DataError(Problem(f"the lengths differ: {listed}", "give one of each a cell"))
    frame = pd.DataFrame(
        {
            "all": "all",
            "type": pd.Series([*truth], dtype=object),
            "holds": [one in held for one, held in zip(truth, some, strict=True)],
            "size": [len(one) for one in some],
        }
    )
    if batch is not None:
        frame["batch"] = np.asarray(batch, dtype=str)
    frame = frame[frame["type"].notna()]
    if not len(frame):
        problem = Problem("no cell has a known type", "name the column with the true labels")
        raise DataError(problem)
    parts = []
    for by in ("all", "type", "batch")[: 2 + (batch is not None)]:
        groups = frame.groupby(by, sort=True)
        table = groups.agg(
            cells=("holds", "size"), coverage=("holds", "mean"), size=("size", "mean")
        )
        parts.append(table.rename_axis("group").reset_index().assign(by=by))
    columns = ["by", "group", "cells", "coverage", "size"]
    return pd.concat(parts, ignore_index=True).loc[:, columns]
