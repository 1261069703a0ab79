"""The ATAC pairs of the Synapse folder syn52559388 (SANGO), used by seqAlignATAC."""

from __future__ import annotations

from cytonym.datasets.atac import pair_reader
from cytonym.datasets.record import DataSet, File

FOLDER = "Synapse syn52559388 (folder syn52566797), which needs a free account"
LAYOUT = (
    "AnnData, cells × peaks: obs['CellType'], obs['Batch'] (the name of either data set), "
    "var['chrom'], ['chromStart'], ['chromEnd'] (or chr, start, end)"
)
PAPERS = (
    "Zeng et al. (2024), SANGO; cells of Cusanovich et al. (2018), Cell 174:1309, and Fang et al. "
    "(2021), Nature Communications 12:1337"
)
SEEN = {
    ("LargeIntestineA", "LargeIntestineB"): ("mm9", 7_086),
    ("MosP1", "Cerebellum"): ("mm10", 13_167),
    ("BoneMarrowB", "Liver"): ("mm9", 10_537),
}
"""Files whose names SANGO's own pages tell, with their genome and number of cells there."""

TABLES = (
    ("MosA1", "WholeBrainA"),
    ("MosP1", "WholeBrainA"),
    ("MosM1", "WholeBrainA"),
    ("MosA1", "WholeBrainB"),
    ("MouseBrain(10x)", "WholeBrainA"),
    ("MouseBrain(10x)", "WholeBrainB"),
)
"""Pairs of the tables of seqAlignATAC; the names of their files are taken to be made alike."""


def _pair(one: str, other: str) -> DataSet:
    genome, cells = SEEN.get((one, other), (None, None))
    file = f"{one}_{other}.h5ad"
    guess = "" if (one, other) in SEEN else "; that the file is called so could not be verified"
    plain = f"{one}-{other}".lower().replace("(", "").replace(")", "")
    return DataSet(
        f"sango-{plain}",
        f"ATAC of {one} and {other} on the same peaks",
        "mouse",
        ("atac",),
        cells,
        None,
        PAPERS,
        "not verified: see the Synapse folder",
        (
            File(
                file,
                None,
                FOLDER + guess,
                LAYOUT,
                also=(f"{other}_{one}.h5ad",),
            ),
        ),
        pair_reader(file),
        genome=genome,
        notes=(
            "cells called Unknown are left out, as SANGO does",
            *(() if genome else ("which genome the peaks lie on could not be verified",)),
            *(("cells as SANGO counts them, before Unknown ones are left out",) if cells else ()),
        ),
    )


ATAC = tuple(_pair(*names) for names in (*SEEN, *TABLES))
