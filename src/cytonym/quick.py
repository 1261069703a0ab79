"""How the quick answers of a model compare with its full ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cytonym.trust.trust import Trust


@dataclass(frozen=True, slots=True, eq=False)
class Quick:
    """Learned on held-out cells of the reference, and kept with the model.

    Attributes
    ----------
    cells
        How many cells were held out.
    same
        Share of them that both ways call by the same name.
    trust
        How the scores of the quick way are read: they are not those of the full one.
    """

    cells: int
    same: float
    trust: Trust

    @property
    def note(self) -> str:
        """What a user of the quick way should know."""
        return (
            f"fast: {self.same:.1%} of {self.cells:,} held-out cells get the name that they get "
            "without --fast"
        )

    def state(self) -> dict[str, np.ndarray]:
        """Arrays for the model folder."""
        return self.trust.state()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for the manifest."""
        return {"cells": self.cells, "same": self.same, "trust": self.trust.to_dict()}

    @classmethod
    def restore(cls, facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`to_dict` and :meth:`state`."""
        return cls(int(facts["cells"]), float(facts["same"]), Trust.restore(facts["trust"], arrays))
