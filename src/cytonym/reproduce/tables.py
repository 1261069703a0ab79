"""Tables of an experiment: ours, and the published figures beside them, never mixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cytonym.disk import numbers as text
from cytonym.reproduce.record import Data, Experiment


@dataclass(frozen=True, eq=False)
class Page:
    """The table, and the files to write by name."""

    table: pd.DataFrame
    files: Mapping[str, str]


def frame_of(lines: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row for each row of each line, with the line's key."""
    return pd.DataFrame(
        [
            {**{k: v for k, v in line["key"].items() if k != "options"}, **row}
            for line in lines
            for row in line["rows"]
        ]
    )


def summary(experiment: Experiment, frame: pd.DataFrame) -> pd.DataFrame:
    """Mean ± standard deviation over the seeds of each data set, way and row, as text."""
    found = _rows(experiment, frame)
    return pd.DataFrame([row | {name: spread(own[name]) for name in own} for row, own in found])


def numbers(experiment: Experiment, frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The same as numbers; the deviation of one seed is None."""
    return [
        row | {name: dict(zip(("mean", "sd"), mean_sd(own[name]), strict=True)) for name in own}
        for row, own in _rows(experiment, frame)
    ]


def _rows(
    experiment: Experiment, frame: pd.DataFrame
) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
    """What a row of the table is of, with the number of seeds, and each figure's value by seed.

    Where there are several cases with one name of data (folds), a seed's value is their mean.
    """
    by = ["data", *experiment.by, "way"]
    shown = [name for name in experiment.figures if name in frame]
    figures = pd.DataFrame({name: text.numbers(frame[name]) for name in shown}, frame.index)
    seeds: Any = pd.concat([frame[[*by, "seed"]], figures], axis=1)
    seeds = seeds.groupby([*by, "seed"], sort=False, dropna=False)[shown].mean()
    for values, own in seeds.groupby(by, sort=False, dropna=False):
        row: dict[str, Any] = dict(zip(by, values, strict=True)) | {"seeds": len(own)}
        yield row, {name: own[name].to_numpy(dtype=float) for name in shown}


def mean_sd(values: Sequence[float] | np.ndarray) -> tuple[float | None, float | None]:
    """Mean, and the standard deviation where there are two values; those not finite left out."""
    array = np.asarray(values, dtype=np.float64)
    found = array[np.isfinite(array)]
    return (
        float(found.mean()) if len(found) else None,
        float(found.std(ddof=1)) if len(found) > 1 else None,
    )


def spread(values: Sequence[float] | np.ndarray, digits: int | None = None) -> str:
    """Mean, and the standard deviation where there is more than one value.

    Values that are not finite are left out. Without ``digits``: three, and none where the mean
    has three or more before the point.
    """
    mean, sd = mean_sd(values)
    if mean is None:
        return ""
    if digits is None:
        digits = 3 if abs(mean) < 100 else 0
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd is not None else "")


def published(experiment: Experiment) -> pd.DataFrame:
    """What the paper says: a row a method, a column a data set."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for one in experiment.published:
        rows.setdefault((one.way, one.source), {})[one.data] = one.text
    data = list(dict.fromkeys(one.data for one in experiment.published))
    return pd.DataFrame(
        [
            {"method": way, **{name: own.get(name, "") for name in data}, "source": source}
            for (way, source), own in rows.items()
        ]
    )


def page(
    experiment: Experiment,
    data: Sequence[Data],
    frame: pd.DataFrame,
    run: Mapping[str, Any],
    missing: Sequence[str],
) -> Page:
    """``table.md``, ``table.csv``, ``published.csv`` and ``rows.csv``."""
    table, theirs = summary(experiment, frame), published(experiment)
    parts = [
        f"# {experiment.name}",
        f"{experiment.paper}, {experiment.shows}: {experiment.what}.",
        "## Measured here",
        markdown(table),
        "Mean ± standard deviation over the seeds.",
    ]
    if missing:
        parts.append(f"Not run, because their files are not here: {', '.join(missing)}.")
    said = [f"{one.name}: {note}" for one in data for note in one.notes]
    parts.append("\n".join(f"- {note}" for note in [*experiment.notes, *said]))
    if len(theirs):
        parts += [
            "## Published",
            f"{' / '.join(experiment.published[0].figures)}, from the paper, not measured here. "
            "Only numbers on the same file and split compare.",
            markdown(theirs),
            "\n".join(f"- {name}: {note}" for name in experiment.data for note in _told(name)),
        ]
    files = "; ".join(f"{name} {one}" for name, one in run["sha256"].items())
    versions = ", ".join(f"{name} {one}" for name, one in run["versions"].items())
    parts += [
        "## Where the numbers come from",
        f"`cytonym reproduce {experiment.name}`, {_how(data, run)}; {run['machine']}; {versions}.",
        f"SHA-256: {files}.",
    ]
    out = {
        "table.md": "\n\n".join(filter(None, parts)) + "\n",
        "table.csv": table.to_csv(index=False),
        "rows.csv": frame.to_csv(index=False),
    }
    return Page(table, out | ({"published.csv": theirs.to_csv(index=False)} if len(theirs) else {}))


def _how(data: Sequence[Data], run: Mapping[str, Any]) -> str:
    """Data, seeds, and what differs from the experiment as it is declared."""
    words = [
        f"on {one.name} ("
        + ", ".join(f"{kind}: {name}" for kind, name in one.columns.items() if name)
        + ")"
        for one in data
    ]
    words.append(f"seeds {', '.join(map(str, run['seeds']))}")
    words += [f"set {name}={value}" for name, value in run["set"].items()]
    words += [f"only {name}" for name in run["ways"]] + [f"peer {name}" for name in run["peers"]]
    trial = "**A trial, not a result**: " if run["set"] else ""
    return trial + "; ".join(words)


def _told(name: str) -> tuple[str, ...]:
    """What is to be known of a published data set, beside the published table."""
    from cytonym import datasets

    return datasets.get(name).notes


def markdown(frame: pd.DataFrame) -> str:
    """A Markdown table; floats with three digits."""
    rows = [[str(name) for name in frame.columns], ["---"] * frame.shape[1]]
    for values in frame.itertuples(index=False):
        rows.append([f"{one:.3f}" if isinstance(one, float) else str(one) for one in values])
    cells = [[text.replace("|", "¦") for text in row] for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)
