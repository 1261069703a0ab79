"""What the page says in sentences: the summary, what to look at, the methods paragraph."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from cytonym.errors import OptionError
from cytonym.methods import get
from cytonym.view.report.facts import Facts

FEW_CELLS, UNSURE, FEW_FEATURES, APART = 10, 0.6, 0.8, 0.1


def percent(share: float) -> str:
    """One decimal, and never 0% or 100% for what is not."""
    text = f"{100 * share:.1f}%"
    if text == "0.0%" and share > 0:
        return "under 0.1%"
    if text == "100.0%" and share < 1:
        return "over 99.9%"
    return text


def count(n: int, one: str, many: str | None = None) -> str:
    """``1 cell``, ``2,000 cells``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def summary(facts: Facts) -> tuple[str, ...]:
    """The figures that a biologist asks first."""
    return tuple(_summary(facts))


def _summary(facts: Facts) -> Iterator[str]:
    by = f" by the method {facts.method['method']}" if "method" in facts.method else ""
    types = facts.named
    yield f"{count(facts.n, 'cell')} of {facts.name} were given {count(len(types), 'type')}{by}."
    if types:
        common = ", ".join(f"{one.name} ({percent(one.share)})" for one in types[:3])
        yield f"The most common: {common}."
    if facts.n_unnamed:
        which = ", ".join(f"{one.name} {one.n:,}" for one in facts.types if not one.named)
        share = percent(facts.n_unnamed / facts.n)
        yield f"{count(facts.n_unnamed, 'cell')} ({share}) have no type: {which}."
    if facts.confidence is not None and facts.below is not None:
        yield (
            f"The mean confidence is {facts.confidence:.2f}; {percent(facts.below)} of the cells "
            "have one below 0.50."
        )
    for one in facts.overlap:
        yield (
            f"Of the reference's {one.reference:,} {one.modality} features the data have "
            f"{one.shared:,} ({percent(one.share)})."
        )
    if facts.truth is not None:
        found = facts.truth.scores
        text = (
            f"Of {count(found.n, 'cell')} with a known label {percent(found.accuracy)} were named "
            f"right; macro F1 is {found.macro_f1:.3f}"
        )
        if (curve := facts.truth.reliability) is not None:
            text += f", the expected calibration error {curve.error:.3f}"
        yield f"{text}."


def warnings(facts: Facts) -> tuple[str, ...]:
    """What is worth a look before the names are used."""
    return tuple(_warnings(facts))


def _warnings(facts: Facts) -> Iterator[str]:
    if facts.model is not None and facts.model.other:
        yield (
            "The weights of the model that was given are not those that named these cells: what "
            "is said of the model may not hold for the names."
        )
    for one in facts.overlap:
        if one.share < FEW_FEATURES:
            yield (
                f"Only {percent(one.share)} of the reference's {one.modality} features are in the "
                "data: names are less sure than the confidence says."
            )
    few = [f"{one.name} ({one.n})" for one in facts.named if one.n < FEW_CELLS]
    if few:
        yield f"Types with fewer than {FEW_CELLS} cells: {_some(few)}."
    unsure = [
        f"{one.name} ({one.quartiles[1]:.2f})"
        for one in facts.named
        if one.quartiles and one.quartiles[1] < UNSURE
    ]
    if unsure:
        yield f"Types with a median confidence below {UNSURE:.2f}: {_some(unsure)}."
    for table in facts.batches:
        known = [one for one in table.rows if one.confidence is not None]
        sure = [one.confidence or 0.0 for one in known]
        if len(sure) > 1 and max(sure) - min(sure) > APART:
            low, high = known[int(np.argmin(sure))], known[int(np.argmax(sure))]
            yield (
                f"Confidence differs between the batches of {table.column}: {min(sure):.2f} in "
                f"{low.name}, {max(sure):.2f} in {high.name}."
            )
    if facts.never:
        yield f"Types of the reference that no cell was given: {_some(facts.never)}."
    if facts.truth is not None and facts.truth.scores.unknown_types:
        names = _some(facts.truth.scores.unknown_types)
        yield f"Known labels that the model cannot give, so always wrong: {names}."


def _some(names: tuple[str, ...] | list[str], most: int = 12) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f", and {rest} more" if rest > 0 else "")


def methods(facts: Facts, versions: Mapping[str, str]) -> str:
    """A paragraph for a paper."""
    return " ".join(_methods(facts, versions))


def _methods(facts: Facts, versions: Mapping[str, str]) -> Iterator[str]:
    about = facts.method
    if "method" not in about:
        yield f"Cell types are those of the column {facts.key} of {facts.name}."
    else:
        name = str(about["method"])
        yield (
            f"Cell types of {count(facts.n, 'cell')} were predicted with cytonym "
            f"{about.get('version', '(version not known)')}, method {name}{_paper(name)}, seed "
            f"{about.get('seed', 'not known')}."
        )
        if "hash" in about:
            yield f"The SHA-256 of the model's weights is {about['hash']}."
    if facts.model is not None and not facts.model.other and facts.model.n_reference:
        yield f"The model was fitted on {count(facts.model.n_reference, 'labelled cell')}."
    for one in facts.overlap:
        yield (
            f"Of the reference's {one.reference:,} {one.modality} features {one.shared:,} "
            f"({percent(one.share)}) were in the data (matched by {one.matched_by})."
        )
    yield (
        "Each cell was given its most probable type"
        + (", or none where the evidence was too weak" if facts.n_unnamed else "")
        + (", with that probability as confidence." if facts.confidence is not None else ".")
    )
    if facts.truth is not None:
        found = facts.truth.scores
        yield (
            f"Against {facts.truth.column}, {count(found.n, 'cell')} were scored with scikit-learn "
            f"{versions['scikit-learn']}: accuracy {found.accuracy:.3f}, balanced accuracy "
            f"{found.balanced_accuracy:.3f}, macro F1 {found.macro_f1:.3f}."
        )


def _paper(name: str) -> str:
    try:
        return f" ({get(name).paper})"
    except OptionError:  # a method that is not installed here
        return ""


def options(about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The options of the model, as they are typed."""
    try:
        held = json.loads(str(about.get("options", "{}")))
    except ValueError:
        return ()
    if not isinstance(held, dict):
        return ()
    return tuple((str(name), json.dumps(value)) for name, value in held.items())
