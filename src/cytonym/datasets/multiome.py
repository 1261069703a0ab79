"""Readers of RNA and ATAC of the same cells in binary files: 10x, NeurIPS 2021, scMoAnno."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.data.contents import split_types
from cytonym.data.tenx import open_tenx_h5
from cytonym.datasets.assemble import assembled, labelled
from cytonym.datasets.tables import fact_table
from cytonym.datasets.texts import Text, reading, text, wrong

LABELS = "labels.tsv"
NEURIPS = "GSE194122_openproblems_neurips2021_multiome_BMMC_processed.h5ad.gz"
SCMOANNO = ("rna.h5ad", "atac.h5ad", "Label.csv")


def tenx_reader(matrix: str, labels: str = LABELS) -> Callable[[Path], dict[str, AnnData]]:
    """A reader of a 10x ``.h5`` with genes and peaks, and of a table of types, if it is there."""

    def read(folder: Path) -> dict[str, AnnData]:
        held = open_tenx_h5(folder / matrix)
        place = held.places["X"]
        with reading(matrix):
            values = place.rows.read(np.arange(len(held.obs)))
        columns = split_types(place.var)[0]
        if set(columns) != {"rna", "atac"}:
            what = f"it holds {', '.join(columns) or 'no known features'}, not genes and peaks"
            raise wrong(matrix, what)
        parts = {
            name: assembled(values[:, columns[name]], held.obs, place.var.iloc[columns[name]])
            for name in ("rna", "atac")
        }
        return with_labels(parts, folder / labels)

    return read


def with_labels(parts: dict[str, AnnData], table: Path) -> dict[str, AnnData]:
    """Both modalities with the types of a table, if it is there; cells that it lacks left out."""
    if not table.exists():
        return parts
    labels = label_table(text(table))
    return {name: labelled(cells, labels) for name, cells in parts.items()}


def label_table(table: Text) -> pd.Series:
    """Types by cell name: two columns with a header, tab or comma between them.

    Of more columns, the first is the cell, and the type is ``cell_type``, ``celltype``,
    ``cluster``, ``label`` or ``annotation``.
    """
    with table.opened() as lines:
        sep = "\t" if "\t" in next(lines, "") else ","
    facts: Any = fact_table(table, sep)
    known = ("celltype", "cellline", "cluster", "label", "annotation")
    named = [one for one in known if one in facts.columns[1:]]
    if facts.shape[1] == 2:
        named = [facts.columns[1]]
    if not named:
        what = f"which of its columns is the type is not known: {', '.join(facts.columns)}"
        raise wrong(table.name, what)
    return pd.Series(facts[named[0]].to_numpy(), index=pd.Index(facts.iloc[:, 0]))


def read_h5ad(path: Path) -> AnnData:
    """An ``.h5ad``, also one that is packed with gzip."""
    with reading(path.name):
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        if not packed:
            return ad.read_h5ad(path)
        with tempfile.TemporaryDirectory() as place:
            plain = Path(place) / "cells.h5ad"
            with gzip.open(path) as source, plain.open("wb") as out:
                shutil.copyfileobj(source, out, 2**24)
            return ad.read_h5ad(plain)


def read_neurips(folder: Path) -> dict[str, AnnData]:
    """Genes and peaks (feature types ``GEX``, ``ATAC``) in one file; counts in a layer."""
    whole = read_h5ad(folder / NEURIPS)
    lacking = [f"layers[{n!r}]" for n in ("counts",) if n not in whole.layers]
    lacking += [f"obs[{n!r}]" for n in ("cell_type", "batch") if n not in whole.obs]
    lacking += [f"var[{n!r}]" for n in ("feature_types",) if n not in whole.var]
    if lacking:
        raise wrong(NEURIPS, f"it has no {', '.join(lacking)}")
    obs = pd.DataFrame({"batch": whole.obs["batch"].astype(str)}, index=whole.obs_names)
    for column, name in (("DonorID", "donor"), ("Site", "site")):
        if column in whole.obs:
            obs[name] = whole.obs[column].astype(str)
    labels = whole.obs["cell_type"].astype(str).where(whole.obs["cell_type"].notna(), "")
    kinds = whole.var["feature_types"].astype(str).to_numpy()
    parts = {}
    for kind, name in (("GEX", "rna"), ("ATAC", "atac")):
        mine = kinds == kind
        if not mine.any():
            raise wrong(NEURIPS, f"no feature is {kind}; there are {', '.join(sorted({*kinds}))}")
        var = pd.DataFrame(index=whole.var_names[mine])
        if "gene_id" in whole.var and name == "rna":
            var["gene_ids"] = whole.var["gene_id"].astype(str).to_numpy()[mine]
        values = csr_matrix(whole.layers["counts"])[:, mine]
        parts[name] = labelled(assembled(values, obs, var), labels)
    return parts


def read_scmoanno(folder: Path) -> dict[str, AnnData]:
    """``rna.h5ad``, ``atac.h5ad`` and ``Label.csv``, the types of the cells in their order."""
    rna, atac = (read_h5ad(folder / name) for name in SCMOANNO[:2])
    facts: Any = fact_table(text(folder / SCMOANNO[2]), ",")
    sizes = [rna.n_obs, atac.n_obs, len(facts)]
    if len({*sizes}) > 1:
        what = "rna.h5ad has {:,} cells, atac.h5ad {:,}, Label.csv {:,} lines".format(*sizes)
        raise wrong(folder.name, what)
    same = {*rna.obs_names} == {*atac.obs_names}
    if same and not rna.obs_names.equals(atac.obs_names):
        what = "rna.h5ad and atac.h5ad hold the same cells in another order; Label.csv has no names"
        raise wrong(folder.name, what)
    # An index that was written too stands first: numbers, or the cells' names.
    first = facts.iloc[:, 0].to_numpy()
    numbered = [str(one) for one in range(len(first))]
    index = facts.shape[1] > 1 and ([*first] in (numbered, [*rna.obs_names.astype(str)]))
    types = facts.iloc[:, 1 if index else 0].to_numpy()
    parts = {}
    for name, cells in (("rna", rna), ("atac", atac)):
        obs = pd.DataFrame(index=rna.obs_names.astype(str))
        var = cells.var.copy()
        var.index = cells.var_names.astype(str)
        made = assembled(csr_matrix(cells.X), obs, var)
        parts[name] = labelled(made, pd.Series(types, index=made.obs_names))
    return parts
