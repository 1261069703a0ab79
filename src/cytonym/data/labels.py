"""Cell-type labels from a column of ``obs``: checked, and turned into codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem, suggest

UNLABELLED = frozenset(
    ("", "nan", "na", "n/a", "none", "null", "unknown", "unassigned", "unlabeled", "unlabelled")
)
"""Values, in lower case, that say that a cell has no label."""


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of all cells.

    Attributes
    ----------
    codes
        ``(cells,)`` int64: index into ``names``; -1 = unlabelled.
    names
        ``(types,)`` str, sorted.
    notes
        What the user should know.
    """

    codes: np.ndarray
    names: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> np.ndarray:
        """``(types,)`` int: the cells of each type."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.names))


def read_labels(obs: pd.DataFrame, column: str, subject: str = "the data") -> Labels:
    """The labels in ``obs[column]``; a DataError with all problems if they cannot be learned."""
    labels, problems = check_labels(obs, column)
    if problems:
        raise DataError(problems, subject=subject)
    return labels


def check_labels(obs: pd.DataFrame, column: str) -> tuple[Labels, list[Problem]]:
    """Read the labels and say what is wrong with them.

    Parameters
    ----------
    obs
        Facts by cell.
    column
        The column with the labels; missing values and words such as "Unknown" are unlabelled.

    Returns
    -------
    tuple
        The labels, as far as they could be read; the problems, each with a remedy.
    """
    if column not in obs:
        known = [str(name) for name in obs.columns]
        remedy = suggest(column, known) if known else "add a column with the cell types to obs"
        return _coded(pd.Series(index=obs.index)), [
            Problem(f"obs has no column {column!r}", remedy)
        ]
    values = pd.Series(obs[column])
    if _measured(values):
        what = f"obs[{column!r}] holds measurements (such as {values.dropna().iloc[0]:.4g})"
        nothing = _coded(pd.Series(index=obs.index))
        return nothing, [Problem(what, f"name a column with types; {candidates_text(obs)}")]
    labels = _coded(values)
    return labels, _problems(obs, column, labels)


def _measured(values: pd.Series) -> bool:
    """Whether a column holds numbers with fractions."""
    if not pd.api.types.is_float_dtype(values.dtype):
        return False
    held = values.dropna().to_numpy()
    return bool((held != np.round(held)).any())


def _coded(values: pd.Series) -> Labels:
    """Codes and sorted names; every distinct value is looked at once, however many the cells."""
    number, distinct = pd.factorize(values)
    whole = pd.api.types.is_float_dtype(values.dtype)
    plain = [str(int(v) if whole else v) for v in distinct]
    words = np.array([word.strip() for word in plain], dtype=str)
    words = np.append(words, "")  # the place of number -1, a missing value
    empty = np.array([word.lower() in UNLABELLED for word in words])
    names = np.unique(words[~empty])
    codes = np.where(empty, -1, np.searchsorted(names, words))[number].astype(np.int64)
    n_empty, notes = int((codes < 0).sum()), []
    merged = len(plain) - len({*words[:-1]})
    if merged:
        notes.append(f"{merged} labels differ from another only by spaces around them: made one")
    if n_empty:
        kinds = np.unique(words[np.unique(number[codes < 0])])
        listed = ", ".join(repr(str(word)) if word else "missing" for word in kinds[:4])
        notes.append(
            f"{n_empty:,} of {len(values):,} cells have no label ({listed}); "
            "they are kept as unlabelled"
        )
    return Labels(codes, names, tuple(notes))


def _problems(obs: pd.DataFrame, column: str, labels: Labels) -> list[Problem]:
    n_labelled = int((labels.codes >= 0).sum())
    if len(labels.names) < 2:
        what = (
            f"obs[{column!r}] holds one type only ({labels.names[0]!s}, {n_labelled:,} cells)"
            if n_labelled
            else f"obs[{column!r}] holds no label"
        )
        return [Problem(what, f"at least two types are needed; {candidates_text(obs)}")]
    if len(labels.names) > 0.5 * n_labelled and n_labelled > 20:
        what = (
            f"obs[{column!r}] has {len(labels.names):,} different values for {n_labelled:,} cells"
        )
        return [Problem(what, f"it looks like an identifier, not a type; {candidates_text(obs)}")]
    single = labels.names[labels.sizes < 2]
    if not len(single):
        return []
    listed = ", ".join(repr(str(name)) for name in single[:5]) + (" ..." if len(single) > 5 else "")
    what = (
        f"type {listed} has one cell"
        if len(single) == 1
        else f"{len(single)} types have one cell: {listed}"
    )
    remedy = "merge it with a related type, drop it, or set it to 'Unknown' (unlabelled)"
    return [Problem(f"{what}, so that it cannot be learned and checked", remedy)]


def candidates(obs: pd.DataFrame) -> dict[str, Labels]:
    """The columns of ``obs`` that could hold types: text with 2 to n/2 values."""
    found = {}
    for name in obs.columns:
        values = pd.Series(obs[name])
        texts = isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object
        if not (texts or pd.api.types.is_string_dtype(values.dtype)):
            continue
        labels = _coded(values)
        if 2 <= len(labels.names) <= max(2, len(obs) // 2):
            found[str(name)] = labels
    return found


def candidates_text(obs: pd.DataFrame) -> str:
    """The columns that could hold types, in a sentence."""
    listed = [f"{name} ({len(labels.names)} values)" for name, labels in candidates(obs).items()]
    return f"columns that could be: {', '.join(listed)}" if listed else "obs has no such column"
