"""What it takes to name many cells, told before it begins."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Protocol

from cytonym.memory import FACTS, Memory, check_fits, in_bytes, resident, words
from cytonym.opening import Opened, check_loads
from cytonym.result import Annotation

log = logging.getLogger("cytonym")

MANY = 50_000
"""Cells whose naming takes long enough to tell how long."""


class Model(Protocol):
    """What is used of a fitted model."""

    @property
    def label_names(self) -> list[str]:
        """The types."""
        ...

    def answer(
        self, opened: Opened, *, batch_size: int = 512, device: str = "auto", progress: bool = True
    ) -> Annotation:
        """Name the cells."""
        ...


@dataclass(frozen=True, slots=True)
class Forecast:
    """About ``seconds`` and ``memory`` bytes, of the whole process, for so many ``cells``."""

    cells: int
    seconds: float
    memory: int

    def __str__(self) -> str:
        return f"{self.cells:,} cells: about {_span(self.seconds)} and {words(self.memory)}"


def forecast(
    model: Model, opened: Opened, *, part: int, batch_size: int = 512, device: str = "auto"
) -> Forecast:
    """From naming two batches, of which the second is timed; ``part`` cells are named at once."""
    rows, n = opened.feed.rows, len(opened.feed.rows)
    for start in (0, batch_size):
        some = opened.of(rows[start : start + batch_size])
        begin = time.perf_counter()
        found = model.answer(some, batch_size=batch_size, device=device, progress=False)
    pace = (time.perf_counter() - begin) / max(len(found), 1)
    types, dim = len(model.label_names), found.embedding.shape[1]
    kept = n * (8 * types + FACTS)
    at_work = min(part, n) * 4 * (6 * types + 4 * dim + 100)
    return Forecast(n, pace * n, resident() + kept + at_work)


def foretell(
    model: Model,
    opened: Opened,
    *,
    part: int,
    max_memory: Memory | None = None,
    batch_size: int = 512,
    device: str = "auto",
) -> None:
    """Say what naming will take, where there are many cells; refuse what ``max_memory`` rules out.

    Raises
    ------
    OptionError
        It takes more than that.
    """
    n = len(opened.feed.rows)
    if max_memory is None and n < MANY:
        return
    if max_memory is not None:
        check_loads(opened.cells, in_bytes(max_memory))
    least = resident() + 8 * min(batch_size, n) * sum(opened.feed.inputs.widths.values())
    what, remedy = f"Naming {n:,} cells", "give as much, or a smaller batch_size"
    check_fits(what, least, max_memory, remedy)
    if n < 2 * batch_size:
        return
    found = forecast(model, opened, part=part, batch_size=batch_size, device=device)
    log.info("%s", found)
    check_fits(what, found.memory, max_memory, remedy)


def _span(seconds: float) -> str:
    if seconds < 100:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
