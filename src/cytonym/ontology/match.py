"""A label with the term that fits it, or those that could."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A term that a label could mean."""

    id: str
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Match:
    """What was found for one label.

    Attributes
    ----------
    label
        As it was given.
    id, name
        The term; both "" unless the match is sure.
    how
        ``id`` (the label is a term id), ``name``, ``synonym``, ``normalised`` (other case, order,
        plural or sign), ``abbreviation`` (a short name in common use, or a completed word),
        ``context`` (a short name with several meanings, one of which fits the other labels),
        ``broader`` (a marker, a number or a state was left out), ``review`` (a person said so),
        ``unsure``, ``reserved`` (no cell type, such as Unknown), ``none``.
    score
        In [0, 1].
    candidates
        Terms that it could be, the best first; for sure matches the term itself.
    """

    label: str
    id: str
    name: str
    how: str
    score: float
    candidates: tuple[Candidate, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether the term is used."""
        return self.id != ""
