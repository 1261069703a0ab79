"""What the cells that a network learned from look like to it: in its embedding, and in its inputs.

The embedding tells the known types apart; a direction in which they do not differ may be lost in
it, though a new type lies just there. The inputs have not lost it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from cytonym.trust.axes import Axes
from cytonym.trust.distance import Clouds, Near
from cytonym.trust.said import Said

KEPT = 5_000
"""Cells of the reference that are kept, at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Known cells of known types.

    Attributes
    ----------
    axes
        By modality, the main directions of what the network reads.
    near, cloud
        In the embedding.
    inputs
        By modality, along the axes.
    """

    axes: Mapping[str, Axes]
    near: Near
    cloud: Clouds
    inputs: Mapping[str, Clouds]

    @classmethod
    def of(cls, axes: Mapping[str, Axes], said: Said, y: np.ndarray, n_types: int) -> Self:
        """Of cells with types ``y``, ``said`` with ``axes``."""
        clouds = {}
        for name, x in said.inputs.items():
            there = np.isfinite(x[:, 0])
            clouds[name] = Clouds.of(x[there], y[there], n_types)
        return cls(axes, Near.of(said.z, y, n_types), Clouds.of(said.z, y, n_types), clouds)

    def state(self) -> dict[str, np.ndarray]:
        """Arrays for the model folder."""
        boxes = {"near": self.near.state(), "cloud": self.cloud.state()}
        boxes |= {f"inputs/{name}": one.state() for name, one in self.inputs.items()}
        boxes |= {
            f"axes/{name}": {"centre": one.centre, "directions": one.directions}
            for name, one in self.axes.items()
        }
        return {f"{box}/{name}": one for box, held in boxes.items() for name, one in held.items()}

    @classmethod
    def restore(cls, state: Mapping[str, np.ndarray]) -> Self:
        """Back from :meth:`state`."""
        names = sorted({name.split("/")[1] for name in state if name.startswith("axes/")})
        axes = {one: Axes(**dict(under(f"axes/{one}/", state))) for one in names}
        inputs = {one: Clouds.restore(dict(under(f"inputs/{one}/", state))) for one in names}
        near = Near.restore(dict(under("near/", state)))
        return cls(axes, near, Clouds.restore(dict(under("cloud/", state))), inputs)


def under(prefix: str, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """What is filed under ``prefix``, by the rest of its name."""
    for name, array in arrays.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), array
