"""How the answers of several models of one reference are read together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cytonym.errors import OptionError
from cytonym.evaluate.reliability import calibration_error
from cytonym.trust.calibrate import temperature, tempered
from cytonym.trust.conformal import lots, quantile
from cytonym.trust.mixing import mixed, weights
from cytonym.trust.said import Said
from cytonym.trust.trust import DOUBLETS, Held, Trust


@dataclass(frozen=True, slots=True, eq=False)
class Jury:
    """The models' probabilities mixed, and calibrated once more; see :class:`Trust` for the verbs.

    Attributes
    ----------
    trusts
        One a model.
    weights
        ``(models,)``, sum 1.
    temperature
        Of the logarithm of the mixture.
    held
        What the mixture says of the cells that no model saw.
    facts
        ``n``, ``ece_before`` and ``ece_after`` the temperature, on these cells.
    """

    trusts: Sequence[Trust]
    weights: np.ndarray
    temperature: float
    held: Held
    facts: Mapping[str, Any]

    @classmethod
    def of(cls, trusts: Sequence[Trust]) -> Self:
        """Weights and temperature from the cells that all models held out.

        Raises
        ------
        OptionError
            They did not hold out the same cells.
        """
        first = trusts[0].held
        chances = []
        for one in trusts:
            order = np.argsort(one.held.lot)
            if not np.array_equal(one.held.lot[order], np.sort(first.lot)):
                raise OptionError(
                    "The models did not hold out the same cells, so nothing says how much each "
                    "counts: fit them on the same reference with the same seed and validation."
                )
            chances.append(one.held.probabilities[order])
        y = first.y[np.argsort(first.lot)]
        w = weights(chances, y)
        both = mixed(chances, w)
        t = temperature(np.log(both.clip(1e-9)), y)
        found = tempered(np.log(both.clip(1e-9)), t)
        right = both.argmax(1) == y
        facts = {
            "n": len(y),
            "ece_before": round(calibration_error(right, both.max(1)), 4),
            "ece_after": round(calibration_error(right, found.max(1)), 4),
        }
        return cls(trusts, w, t, Held(np.sort(first.lot), found.astype(np.float32), y), facts)

    @property
    def moved(self) -> bool:
        """Whether one of the models judges a cell by the majority of the others."""
        return any(one.moved for one in self.trusts)

    def by_pattern(self) -> dict[str, float]:
        """The temperature of the mixture."""
        return {"all": self.temperature}

    def tried(self, said: Sequence[Said]) -> np.ndarray:
        """``(cells,)`` bool: of which every model held out enough like them."""
        found = [trust.tried(one) for trust, one in zip(self.trusts, said, strict=True)]
        return np.all(found, axis=0)

    def probabilities(self, said: Sequence[Said]) -> np.ndarray:
        """``(cells, types)`` float32, calibrated."""
        chances = [trust.probabilities(one) for trust, one in zip(self.trusts, said, strict=True)]
        both = mixed(chances, self.weights)
        return tempered(np.log(both.clip(1e-9)), self.temperature).astype(np.float32)

    def sets(self, said: Sequence[Said], coverage: float) -> np.ndarray:
        """``(cells, types)`` bool prediction sets, which may be empty."""
        return self.held.sets(self.probabilities(said), lots(said[0].cells), coverage)

    def strange(self, said: Sequence[Said]) -> np.ndarray:
        """``(cells,)`` float32: the weighted mean of the models' scores."""
        found = [trust.strange(one) for trust, one in zip(self.trusts, said, strict=True)]
        return mixed(found, self.weights).astype(np.float32)

    def doubled(self, said: Sequence[Said]) -> np.ndarray:
        """``(cells,)`` float32: the weighted mean of the models' log odds of a doublet."""
        found = [trust.doubled(one) for trust, one in zip(self.trusts, said, strict=True)]
        return mixed(found, self.weights).astype(np.float32)

    def junk(self, said: Sequence[Said]) -> np.ndarray:
        """``(cells,)`` bool: of which all models see too little."""
        found = [trust.junk(one) for trust, one in zip(self.trusts, said, strict=True)]
        return np.all(found, axis=0)

    def limits(self, reject: float) -> tuple[float, float]:
        """Above which :meth:`strange` and :meth:`doubled` a cell is rejected; infinite: none."""
        if not reject:
            return np.inf, np.inf
        pairs = [one.doublets for one in self.trusts if one.doublets is not None]
        two = np.inf
        if len(pairs) == len(self.trusts):
            odds = self._held([one.known for one in pairs])
            two = max(quantile(odds, 1 - DOUBLETS * reject), 0.0)
        lost = reject * (1 - DOUBLETS * np.isfinite(two))
        return quantile(self._held([one.rejector.known for one in self.trusts]), 1 - lost), two

    def _held(self, known: Sequence[np.ndarray]) -> np.ndarray:
        """``(cells,)``: the mixed scores of the held-out cells."""
        orders = [np.argsort(one.held.lot) for one in self.trusts]
        return mixed([one[o] for one, o in zip(known, orders, strict=True)], self.weights)
