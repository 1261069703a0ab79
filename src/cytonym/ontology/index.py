"""What labels are looked up in: names, synonyms and short names of terms, by their words."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from cytonym.ontology.spelling import Bag, bag, completed, loose, words
from cytonym.ontology.terms import Terms, cell_ontology

ACRONYM = 5
"""A synonym of so many characters or fewer, with a capital or a digit, is not trusted: VIP is an
interneuron of the striatum and LP a motor neuron of the crab, DC2 once was what pDC is now.
Those in common use are in the table of short names.
"""


@dataclass(frozen=True, slots=True)
class Short:
    """One row of the table of short names.

    ``where`` says when it holds: "" always, "?" never surely, else with one of these, separated
    by "|", among the other labels: a term or one below it, or a word.
    """

    id: str
    where: str


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """All ways to a term; a way that leads to several terms is not sure.

    Attributes
    ----------
    names, synonyms
        Text in lower case to ids; of the synonyms those that are no acronym.
    acronyms
        Text in lower case to ids.
    bags
        The words of names, and of synonyms where no name has these words.
    loose
        The words without those that a name may have or not.
    short
        Words to rows of the table of short names.
    """

    names: Mapping[str, frozenset[str]]
    synonyms: Mapping[str, frozenset[str]]
    acronyms: Mapping[str, frozenset[str]]
    bags: Mapping[Bag, frozenset[str]]
    loose: Mapping[Bag, frozenset[str]]
    short: Mapping[Bag, tuple[Short, ...]]


@lru_cache(maxsize=1)
def term_index() -> Index:
    """The index of the installed Cell Ontology."""
    terms = cell_ontology()
    named = [(name, i) for i, name in terms.names.items()]
    also = [(word, i) for i, own in terms.synonyms.items() for word in own]
    trusted = [(word, i) for word, i in also if not _is_acronym(word)]
    bags = _grouped((bag(completed(words(name))), i) for name, i in named)
    more = _grouped((bag(completed(words(word))), i) for word, i in trusted)
    return Index(
        names=_grouped((name.casefold(), i) for name, i in named),
        synonyms=_grouped((word.casefold(), i) for word, i in trusted),
        acronyms=_grouped((word.casefold(), i) for word, i in also if _is_acronym(word)),
        bags={**more, **bags},
        loose=_grouped((loose(completed(words(word))), i) for word, i in [*named, *trusted]),
        short=_short_names(terms),
    )


def short_rows() -> list[dict[str, str]]:
    """The table ``abbreviations.tsv`` as it stands: short, id, name, where."""
    text = files("cytonym.ontology").joinpath("abbreviations.tsv").read_text(encoding="utf-8")
    return [*csv.DictReader(text.splitlines(), delimiter="\t")]


def _short_names(terms: Terms) -> dict[Bag, tuple[Short, ...]]:
    """The rows whose term is in use, or has a replacement that is."""
    found: dict[Bag, list[Short]] = defaultdict(list)
    for row in short_rows():
        term = terms.obsolete.get(row["id"], row["id"])
        if term in terms.names:
            one = Short(term, row["where"])
            rows = found[bag(completed(words(row["short"])))]
            rows += [] if one in rows else [one]
    return {key: tuple(rows) for key, rows in found.items()}


def _is_acronym(word: str) -> bool:
    return len(word) <= ACRONYM and " " not in word and word != word.lower().strip("0123456789")


def _grouped(pairs: Iterable[tuple[Any, str]]) -> dict[Any, frozenset[str]]:
    found: dict[Any, set[str]] = defaultdict(set)
    for key, term in pairs:
        if key:
            found[key].add(term)
    return {key: frozenset(ids) for key, ids in found.items()}
