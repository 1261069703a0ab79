"""The benchmark protocol as data: which cells are reference, which are query, under which label.

Within-set tasks cut one data set into a stratified 80/20 split that depends on the seed. Transfer
tasks take all of one set as reference and all of another as query, on the features they share.
Folded tasks take some groups of one set (libraries, technologies, a condition) as query and the
other groups as reference. The cells of the last two do not depend on the seed, and types known to
one side only stay where they are: a query cell of a type that the reference lacks cannot be named
rightly, and counts as an error.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

MIN_CELLS = 5
TEST_SIZE = 0.2
SEEDS = (0, 1, 2, 3, 4)
KINDS = ("rna", "atac", "multiome")
"""Folders of the data sets."""

SET = "set"
"""The batch of a transfer: which data set a cell is from."""


@dataclass(frozen=True)
class Task:
    """One task; without a ``query`` set and without ``folds``, the reference set is split.

    ``folds`` are the values of ``obs[column]`` whose cells are the query of each fold. ``batch`` is
    the column that a competitor may see, ``left_out`` a label that is no type. ``parts`` are tasks
    on some modalities of the same cells: who runs there competes here too.
    """

    reference: str
    query: str | None = None
    label: str = "cell_type"
    modalities: tuple[str, ...] = ("rna",)
    column: str | None = None
    folds: tuple[tuple[str, ...], ...] = ()
    batch: str | None = None
    left_out: str | None = None
    parts: tuple[str, ...] = ()

    @property
    def is_transfer(self) -> bool:
        """Whether reference and query are different data sets."""
        return self.query is not None

    @property
    def is_drawn(self) -> bool:
        """Whether the seed draws the cells."""
        return not self.is_transfer and not self.folds

    @property
    def sets(self) -> tuple[str, ...]:
        """Names of the data sets that the task reads."""
        return (self.reference,) if self.query is None else (self.reference, self.query)

    @property
    def n_folds(self) -> int:
        """How often it is run with a seed."""
        return max(len(self.folds), 1)


@dataclass(frozen=True)
class Split:
    """Reference and query of a task by modality, with the columns of their labels and batches."""

    reference: Mapping[str, ad.AnnData]
    query: Mapping[str, ad.AnnData]
    label: str
    batch: str | None


TASKS: dict[str, Task] = {
    "zheng_facs_pbmc": Task("zheng_facs_pbmc"),
    "pbmc3k": Task("pbmc3k"),
    "scdcc_cite_cbmc_nogenes": Task("scdcc_cite_cbmc_nogenes"),
    "neurips_bmmc_cite_starter": Task("neurips_bmmc_cite_starter", batch="batch"),
    "zheng_to_pbmc3k": Task("zheng_facs_pbmc", "pbmc3k", "coarse_type", batch=SET),
    "pbmc3k_to_zheng": Task("pbmc3k", "zheng_facs_pbmc", "coarse_type", batch=SET),
}
"""RNA: splits, and transfers between two sets."""

_LIBRARIES = (("09B", "09C"), ("09E", "09F"), ("09H", "09I"), ("09K", "09L"))
_SNARE = Task(
    "snare_mouse_cortex", column="batch", folds=_LIBRARIES, batch="batch", left_out="Mis",
    modalities=("rna", "atac"), parts=("snare_rna", "snare_atac"),
)  # fmt: skip
_MARROW = Task(
    "bmmc_multiome_starter", batch="batch",
    modalities=("rna", "atac"), parts=("bmmc_multiome_rna", "bmmc_multiome_atac"),
)  # fmt: skip
_ONE = {"column": "batch", "batch": "batch"}

FOLDED: dict[str, Task] = {
    "kang": Task("kang_pbmc_subset", column="condition", folds=(("stim",),), batch="batch"),
    "symphony": Task("symphony_pbmc_3tech", folds=(("3pv1",), ("3pv2",), ("5p",)), **_ONE),
    "panc8": Task(
        "panc8_small_5tech",
        folds=(("celseq",), ("celseq2",), ("fluidigmc1",), ("indrop",), ("smartseq2",)),
        **_ONE,
    ),
    "snare": _SNARE,
    "snare_rna": replace(_SNARE, modalities=("rna",), parts=()),
    "snare_atac": replace(_SNARE, modalities=("atac",), parts=()),
    "bmmc_multiome": _MARROW,
    "bmmc_multiome_rna": replace(_MARROW, modalities=("rna",), parts=()),
    "bmmc_multiome_atac": replace(_MARROW, modalities=("atac",), parts=()),
    "bm0828": Task("buenrostro2018_BM0828", modalities=("atac",)),
    "archr_pbsmall": Task("archr_pbsmall", modalities=("atac",)),
}
"""Shifts (control to stimulated cells, a technology or two libraries left out), multiome, ATAC."""

ALL = TASKS | FOLDED


def data_file(name: str, data_dir: str | Path) -> Path:
    """Path of a data set, in ``data_dir`` itself or in its folder of that kind of data."""
    places = [(kind, f"{name}.{end}") for end in ("h5ad", "h5mu") for kind in (".", *KINDS)]
    found = [path for place in places if (path := Path(data_dir, *place)).exists()]
    return found[0] if found else Path(data_dir) / "rna" / f"{name}.h5ad"


def data_hashes(task: str, data_dir: str | Path) -> dict[str, str]:
    """SHA-256 of each file that the task reads."""
    files = {name: data_file(name, data_dir) for name in ALL[task].sets}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items()}


def load(task: str, seed: int, data_dir: str | Path) -> tuple[ad.AnnData, ad.AnnData, str]:
    """Return (reference, query, label column) of a task of RNA, both with raw counts in ``X``."""
    found = cut(task, seed, data_dir)
    return found.reference["rna"], found.query["rna"], found.label


def cut(task: str, seed: int, data_dir: str | Path, *, fold: int = 0) -> Split:
    """Reference and query of a fold of a task, with raw counts in ``X``."""
    spec = ALL[task]
    first = _parts(spec, spec.reference, data_dir)
    if spec.query is not None:
        second = _parts(spec, spec.query, data_dir)
        both = {name: _shared(first[name], second[name]) for name in spec.modalities}
        known, asked = ({name: pair[i] for name, pair in both.items()} for i in (0, 1))
        for side, name in ((known, spec.reference), (asked, spec.query)):
            for one in side.values():
                one.obs[SET] = name
        return Split(known, asked, spec.label, spec.batch)
    obs = next(iter(first.values())).obs
    if spec.folds:
        chosen = obs[spec.column].astype(str).isin(spec.folds[fold]).to_numpy()
        train, test = np.flatnonzero(~chosen), np.flatnonzero(chosen)
    else:
        train, test = drawn(obs[spec.label], seed)
    known, asked = (
        {name: one[rows].copy() for name, one in first.items()} for rows in (train, test)
    )
    return Split(known, asked, spec.label, spec.batch)


def drawn(labels: pd.Series, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of a stratified 80/20 split of the cells whose type has at least ``MIN_CELLS`` cells."""
    kept = np.flatnonzero(labels.map(labels.value_counts()).to_numpy() >= MIN_CELLS)
    train, test = train_test_split(
        kept, test_size=TEST_SIZE, stratify=labels.to_numpy()[kept], random_state=seed
    )
    return train, test


def split(adata: ad.AnnData, label: str, seed: int) -> tuple[ad.AnnData, ad.AnnData]:
    """The two parts of :func:`drawn`."""
    train, test = drawn(adata.obs[label], seed)
    return adata[train].copy(), adata[test].copy()


def _shared(first: ad.AnnData, second: ad.AnnData) -> tuple[ad.AnnData, ad.AnnData]:
    """Both with the features that both have."""
    shared = first.var_names[first.var_names.isin(second.var_names)]
    return first[:, shared].copy(), second[:, shared].copy()


def _parts(spec: Task, name: str, data_dir: str | Path) -> dict[str, ad.AnnData]:
    """The modalities of a set that a task reads, without cells that have no type."""
    path = data_file(name, data_dir)
    if path.suffix == ".h5ad":
        return {spec.modalities[0]: _typed(ad.read_h5ad(path), spec.label, spec.left_out)}
    with h5py.File(path, "r") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found: Any = {key: ad.io.read_elem(file[f"mod/{key}"]) for key in spec.modalities}
    return {key: _typed(one, spec.label, spec.left_out) for key, one in found.items()}


def _read(name: str, label: str, data_dir: str | Path) -> ad.AnnData:
    """Read one data set, without its unlabelled cells and with labels as plain strings."""
    return _typed(ad.read_h5ad(data_file(name, data_dir)), label)


def _typed(adata: ad.AnnData, label: str, left_out: str | None = None) -> ad.AnnData:
    """The cells with a type, labels as plain strings."""
    known = adata.obs[label].notna() & (adata.obs[label].astype(str) != left_out)
    adata = adata[known.to_numpy()].copy()
    adata.obs[label] = adata.obs[label].astype(str).astype(object)
    return adata
