"""A data set by its name: read, and with where it comes from written on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from anndata import AnnData

from cytonym.datasets.catalogue import DATA_SETS
from cytonym.datasets.record import Cells, DataSet, File
from cytonym.datasets.store import found, gathered, remember, together
from cytonym.errors import OptionError, suggest


def get(name: str) -> DataSet:
    """The record of a data set.

    Raises
    ------
    OptionError
        There is none of this name.
    """
    if name not in DATA_SETS:
        raise OptionError(f"There is no data set {name!r}. {suggest(name, [*DATA_SETS])}")
    return DATA_SETS[name]


def missing(name: str, folder: str | Path | None = None) -> list[File]:
    """Files that a data set needs and that are not there; nothing is fetched.

    Parameters
    ----------
    name
        One of ``DATA_SETS``.
    folder
        Where they may lie, there or in a folder called as the data set; then the cache.

    Raises
    ------
    OptionError
        There is no data set of this name.
    """
    paths = found(get(name), folder)
    return [file for file, path in paths.items() if path is None and not file.optional]


def load(name: str, *, folder: str | Path | None = None, progress: bool = True) -> Cells:
    """Read a published data set from the files that its authors deposited.

    Files are taken from ``folder`` (or a folder in it called as the data set), else from the
    cache, else fetched into the cache, unless ``CYTONYM_OFFLINE`` is set. The SHA-256 of each is
    remembered at its first use and compared afterwards.

    Parameters
    ----------
    name
        One of ``DATA_SETS``.
    folder
        Where the files lie.
    progress
        Show a bar while a file is fetched.

    Returns
    -------
    AnnData or dict
        Cells × genes, or one for each modality of the same cells: raw counts as csr float32 in
        ``X`` (``uns["values"]`` says what else, where the source has no counts);
        ``obs["cell_type"]`` str, with ``obs["source_label"]`` as deposited; ``obs["batch"]``,
        ``obs["donor"]`` where the source has them; ``uns["source"]``, ``["dataset"]``,
        ``["sha256"]`` by file, ``["left_out"]`` (cells without a type), ``["genome"]`` of peaks.

    Raises
    ------
    OptionError
        There is no data set of this name.
    DataError
        Files that are missing, have changed, or are not laid out as they should be.
    """
    data_set = get(name)
    paths, sums = gathered(data_set, folder, progress=progress)
    with together(paths) as place:
        cells = data_set.read(place)
    remember(data_set, sums)  # only now: a damaged file is none to compare with
    for part in cells.values() if isinstance(cells, dict) else (cells,):
        _sign(part, data_set, sums)
    return cells


def _sign(cells: AnnData, data_set: DataSet, sums: Mapping[str, str]) -> None:
    cells.uns["dataset"] = data_set.name
    cells.uns["source"] = f"{data_set.title}. {data_set.source}"
    cells.uns["sha256"] = dict(sums)
    if data_set.genome is not None:
        cells.uns["genome"] = data_set.genome
