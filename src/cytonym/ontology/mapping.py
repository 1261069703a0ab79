"""Labels of cell types to Cell Ontology terms; what is not sure waits for a person."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from cytonym.errors import DataError, Problem
from cytonym.ontology.index import Index, Short, term_index
from cytonym.ontology.match import Candidate, Match
from cytonym.ontology.review import Accepted, read_review, write_review
from cytonym.ontology.similar import similar
from cytonym.ontology.spelling import (
    LONGEST,
    STATES,
    bag,
    completed,
    halves,
    loose,
    without_markers,
    words,
)
from cytonym.ontology.terms import Terms, cell_ontology

RESERVED = frozenset(
    ("", "unknown", "heterogeneous", "doublet", "doublets", "junk", "low quality", "low-quality")
) | frozenset(
    (
        "unassigned",
        "unlabeled",
        "unlabelled",
        "undetermined",
        "ambiguous",
        "na",
        "n/a",
        "nan",
        "none",
    )
)
"""Labels, in lower case, that name no cell type."""

SCORES: Mapping[str, float] = MappingProxyType(
    {
        "review": 1.0,
        "id": 1.0,
        "name": 1.0,
        "synonym": 0.98,
        "normalised": 0.95,
        "abbreviation": 0.9,
        "context": 0.85,
        "broader": 0.8,
    }
)
"""How a label was matched to how sure that is; these matches are used."""

UNSURE = 0.5
"""The least likeness of a proposal; several terms that fit equally have it too."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """Labels with their Cell Ontology terms.

    Attributes
    ----------
    matches
        One for each different label, in the order in which they came.
    version
        Release of the Cell Ontology.
    """

    matches: tuple[Match, ...]
    version: str

    @property
    def ids(self) -> dict[str, str]:
        """Label to term id; "" without a sure one."""
        return {match.label: match.id for match in self.matches}

    @property
    def open(self) -> tuple[Match, ...]:
        """The labels that wait for a person: unsure, or nothing found."""
        return tuple(match for match in self.matches if match.how in ("unsure", "none"))

    def table(self) -> pd.DataFrame:
        """One row a label: ``label, id, name, how, score``."""
        names = ["label", "id", "name", "how", "score"]
        rows = [[getattr(match, name) for name in names] for match in self.matches]
        return pd.DataFrame(rows, columns=pd.Index(names))

    def write_review(self, path: str | Path) -> None:
        """Write the review file, open labels first, for a person to fill ``accepted_id``."""
        write_review(self.matches, Path(path))

    def __str__(self) -> str:
        sure = sum(match.sure for match in self.matches)
        return (
            f"{sure} of {len(self.matches)} labels have a Cell Ontology term ({self.version}), "
            f"{len(self.open)} are open"
        )


def map_labels(names: Iterable[object], *, review: str | Path | None = None) -> LabelMap:
    """Find the Cell Ontology term of each label, without a network.

    Parameters
    ----------
    names
        Labels, of cells or of types: each different one is mapped once. None, NaN and NA are no
        labels and left out; numbers are taken as text.
    review
        A review file that :meth:`LabelMap.write_review` wrote and a person filled. For a label
        in it ``accepted_id`` alone counts: a term id, ``none`` (there is no term), or empty (not
        decided yet).

    Returns
    -------
    LabelMap
        Only sure matches have a term. A short name with several meanings, such as HSC, is settled
        by the other labels or left open.

    Raises
    ------
    CytonymError
        The extra ``[onto]`` is not installed.
    DataError
        No labels; or all that is wrong with the review file.
    """
    labels = _labels(names)
    terms, index = cell_ontology(), term_index()
    accepted = {} if review is None else read_review(Path(review), labels, terms)
    found = [_by_rules(label, index, terms) for label in labels]
    found = [match if match.sure else _in_context(match, found, index, terms) for match in found]
    asked = [m.label for m in found if m.how == "none" and not _is_nothing(m.label)]
    proposals = dict(zip(asked, similar(asked), strict=True))
    matches = (_proposed(match, proposals.get(match.label, []), terms) for match in found)
    return LabelMap(
        tuple(_reviewed(m, accepted.get(m.label), terms) for m in matches), terms.version
    )


def _labels(names: Iterable[object]) -> list[str]:
    """Different labels as text, in their order."""
    if isinstance(names, str):
        names = [names]
    labels = [*dict.fromkeys(str(one) for one in pd.Series([*names], dtype=object).dropna())]
    if not labels:
        problem = Problem("there is no label", "name a column of obs that holds cell types")
        raise DataError(problem, subject="the labels")
    return labels


# --- rules -------------------------------------------------------------------------------------


def _by_rules(label: str, index: Index, terms: Terms) -> Match:
    """The match of a label for itself, without the others."""
    text = " ".join(label.split())
    if text.lower() in RESERVED:
        return Match(label, "", "", "reserved", 0.0)
    if re.fullmatch(r"CL[:_]\d{7}", text, re.IGNORECASE):
        return _by_id(label, text.upper().replace("_", ":"), terms)
    if len(text) > LONGEST:
        return Match(label, "", "", "none", 0.0)
    if ids := index.names.get(text.casefold()):
        return _matched(label, ids, "name", terms)
    own = words(text)
    if short := index.short.get(bag(completed(own))):
        return _matched(label, {one.id for one in short}, _always(short), terms)
    if ids := index.synonyms.get(text.casefold()):
        return _matched(label, ids, "synonym", terms)
    if ids := index.acronyms.get(text.casefold()):
        return _matched(label, ids, "unsure", terms)
    if mixed := _mixture(text, index):
        return _matched(label, mixed, "unsure", terms)
    how, ids = _by_words(own, index)
    return _matched(label, ids, how, terms)


def _by_id(label: str, term: str, terms: Terms) -> Match:
    if term in terms.names:
        return _matched(label, {term}, "id", terms)
    new = terms.obsolete.get(term, "")
    return _matched(label, {new} if new in terms.names else (), "unsure", terms)


def _always(short: tuple[Short, ...]) -> str:
    return "abbreviation" if len(short) == 1 and not short[0].where else "unsure"


def _mixture(text: str, index: Index) -> set[str]:
    """The terms of a label that names several types, as "T/NK" does."""
    parts = [_direct(words(part), index) for part in halves(text)]
    if len(parts) > 1 and all(len(ids) == 1 for ids in parts):
        found = set().union(*parts)
        return found if len(found) > 1 else set()
    return set()


def _direct(own: tuple[str, ...], index: Index) -> frozenset[str]:
    """The terms that have exactly these words, or these but for "alpha-beta" and the like."""
    whole = completed(own)
    key = bag(whole)
    if short := index.short.get(key):
        known = frozenset(one.id for one in short)
        return known if _always(short) == "abbreviation" else frozenset()
    if not key or (len(key) == 1 and len(key[0]) == 1):  # a letter alone is no name
        return frozenset()
    return index.bags.get(key) or index.loose.get(loose(whole)) or frozenset()


def _by_words(own: tuple[str, ...], index: Index) -> tuple[str, Iterable[str]]:
    """How, and the terms; one for a sure match."""
    how = "normalised" if completed(own) == own else "abbreviation"
    bases = [own]
    if {"cd4+", "cd8+"} & {*own} and "t" not in own:  # a CD4 or CD8 of nothing else is a T cell
        bases.append((*own, "t"))
    for base in bases:
        if ids := _direct(base, index):
            return how if base is own else "abbreviation", ids
    trimmed = [_trimmed(one) for one in bases]
    steps = [[bag(one) for one in trimmed]]
    for fewer in zip(*(without_markers(bag(one)) for one in trimmed), strict=False):
        steps.append([left for part in fewer for left in part])
    for step in steps:
        if ids := frozenset().union(*(_direct(left, index) for left in step)):
            return "broader", ids
    return "none", ()


def _trimmed(own: tuple[str, ...]) -> tuple[str, ...]:
    """Without words of state, and the number that clusters of one type are told apart by."""
    kept = [word for word in own if word not in STATES]
    numbered = len(kept) > 1 and (kept[-1].isdigit() or (kept[-1] == "t" and kept[-2].isdigit()))
    if numbered:
        del kept[-1 if kept[-1].isdigit() else -2]
    return tuple(kept)


def _matched(label: str, ids: Iterable[str], how: str, terms: Terms) -> Match:
    """One term is a match, or the one above all others; several are candidates."""
    found = sorted(ids, key=lambda one: (terms.depth[one], one))
    if how in SCORES and all(terms.above(found[0], one) for one in found[1:]):
        found = found[:1]
    sure = len(found) == 1 and how in SCORES
    score = SCORES[how] if sure else UNSURE
    near = tuple(Candidate(one, terms.names[one], score) for one in found)
    if not found:
        return Match(label, "", "", "none", 0.0)
    if not sure:
        return Match(label, "", "", "unsure", UNSURE, near)
    return Match(label, near[0].id, near[0].name, how, score, near)


# --- what the other labels say -----------------------------------------------------------------


def _in_context(match: Match, every: list[Match], index: Index, terms: Terms) -> Match:
    """A short name with several meanings, if exactly one of them fits the other labels."""
    short = index.short.get(bag(completed(words(match.label))), ())
    others = [one for one in every if one is not match]
    fits = {one.id for one in short if _fits(one.where, others, terms)}
    if match.how != "unsure" or len(fits) != 1:
        return match
    return _matched(match.label, fits, "context", terms)


def _fits(where: str, others: list[Match], terms: Terms) -> bool:
    for wanted in where.split("|"):
        if wanted[:3] == "CL:":
            near = (one.id for one in others if one.sure)
            if any(term == wanted or terms.above(wanted, term) for term in near):
                return True
        elif wanted and any(words(one.label) == words(wanted) for one in others):
            return True
    return False


# --- proposals and decisions -------------------------------------------------------------------


def _is_nothing(label: str) -> bool:
    """Numbers of clusters, and what is too long: nothing is proposed for these."""
    return len(label) > LONGEST or re.fullmatch(r"\W*[a-zA-Z]?\W?[\d.]*\W*", label) is not None


def _proposed(match: Match, near: list[tuple[str, float]], terms: Terms) -> Match:
    """What looks like the label, if nothing was found."""
    if match.how != "none" or not near:
        return match
    found = tuple(Candidate(i, terms.names[i], score) for i, score in near if score >= UNSURE / 2)
    if not found or found[0].score < UNSURE:
        return replace(match, candidates=found)
    return replace(match, how="unsure", score=found[0].score, candidates=found)


def _reviewed(match: Match, accepted: Accepted | None, terms: Terms) -> Match:
    """What a person decided takes the place of what the rules found."""
    if accepted is None:
        return match
    if accepted.id:
        near = (Candidate(accepted.id, terms.names[accepted.id], 1.0),)
        return Match(match.label, accepted.id, near[0].name, "review", 1.0, near)
    if accepted.decided:
        return Match(match.label, "", "", "review", 1.0)
    if match.how == "reserved":
        return match
    how = "unsure" if match.candidates else "none"
    return replace(match, id="", name="", how=how, score=min(match.score, UNSURE))
