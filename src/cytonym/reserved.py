"""Names that are no cell types."""

UNKNOWN = "Unknown"
"""A cell of no known type."""

DOUBLETS = "doublets"
"""Two cells in one droplet."""

JUNK = "junk"
"""A cell of which too little is seen."""

HETEROGENEOUS = "Heterogeneous"
"""A cluster without a majority."""

REJECTED = (UNKNOWN, DOUBLETS, JUNK)
