"""Cells in groups: clusters that vote on a name, and populations that have none yet."""

from cytonym.groups.overcluster import leiden, over_cluster, resolution
from cytonym.groups.populations import Populations, populations
from cytonym.groups.vote import Vote, vote

__all__ = [
    "Populations",
    "Vote",
    "leiden",
    "over_cluster",
    "populations",
    "resolution",
    "vote",
]
