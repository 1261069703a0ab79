"""An annotated data set as others want it: CELLxGENE, CAP, and the columns of other tools."""

from cytonym.publishing.changes import Changes
from cytonym.publishing.exporting import export

__all__ = ["Changes", "export"]
