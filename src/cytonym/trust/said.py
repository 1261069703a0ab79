"""What a network said of some cells, before anybody reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


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
    inputs
        By modality ``(cells, k)`` float32, principal components of what the network read
        (:class:`cytonym.trust.reference.Reference`); NaN in cells without the modality.
    detected
        By modality ``(cells,)`` int, how many of the model's features have a value.
    """

    cells: np.ndarray
    scores: np.ndarray
    z: np.ndarray
    pattern: np.ndarray
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)
    detected: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.cells)

    def of(self, some: np.ndarray) -> Said:
        """Only ``some`` of the cells (bool or int)."""

        def part(held: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: one[some] for name, one in held.items()}

        return Said(
            self.cells[some],
            self.scores[some],
            self.z[some],
            self.pattern[some],
            part(self.inputs),
            part(self.detected),
        )


def patterns(present: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """``(cells,)`` str: the modalities that each cell has, joined by ``+``.

    ``present`` is ``(cells, modalities)`` bool.
    """
    kinds, place = np.unique(present, axis=0, return_inverse=True)
    words = ["+".join(np.array(names)[kind]) for kind in kinds]
    return np.array(words)[np.ravel(place)]
