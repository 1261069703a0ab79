"""Agreement with known labels, by the same rules as ``cytonym evaluate``."""

from __future__ import annotations

import numpy as np

from cytonym.data.labels import check_labels
from cytonym.errors import DataError, OptionError, Problem, suggest
from cytonym.evaluate import scores
from cytonym.evaluate.reliability import reliability
from cytonym.view.report.cells import Annotated, model_types
from cytonym.view.report.facts import Answers, Truth


def known_labels(found: Annotated, truth: str | None, key: str, answers: Answers) -> np.ndarray:
    """``(cells,)`` the known label, None where there is none.

    Raises
    ------
    OptionError
        ``truth`` is the column of the answers.
    DataError
        No such column, no labels in it, or none that was ever given.
    """
    if truth == key:
        raise OptionError(f"truth and key are both {key!r}: name two columns.")
    if truth not in found.obs:
        columns = [str(name) for name in found.obs.columns if not str(name).startswith(key)]
        remedy = suggest(str(truth), columns) if columns else "obs has no other column"
        problem = Problem(f"there is no column {truth!r} in obs for the truth", remedy)
        raise DataError(problem, subject=found.name)
    labels, problems = check_labels(found.obs, str(truth))  # "Unknown" is no label
    if not len(labels.names):
        raise DataError(problems, subject=found.name)
    given = {name.strip() for name in (*answers.names, *model_types(found, key))}
    if not given & {*labels.names}:
        what = (
            f"no label of obs[{truth!r}] ({', '.join(labels.names[:4])}, ...) is among the names "
            f"that were given ({', '.join(answers.names[:4])}, ...)"
        )
        remedy = "name a column that holds the same types in the same spelling"
        raise DataError(Problem(what, remedy), subject=found.name)
    return np.array([*map(str, labels.names), None], dtype=object)[labels.codes]  # -1: the last


def said_labels(answers: Answers) -> np.ndarray:
    """``(cells,)`` the type that was given, None where the answer is no type."""
    names = [n.strip() if ok else None for n, ok in zip(answers.names, answers.named, strict=True)]
    return np.array(names, dtype=object)[answers.codes]


def right(known: np.ndarray, said: np.ndarray) -> np.ndarray:
    """``(cells,)`` 1.0 where the name is right, 0.0 where not, NaN without a known label."""
    have = np.array([one is not None for one in known])
    return np.where(have, (known == said).astype(float), np.nan)


def truth_facts(
    found: Annotated, column: str, key: str, answers: Answers, known: np.ndarray
) -> Truth:
    """Scores of all cells, of those with a type, and the reliability of the confidence."""
    said = said_labels(answers)
    agree, types = right(known, said), model_types(found, key) or None
    have, typed = np.isfinite(agree), answers.typed
    both = typed & have
    named = scores(known[both], said[both], known=types) if 0 < both.sum() < have.sum() else None
    sure, curve, n = answers.confidence, None, 0
    if sure is not None and (use := both & np.isfinite(sure)).any():
        curve, n = reliability(agree[use], sure[use]), int(use.sum())
    return Truth(column, scores(known, said, known=types), named, curve, n)
