"""How much of a reference a data set has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DNA = "their DNA"
"""``matched_by`` of features that need not be matched."""


@dataclass(frozen=True, slots=True, eq=False)
class Coverage:
    """How much of the reference a data set has, in one modality.

    ``share`` is ``shared / reference``; ``matched_by`` reads ``"feature_name → names"``, the
    data set's identifier and the reference's; ``missing`` holds the names of the reference
    that the data set lacks. ``chance`` is the share that would overlap by chance, where peaks
    were matched by overlap.
    """

    modality: str
    reference: int
    query: int
    shared: int
    matched_by: str
    missing: np.ndarray
    notes: tuple[str, ...] = ()
    chance: float | None = None

    @property
    def share(self) -> float:
        """Shared features as a share of the reference's, in [0, 1]."""
        return self.shared / max(1, self.reference)

    def __str__(self) -> str:
        if self.matched_by == DNA:
            return f"{self.modality}: {self.query:,} features of the data's own, by {DNA}"
        return (
            f"{self.modality}: {self.shared:,} of the reference's {self.reference:,} features "
            f"({self.share:.0%}), by {self.matched_by}"
        )
