"""Readers of blood (Zheng68K), liver (MacParland) and lung (Lukassen)."""

from __future__ import annotations

import re
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.data.tenx import find_matrix, open_mtx_folder
from cytonym.datasets.assemble import assembled, labelled
from cytonym.datasets.tables import fact_table, number_table
from cytonym.datasets.texts import reading, text, wrong

ZHENG = "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz"
ZHENG_TYPES = "68k_pbmc_barcodes_annotation.tsv"
MACPARLAND = "GSE115469_Data.csv.gz"
MACPARLAND_TYPES = "GSE115469_CellClusterType.txt.gz"
LUNG = "Counts_lung_cells.csv"
LUNG_CELLS = "Metadata_lung_cells.csv"


def read_zheng68k(folder: Path) -> AnnData:
    """The filtered matrix of 10x and the types of its barcodes."""
    with tempfile.TemporaryDirectory() as place:
        with reading(ZHENG), tarfile.open(folder / ZHENG) as archive:
            archive.extractall(place, filter="data")
        found = [one for one in Path(place).rglob("*") if one.is_dir() and find_matrix(one)]
        if len(found) != 1:
            what = f"{len(found)} of its folders hold a matrix.mtx, not one"
            raise wrong(ZHENG, what)
        matrix = find_matrix(found[0])
        assert matrix is not None
        held = open_mtx_folder(found[0], matrix)
    x = held.places["X"]
    values = x.rows.read(np.arange(len(held.obs)))
    types: Any = fact_table(text(folder / ZHENG_TYPES), "\t", need=("barcodes", "celltype"))
    labels = types.set_index("barcodes")["celltype"]
    return labelled(assembled(values, held.obs, x.var), labels)


def read_macparland(folder: Path) -> AnnData:
    """Genes × cells, and the 20 clusters with their names.

    ``obs["coarse_type"]`` leaves out the numbers after a name (``Hepatocyte_1`` to ``_6``).
    """
    rows, values, names = number_table(text(folder / MACPARLAND), ",", names=("gene",))
    need = ("cellname", "celltype")
    facts: Any = fact_table(text(folder / MACPARLAND_TYPES), "\t", need=need)
    facts = facts.drop_duplicates("cellname").set_index("cellname")
    obs = pd.DataFrame(index=pd.Index(names))
    if "sample" in facts:
        obs["donor"] = facts["sample"].reindex(obs.index).fillna("").to_numpy(dtype=object)
    cells = assembled(values.T, obs, pd.DataFrame(index=pd.Index(rows["gene"])))
    cells = labelled(cells, facts["celltype"])
    cells.obs["coarse_type"] = [re.sub(r"_\d+$", "", one) for one in cells.obs["cell_type"]]
    return cells


def read_lung(folder: Path) -> AnnData:
    """Genes × nuclei, and a table of the nuclei."""
    rows, values, names = number_table(text(folder / LUNG), ",", names=("gene",))
    facts: Any = fact_table(text(folder / LUNG_CELLS), ",", need=("celltype",))
    facts.index = pd.Index([_barcode(one) for one in facts.iloc[:, 0]])
    facts = facts[~facts.index.duplicated()]
    obs = pd.DataFrame(index=pd.Index([_barcode(one) for one in names]))
    for column, name in (("id", "donor"), ("sex", "sex"), ("smoking", "smoking"), ("age", "age")):
        if column in facts:
            obs[name] = facts[column].reindex(obs.index).fillna("").to_numpy(dtype=object)
    cells = assembled(values.T, obs, pd.DataFrame(index=pd.Index(rows["gene"])))
    return labelled(cells, facts["celltype"])


def _barcode(name: str) -> str:
    """R made ``X370_ACGT.1`` of ``370_ACGT-1``."""
    return re.sub(r"^X(?=\d)", "", name).replace(".", "-")
