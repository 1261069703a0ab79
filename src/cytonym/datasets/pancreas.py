"""Readers of the four human pancreas sets, from the tables that their authors deposited."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from anndata import AnnData
from scipy.sparse import vstack

from cytonym.datasets.assemble import assembled, labelled
from cytonym.datasets.tables import fact_table, number_table
from cytonym.datasets.texts import tarred, text, wrong, zipped

BARON = "GSE84133_RAW.tar"
MURARO = "GSE85241_cellsystems_dataset_4donors_updated.csv.gz"
MURARO_TYPES = "cell_type_annotation_Cels2016.csv"
SEGERSTOLPE = "E-MTAB-5061.processed.1.zip"
SEGERSTOLPE_CELLS = "E-MTAB-5061.sdrf.txt"
XIN = "GSE81608_human_islets_rpkm.txt.gz"
XIN_CELLS = "human_islet_cell_identity.txt"
XIN_GENES = "human_gene_annotation.csv"

SAME = {"duct": "ductal", "pp": "gamma", "PP": "gamma"}
"""Names of the same type in other laboratories, to those of Baron, so that the sets compare."""


def read_baron(folder: Path) -> AnnData:
    """Four donors, a table of cells × genes each; the two mice of the archive are not read."""
    parts, rows, genes = [], [], None
    for table in tarred(folder / BARON, "GSM*_human*_umifm_counts.csv*", count=4):
        found, values, columns = number_table(table, ",", names=("cell", "barcode", "cluster"))
        if genes is not None and columns != genes:
            what = f"its {len(columns):,} genes are not the {len(genes):,} of the first donor"
            raise wrong(table.name, what)
        genes = columns
        parts.append(values)
        rows.append(found)
    facts = pd.concat(rows, ignore_index=True)
    obs = pd.DataFrame({"barcode": facts["barcode"].to_numpy()}, index=pd.Index(facts["cell"]))
    obs["donor"] = facts["cell"].str.split("_").str[0].to_numpy()
    cells = assembled(vstack(parts), obs, pd.DataFrame(index=pd.Index(genes)))
    return labelled(cells, pd.Series(facts["cluster"].to_numpy(), index=cells.obs_names))


def read_muraro(folder: Path) -> AnnData:
    """Genes (``NAME__chrN``) × wells; only the wells that the authors gave a type."""
    rows, values, wells = number_table(text(folder / MURARO), "\t", names=("gene",))
    named = rows["gene"].str.split("__", n=1)
    var = pd.DataFrame({"gene_ids": rows["gene"].to_numpy()}, index=pd.Index(named.str[0]))
    var["chromosome"] = named.str[1].fillna("").to_numpy()
    obs = pd.DataFrame(index=pd.Index(wells))
    obs["donor"] = [one.split("-")[0] for one in wells]
    obs["batch"] = [one.split("_")[0] for one in wells]  # the plate
    types: Any = fact_table(text(folder / MURARO_TYPES), "\t")
    if types.shape[1] < 2:
        raise wrong(MURARO_TYPES, "it has one column, not the names of wells and their types")
    # R made D28.1_1 of D28-1_1.
    labels = pd.Series(types.iloc[:, 1].to_numpy(), types.iloc[:, 0].str.replace(".", "-"))
    cells = assembled(values.T, obs, var, otherwise="transcript counts corrected for saturation")
    return labelled(cells, labels, names=SAME, skip=("unclear",))


def read_segerstolpe(folder: Path) -> AnnData:
    """Genes × (RPKM of all cells, then counts of all cells); the counts of wells that are OK."""
    table = zipped(folder / SEGERSTOLPE, "*rpkms_counts_3514sc.txt")
    with table.opened() as lines:
        head = next(lines, "").rstrip("\r\n").split("\t")
    if head[0] != "#samples" or len(head) < 2:
        raise wrong(table.name, f"its first line begins with {head[0][:40]!r}, not with #samples")
    rows, values, wells = number_table(table, "\t", names=("gene", "refseq"), last=len(head) - 1)
    # Spike-ins and the reporter are rows too.
    genes = ~(rows["refseq"].str.startswith("ERCC") | rows["gene"].isin(["eGFP", "EGFP"]))
    var = pd.DataFrame({"gene_ids": rows["refseq"].to_numpy()}, index=pd.Index(rows["gene"]))
    need = ("sourcename", "characteristicscelltype", "characteristicssinglecellwellquality")
    facts: Any = fact_table(text(folder / SEGERSTOLPE_CELLS), "\t", need=need)
    facts = facts.drop_duplicates("sourcename").set_index("sourcename")
    obs = pd.DataFrame(index=pd.Index(wells))
    for column, name in (("individual", "donor"), ("disease", "disease")):
        if f"characteristics{column}" in facts:
            found = facts[f"characteristics{column}"].reindex(obs.index)
            obs[name] = found.fillna("").to_numpy(dtype=object)
    fine = facts["characteristicssinglecellwellquality"] == "OK"
    labels = facts["characteristicscelltype"].where(fine, "low quality well")
    plain = {one: one.removesuffix(" cell") for one in labels.unique()}
    cells = assembled(values[genes.to_numpy()].T, obs, var[genes.to_numpy()])
    skip = ("low quality well", "not applicable", "unclassified cell")
    return labelled(cells, labels, names=plain, skip=skip)


def read_xin(folder: Path) -> AnnData:
    """Genes (numbers of Entrez) × cells in RPKM; the cells that are not contaminated."""
    rows, values, names = number_table(text(folder / XIN), "\t", names=("gene",))
    genes: Any = fact_table(text(folder / XIN_GENES), ",", need=("geneid", "symbol"))
    symbols = genes.drop_duplicates("geneid").set_index("geneid")["symbol"]
    found = symbols.reindex(rows["gene"])
    var = pd.DataFrame(
        {"gene_ids": rows["gene"].to_numpy()},
        index=pd.Index(found.where(found.fillna("") != "", found.index).to_numpy()),
    )
    facts: Any = fact_table(text(folder / XIN_CELLS), "\t", need=("celltype",))
    facts.index = pd.Index(facts.iloc[:, 0].str.replace(" ", "_"))  # Sample 1 is Sample_1
    facts = facts[~facts.index.duplicated()]
    obs = pd.DataFrame(index=pd.Index(names))
    for column, name in (("donorid", "donor"), ("condition", "condition")):
        if column in facts:
            obs[name] = facts[column].reindex(obs.index).fillna("").to_numpy(dtype=object)
    labels = facts["celltype"]
    mixed = [one for one in labels.unique() if "contaminated" in one]
    return labelled(assembled(values.T, obs, var, otherwise="RPKM"), labels, names=SAME, skip=mixed)
