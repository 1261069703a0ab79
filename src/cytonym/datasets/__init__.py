"""Published data sets by name, read from the files that their authors deposited.

``load`` reads one, ``missing`` says what it lacks, ``DATA_SETS`` holds what is known of each.
"""

from cytonym.datasets.catalogue import DATA_SETS
from cytonym.datasets.loading import get, load, missing
from cytonym.datasets.record import DataSet, File

__all__ = ["DATA_SETS", "DataSet", "File", "get", "load", "missing"]
