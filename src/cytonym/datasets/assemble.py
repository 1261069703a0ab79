"""From a matrix and tables about cells to an AnnData: labels, what is left out, unique names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.data.contents import unique_names
from cytonym.datasets.texts import wrong

UNLABELLED = "no label"


def assembled(
    values: Any,
    obs: Any,
    var: Any,
    *,
    otherwise: str = "values as deposited, not whole numbers",
) -> AnnData:
    """Cells × features (a sparse matrix) as csr float32, names of the two tables made unique.

    ``uns["values"]`` is ``"counts"`` where all values are whole and not negative, else what
    ``otherwise`` calls them.
    """
    obs, var = obs.copy(), var.copy()
    obs.index, var.index = unique_names(obs.index)[0], unique_names(var.index)[0]
    obs.index.name = var.index.name = None
    matrix = csr_matrix(values, dtype=np.float32, copy=True)
    matrix.eliminate_zeros()
    matrix.sort_indices()
    counts = bool((matrix.data >= 0).all() and (matrix.data == np.round(matrix.data)).all())
    kind = "counts" if counts else otherwise
    return AnnData(matrix, obs=obs, var=var, uns={"values": kind, "left_out": ""})


def labelled(
    cells: AnnData,
    labels: Any,
    *,
    names: Mapping[str, str] | None = None,
    skip: Iterable[str] = (),
) -> AnnData:
    """The cells that have a type: ``obs["cell_type"]``, and ``obs["source_label"]`` as deposited.

    Parameters
    ----------
    labels
        A Series of str by cell name; cells that it lacks, or where it is empty, have none.
    names
        What labels are called here, where not as deposited.
    skip
        Labels that are no types (contaminated, unclear); ``uns["left_out"]`` counts their cells.

    Raises
    ------
    DataError
        No cell has a label.
    """
    found = labels[~labels.index.duplicated()].reindex(cells.obs_names)
    found = found.where(found.fillna("") != "", np.nan)
    keep = found.notna().to_numpy() & ~found.isin([*skip]).to_numpy()
    if not keep.any():
        some = ", ".join([*map(str, labels.index[:3])])
        what = f"none of the {cells.n_obs:,} cells ({cells.obs_names[0]}, ...) is among {some}, ..."
        raise wrong("the table of labels", what)
    left = found[~keep].fillna(UNLABELLED).value_counts()
    out = cells[keep].copy() if not keep.all() else cells
    said = found[keep].astype(str)
    out.obs["source_label"] = said.to_numpy(dtype=object)
    out.obs["cell_type"] = [(names or {}).get(one, one) for one in said]
    said_before = [cells.uns["left_out"]] if cells.uns["left_out"] else []
    parts = [*said_before, *(f"{n:,} {label}" for label, n in left.items())]
    out.uns["left_out"] = ", ".join(parts)
    return out


def paired(rna: AnnData, other: AnnData, *, name: str) -> dict[str, AnnData]:
    """Two modalities of the same cells, in the order of the first; cells of one alone left out.

    Raises
    ------
    DataError
        They share no cell.
    """
    shared: Any = rna.obs_names[rna.obs_names.isin(other.obs_names)]
    if not len(shared):
        what = (
            f"no cell is in both modalities; rna: {', '.join(rna.obs_names[:3])}, "
            f"{name}: {', '.join(other.obs_names[:3])}"
        )
        raise wrong(name, what)
    both = {}
    for called, cells in (("rna", rna), (name, other)):
        kept = cells[shared].copy()
        alone = cells.n_obs - kept.n_obs
        kept.uns["left_out"] = f"{alone:,} without the other modality" if alone else ""
        both[called] = kept
    return both


def peak_names(chrom: Any, start: Any, end: Any) -> pd.DataFrame:
    """``var`` of peaks, indexed like ``chr1:100-600``, from ``(peaks,)`` arrays.

    0-based, half-open.

    Raises
    ------
    ValueError
        A place is no number.
    """
    places = pd.DataFrame(
        {"chrom": np.asarray(chrom, dtype=object).astype(str), "start": start, "end": end}
    ).astype({"start": np.int64, "end": np.int64})
    text = places.astype(str)
    places.index = pd.Index(text["chrom"] + ":" + text["start"] + "-" + text["end"])
    return places
