"""The experiments of the four papers, by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cytonym.reproduce.papers import dcca, scmoanno, sctrans, seqalign
from cytonym.reproduce.record import Experiment

EXPERIMENTS: Mapping[str, Experiment] = MappingProxyType(
    {one.name: one for paper in (sctrans, scmoanno, dcca, seqalign) for one in paper.EXPERIMENTS}
)
