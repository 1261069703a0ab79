"""Which batch or donor a cell is of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem, suggest

NAMES = ("donor_id", "donor", "batch")
"""Columns that are taken for batches without being asked for, the first that has enough."""

LEAST, SIZE = 5, 20
"""Batches, and cells of each on average, that such a column needs."""


def read_batches(
    obs: pd.DataFrame, column: str | None, subject: str
) -> tuple[np.ndarray | None, str]:
    """``(cells,)`` int codes, or None where there are no batches; and the column.

    Parameters
    ----------
    column
        Of ``obs``; None: one of ``NAMES`` with ``LEAST`` batches or more, if there is one.

    Raises
    ------
    DataError
        There is no such column, it lacks values, or holds a single one.
    """
    if column is None:
        able = [name for name in NAMES if name in obs and not pd.isna(obs[name]).to_numpy().any()]
        many = {name: len(pd.unique(obs[name])) for name in able}
        fit = [name for name, n in many.items() if LEAST <= n <= len(obs) / SIZE]
        column = fit[0] if fit else None
    if column is None:
        return None, ""
    if column not in obs:
        remedy = suggest(column, [str(name) for name in obs.columns])
        raise DataError(Problem(f"there is no column {column!r} in obs", remedy), subject=subject)
    codes, found = pd.factorize(obs[column])
    problem = None
    if (codes < 0).any():
        what = f"obs[{column!r}] has no value in {int((codes < 0).sum()):,} cells"
        problem = Problem(what, "fill it, or name another column of batches")
    elif len(found) < 2:
        what = f"obs[{column!r}] holds one batch only ({found[0]})"
        problem = Problem(what, "leave the column out: cells are then held out one by one")
    if problem is not None:
        raise DataError(problem, subject=subject)
    return codes, column
