"""What a fit reports while it runs: a progress bar with a time estimate and a loss line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from tqdm.auto import tqdm


class Watch:
    """A progress bar over epochs; silent with ``show=False``.

    Use as a context manager; :meth:`epoch` is called by the loop.
    """

    def __init__(self, title: str, epochs: int, *, show: bool, unit: str = "epoch") -> None:
        self.bar = tqdm(
            total=epochs,
            desc=title,
            unit=unit,
            disable=not show,
            file=sys.stderr,
            leave=False,
            bar_format="{l_bar}{bar}| {n:.3g}/{total_fmt} [{elapsed}<{remaining}{postfix}]",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()

    def epoch(self, done: int, facts: Mapping[str, float]) -> None:
        """Move to ``done`` epochs and show the latest losses and scores."""
        self.bar.set_postfix({name: f"{value:.3f}" for name, value in facts.items()}, refresh=False)
        self.at(done)

    def at(self, done: float) -> None:
        """Move to so many epochs, of the present one its share: so the time left is known soon."""
        self.bar.update(done - self.bar.n)
