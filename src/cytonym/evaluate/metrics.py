"""Scores of predicted labels against known ones; scikit-learn does the arithmetic."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem

NOT_PREDICTED = "(not predicted)"
"""The name that a cell without a prediction gets; it is an error whatever the truth."""

RARE_CELLS, RARE_SHARE = 50, 0.01
"""A type is rare with fewer cells, or a smaller share of all cells."""

FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "weighted_f1", "kappa")


@dataclass(frozen=True, eq=False)
class Scores:
    """How well predicted labels agree with known ones.

    Attributes
    ----------
    n
        Cells that were scored: those with a known label.
    n_without_truth
        Cells that were left out because their label is not known.
    accuracy
        Share of the cells named right.
    balanced_accuracy
        Mean recall over the types present in the truth.
    macro_f1
        Mean F1 over the types present in the truth.
    weighted_f1
        The same, weighted by the cells of each type.
    kappa
        Cohen's kappa; NaN where truth and prediction are one and the same single type.
    per_type
        Types of the truth (rows) × ``n, precision, recall, f1``, the largest type first.
    confusion
        Cells by truth (rows) and prediction (columns); a type has the same place in both,
        types that were only predicted come last.
    unknown_types
        Types of the truth that the prediction cannot give. Their cells are errors above.
    shared
        The scores of the other cells alone, where there are ``unknown_types`` and others.
    """

    n: int
    n_without_truth: int
    accuracy: float
    balanced_accuracy: float
    macro_f1: float
    weighted_f1: float
    kappa: float
    per_type: pd.DataFrame
    confusion: pd.DataFrame
    unknown_types: tuple[str, ...] = ()
    shared: Scores | None = None

    @property
    def rare(self) -> pd.DataFrame:
        """The rows of ``per_type`` with few cells: fewer than 50, or than 1 % of all."""
        return self.per_type.iloc[np.flatnonzero(rare_types(np.asarray(self.per_type["n"])))]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values; what is not defined is None."""
        figures: dict[str, Any] = {name: _or_none(getattr(self, name)) for name in FIGURES}
        per_type = {
            str(name): {"n": int(row["n"])}
            | {part: float(row[part]) for part in ("precision", "recall", "f1")}
            for name, row in self.per_type.iterrows()
        }
        return {
            "n": self.n,
            "n_without_truth": self.n_without_truth,
            **figures,
            "per_type": per_type,
            "rare_types": {
                "types": [str(name) for name in self.rare.index],
                "n": int(self.rare["n"].sum()),
                "recall": _or_none(float(self.rare["recall"].mean())),
                "f1": _or_none(float(self.rare["f1"].mean())),
            },
            "confusion": {
                "truth": self.confusion.index.tolist(),
                "predicted": self.confusion.columns.tolist(),
                "counts": self.confusion.to_numpy().tolist(),
            },
            "unknown_types": list(self.unknown_types),
            "shared_types_only": None
            if self.shared is None
            else {"n": self.shared.n}
            | {name: _or_none(getattr(self.shared, name)) for name in FIGURES},
        }

    def __str__(self) -> str:
        """A page for people: the figures, then one line for each type."""
        counted = f"{self.n:,} cells, {len(self.per_type)} types"
        if self.n_without_truth:
            counted += f" ({self.n_without_truth:,} cells without a known label left out)"
        lines = [counted, ""]
        heads = ["all cells"] + (["shared types only"] if self.shared else [])
        lines.append(" " * 19 + "  ".join(f"{head:>9}" for head in heads))
        for name in FIGURES:
            row = [getattr(part, name) for part in (self, self.shared) if part is not None]
            cells = [
                f"{value:{max(9, len(head))}.3f}" for value, head in zip(row, heads, strict=True)
            ]
            lines.append(f"{name:<19}" + "  ".join(cells))
        if self.unknown_types:
            names = ", ".join(self.unknown_types)
            lines += ["", f"Cannot be predicted, so always wrong: {names}"]
        if len(self.rare):
            recall, f1 = (float(self.rare[name].mean()) for name in ("recall", "f1"))
            lines += [
                "",
                f"Rare types (fewer than {RARE_CELLS} cells, or {RARE_SHARE:.0%}): "
                f"{len(self.rare)} of {len(self.per_type)}, {int(self.rare['n'].sum()):,} cells, "
                f"mean recall {recall:.3f}, mean F1 {f1:.3f}",
            ]
        width = max(len(str(name)) for name in [*self.per_type.index, "type"])
        lines += ["", f"{'type':<{width}}  {'n':>8}  precision  recall     f1"]
        for name, row in self.per_type.iterrows():
            numbers = f"{row['precision']:9.3f}  {row['recall']:6.3f}  {row['f1']:5.3f}"
            lines.append(f"{name!s:<{width}}  {int(row['n']):>8,}  {numbers}")
        return "\n".join(lines)


def rare_types(sizes: np.ndarray) -> np.ndarray:
    """``(types,)`` bool: which of the types with so many cells are rare."""
    return (sizes < RARE_CELLS) | (sizes < RARE_SHARE * sizes.sum())


def scores(truth: Any, predicted: Any, *, known: Iterable[Any] | None = None) -> Scores:
    """Score predicted labels against known ones.

    Parameters
    ----------
    truth
        ``(cells,)`` labels of any kind, compared as text; None, NaN and NA are *not known* and
        left out.
    predicted
        ``(cells,)`` labels; a missing one is an error.
    known
        The labels that could have been predicted. By default the categories of ``predicted``,
        or, where it has none, the labels in it.

    Raises
    ------
    DataError
        Different lengths, or no cell with a known label.
    """
    truth, predicted = pd.Series(truth), pd.Series(predicted)
    if len(truth) != len(predicted):
        what = f"{len(truth):,} known labels but {len(predicted):,} predicted ones"
        remedy = "give one of each for every cell, in the same order"
        raise DataError(Problem(what, remedy), subject="the labels")
    have = truth.notna().to_numpy()
    if not have.any():
        what = f"none of {len(truth):,} cells has a known label"
        remedy = "name the column with the true labels"
        raise DataError(Problem(what, remedy), subject="the labels")
    if known is not None:
        could = {str(name) for name in known}
    elif isinstance(predicted.dtype, pd.CategoricalDtype):
        could = {str(name) for name in predicted.cat.categories}
    else:
        could = {str(name) for name in predicted.dropna().unique()}
    true, said = _text(truth)[have], _text(predicted)[have]
    shared = np.isin(true, sorted(could))
    return _scored(
        true,
        said,
        n_without_truth=int((~have).sum()),
        unknown=tuple(sorted(set(true[~shared]))),
        shared=_scored(true[shared], said[shared]) if 0 < shared.sum() < len(true) else None,
    )


def _text(labels: pd.Series) -> np.ndarray:
    """Labels as str."""
    missing = labels.isna().to_numpy()
    return np.where(missing, NOT_PREDICTED, labels.astype(object).to_numpy()).astype(str)


def _scored(
    true: np.ndarray,
    said: np.ndarray,
    *,
    n_without_truth: int = 0,
    unknown: tuple[str, ...] = (),
    shared: Scores | None = None,
) -> Scores:
    """The scores of cells that all have a known label."""
    from sklearn import metrics  # takes a second to import, which annotating need not wait for

    names = [*np.unique(true)]
    extra = [name for name in np.unique(said) if name not in set(names)]
    code = {name: number for number, name in enumerate([*names, *extra])}
    # As numbers: comparing text is slow, and the order of the names is ours.
    y, z = (np.array([code[label] for label in labels], np.int64) for labels in (true, said))
    own = np.arange(len(names))
    zero: Any = 0.0  # scikit-learn declares text only
    parts = metrics.precision_recall_fscore_support(y, z, labels=own, zero_division=zero)
    per_type = pd.DataFrame(
        dict(zip(("precision", "recall", "f1", "n"), parts, strict=True)),
        index=pd.Index(names, name="type", dtype=object),
    )[["n", "precision", "recall", "f1"]]
    # One place more than there are names: scikit-learn warns of a single one.
    square = metrics.confusion_matrix(y, z, labels=np.arange(len(code) + 1))
    counts = square[: len(names), : len(code)]
    confusion = pd.DataFrame(
        counts,
        index=pd.Index(names, name="truth", dtype=object),
        columns=pd.Index([*code], name="predicted", dtype=object),
    )
    return Scores(
        n=len(y),
        n_without_truth=n_without_truth,
        accuracy=float(metrics.accuracy_score(y, z)),
        # scikit-learn's own balanced accuracy warns of types that were only predicted.
        balanced_accuracy=float(per_type["recall"].mean()),
        macro_f1=float(per_type["f1"].mean()),
        weighted_f1=float(np.average(per_type["f1"], weights=per_type["n"])),
        kappa=float(metrics.cohen_kappa_score(y, z)) if len(code) > 1 else math.nan,
        per_type=per_type.iloc[np.argsort(-np.asarray(per_type["n"]), kind="stable")],
        confusion=confusion,
        unknown_types=unknown,
        shared=shared,
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
