"""A reader of the ATAC pairs of SANGO, on which seqAlignATAC was measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.datasets.assemble import assembled, labelled, peak_names
from cytonym.datasets.multiome import read_h5ad
from cytonym.datasets.texts import reading, wrong

PLACES = (("chrom", "chromStart", "chromEnd"), ("chr", "start", "end"), ("chrom", "start", "end"))


def pair_reader(file: str) -> Callable[[Path], AnnData]:
    """A reader of two data sets on the same peaks; ``obs["batch"]`` says which a cell is of."""

    def read(folder: Path) -> AnnData:
        whole = read_h5ad(folder / file)
        lacking = [f"obs[{n!r}]" for n in ("CellType", "Batch") if n not in whole.obs]
        place = next((one for one in PLACES if {*one} <= {*whole.var}), None)
        if place is None:
            lacking.append("var['chrom'], ['chromStart'], ['chromEnd'] (or chr, start, end)")
        if lacking or place is None:
            raise wrong(file, f"it has no {', '.join(lacking)}")
        with reading(file):
            var = peak_names(*(whole.var[column].to_numpy() for column in place))
        obs = pd.DataFrame({"batch": whole.obs["Batch"].astype(str)}, index=whole.obs_names)
        cells = assembled(csr_matrix(whole.X), obs, var)
        types = whole.obs["CellType"]
        labels = pd.Series(types.astype(str).where(types.notna(), "").to_numpy(), cells.obs_names)
        return labelled(cells, labels, skip=("Unknown",))

    return read
