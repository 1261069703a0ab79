"""The review file: labels and proposed terms, which a person accepts, corrects or leaves open."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cytonym.disk.files import replacing
from cytonym.errors import DataError, Problem, suggest
from cytonym.ontology.terms import Terms

if TYPE_CHECKING:
    from cytonym.ontology.match import Match

COLUMNS = (
    "label",
    "proposed_id",
    "proposed_name",
    "score",
    "how",
    "other_candidates",
    "accepted_id",
)
"""Of these ``label`` and ``accepted_id`` are read again."""

NO_TERM = "none"
"""In ``accepted_id``: a person looked, and there is no term."""

LARGEST = 20_000_000
"""Bytes; a review file has a line for each label."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a person decided on one label; without an id: no term, or not decided."""

    id: str
    decided: bool


def write_review(matches: Iterable[Match], path: Path) -> None:
    """Write the file: open labels first, sure ones with their term in ``accepted_id``.

    UTF-8, tab-separated; a label with a tab, a line break or a quote stands in quotes.
    """
    rows = sorted(matches, key=lambda match: match.how not in ("unsure", "none"))
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
        table = csv.writer(stream, delimiter="\t", lineterminator="\n")
        table.writerow(COLUMNS)
        for match in rows:
            best = match.candidates[0] if match.candidates else None
            others = "; ".join(
                f"{one.id} {one.name} ({one.score:.2f})" for one in match.candidates[1:]
            )
            proposed = (best.id, best.name) if best else ("", "")
            settled = NO_TERM if match.how == "reserved" or _refused(match) else match.id
            table.writerow(
                [match.label, *proposed, f"{match.score:.2f}", match.how, others, settled]
            )


def _refused(match: Match) -> bool:
    return match.how == "review" and not match.id


def read_review(path: Path, labels: Sequence[str], terms: Terms) -> dict[str, Accepted]:
    """What a person decided, by label.

    Parameters
    ----------
    path
        A file as :func:`write_review` writes it; UTF-8, or UTF-16 as a spreadsheet saves it.
        Other columns than ``label`` and ``accepted_id`` are not looked at.
    labels
        The labels of the data; the file may lack some of them.
    terms
        The Cell Ontology.

    Raises
    ------
    DataError
        With everything that is wrong: no such file, another encoding, columns or fields that
        lack, labels that are repeated or not in the data, ids that are unknown or obsolete.
    """
    rows = _rows(_text(path), path.name)
    problems, found, first = [], {}, {}
    known = {label: label for label in labels} | {_plain(label): label for label in labels}
    for number, row in rows:
        if (reason := row.get("")) is not None:
            problems.append(Problem(f"line {number} {reason}", "give each line all its columns"))
            continue
        label = known.get(row["label"], known.get(_plain(row["label"])))
        if label is None:
            near = suggest(_cut(row["label"]), [_cut(one) for one in labels[:50]])
            what = f"line {number}: the label {_cut(row['label'])!r} is not in the data"
            problems.append(Problem(what, f"remove the line or correct the label. {near}"))
        elif label in first:
            what = f"line {number}: the label {_cut(label)!r} stands in line {first[label]} already"
            problems.append(Problem(what, "keep one of the two lines"))
        else:
            first[label] = number
        wrong = _wrong_id(row["accepted_id"], number, terms)
        problems += [wrong] if wrong else []
        if label is not None and not wrong:
            found.setdefault(label, _accepted(row["accepted_id"]))
    if problems:
        raise DataError(problems, subject=path.name)
    return found


def _text(path: Path) -> str:
    """The file as text; the mark at its beginning says whether it is UTF-16."""

    def refuse(what: str, remedy: str) -> DataError:
        return DataError(Problem(what, remedy), subject=path.name)

    if not path.is_file():
        raise refuse(f"there is no file {path}", "write it first: cytonym ontology FILE --out TSV")
    if path.stat().st_size > LARGEST:
        raise refuse(f"it has {path.stat().st_size:,} bytes", "give the review file, not the data")
    raw = path.read_bytes()
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = raw.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte {error.start:,} of {len(raw):,} is not {'UTF-16' if wide else 'UTF-8'}"
        raise refuse(what, "save it as text with tabs, encoding UTF-8") from error
    if not text.strip():
        raise refuse("it is empty", "write it again: cytonym ontology FILE --out TSV")
    return text


def _rows(text: str, name: str) -> list[tuple[int, dict[str, str]]]:
    """Line number and fields of each row that is not empty; under "" what is wrong with it."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    try:
        heads = [head.strip().lower().replace(" ", "_") for head in next(reader)]
        lacking = [column for column in ("label", "accepted_id") if column not in heads]
        if lacking:
            what = f"the first line has no column {' and '.join(lacking)}: {_cut(', '.join(heads))}"
            remedy = "keep the first line as it was written; columns are separated by tabs"
            raise DataError(Problem(what, remedy), subject=name)
        before = reader.line_num
        for fields in reader:
            number, before = before + 1, reader.line_num
            if not any(field.strip() for field in fields):
                continue
            row = dict(zip(heads, fields, strict=False))
            if "label" not in row or "accepted_id" not in row:
                row[""] = f"has {len(fields)} of {len(heads)} columns"
            rows.append((number, row))
    except csv.Error as error:
        what = f"line {reader.line_num} cannot be read ({error})"
        remedy = "the file may be cut off, or a quote is not closed: write it again"
        raise DataError(Problem(what, remedy), subject=name) from error
    return rows


def _wrong_id(text: str, number: int, terms: Terms) -> Problem | None:
    term = _id(text)
    if not term or term == NO_TERM or term in terms.names:
        return None
    if term not in terms.obsolete:
        what = f"line {number}: {_cut(text)!r} is no term of the Cell Ontology {terms.version}"
        remedy = f"give an id such as CL:0000084, {NO_TERM!r} for no term, or nothing"
        return Problem(what, remedy)
    new = terms.obsolete[term]
    remedy = f"use {new} ({terms.names[new]})" if new in terms.names else "look for another term"
    return Problem(f"line {number}: {term} is obsolete", remedy)


def _accepted(text: str) -> Accepted:
    term = _id(text)
    return Accepted("" if term == NO_TERM else term, decided=bool(term))


def _id(text: str) -> str:
    """An id as it was meant: without spaces, with a colon."""
    text = text.strip()
    return NO_TERM if text.lower() in (NO_TERM, "-") else text.upper().replace("CL_", "CL:")


def _plain(label: str) -> str:
    """A label as a spreadsheet may have changed it: other line breaks and spaces."""
    return " ".join(label.split())


def _cut(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[:length]}..."
