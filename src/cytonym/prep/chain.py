"""Transforms one after the other: fit each on what the ones before it give, then bind them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cytonym.types import Blocks, Bound, FeatureSpace, Matrix, Transform


@dataclass(frozen=True, slots=True)
class Mapped:
    """A stream of blocks seen through a bound transform."""

    blocks: Blocks
    bound: Bound

    @property
    def space(self) -> FeatureSpace:
        """The columns that come out."""
        return self.bound.space

    def __len__(self) -> int:
        return len(self.blocks)

    def __iter__(self) -> Iterator[Matrix]:
        return map(self.bound.apply, self.blocks)


def fit_chain(transforms: Sequence[Transform], blocks: Blocks) -> Blocks:
    """Fit every transform in turn; returns the stream of finished features."""
    for transform in transforms:
        blocks = Mapped(blocks, transform.fit(blocks).bind(blocks.space))
    return blocks


def bind_chain(transforms: Sequence[Transform], space: FeatureSpace) -> Bound:
    """One function for all transforms, bound to the columns of a data set."""
    steps = []
    for transform in transforms:
        bound = transform.bind(space)
        steps.append(bound.apply)
        space = bound.space

    def apply(block: Matrix) -> Matrix:
        for step in steps:
            block = step(block)
        return block

    return Bound(space, apply)


def chain_state(transforms: Sequence[Transform]) -> dict[str, np.ndarray]:
    """What all transforms learned, by ``"<place>.<name>"``."""
    return {
        f"{place}.{name}": array
        for place, transform in enumerate(transforms)
        for name, array in transform.state().items()
    }


def restore_chain(transforms: Sequence[Transform], state: Mapping[str, np.ndarray]) -> None:
    """Hand every transform what :func:`chain_state` gave for it."""
    for place, transform in enumerate(transforms):
        head = f"{place}."
        own = {key.removeprefix(head): state[key] for key in state if key.startswith(head)}
        transform.restore(own)
