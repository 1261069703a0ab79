"""Scores of Cell Ontology terms: a term below or above the true one is not plainly wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytonym.errors import DataError, Problem
from cytonym.evaluate.metrics import Scores, scores
from cytonym.ontology.mapping import LabelMap, map_labels
from cytonym.ontology.terms import UPPER, cell_ontology

NO_TERM = ("", "unknown")
"""What stands for no term."""

KINDS = ("exact", "narrower", "wider", "other", "unknown")


@dataclass(frozen=True, slots=True, eq=False)
class OntologyScores:
    """How well predicted terms agree with true ones. The five shares sum to 1.

    Attributes
    ----------
    n
        Cells that were scored: those with a true term.
    n_without_truth
        Cells left out because they have none.
    exact
        Share of the cells with the true term.
    narrower
        Share with a term below the true one: right, and more is said than is known. Where the
        truth itself has such a term for other cells (Treg beside CD4 T) it is ``other``: the
        truth would have said so.
    wider
        Share with a term above the true one: not wrong, and less is said. Classes that say
        nothing, such as ``cell``, count as ``other``.
    other
        Share with another term.
    unknown
        Share without a predicted term.
    right
        ``exact`` and ``narrower`` together.
    plain
        The usual scores of the ids as labels: accuracy, macro-F1, ...; unknown is an error.
    per_term
        True terms (rows) × ``name, n`` and the five shares; the largest first.
    """

    n: int
    n_without_truth: int
    exact: float
    narrower: float
    wider: float
    other: float
    unknown: float
    right: float
    plain: Scores
    per_term: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON values, without the tables of the plain scores."""
        shares = {name: getattr(self, name) for name in ("right", *KINDS)}
        return {
            "n": self.n,
            "n_without_truth": self.n_without_truth,
            **shares,
            "accuracy": self.plain.accuracy,
            "macro_f1": self.plain.macro_f1,
            "per_term": self.per_term.to_dict(orient="index"),
        }

    def __str__(self) -> str:
        """Lines for people."""
        left = f" ({self.n_without_truth:,} without a true term left out)" * bool(
            self.n_without_truth
        )
        lines = [f"By Cell Ontology term: {self.n:,} cells, {len(self.per_term)} terms{left}", ""]
        named = {
            "right": "the true term or one below it",
            "exact": "the true term",
            "narrower": "a term below it",
            "wider": "a term above it",
            "other": "another term",
            "unknown": "no term",
        }
        lines += [f"{name:<9} {getattr(self, name):9.3f}  {what}" for name, what in named.items()]
        lines.append(f"{'accuracy':<9} {self.plain.accuracy:9.3f}  as plain labels")
        lines.append(f"{'macro_f1':<9} {self.plain.macro_f1:9.3f}  as plain labels")
        width = max(len(str(name)) for name in [*self.per_term["name"], "term"])
        lines += ["", f"{'term':<{width}}  {'n':>8}" + "".join(f"{kind:>10}" for kind in KINDS)]
        for _, row in self.per_term.iterrows():
            shares = "".join(f"{row[kind]:10.3f}" for kind in KINDS)
            lines.append(f"{row['name']!s:<{width}}  {int(row['n']):>8,}{shares}")
        return "\n".join(lines)


def ontology_scores(truth: Iterable[Any], predicted: Iterable[Any]) -> OntologyScores:
    """Score predicted Cell Ontology terms against true ones.

    Parameters
    ----------
    truth
        ``(cells,)`` term ids; "", "unknown" and missing values: not known, left out.
    predicted
        ``(cells,)`` term ids; "", "unknown" and missing values: no answer, an error.

    Raises
    ------
    DataError
        Different lengths, ids that are no terms in use, no cell with a true term.
    """
    true, said = _ids(truth), _ids(predicted)
    if len(true) != len(said):
        what = f"{len(true):,} true terms but {len(said):,} predicted ones"
        remedy = "give one of each for every cell, in the same order"
        raise DataError(Problem(what, remedy), subject="the terms")
    terms = cell_ontology()
    problems = []
    for which, ids in (("true", true), ("predicted", said)):
        wrong = sorted({one for one in ids if one and one not in terms.names})
        if wrong:
            new = [f"{one} → {terms.obsolete[one]}" for one in wrong if terms.obsolete.get(one)]
            listed = ", ".join(repr(one[:40]) for one in wrong[:5])
            what = f"{len(wrong)} of the {which} ids are no Cell Ontology terms in use: {listed}"
            remedy = f"replaced: {', '.join(new[:5])}" if new else "map the labels again"
            problems.append(Problem(what, remedy))
    have = true != ""
    if not have.any():
        what = f"none of {len(true):,} cells has a true term"
        problems.append(Problem(what, "map the labels: cytonym ontology FILE --labels COLUMN"))
    if problems:
        raise DataError(problems, subject="the terms")
    pairs = pd.DataFrame({"true": true[have], "said": said[have]})
    different = pairs.drop_duplicates()
    used = {*pairs["true"]}
    kinds = [_kind(t, s, used) for t, s in zip(different["true"], different["said"], strict=True)]
    pairs = pairs.merge(different.assign(kind=kinds), on=["true", "said"], how="left")
    shares = pd.crosstab(pairs["true"], pairs["kind"], normalize="index")
    shares = shares.reindex(columns=pd.Index(KINDS), fill_value=0.0)
    sizes = pairs["true"].value_counts()
    shares.insert(0, "n", sizes[shares.index].astype(int))
    shares.insert(0, "name", np.array([terms.names[one] for one in shares.index], dtype=object))
    shares = shares.sort_values("n", ascending=False, kind="stable").rename_axis("term")
    shares.columns.name = None
    means = {kind: float((pairs["kind"] == kind).mean()) for kind in KINDS}
    answers = pairs["said"].where(pairs["said"] != "", None)
    return OntologyScores(
        n=len(pairs),
        n_without_truth=int((~have).sum()),
        **means,
        right=means["exact"] + means["narrower"],
        plain=scores(pairs["true"], answers),
        per_term=shares,
    )


def label_scores(
    truth: Sequence[str | None],
    predicted: Sequence[str | None],
    *,
    review: str | Path | None = None,
    predicted_ids: Iterable[Any] | None = None,
) -> tuple[OntologyScores, LabelMap]:
    """Score labels by the terms that :func:`map_labels` finds for them, both sides together.

    Parameters
    ----------
    truth, predicted
        ``(cells,)`` labels; None: not known, not predicted.
    review
        A review file for the labels of both.
    predicted_ids
        ``(cells,)`` term ids, where the annotation gave them; ``predicted`` is then not mapped.

    Returns
    -------
    tuple
        The scores, and the labels with their terms.
    """
    said = [] if predicted_ids is not None else [*predicted]
    mapping = map_labels([*truth, *said], review=review)
    ids = mapping.ids
    true = [ids[one] if one is not None else "" for one in truth]
    if predicted_ids is None:
        predicted_ids = [ids[one] if one is not None else "" for one in said]
    return ontology_scores(true, predicted_ids), mapping


def _ids(values: Iterable[Any]) -> np.ndarray:
    """Ids as text, "" for none."""
    column = pd.Series([*values], dtype=object)
    text = column.where(column.notna(), "").astype(str).str.strip()
    return text.where(~text.isin(NO_TERM), "").to_numpy(dtype=object)


def _kind(true: str, said: str, used: set[str]) -> str:
    """What one answer is; ``used`` are the terms that the truth tells apart."""
    terms = cell_ontology()
    if not said:
        return "unknown"
    if true == said:
        return "exact"
    if terms.above(true, said):
        apart = (one for one in used if one == said or terms.above(one, said))
        return "other" if any(terms.above(true, one) for one in apart) else "narrower"
    return "wider" if terms.above(said, true) and said not in UPPER else "other"
