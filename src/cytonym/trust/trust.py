"""All that a model knows of its own answers: temperature, prediction sets, and when to say Unknown.

Learned on cells of the reference that were held out, and kept with the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from cytonym.trust.calibrate import calibration_error, temperature, tempered
from cytonym.trust.conformal import Conformal, lots
from cytonym.trust.unknown import Near, Rejector

UNKNOWN = "Unknown"

LEAST = 50
"""Held-out cells without which nothing is said, and that a pattern of modalities needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What a network said of some cells.

    Attributes
    ----------
    cells
        ``(cells,)`` str names.
    scores, z
        ``(cells, types)`` logits and ``(cells, dim)`` embedding, float32.
    pattern
        ``(cells,)`` str, the modalities that each cell has, joined by ``+``.
    """

    cells: np.ndarray
    scores: np.ndarray
    z: np.ndarray
    pattern: np.ndarray

    def __len__(self) -> int:
        return len(self.cells)


@dataclass(frozen=True, slots=True, eq=False)
class Trust:
    """How a model's scores are read.

    Attributes
    ----------
    temperatures
        By pattern of modalities; ``""`` is that of all held-out cells.
    conformal, rejector
        See there.
    facts
        ``n`` held-out cells; ``ece_before`` and ``ece_after`` the temperature, on the same cells.
    """

    temperatures: Mapping[str, float]
    conformal: Conformal
    rejector: Rejector
    facts: Mapping[str, Any]

    @classmethod
    def learn(cls, said: Said, y: np.ndarray, near: Near) -> Self:
        """From held-out cells of types ``y``, and the cells that the same network learned from."""
        temperatures = {"": temperature(said.scores, y)}
        for one in np.unique(said.pattern):
            mine = said.pattern == one
            if LEAST <= mine.sum() < len(y):
                temperatures[str(one)] = temperature(said.scores[mine], y[mine])
        t = _by_cell(temperatures, said.pattern)
        sure, right = {}, said.scores.argmax(1) == y
        for when, each in (("before", np.ones(len(y))), ("after", t)):
            sure[when] = tempered(said.scores, each).max(1)
        facts = {"n": len(y)} | {
            f"ece_{when}": round(calibration_error(one, right), 4) for when, one in sure.items()
        }
        conformal = Conformal.fit(tempered(said.scores, t), y, lots(said.cells))
        rejector = Rejector.fit(said.scores / t[:, None], said.z, y, near)
        return cls(temperatures, conformal, rejector, facts)

    def on(self, near: Near) -> Self:
        """The same for another network, that learned from the cells ``near``."""
        return replace(self, rejector=replace(self.rejector, near=near))

    def probabilities(self, said: Said) -> np.ndarray:
        """``(cells, types)`` float32, calibrated."""
        t = _by_cell(self.temperatures, said.pattern)
        return tempered(said.scores, t).astype(np.float32)

    def sets(self, said: Said, coverage: float) -> np.ndarray:
        """``(cells, types)`` bool prediction sets, which may be empty."""
        return self.conformal.sets(self.probabilities(said), lots(said.cells), coverage)

    def strange(self, said: Said) -> np.ndarray:
        """``(cells,)`` float32: the higher, the less a cell looks like a known type."""
        t = _by_cell(self.temperatures, said.pattern)
        return self.rejector.score(said.scores / t[:, None], said.z).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays for the model folder."""
        parts = {"conformal": self.conformal.state(), "rejector": self.rejector.state()}
        return {f"{box}/{name}": one for box, held in parts.items() for name, one in held.items()}

    @classmethod
    def restore(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Back from ``state()`` and ``to_dict()``."""
        conformal = Conformal.restore(dict(_under("conformal/", arrays)))
        rejector = Rejector.restore(dict(_under("rejector/", arrays)))
        return cls(facts["temperatures"], conformal, rejector, facts["facts"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {"temperatures": dict(self.temperatures), "facts": dict(self.facts)}


def patterns(present: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """``(cells,)`` str: the modalities that each cell has, joined by ``+``.

    ``present`` is ``(cells, modalities)`` bool.
    """
    kinds, place = np.unique(present, axis=0, return_inverse=True)
    words = ["+".join(np.array(names)[kind]) for kind in kinds]
    return np.array(words)[np.ravel(place)]


def _by_cell(temperatures: Mapping[str, float], pattern: np.ndarray) -> np.ndarray:
    kinds, place = np.unique(pattern, return_inverse=True)
    return np.array([temperatures.get(str(one), temperatures[""]) for one in kinds])[place]


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in arrays.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), array
