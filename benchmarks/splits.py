"""The benchmark protocol as data: which cells are reference, which are query, under which label.

Within-set tasks cut one data set into a stratified 80/20 split that depends on the seed. Transfer
tasks take all of one set as reference and all of another as query, on the genes they share; their
cells do not depend on the seed. In a transfer, types known to one side only stay where they are: a
query cell of a type that the reference lacks cannot be named rightly, and counts as an error.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
from sklearn.model_selection import train_test_split

MIN_CELLS = 5
TEST_SIZE = 0.2
SEEDS = (0, 1, 2, 3, 4)


@dataclass(frozen=True)
class Task:
    """One task; without a `query` set, the reference set is split."""

    reference: str
    query: str | None = None
    label: str = "cell_type"

    @property
    def is_transfer(self) -> bool:
        """Whether reference and query are different data sets."""
        return self.query is not None

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the data sets that the task reads."""
        return (self.reference,) if self.query is None else (self.reference, self.query)


TASKS: dict[str, Task] = {
    "zheng_facs_pbmc": Task("zheng_facs_pbmc"),
    "pbmc3k": Task("pbmc3k"),
    "scdcc_cite_cbmc_nogenes": Task("scdcc_cite_cbmc_nogenes"),
    "neurips_bmmc_cite_starter": Task("neurips_bmmc_cite_starter"),
    "zheng_to_pbmc3k": Task("zheng_facs_pbmc", "pbmc3k", "coarse_type"),
    "pbmc3k_to_zheng": Task("pbmc3k", "zheng_facs_pbmc", "coarse_type"),
}


def data_file(name: str, data_dir: str | Path) -> Path:
    """Path of a data set, in `data_dir` itself or in its `rna` folder."""
    direct = Path(data_dir) / f"{name}.h5ad"
    return direct if direct.exists() else Path(data_dir) / "rna" / f"{name}.h5ad"


def data_hashes(task: str, data_dir: str | Path) -> dict[str, str]:
    """SHA-256 of each file that the task reads."""
    files = {name: data_file(name, data_dir) for name in TASKS[task].sets}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def load(task: str, seed: int, data_dir: str | Path) -> tuple[ad.AnnData, ad.AnnData, str]:
    """Return (reference, query, label column) of a task, both with raw counts in `X`."""
    spec = TASKS[task]
    first = _read(spec.reference, spec.label, data_dir)
    if spec.query is None:
        return *split(first, spec.label, seed), spec.label
    second = _read(spec.query, spec.label, data_dir)
    shared = first.var_names[first.var_names.isin(second.var_names)]
    return first[:, shared].copy(), second[:, shared].copy(), spec.label


def split(adata: ad.AnnData, label: str, seed: int) -> tuple[ad.AnnData, ad.AnnData]:
    """Stratified 80/20 split of the cells whose type has at least `MIN_CELLS` cells."""
    counts = adata.obs[label].value_counts()
    kept = np.flatnonzero(adata.obs[label].map(counts).to_numpy() >= MIN_CELLS)
    train, test = train_test_split(
        kept,
        test_size=TEST_SIZE,
        stratify=adata.obs[label].to_numpy()[kept],
        random_state=seed,
    )
    return adata[train].copy(), adata[test].copy()


def _read(name: str, label: str, data_dir: str | Path) -> ad.AnnData:
    """Read one data set, without its unlabelled cells and with labels as plain strings."""
    adata = ad.read_h5ad(data_file(name, data_dir))
    adata = adata[adata.obs[label].notna().to_numpy()].copy()
    adata.obs[label] = adata.obs[label].astype(str).astype(object)
    return adata
