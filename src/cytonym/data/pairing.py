"""Whether two modalities belong together: shared cells, and depths that go together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from cytonym.data.judge import SAMPLE_ROWS
from cytonym.data.source import Cells

LEAST = 0.1
"""A rank correlation of depths below this is odd."""


@dataclass(frozen=True, slots=True)
class Pairing:
    """How well two modalities belong together.

    ``shared`` cells have both, ``alone`` says by modality how many have only it. Depths (sums of
    a cell) go together in cells that were measured in both: ``correlation`` is Spearman's, over
    ``sampled`` shared cells. Rates have no depth: beside them it is None, over 0 cells.
    """

    shared: int
    alone: dict[str, int]
    correlation: float | None
    sampled: int

    @property
    def note(self) -> str | None:
        """What is odd: depths that have nothing to do with each other."""
        if self.correlation is None or self.sampled < 100 or self.correlation >= LEAST:
            return None
        return (
            f"the depths of {' and '.join(self.alone)} are unrelated (correlation "
            f"{self.correlation:.2f} over {self.sampled:,} cells): check that a name is the same "
            "cell in both"
        )

    def __str__(self) -> str:
        rest = "".join(f", {n:,} with {name} alone" for name, n in self.alone.items() if n)
        both = f"{self.shared:,} cells with both{rest}"
        if self.correlation is None:
            return both
        return (
            f"{both}; correlation of their depths {self.correlation:.2f} ({self.sampled:,} cells)"
        )


def pairing(cells: Cells) -> Pairing | None:
    """How well the modalities of ``cells`` belong together; None where there is one."""
    if len(cells.spaces) < 2:
        return None
    there = {name: cells.present(name) for name in cells.spaces}
    both = np.logical_and.reduce([*there.values()])
    alone = {name: int((have & ~both).sum()) for name, have in there.items()}
    deep = [name for name in there if cells.values[name] != "rates"]
    if len(deep) < 2:
        return Pairing(int(both.sum()), alone, None, 0)
    rows = np.flatnonzero(both)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE_ROWS)).astype(int)]
    depths = [np.asarray(cells.read(name, rows).sum(axis=1)).ravel() for name in deep]
    spread = all(len(np.unique(depth)) > 1 for depth in depths)
    related: Any = spearmanr(depths[0], depths[1]) if spread else None
    correlation = 0.0 if related is None else float(related.statistic)
    return Pairing(int(both.sum()), alone, round(correlation, 4), len(rows))
