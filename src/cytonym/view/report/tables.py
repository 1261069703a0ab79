"""What was given to how many cells and how surely: by type, by batch, sets, votes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cytonym.data.inspect import BATCHES
from cytonym.result import set_word
from cytonym.view.report.cells import Annotated, as_text
from cytonym.view.report.facts import (
    Answers,
    Batches,
    BatchFacts,
    Overlap,
    Sets,
    TypeFacts,
    Votes,
)

BINS = 20
MOST_BATCHES, MOST_COLUMNS = 60, 4
MOST_CLUSTERS = 20


def type_facts(found: Annotated, key: str, answers: Answers) -> tuple[TypeFacts, ...]:
    """One record a name that was given, types first, the most common first."""
    seconds = _runners_up(found, key, answers)
    terms = _terms(found, key, answers)
    rows = []
    for code, name in enumerate(answers.names):
        mine = answers.codes == code
        n = int(mine.sum())
        quartiles: tuple[float, ...] = ()
        histogram: tuple[int, ...] = ()
        below = None
        if answers.confidence is not None:
            sure = answers.confidence[mine]
            sure = sure[np.isfinite(sure)]
            if len(sure):
                quartiles = tuple(float(q) for q in np.quantile(sure, (0.25, 0.5, 0.75)))
                histogram = tuple(int(c) for c in np.histogram(sure, BINS, (0, 1))[0])
                below = float((sure < 0.5).mean())
        rows.append(
            TypeFacts(
                name,
                bool(answers.named[code]),
                n,
                n / len(answers.codes),
                quartiles,
                histogram,
                below,
                seconds.get(code),
                terms.get(code),
            )
        )
    return tuple(rows)


def _runners_up(found: Annotated, key: str, answers: Answers) -> dict[int, str]:
    """By code of a type, the name that is most often second."""
    chances = found.obsm.get(f"{key}_probabilities")
    if not isinstance(chances, pd.DataFrame) or chances.shape[1] < 2:
        return {}
    values = np.nan_to_num(chances.to_numpy(dtype=float))
    facts = found.uns.get(key, {})
    exact = [str(name) for name in facts.get("types", ())] if isinstance(facts, Mapping) else []
    names = exact if len(exact) == values.shape[1] else [str(name) for name in chances.columns]
    second = np.argsort(-values, axis=1, kind="stable")[:, 1]
    most = {}
    for code in np.flatnonzero(answers.named):
        mine = second[answers.codes == code]
        most[int(code)] = names[int(np.bincount(mine).argmax())]
    return most


def _terms(found: Annotated, key: str, answers: Answers) -> dict[int, str]:
    """By code of a name, its most common ontology term."""
    column = f"{key}_ontology_term_id"
    if column not in found.obs:
        return {}
    terms = as_text(found.obs[column], "")
    most = {}
    for code in range(len(answers.names)):
        names, counts = np.unique(
            terms[(answers.codes == code) & (terms != "")], return_counts=True
        )
        most |= {code: str(names[counts.argmax()])} if len(names) else {}
    return most


def batch_columns(obs: pd.DataFrame, *leave: str | None) -> dict[str, np.ndarray]:
    """Columns of ``obs`` that are called like batches and have 2 to 60 values, as text."""
    columns: dict[str, np.ndarray] = {}
    for column in obs.columns:
        if column in leave or not BATCHES.fullmatch(str(column)):
            continue
        text = as_text(obs[column], "(none)")
        few = 2 <= len(np.unique(text)) <= min(MOST_BATCHES, len(text) - 1)
        if few and len(columns) < MOST_COLUMNS:
            columns[str(column)] = text
    return columns


def batches(
    columns: Mapping[str, np.ndarray], answers: Answers, right: np.ndarray | None
) -> tuple[Batches, ...]:
    """One table a column; ``right`` (1, 0, NaN where the truth is not known) gives accuracies."""
    tables = []
    for column, text in columns.items():
        rows = []
        for name in sorted(np.unique(text), key=_number_or_text):
            mine = text == name
            sure = None if answers.confidence is None else answers.confidence[mine]
            counts = np.bincount(answers.codes[mine], minlength=len(answers.names))
            rows.append(
                BatchFacts(
                    str(name),
                    int(mine.sum()),
                    float((~answers.typed[mine]).mean()),
                    _mean(sure),
                    None if right is None else _mean(right[mine]),
                    tuple(float(c) for c in counts / mine.sum()),
                )
            )
        tables.append(Batches(column, tuple(rows)))
    return tuple(tables)


def _number_or_text(name: str) -> tuple[int, float, str]:
    return (0, float(name), name) if name.isdigit() else (1, 0.0, name)


def _mean(values: np.ndarray | None) -> float | None:
    if values is None or not np.isfinite(values).any():
        return None
    return float(np.nanmean(values))


def sets(found: Annotated, key: str, truth: np.ndarray | None) -> Sets | None:
    """Sizes of the prediction sets in ``obs[key_set]``; an empty text is an empty set."""
    column = f"{key}_set"
    if column not in found.obs:
        return None
    distinct, number = np.unique(as_text(found.obs[column], ""), return_inverse=True)
    members = [{*filter(None, text.split("|"))} for text in distinct]
    sizes = np.array([len(one) for one in members])[number]
    table = tuple((int(size), int((sizes == size).sum())) for size in np.unique(sizes))
    holds, known = None, 0
    if truth is not None:
        pairs = [pair for pair in zip(number, truth, strict=True) if pair[1] is not None]
        inside = [set_word(str(label)) in members[place] for place, label in pairs]
        holds, known = float(np.mean(inside)), len(inside)
    return Sets(table, float(sizes.mean()), holds, known)


def votes(found: Annotated, key: str, answers: Answers) -> Votes | None:
    """What majority voting changed, where ``obs[key_majority_voting]`` is there."""
    column = f"{key}_majority_voting"
    if column not in found.obs:
        return None
    voted = as_text(found.obs[column], "(none)")
    own = np.array(answers.names, dtype=object)[answers.codes]
    moved = voted != own
    pairs = Counter(zip(own[moved], voted[moved], strict=True)).most_common(8)
    common = tuple((one, other, n) for (one, other), n in pairs)
    clusters = None
    if "over_clustering" in found.obs:
        clusters = int(pd.Series(found.obs["over_clustering"]).nunique())
    about = found.uns.get(key, {})
    held = about.get("votes", {}) if isinstance(about, Mapping) else {}
    told = held.get("table") if isinstance(held, Mapping) else None
    if not isinstance(told, pd.DataFrame) or not len(told):
        return Votes(int(moved.sum()), clusters, common)
    mean = float(np.average(told["agreement"], weights=told["cells"]))
    worst = told.sort_values("agreement", kind="stable").head(MOST_CLUSTERS)
    rows = tuple(
        (str(cluster), int(n), str(label), float(share), str(second), float(other))
        for cluster, n, label, share, second, other in zip(
            *(worst[name] for name in ("cluster", "cells", "label", "agreement")),
            *(worst[name] for name in ("second", "second_share")),
            strict=True,
        )
    )
    return Votes(int(moved.sum()), len(told), common, mean, rows)


def overlaps(facts: Mapping[str, Any]) -> tuple[Overlap, ...]:
    """How many of the reference's features the query has, from ``uns[key]``."""
    coverage = facts.get("coverage", {})
    return tuple(
        Overlap(str(name), int(one["reference"]), int(one["shared"]), str(one["matched_by"]))
        for name, one in (coverage.items() if isinstance(coverage, Mapping) else ())
    )


def populations(found: Annotated, key: str) -> pd.DataFrame | None:
    """The table of new populations in ``uns[key_populations]``, every value as text."""
    held = found.uns.get(f"{key}_populations")
    if held is None or not len(held):
        return None
    if not isinstance(held, pd.DataFrame):
        lengths = {len(np.atleast_1d(one)) for one in held.values()}
        whole = all(isinstance(one, Mapping) for one in held.values())
        if not whole and len(lengths) > 1:
            return pd.DataFrame({"fact": [*held], "value": [_text(v) for v in held.values()]})
        held = pd.DataFrame.from_dict(held, orient="index") if whole else pd.DataFrame(dict(held))
    numbered = [str(name) for name in held.index] == [str(place) for place in range(len(held))]
    name = "population" if "population" not in held else "name"
    frame = held if numbered else held.reset_index(names=name, allow_duplicates=True)
    return frame.map(_text).set_axis([_text(name) for name in frame.columns], axis=1)


def _text(value: Any) -> str:
    """A value of a table as people read it."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, list | tuple | set | np.ndarray):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int | np.integer) else str(value)
