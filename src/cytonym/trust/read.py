"""From what a network said to what a user reads: names, how sure, sets of names, and Unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from scipy.special import softmax

from cytonym.errors import OptionError
from cytonym.reserved import DOUBLETS, JUNK, REJECTED, UNKNOWN
from cytonym.trust.said import Said
from cytonym.trust.tally import Tally

SHIFT = 3.0
"""How many times more cells than asked for may be Unknown before the user is told of a shift."""

UNTRIED = (
    "nothing was learned of the model's own answers (fewer than 50 labelled cells were held out, "
    "or the fit was cut short): probabilities are not calibrated, there are no prediction sets, "
    "and no cell is called Unknown"
)


class Reads(Protocol):
    """What reads the scores of one model (:class:`cytonym.trust.trust.Trust`), or of several
    (:class:`cytonym.trust.jury.Jury`).
    """

    @property
    def facts(self) -> Mapping[str, Any]:
        """How well that went on held-out cells."""
        ...

    @property
    def moved(self) -> bool:
        """Whether a cell is judged by the majority of the others: parts are not the whole."""
        ...

    def by_pattern(self) -> dict[str, float]:
        """Temperatures."""
        ...

    def probabilities(self, said: Any) -> np.ndarray:
        """``(cells, types)`` float32, calibrated."""
        ...

    def sets(self, said: Any, coverage: float) -> np.ndarray:
        """``(cells, types)`` bool."""
        ...

    def limits(self, reject: float) -> tuple[float, float]:
        """Above which of the next two a cell is rejected."""
        ...

    def strange(self, said: Any) -> np.ndarray:
        """``(cells,)`` float32, higher for stranger cells."""
        ...

    def doubled(self, said: Any) -> np.ndarray:
        """``(cells,)`` float32, higher for likelier doublets."""
        ...

    def tried(self, said: Any) -> np.ndarray:
        """``(cells,)`` bool: held-out cells were like them."""
        ...

    def junk(self, said: Any) -> np.ndarray:
        """``(cells,)`` bool."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What is read of some cells.

    Attributes
    ----------
    labels
        ``(cells,)`` object, of str: the most probable type, or one that is
        ``REJECTED`` (:mod:`cytonym.reserved`).
    confidence
        ``(cells,)`` float32: the probability of the most probable type, calibrated.
    probabilities
        ``(cells, types)`` float32.
    sets
        ``(cells,)`` object, of tuples of types, the most probable first; None without trust.
    strange
        ``(cells,)`` float32, above 0: rejected; None without trust.
    tally
        How many cells a user should be told of (:func:`told`).
    """

    labels: np.ndarray
    confidence: np.ndarray
    probabilities: np.ndarray
    sets: np.ndarray | None = None
    strange: np.ndarray | None = None
    tally: Tally = field(default_factory=Tally)


def read(
    said: Any, names: Sequence[str], trust: Reads | None, *, coverage: float, reject: float
) -> Answer:
    """Name the cells, of which ``said`` is what ``trust`` reads.

    Raises
    ------
    OptionError
        ``coverage`` or ``reject`` is no such share.
    """
    check_shares(coverage, reject)
    known = np.array([*names], dtype=object)
    if trust is None:
        assert isinstance(said, Said)
        chance = softmax(said.scores, axis=1)
        return Answer(known[chance.argmax(1)], chance.max(1), chance, tally=Tally(len(chance)))
    chance = trust.probabilities(said)
    within = trust.sets(said, coverage)
    labels, strange, few = known[chance.argmax(1)], None, 0
    tried = trust.tried(said)
    if reject:
        limit, doubled = trust.limits(reject)
        strange = trust.strange(said) - np.float32(limit)
        few = int((tried & np.isneginf(strange)).sum()) * bool(np.isfinite(limit))
        labels = np.where(strange > 0, UNKNOWN, labels)
        labels = np.where(trust.doubled(said) > doubled, DOUBLETS, labels)
        labels = np.where(trust.junk(said), JUNK, labels)
    tally = Tally(len(labels), int((~tried).sum()), few, int((labels == UNKNOWN).sum()))
    sets = listed(chance, within, known)
    return Answer(labels, chance.max(1), chance, sets, strange, tally)


def asked(trust: Reads | None, *, coverage: float, reject: float) -> dict[str, Any]:
    """What identifies a reading, for ``uns``."""
    if trust is None:
        return {}
    return {
        "calibration": {**trust.facts, "temperatures": trust.by_pattern()},
        "asked": {"coverage": coverage, "reject": reject},
    }


def told(
    tally: Tally, names: Sequence[str], trust: Reads | None, *, coverage: float, reject: float
) -> tuple[str, ...]:
    """What a user should know of the answers for the cells of ``tally``."""
    if trust is None:
        return (UNTRIED,)
    notes: list[str] = []
    if mixed_up := [name for name in names if name in REJECTED]:
        notes.append(
            f"types of the model are called {' and '.join(mixed_up)}, as rejected cells are: "
            "rename them in the reference"
        )
    if tally.untried:
        notes.append(
            f"{tally.untried:,} cells have other modalities than those held out: none "
            "of them is called Unknown, and their probabilities and sets were not tested"
        )
    if reject and np.isinf(trust.limits(reject)[0]):
        notes.append(
            f"no cell is called Unknown: {trust.facts['n']:,} held-out cells are too few to "
            f"lose {reject:.1%} of them"
        )
    if tally.few:
        notes.append(
            f"{tally.few:,} cells are too few to be judged by their own majority: none of them is "
            "called Unknown"
        )
    share = tally.unknown / max(tally.cells, 1)
    notes += [_shifted(share, reject, coverage)] * (0 < SHIFT * reject < share)
    return tuple(notes)


def check_shares(coverage: float, reject: float) -> None:
    """An OptionError, where one of both is no such share."""
    if not 0 < coverage < 1:
        raise OptionError(f"coverage is a share between 0 and 1; it is {coverage}.")
    if not 0 <= reject < 1:
        raise OptionError(f"reject is a share from 0 to below 1; it is {reject}.")


def listed(chance: np.ndarray, within: np.ndarray, names: np.ndarray) -> np.ndarray:
    """``(cells,)`` object, of tuples of str: the types of each set, the most probable first.

    A set that would be empty holds the most probable type.
    """
    order = np.argsort(-chance, axis=1, kind="stable")
    inside = np.take_along_axis(within, order, axis=1)
    inside[:, 0] |= ~inside.any(axis=1)
    ranked = np.where(inside, order, -1).astype(np.int32)
    kinds, place = np.unique(ranked, axis=0, return_inverse=True)
    known = np.empty(len(kinds), dtype=object)
    known[:] = [tuple(names[one[one >= 0]]) for one in kinds]
    return known[np.ravel(place)]


def _shifted(share: float, reject: float, coverage: float) -> str:
    return (
        f"{share:.0%} of the cells are Unknown, where {reject:.0%} of cells like the reference's "
        "would be: there are types that the reference lacks, or these cells differ from it as a "
        f"whole; in the latter case probabilities are too high, and sets hold the type less often "
        f"than {coverage:.0%}"
    )
