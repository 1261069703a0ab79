"""How many cells there are of each kind that a user is told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of cells; those of parts are added.

    Attributes
    ----------
    cells
        All of them.
    untried
        With modalities that no held-out cell had.
    few
        Too few to be judged by their own majority.
    unknown
        Called so.
    empty
        Without any value.
    without
        By modality, those without any value of it that have some of another.
    """

    cells: int = 0
    untried: int = 0
    few: int = 0
    unknown: int = 0
    empty: int = 0
    without: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        numbers = {
            name: getattr(self, name) + getattr(other, name)
            for name in ("cells", "untried", "few", "unknown", "empty")
        }
        return Tally(**numbers, without=Counter(self.without) + Counter(other.without))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :class:`Tally` takes them back."""
        return asdict(self) | {"without": dict(self.without)}

    def lacking(self) -> Iterator[str]:
        """Says how many cells hold nothing, or nothing of one modality."""
        if self.empty:
            yield (
                f"{self.empty:,} cells hold no value of any feature that both sides have: what is "
                "said of them means nothing"
            )
        for modality, n in self.without.items():
            yield f"{n:,} cells hold no value of {modality}: they were read as cells without it"
