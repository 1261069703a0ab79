"""Simulated cells with known types, small for tests and large for measurements."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.disk.files import replacing
from cytonym.disk.hdf5 import hdf5, write_anndata, write_rows
from cytonym.errors import OptionError


def simulate(
    n_cells: int = 400,
    n_genes: int = 300,
    n_types: int = 4,
    *,
    seed: int,
    batches: int = 1,
    markers_per_type: int = 20,
    fold: float = 6.0,
    depth: float = 2_000.0,
) -> AnnData:
    """Negative binomial counts in which every type has its own block of marker genes.

    Parameters
    ----------
    n_cells, n_genes, n_types
        The size; types are of equal size.
    seed
        The same seed gives the same cells.
    batches
        Batches of equal size; each changes every gene by a factor of its own (about 20 %).
    markers_per_type
        Genes that are ``fold`` times higher in one type.
    fold
        How clear the types are; 1 makes them alike.
    depth
        The median count of a cell.

    Returns
    -------
    AnnData
        ``X`` csr float32 raw counts; ``obs`` has ``cell_type`` and ``batch``; ``var`` has
        ``gene_ids`` in the form of Ensembl IDs.
    """
    if markers_per_type * n_types > n_genes:
        raise OptionError(
            f"{n_types} types × {markers_per_type} markers need {markers_per_type * n_types} "
            f"genes, and n_genes is {n_genes}: ask for more genes or fewer markers"
        )
    rng = np.random.default_rng(seed)
    obs = typed_cells(n_cells, n_types, batches, rng)
    profile = np.tile(rng.lognormal(0, 1, n_genes), (n_types, 1))
    for kind in range(n_types):
        profile[kind, kind * markers_per_type : (kind + 1) * markers_per_type] *= fold
    shift = rng.lognormal(0, 0.2, (batches, n_genes)) if batches > 1 else np.ones((1, n_genes))
    mean = profile[obs["cell_type"].cat.codes] * shift[obs["batch"].cat.codes]
    mean *= depth * rng.lognormal(0, 0.3, (n_cells, 1)) / mean.sum(axis=1, keepdims=True)
    dispersion = 2.0  # variance = mean + mean² / 2, as in 10x data
    counts = rng.poisson(rng.gamma(dispersion, mean / dispersion))
    names = pd.Index([f"SIM{i:04d}" for i in range(n_genes)])
    var = pd.DataFrame({"gene_ids": [f"ENSG{9 * 10**10 + i}" for i in range(n_genes)]}, names)
    return AnnData(csr_matrix(counts, dtype=np.float32), obs, var)


def simulate_multiome(
    n_cells: int = 400,
    n_genes: int = 300,
    n_types: int = 4,
    *,
    seed: int,
    n_peaks: int = 500,
    open_share: float = 0.05,
    fold: float = 6.0,
    batches: int = 1,
) -> dict[str, AnnData]:
    """RNA and ATAC of the same cells, ``{"rna": ..., "atac": ...}``.

    ATAC is 0/1: a tenth of the peaks, divided over the types, opens ``fold`` times as often in
    its type. ``var`` of ATAC has ``chr``, ``start``, ``end`` (bp, 0-based, half-open).
    """
    rna = simulate(n_cells, n_genes, n_types, seed=seed, batches=batches, fold=fold)
    rng = np.random.default_rng([seed, 1])
    rate = np.tile(open_share * rng.lognormal(0, 0.5, n_peaks), (n_types, 1))
    markers = max(1, n_peaks // (2 * n_types))
    for kind in range(n_types):
        rate[kind, kind * markers : (kind + 1) * markers] *= fold
    opened = rng.random((n_cells, n_peaks)) < np.minimum(rate, 0.9)[rna.obs["cell_type"].cat.codes]
    starts = 1_000 * np.arange(1, n_peaks + 1)
    var = pd.DataFrame({"chr": "chr1", "start": starts, "end": starts + 500})
    var.index = pd.Index([f"chr1:{start}-{start + 500}" for start in starts])
    obs = pd.DataFrame(rna.obs, copy=True)
    return {"rna": rna, "atac": AnnData(csr_matrix(opened, dtype=np.float32), obs, var)}


def simulate_large(
    path: str | Path,
    n_cells: int,
    *,
    seed: int,
    source: AnnData | None = None,
    keep: float = 0.9,
    block: int = 10_000,
) -> Path:
    """Write an ``.h5ad`` of any size, block by block, for measuring time and memory.

    Parameters
    ----------
    path
        The file to write.
    n_cells
        Its number of cells, drawn with replacement from ``source``.
    seed
        The same seed gives the same file.
    source
        Raw counts in ``X`` (csr); None: simulated, 2,000 cells × 2,000 genes of 8 types.
    keep
        Every count is kept with this probability, so that copies of a cell differ.
    block
        Cells in memory at a time.
    """
    path, rng = Path(path), np.random.default_rng(seed)
    if source is None:
        source = simulate(2_000, 2_000, 8, seed=seed)
    picked = rng.integers(0, source.n_obs, n_cells)
    obs, var = pd.DataFrame(source.obs).iloc[picked].copy(), pd.DataFrame(source.var)
    obs.index = pd.Index([f"cell{i}" for i in range(n_cells)])
    counts = csr_matrix(source.X)

    def blocks() -> Iterator[csr_matrix]:
        for first in range(0, n_cells, block):
            rows = csr_matrix(counts[picked[first : first + block]])
            whole = np.round(rows.data).astype(np.int64)
            rows.data = rng.binomial(whole, keep).astype(np.float32)
            rows.eliminate_zeros()
            yield rows

    with replacing(path) as partial:
        write_anndata(AnnData(obs=obs, var=var), partial)
        with hdf5(partial, "r+") as file:
            write_rows(file, "X", (n_cells, source.n_vars), blocks())
    return path


def typed_cells(n_cells: int, n_types: int, batches: int, rng: np.random.Generator) -> pd.DataFrame:
    """``cell_type`` and ``batch`` of cells; all types, and all batches, are of equal size."""
    types = rng.permutation(np.arange(n_cells) % n_types)
    batch = rng.permutation(np.arange(n_cells) % batches)
    return pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(types, type_names(n_types)),
            "batch": pd.Categorical.from_codes(batch, [f"batch{i}" for i in range(batches)]),
        },
        index=pd.Index([f"cell{i}" for i in range(n_cells)]),
    )


def type_names(n_types: int) -> list[str]:
    """``type A``, ``type B``, ...; numbers where letters do not suffice."""
    return [f"type {chr(65 + i)}" if n_types <= 26 else f"type {i:03d}" for i in range(n_types)]
