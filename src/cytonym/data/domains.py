"""Two data sets in one training: a labelled reference, and a query without labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from cytonym.data.loader import Feed
from cytonym.types import Batch, Stage


@dataclass(frozen=True, slots=True)
class Domains:
    """Batches with cells of both, told apart by ``Batch.domain``; keys are rows of each."""

    reference: Feed
    query: Feed

    def steps(self, stage: Stage) -> int:
        """As many as the larger of the two needs; the smaller comes around again."""
        return max(self.reference.steps(stage), self.query.steps(stage))

    def whole(self, stage: Stage) -> Iterator[Batch]:
        """All cells once, in order: the reference, then the query."""
        yield from self.reference.whole(stage)
        yield from self.query.whole(stage)

    def epoch(
        self, stage: Stage, *, seed: tuple[int, ...], rank: int, world: int
    ) -> Iterator[Batch]:
        """Batches of both, each shuffled."""
        place, steps = {"rank": rank, "world": world}, self.steps(stage)
        streams = (
            feed.epoch(stage, seed=(*seed, number), steps=steps, **place)
            for number, feed in enumerate((self.reference, self.query))
        )
        for one, other in zip(*streams, strict=True):
            yield joined(one, other)


def joined(one: Batch, other: Batch) -> Batch:
    """The cells of both batches; raw counts are left out."""

    def both(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: torch.cat([first[name], second[name]]) for name in first}

    return Batch(
        both(one.x, other.x),
        {},
        both(one.present, other.present),
        torch.cat([one.y, other.y]),
        torch.cat([one.domain, other.domain]),
        torch.cat([one.key, other.key]),
    )
