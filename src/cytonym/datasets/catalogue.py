"""All data sets by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from cytonym.datasets.catalogue_atac import ATAC
from cytonym.datasets.catalogue_joint import JOINT
from cytonym.datasets.catalogue_rna import RNA
from cytonym.datasets.record import DataSet

DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {one.name: one for one in (*RNA, *JOINT, *ATAC)}
)
"""What is known of each data set, by its name."""
