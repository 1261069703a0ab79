"""Readers of RNA with ATAC or methylation in text files: SHARE-seq, SNARE-seq, scNMT-seq."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.data.contents import unique_names
from cytonym.datasets.assemble import assembled, labelled, paired, peak_names
from cytonym.datasets.multiome import LABELS, with_labels
from cytonym.datasets.tables import fact_table, lines_of, number_table, triplets
from cytonym.datasets.texts import reading, text, wrong
from cytonym.disk.numbers import BY_PYTHON

SHARE = {
    "rna": "GSM4156608_skin.late.anagen.rna.counts.txt.gz",
    "atac": "GSM4156597_skin.late.anagen.counts.txt.gz",
    "peaks": "GSM4156597_skin.late.anagen.peaks.bed.gz",
    "barcodes": "GSM4156597_skin.late.anagen.barcodes.txt.gz",
    "types": "GSM4156597_skin_celltype.txt.gz",
}
SNARE_LINES = {
    "rna": "GSE126074_CellLineMixture_SNAREseq_cDNA_counts.tsv.gz",
    "atac": "GSE126074_CellLineMixture_SNAREseq_chromatin_counts.tsv.gz",
    "types": "cell_metadata.txt",
}
SNARE_CORTEX = "GSE126074_AdBrainCortex_SNAREseq"
SCNMT = {
    "rna": "GSE121650_rna_counts.tsv.gz",
    "methylation": "prom_2000_2000.tsv.gz",
    "cells": "sample_metadata.txt",
}


def read_share_skin(folder: Path) -> dict[str, AnnData]:
    """A dense table of RNA, a Matrix Market file of peaks, and which barcodes belong together."""
    need = ("atacbc", "rnabc", "celltype")
    facts: Any = fact_table(text(folder / SHARE["types"]), "\t", need=need)
    facts["rnabc"], facts["atacbc"] = (facts[n].map(_dots) for n in ("rnabc", "atacbc"))
    facts = facts.drop_duplicates("rnabc").set_index("rnabc")

    rows, values, names = number_table(text(folder / SHARE["rna"]), "\t", names=("gene",))
    obs = pd.DataFrame(index=pd.Index([_dots(one) for one in names]))
    rna = assembled(values.T, obs, pd.DataFrame(index=pd.Index(rows["gene"])))

    bed = _bed(folder / SHARE["peaks"])
    barcodes = pd.Index([_dots(one) for one in lines_of(text(folder / SHARE["barcodes"]))])
    peaks = triplets(text(folder / SHARE["atac"]), bed.index, barcodes)
    # The barcodes are those of RNA in some copies, and those of ATAC in others.
    if barcodes.isin(facts["atacbc"]).sum() > barcodes.isin(facts.index).sum():
        back: Any = pd.Series(facts.index, index=pd.Index(facts["atacbc"]))
        back = back[~back.index.duplicated()].reindex(barcodes)
        barcodes = pd.Index(back.fillna(pd.Series(barcodes, index=barcodes)))
    atac = assembled(peaks, pd.DataFrame(index=barcodes), bed)
    parts = paired(rna, atac, name="atac")
    return {name: labelled(one, facts["celltype"]) for name, one in parts.items()}


def _dots(barcode: str) -> str:
    """``R1.01,R2.02,R3.03,P1.04`` and ``R1.01.R2.02.R3.03.P1.04`` are the same cell."""
    return barcode.replace(",", ".")


def _bed(path: Path) -> pd.DataFrame:
    with text(path).opened() as lines:
        bed: Any = pd.read_csv(lines, sep="\t", header=None, dtype=str)
    if bed.shape[1] < 3:
        what = f"its lines have {bed.shape[1]} fields, not chromosome, start, end"
        raise wrong(path.name, what)
    with reading(path.name):
        return peak_names(*(bed[column].to_numpy() for column in range(3)))


def read_snare_lines(folder: Path) -> dict[str, AnnData]:
    """Two tables, genes × cells and peaks × cells, and the cell line of each barcode."""
    parts = {}
    for name in ("rna", "atac"):
        rows, values, cells = number_table(text(folder / SNARE_LINES[name]), "\t", names=("name",))
        obs, var = pd.DataFrame(index=pd.Index(cells)), pd.DataFrame(index=pd.Index(rows["name"]))
        parts[name] = assembled(values.T, obs, var)
    both = paired(parts["rna"], parts["atac"], name="atac")
    return with_labels(both, folder / SNARE_LINES["types"])


def read_snare_cortex(folder: Path) -> dict[str, AnnData]:
    """Matrix Market files with their barcodes, genes and peaks; types apart, if they are there."""
    parts = {}
    for name, stem, features in (("rna", "cDNA", "genes"), ("atac", "chromatin", "peaks")):
        start = f"{SNARE_CORTEX}_{stem}"
        cells = lines_of(text(folder / f"{start}.barcodes.tsv.gz"))
        names = lines_of(text(folder / f"{start}.{features}.tsv.gz"))
        values = triplets(text(folder / f"{start}.counts.mtx.gz"), names, cells)
        obs = pd.DataFrame({"batch": [one.split("_")[0] for one in cells]}, index=pd.Index(cells))
        parts[name] = assembled(values, obs, pd.DataFrame(index=pd.Index(names)))
    return with_labels(paired(parts["rna"], parts["atac"], name="atac"), folder / LABELS)


def read_scnmt(folder: Path) -> dict[str, AnnData]:
    """Counts of genes × cells, and methylation rates of promoters in lines of cell and promoter.

    In ``X`` of ``methylation`` (cells × promoters, dense) NaN is not observed; rates are 0 to 1.
    Both hold the cells that passed the authors' quality control of both.
    """
    need = ("sample", "stage", "idmet", "passrnaqc", "passmetqc")
    facts: Any = fact_table(text(folder / SCNMT["cells"]), "\t", need=need)
    fine = (facts["passrnaqc"].str.upper() == "TRUE") & (facts["passmetqc"].str.upper() == "TRUE")
    rows, values, names = number_table(text(folder / SCNMT["rna"]), "\t", names=("gene",))
    columns = pd.Index(names).get_indexer(pd.Index(facts["sample"]))
    kept = facts[fine.to_numpy() & (columns >= 0)]
    if not len(kept):
        what = f"none of its {fine.sum():,} cells of good quality has counts ({names[0]}, ...)"
        raise wrong(SCNMT["cells"], what)
    obs = pd.DataFrame({"stage": kept["stage"].to_numpy()}, index=pd.Index(kept["sample"]))
    obs["donor"] = kept["embryo"].to_numpy() if "embryo" in kept else ""
    at = columns[kept.index.to_numpy()]
    rna = assembled(values.T[at], obs, pd.DataFrame(index=pd.Index(rows["gene"])))
    rates, promoters = _rates(folder / SCNMT["methylation"], kept["idmet"].to_numpy())
    there = np.isfinite(rates).any(axis=1)
    methylation = AnnData(rates, obs=obs.copy(), var=pd.DataFrame(index=promoters))
    methylation.uns.update(values="rates, 0 to 1; NaN: not observed", left_out="")
    parts = {"rna": rna[there].copy(), "methylation": methylation[there].copy()}
    lineage = next((one for one in ("lineage10x2", "lineage10x") if one in kept), None)
    if lineage is None:
        return parts
    labels = pd.Series(kept[lineage].to_numpy(), index=rna.obs_names).replace("NA", "")
    return {name: labelled(one, labels) for name, one in parts.items()}


def _rates(path: Path, cells: np.ndarray) -> tuple[np.ndarray, pd.Index]:
    """Lines of cell, promoter, kind, methylated, covered, percent: ``(cells, promoters)``."""
    wanted = pd.Index(cells)
    found = []
    with text(path).opened() as lines:
        chunks = pd.read_csv(
            lines, sep="\t", header=None, chunksize=1 << 20, float_precision=BY_PYTHON
        )
        for chunk in chunks:
            if chunk.shape[1] < 6:
                what = f"its lines have {chunk.shape[1]} fields, not 6 (cell, promoter, ..., rate)"
                raise wrong(path.name, what)
            found.append(chunk.loc[chunk[0].isin(wanted), [0, 1, 3, 4]])
    table = pd.concat(found, ignore_index=True)
    if table.empty:
        raise wrong(path.name, f"none of its cells is among {', '.join(wanted[:3])}, ...")
    promoters = pd.Index(sorted(table[1].astype(str).unique()))
    rates = np.full((len(wanted), len(promoters)), np.nan, dtype=np.float32)
    share = table[3].to_numpy(np.float64) / table[4].to_numpy(np.float64)
    rates[wanted.get_indexer(table[0]), promoters.get_indexer(table[1].astype(str))] = share
    return rates, unique_names(promoters)[0]
