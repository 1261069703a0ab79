"""From an annotated data set, and a model where one is given, to the facts of the page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData

from cytonym.annotator import Annotator
from cytonym.memory import Memory
from cytonym.view.report import tables
from cytonym.view.report.cells import model_types, read_annotated, read_answers
from cytonym.view.report.facts import Facts
from cytonym.view.report.model import model_facts
from cytonym.view.report.picture import picture
from cytonym.view.report.truth import known_labels, right, said_labels, truth_facts

if TYPE_CHECKING:
    from mudata import MuData


def collect(
    data: str | Path | AnnData | MuData,
    *,
    model: Annotator | str | Path | None,
    truth: str | None,
    key: str,
    embedding: str | None,
    max_memory: Memory | None = None,
) -> Facts:
    """Everything that the page says; the arguments are those of :func:`cytonym.report`."""
    found = read_annotated(data, key, embedding, max_memory)
    answers = read_answers(found, key)
    about: Mapping[str, Any] = found.uns.get(key, {})
    about = about if isinstance(about, Mapping) else {}
    asked = None if model is None else model_facts(model, about, found.name)
    known = agree = None
    if truth is not None:
        known = known_labels(found, truth, key, answers)
        agree = right(known, said_labels(answers))
    types = tables.type_facts(found, key, answers)
    columns = tables.batch_columns(found.obs, key, truth)
    method = None if "method" not in about else str(about["method"])
    drawn = picture(found, answers, embedding, method, batches=columns, known=known, right=agree)
    sure = answers.confidence
    sure = sure[np.isfinite(sure)] if sure is not None else np.empty(0)
    return Facts(
        name=found.name,
        key=key,
        n=len(answers.codes),
        types=types,
        never=tuple(name for name in model_types(found, key) if name not in answers.names),
        confidence=float(sure.mean()) if len(sure) else None,
        below=float((sure < 0.5).mean()) if len(sure) else None,
        batches=tables.batches(columns, answers, agree),
        sets=tables.sets(found, key, known),
        votes=tables.votes(found, key, answers),
        overlap=tables.overlaps(about),
        notes=tuple(str(note) for note in about.get("notes", ())),
        populations=tables.populations(found, key),
        truth=None
        if known is None or truth is None
        else truth_facts(found, truth, key, answers, known),
        picture=drawn,
        model=asked,
        method=about,
    )
