"""Small files, true to format, written anew for every test."""

import gzip
import warnings
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy.io import mmwrite
from scipy.sparse import csc_matrix, csr_matrix

from cytonym.data.simulate import simulate


@pytest.fixture
def cells() -> AnnData:
    """120 cells × 100 genes of 3 types, raw counts in X."""
    return simulate(120, 100, 3, seed=1, markers_per_type=10, depth=400)


def log_normalised(counts, total: float = 1e4) -> csr_matrix:
    """log1p(CP10k) of a csr matrix of counts, float32."""
    sums = np.asarray(counts.sum(axis=1)).ravel()
    logged = csr_matrix(counts.multiply(total / sums[:, None]), dtype=np.float32)
    logged.data = np.log1p(logged.data)
    return logged


def write_tenx_h5(path: Path, counts, names, ids, kinds=None) -> Path:
    """CellRanger's HDF5: version 3 with feature types, version 2 (one genome group) without."""
    by_feature = csc_matrix(counts.T)
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix" if kinds is not None else "GRCh38")
        group["data"] = by_feature.data.astype(np.int32)
        group["indices"] = by_feature.indices.astype(np.int64)
        group["indptr"] = by_feature.indptr.astype(np.int64)
        group["shape"] = np.array(by_feature.shape, np.int32)
        group["barcodes"] = np.array([f"AAAC{i:04d}-1" for i in range(counts.shape[0])], "S")
        if kinds is None:
            group["genes"], group["gene_names"] = np.array(ids, "S"), np.array(names, "S")
        else:
            features = group.create_group("features")
            features["id"], features["name"] = np.array(ids, "S"), np.array(names, "S")
            features["feature_type"] = np.array(kinds, "S")
            features["genome"] = np.array(["GRCh38"] * len(ids), "S")
            features["_all_tag_keys"] = np.array(["genome"], "S")
    return path


def write_mtx_folder(folder: Path, counts, names, ids, kinds=None, *, zipped: bool) -> Path:
    """CellRanger's folder: version 3 (features.tsv) with feature types, version 2 without."""
    folder.mkdir()
    table = pd.DataFrame({0: ids, 1: names} | ({2: kinds} if kinds is not None else {}))
    tables = {
        "features.tsv" if kinds is not None else "genes.tsv": table,
        "barcodes.tsv": pd.DataFrame([f"AAAC{i:04d}-1" for i in range(counts.shape[0])]),
    }
    for name, content in tables.items():
        target = folder / (name + (".gz" if zipped else ""))
        content.to_csv(target, sep="\t", header=False, index=False)
    opener = gzip.open if zipped else open
    with opener(folder / ("matrix.mtx" + (".gz" if zipped else "")), "wb") as stream:
        mmwrite(stream, csc_matrix(counts.T.astype(np.int32)))
    return folder


def everything(source) -> np.ndarray:
    return source.read("rna", np.arange(len(source))).toarray()


def saved(adata, folder, kind):
    """Write as the named kind of file."""
    path = folder / ("cells.h5ad" if kind == "h5ad" else f"cells.{kind}.zarr")
    if kind == "h5ad":
        adata.write_h5ad(path)
        return path
    with anndata.settings.override(zarr_write_format=int(kind[-1])), warnings.catch_warnings():
        # anndata and zarr remark on what is written; reading is what is tested here.
        warnings.simplefilter("ignore")
        adata.write_zarr(path)
    return path
