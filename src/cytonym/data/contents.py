"""What a data set holds before anything is chosen: cells, and every matrix that could be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.data.ids import id_type
from cytonym.data.judge import Finding, judge, sample_rows
from cytonym.data.rates import METHYLATION, judge_rates
from cytonym.data.rows import Rows
from cytonym.data.source import damaged
from cytonym.disk.stamps import Stamp
from cytonym.dna.intervals import interval_names, mostly_intervals

TYPES = {
    **dict.fromkeys(("gene expression", "gex"), "rna"),
    **dict.fromkeys(("peaks", "atac"), "atac"),
    **dict.fromkeys(("dna methylation", "methylation", "met", "methyl", "cpg"), METHYLATION),
}
"""Feature types of 10x files (and of files made from them) that have a place here."""

OTHER_TYPES = ("antibody capture", "adt", "crispr guide capture", "multiplexing capture", "custom")


@dataclass(frozen=True, eq=False)
class Place:
    """One matrix of a data set with the facts of its columns.

    ``open`` makes it readable, which costs something, so only when it is wanted. ``modality``
    says what all columns are, where the data set says it; else their types and names do.
    """

    where: str
    var: pd.DataFrame
    open: Callable[[], Rows]
    modality: str | None = None

    @cached_property
    def rows(self) -> Rows:
        """The matrix."""
        return self.open()

    @cached_property
    def columns(self) -> dict[str, np.ndarray]:
        """By modality, its columns (int)."""
        own = split_types(self.var)[0]
        if self.modality is None:
            return own
        whole = np.arange(len(self.var))
        return {self.modality: own.get(self.modality, whole) if len(own) > 1 else whole}


@dataclass(frozen=True, eq=False)
class Contents:
    """All that a file or object holds: ``places`` in the order in which counts are looked for.

    ``repeats`` cell names were there before; they are numbered in ``obs``. ``stamp`` says what the
    file was when it was opened.
    """

    name: str
    format: str
    obs: pd.DataFrame
    places: Mapping[str, Place]
    notes: list[str] = field(default_factory=list)
    path: Path | None = None
    repeats: int = 0
    stamp: Stamp = field(default_factory=Stamp)

    def sample(self, where: str, modality: str) -> tuple[np.ndarray, csr_matrix]:
        """Some row numbers of one place, and these rows as they are stored.

        Of methylation every observed value is stored, and nothing else.
        """
        place = self.places[where]
        rows = sample_rows(place.rows.shape[0], place.rows.nnz)
        try:
            block: Any = place.rows.read(rows, observed=modality == METHYLATION)
        except OSError as error:
            raise damaged(self.name, error) from error
        columns = place.columns[modality]
        return rows, block if len(columns) == block.shape[1] else block[:, columns]

    def judge(self, where: str, modality: str) -> Finding:
        """Say what the numbers of one place and modality are, from a sample of its rows."""
        rows, block = self.sample(where, modality)
        place = self.places[where]
        look = judge_rates if modality == METHYLATION else judge
        return look(
            block,
            where,
            cells=self.obs.index.to_numpy()[rows],
            features=place.var.index.to_numpy()[place.columns[modality]],
            whole=len(rows) == len(self.obs),
        )


def split_types(var: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """Sort the features of a file by modality.

    Returns
    -------
    tuple
        By modality the columns (int); and by feature type how many were left out.
    """
    for name in ("feature_types", "feature_type"):
        if name not in var:
            continue
        kinds = var[name].astype(str).str.lower()
        # Elsewhere the same column says "protein_coding" or "lncRNA": then all is one modality.
        if not kinds.isin([*TYPES, *OTHER_TYPES]).any():
            continue
        modality = kinds.map(TYPES)
        columns = {
            m: np.flatnonzero(modality == m)
            for m in dict.fromkeys(TYPES.values())
            if (modality == m).any()
        }
        left = pd.Series(var[name].astype(str).to_numpy()[modality.isna()]).value_counts()
        return columns, {str(kind): int(n) for kind, n in left.items()}
    names = var.index.astype(str).to_numpy().astype(str)
    # Genes have coordinates too, but names of their own as well.
    peaks = mostly_intervals(names) or (
        id_type(names) in ("placeholder", "numeric") and interval_names(var) is not None
    )
    return {"atac" if peaks else "rna": np.arange(len(var))}, {}


def unique_names(index: pd.Index) -> tuple[pd.Index, int]:
    """Cell names as unique str, repeats numbered ``-1``, ``-2``; and how many were repeats."""
    names = index.astype(str)
    n_repeats = int(names.duplicated().sum())
    while names.has_duplicates:  # "a", "a", "a-1" needs a second round
        number = pd.Series(names).groupby(names).cumcount().to_numpy()
        names = pd.Index([f"{n}-{k}" if k else n for n, k in zip(names, number, strict=True)])
    return pd.Index(names.to_numpy(dtype=object), dtype=object), n_repeats


def string_columns(var: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns of ``var`` that hold text, as str arrays ('' where missing)."""
    found = {}
    for name in var.columns:
        values = var[name]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(values.cat.categories.dtype)
        if pd.api.types.is_string_dtype(values.dtype) or values.dtype == object:
            found[str(name)] = (
                values.astype(object).where(values.notna(), "").to_numpy().astype(str)
            )
    return found
