"""What a network is given of a data set: transformed features, and raw counts where it asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cytonym.prep.chain import bind_chain
from cytonym.types import Bound, FeatureSpace, Transform


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The way from the columns of one data set to a network's tensors.

    Attributes
    ----------
    bound
        By modality, all transforms bound to the data set's columns.
    counts
        By modality, the columns (int) whose raw values the network reads as well.
    plain
        Modalities of which it reads the raw values alone.
    """

    bound: Mapping[str, Bound]
    counts: Mapping[str, np.ndarray]
    plain: frozenset[str]

    @property
    def widths(self) -> dict[str, int]:
        """Features by modality, and columns of counts under ``counts_<modality>``."""
        features = {m: len(one.space) for m, one in self.bound.items() if m not in self.plain}
        return features | {f"counts_{m}": len(columns) for m, columns in self.counts.items()}


def inputs(
    chains: Mapping[str, Sequence[Transform]],
    targets: Mapping[str, int],
    spaces: Mapping[str, FeatureSpace],
) -> Inputs:
    """Bind fitted ``chains`` to ``spaces``; ``targets`` as in ``Method.targets``."""
    bound = {name: bind_chain(chain, spaces[name]) for name, chain in chains.items()}
    counts = {
        name: _columns_after(chains[name][:n], spaces[name])
        for name, n in targets.items()
        if name in chains
    }
    plain = frozenset(name for name in counts if targets[name] == len(chains[name]))
    return Inputs(bound, counts, plain)


def _columns_after(transforms: Sequence[Transform], space: FeatureSpace) -> np.ndarray:
    """The columns (int) of ``space`` that transforms leave which only select or scale."""
    marked = replace(space, columns={"column": np.arange(len(space))})
    return bind_chain(transforms, marked).space.columns["column"]
