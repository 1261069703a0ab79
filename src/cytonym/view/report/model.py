"""What the model says: why each type, and how its fit went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytonym.annotator import Annotator, load
from cytonym.errors import ModelError, OptionError
from cytonym.view.report.facts import Curve, ModelFacts, Reason

SCORES = ("score", "accuracy", "balanced_accuracy", "macro_f1")
NO_LOSS = {"stage", "epoch", "seconds", "lr"}
TOP = 10


def model_facts(model: Annotator | str | Path, facts: Mapping[str, Any], name: str) -> ModelFacts:
    """Ask a model, which must be of the method that named the cells.

    Parameters
    ----------
    model
        The model or its folder.
    facts
        ``uns[key]`` of the annotated data, called ``name``.

    Raises
    ------
    ModelError
        No model there, or one of another method.
    """
    annotator = model if isinstance(model, Annotator) else load(model)
    own, theirs = annotator.method.name, facts.get("method")
    if theirs is not None and own != str(theirs):
        raise ModelError(
            f"The model is of method {own!r}, and the cells of {name} were named by "
            f"{str(theirs)!r}: give the model that named them, or leave out model= (--model)."
        )
    reasons, why_not = _reasons(annotator)
    report = annotator.report
    stages, curves = _curves(report.history)
    other = "hash" in facts and str(facts["hash"]) != annotator.facts()["hash"]
    return ModelFacts(
        own,
        reasons,
        why_not,
        other,
        report.n_reference,
        report.n_held_out,
        report.refitted,
        report.seconds,
        report.held_out,
        report.per_type,
        report.notes,
        stages,
        curves,
    )


def _reasons(annotator: Annotator) -> tuple[tuple[Reason, ...], str | None]:
    try:
        table = annotator.explain(top=TOP)
    except OptionError as error:
        return (), str(error)
    high = table["expression"] if "expression" in table else pd.Series("", index=table.index)
    table = table.assign(expression=high)
    found = []
    for name, rows in table.groupby("type", sort=False, observed=True):
        columns = zip(rows["gene"], rows["score"], rows["expression"], strict=True)
        features = tuple((str(gene), float(score), str(up)) for gene, score, up in columns)
        found.append(Reason(str(name), features))
    return tuple(found), None


def _curves(
    history: Sequence[Mapping[str, Any]],
) -> tuple[tuple[tuple[str, int], ...], tuple[Curve, ...]]:
    """The stages with their first epoch (from 0), and what was measured in every epoch."""
    frame = pd.DataFrame(list(history))
    if frame.empty:
        return (), ()
    stage = frame["stage"].astype(str) if "stage" in frame else pd.Series("", index=frame.index)
    starts = np.flatnonzero(stage.ne(stage.shift()))
    stages = tuple((stage.iloc[place], int(place)) for place in starts)
    numbers = [
        n for n in frame.columns if n not in NO_LOSS and pd.api.types.is_numeric_dtype(frame[n])
    ]
    curves = []
    for name in sorted(numbers, key=lambda n: (n != "total", str(n))):
        values = tuple(float(v) if np.isfinite(v) else None for v in frame[name].astype(float))
        is_score = str(name).removeprefix("held_out_") in SCORES
        curves.append(Curve(str(name).replace("_", " ").replace("f1", "F1"), values, is_score))
    return stages, tuple(curve for curve in curves if any(v is not None for v in curve.values))
