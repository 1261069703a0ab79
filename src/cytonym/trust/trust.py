"""All that a model knows of its own answers: temperature, prediction sets, and when to say Unknown.

Learned on cells of the reference that were held out, and kept with the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from pydantic import BaseModel, PositiveFloat

from cytonym.evaluate.reliability import calibration_error
from cytonym.trust.calibrate import temperature, tempered
from cytonym.trust.conformal import Conformal, lots
from cytonym.trust.doublets import Doublets
from cytonym.trust.quality import Quality
from cytonym.trust.reference import Reference, under
from cytonym.trust.said import Said
from cytonym.trust.unknown import Rejector

LEAST = 50
"""Held-out cells without which nothing is said, and that a pattern of modalities needs."""

DOUBLETS = 0.2
"""Of the known cells that may be lost, the share that may be taken for doublets."""


@dataclass(frozen=True, slots=True, eq=False)
class Temperatures:
    """By pattern of modalities; ``""`` is that of all held-out cells."""

    by: Mapping[str, float]

    @classmethod
    def fit(cls, said: Said, y: np.ndarray) -> Self:
        """From cells that the network did not see, of types ``y``."""
        found = {"": temperature(said.scores, y)}
        for one in np.unique(said.pattern):
            mine = said.pattern == one
            if LEAST <= mine.sum() < len(y):
                found[str(one)] = temperature(said.scores[mine], y[mine])
        return cls(found)

    def cool(self, said: Said) -> Said:
        """The same with tempered scores."""
        kinds, place = np.unique(said.pattern, return_inverse=True)
        t = np.array([self.by.get(str(one), self.by[""]) for one in kinds])[place]
        return replace(said, scores=said.scores / t[:, None].astype(np.float32))


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What was said of the cells that the network did not see.

    Attributes
    ----------
    lot
        ``(cells,)`` in [0, 1), made of their names (:func:`cytonym.trust.conformal.lots`), which
        are not kept.
    probabilities
        ``(cells, types)`` float32, calibrated.
    y
        ``(cells,)`` int, their types.
    """

    lot: np.ndarray
    probabilities: np.ndarray
    y: np.ndarray

    def state(self) -> dict[str, np.ndarray]:
        """Its arrays."""
        return {"lot": self.lot, "probabilities": self.probabilities, "y": self.y}

    def sets(self, probabilities: np.ndarray, lot: np.ndarray, coverage: float) -> np.ndarray:
        """``(cells, types)`` bool prediction sets of other cells, which may be empty."""
        return Conformal.fit(self.probabilities, self.y, self.lot).sets(
            probabilities, lot, coverage
        )


class Tested(BaseModel):
    """On how many held-out cells, and their calibration error without and with temperatures."""

    n: int
    ece_before: float
    ece_after: float


class TrustFacts(BaseModel):
    """What the manifest says of it (:meth:`Trust.to_dict`)."""

    temperatures: dict[str, PositiveFloat]
    least: dict[str, int]
    patterns: dict[str, int]
    facts: Tested
    moved: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """How a model's scores are read.

    Attributes
    ----------
    temperatures, held, rejector, quality
        See there.
    doublets
        None where values are not counts, or too few doublets could be made.
    patterns
        By pattern of modalities, the held-out cells that have it.
    facts
        ``n`` held-out cells; ``ece_before`` and ``ece_after`` the temperature, on the same cells.
    moved
        The method names cells that differ from the reference as a whole (another platform): what
        is strange among them is judged by their own majority.
    """

    temperatures: Temperatures
    held: Held
    rejector: Rejector
    quality: Quality
    doublets: Doublets | None
    patterns: Mapping[str, int]
    facts: Mapping[str, Any]
    moved: bool = False

    @classmethod
    def learn(
        cls,
        said: Said,
        y: np.ndarray,
        reference: Reference,
        quality: Quality,
        doublets: tuple[Said, Said, Said] | None,
        *,
        moved: bool = False,
    ) -> Self:
        """From held-out cells of types ``y``.

        ``doublets``: what the network said of single cells that it learned from, of doublets of
        them, and of doublets of the held-out cells.
        """
        temperatures = Temperatures.fit(said, y)
        cool, right = temperatures.cool(said), said.scores.argmax(1) == y
        facts: dict[str, Any] = {"n": len(y)}
        for when, one in (("before", said), ("after", cool)):
            sure = tempered(one.scores, 1.0).max(1)
            facts[f"ece_{when}"] = round(calibration_error(right, sure), 4)
        own = Held(lots(said.cells), tempered(cool.scores, 1.0).astype(np.float32), y)
        rejector = Rejector.fit(cool, reference)
        two = None
        if doublets is not None:
            single, made, held = (temperatures.cool(one) for one in doublets)
            two = Doublets.fit(single, made, cool, held)
        names, sizes = np.unique(said.pattern, return_counts=True)
        many = dict(zip(map(str, names), map(int, sizes), strict=True))
        return cls(temperatures, own, rejector, quality, two, many, facts, moved)

    def on(self, reference: Reference, single: Said | None, made: Said | None) -> Self:
        """The same for another network, that learned from the cells ``reference``."""
        two = None
        if self.doublets is not None and single is not None and made is not None:
            two = self.doublets.on(self.temperatures.cool(single), self.temperatures.cool(made))
        return replace(self, rejector=replace(self.rejector, reference=reference), doublets=two)

    def by_pattern(self) -> dict[str, float]:
        """The temperatures, by pattern of modalities; ``all`` is that of all held-out cells."""
        return {name or "all": one for name, one in self.temperatures.by.items()}

    @property
    def axes(self) -> Mapping[str, Any]:
        """By modality, the directions along which :attr:`Said.inputs` are wanted."""
        return self.rejector.reference.axes

    def probabilities(self, said: Said) -> np.ndarray:
        """``(cells, types)`` float32, calibrated."""
        return tempered(self.temperatures.cool(said).scores, 1.0).astype(np.float32)

    def sets(self, said: Said, coverage: float) -> np.ndarray:
        """``(cells, types)`` bool prediction sets, which may be empty."""
        return self.held.sets(self.probabilities(said), lots(said.cells), coverage)

    def strange(self, said: Said) -> np.ndarray:
        """``(cells,)`` float32: the higher, the less a cell looks like a known type."""
        cool = self.temperatures.cool(said)
        found = np.full(len(said), -np.inf, dtype=np.float32)
        for pattern in np.unique(said.pattern[self.tried(said)]):
            mine = np.flatnonzero(said.pattern == pattern)
            if len(mine) >= LEAST or not self.moved:
                found[mine] = self.rejector.score(cool.of(mine), moved=self.moved)
        return found

    def tried(self, said: Said) -> np.ndarray:
        """``(cells,)`` bool: enough cells with the same modalities were held out; others are not
        rejected, for nothing says how strange they may be.
        """
        return np.isin(said.pattern, [name for name, n in self.patterns.items() if n >= LEAST])

    def doubled(self, said: Said) -> np.ndarray:
        """``(cells,)`` float32: log odds that a droplet holds two cells of different types."""
        if self.doublets is None:
            return np.full(len(said), -np.inf, dtype=np.float32)
        found = self.doublets.score(self.temperatures.cool(said)).astype(np.float32)
        return np.where(self.tried(said), found, -np.inf).astype(np.float32)

    def junk(self, said: Said) -> np.ndarray:
        """``(cells,)`` bool: too little is seen of the cell for a name."""
        return self.quality.junk(said)

    def limits(self, reject: float) -> tuple[float, float]:
        """Above which :meth:`strange` and :meth:`doubled` a cell is rejected, so that about
        ``reject`` of the known cells are lost; infinite: none.
        """
        if not reject:
            return np.inf, np.inf
        two = np.inf if self.doublets is None else self.doublets.threshold(DOUBLETS * reject)
        return self.rejector.threshold(reject * (1 - DOUBLETS * np.isfinite(two))), two

    def state(self) -> dict[str, np.ndarray]:
        """Arrays for the model folder."""
        parts = {"held": self.held.state(), "rejector": self.rejector.state()}
        if self.doublets is not None:
            parts["doublets"] = self.doublets.state()
        return {f"{box}/{name}": one for box, held in parts.items() for name, one in held.items()}

    @classmethod
    def restore(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Back from ``state()`` and ``to_dict()``."""
        told, two = TrustFacts.model_validate(facts), dict(under("doublets/", arrays))
        return cls(
            Temperatures(told.temperatures),
            Held(**dict(under("held/", arrays))),
            Rejector.restore(dict(under("rejector/", arrays))),
            Quality(told.least),
            Doublets.restore(two) if two else None,
            told.patterns,
            told.facts.model_dump(),
            told.moved,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {
            "temperatures": dict(self.temperatures.by),
            "least": dict(self.quality.least),
            "patterns": dict(self.patterns),
            "facts": dict(self.facts),
            "moved": self.moved,
        }
