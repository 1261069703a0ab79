"""Open a data set: find the counts by evidence, and say what was found."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import zarr
from anndata import AnnData
from anndata.io import read_elem
from scipy.sparse import issparse

from cytonym.data.anndata_rows import open_anndata, open_anndata_file
from cytonym.data.choose import choose, feature_space, genes_problem, layer_names, structure
from cytonym.data.contents import Contents
from cytonym.data.joined import Opened, facts_of, join, open_modalities
from cytonym.data.rows import check_sparse
from cytonym.data.source import Cells, Part, damaged, guarded
from cytonym.data.tenx import find_matrix, open_mtx_folder, open_tenx_h5
from cytonym.disk.stamps import Stamp
from cytonym.disk.stores import is_store
from cytonym.dna.fetch import genome_file
from cytonym.errors import DataError, Problem, suggest

FORMATS = (
    ".h5ad, .h5mu, .zarr, a 10x .h5, or a folder with matrix.mtx, features.tsv and barcodes.tsv"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a user says of a data set; None: found by evidence. See :func:`open_cells`."""

    genes: str | None = None
    layer: str | None = None
    modalities: Mapping[str, str] | None = None
    genome: str | Path | None = None


def readings(contents: Mapping[str, Contents], how: Reading) -> dict[str, Reading]:
    """What of it is meant for each of several modalities.

    A gene column belongs to the genes, a layer to the modalities that have it; one that none has
    is asked of all, which then say so.
    """
    have = {name: how.layer in layer_names(one) for name, one in contents.items()}
    return {
        name: Reading(
            how.genes if name == "rna" else None,
            how.layer if have[name] or not any(have.values()) else None,
        )
        for name in contents
    }


def open_cells(
    data: Any,
    *,
    layer: str | None = None,
    genes: str | None = None,
    modalities: Mapping[str, str] | None = None,
    genome: str | Path | None = None,
) -> Cells:
    """Open a data set for reading; files are streamed.

    Counts are looked for in ``layers["counts"]``, ``raw.X`` and ``X``, judged by the numbers in
    a sample of rows. Where there are none, logged values are taken, with the logarithm undone.
    Of methylation, rates in [0, 1] are looked for, in ``X`` first.

    Parameters
    ----------
    data
        An ``.h5ad``, ``.h5mu`` or Zarr path, a 10x ``.h5`` file or matrix folder; an AnnData or
        MuData; or ``{"rna": ..., "atac": ...}`` with one of these for each (``"methylation"``
        is the third).
    layer
        ``"X"``, ``"raw"`` or the name of a layer: read this one and no other.
    genes
        The column of ``var`` that holds the gene names to use; default: the index.
    modalities
        What the parts of a MuData are called: ``{"rna": "GEX", "atac": "peaks"}``.
    genome
        The genome on which peaks lie, for methods that read DNA: a FASTA file, or a name
        (``hg19``, ``hg38``, ``mm10``, ``mm39``) by which it is fetched once.

    Raises
    ------
    DataError
        With all problems: no such file, damaged, no cells, no genes, no usable numbers.
    """
    return open_read(data, Reading(genes, layer, modalities, genome))


def read_obsm(path: str | Path, name: str) -> np.ndarray:
    """``obsm[name]`` ``(cells, dim)`` of an ``.h5ad``, ``.h5mu`` or Zarr store, nothing else.

    Raises
    ------
    DataError
        No such file or name, or not a matrix of numbers.
    """
    path = Path(path).expanduser()
    try:
        opened: Any = (
            nullcontext(zarr.open_group(path, mode="r")) if path.is_dir() else h5py.File(path)
        )
    except (OSError, ValueError) as error:
        raise damaged(path.name, error) from error
    with opened as root:
        there = sorted(root["obsm"]) if "obsm" in root else []
        if name not in there:
            remedy = suggest(name, there) if there else "obsm is empty: annotate the cells first"
            raise DataError(Problem(f"there is no obsm[{name!r}]", remedy), subject=path.name)
        values: Any = read_elem(root["obsm"][name])
    with guarded(path.name):
        check_sparse(values)
    values = np.asarray(values.toarray() if issparse(values) else values)
    if values.ndim != 2 or values.dtype.kind not in "fiu":
        what = f"obsm[{name!r}] is {values.shape} of {values.dtype}, and no embedding"
        raise DataError(Problem(what, "name a matrix (cells, dim) of numbers"), subject=path.name)
    return values.astype(np.float32)


def open_read(data: Any, how: Reading) -> Cells:
    """As :func:`open_cells`."""
    if isinstance(data, str | Path):
        with guarded(Path(data).name):
            return _open_read(data, how)
    return _open_read(data, how)


def _open_read(data: Any, how: Reading) -> Cells:
    several = open_modalities(data, open_contents, modalities=how.modalities)
    if several is None:
        cells = _opened(open_contents(data), how.layer, how.genes)
    else:
        cells = open_joined(several, how)
    if how.genome is None or "atac" not in cells.spaces:
        return cells
    peaks = replace(cells.spaces["atac"], genome=genome_file(how.genome))
    return replace(cells, spaces={**cells.spaces, "atac": peaks})


def open_joined(several: Opened, how: Reading) -> Cells:
    """Choose what is read of each modality, and join them; all problems at once."""
    contents, obs, notes = several
    parts, problems, own = {}, [], readings(contents, how)
    indexes = [one.obs.index for one in contents.values()]
    repeats = sum(one.repeats for one in contents.values())
    if repeats and not all(index.equals(indexes[0]) for index in indexes):
        what = f"{repeats:,} cell names are repeats, so which cells belong together is not known"
        problems.append(Problem(what, "give each cell one name, the same in all modalities"))
    for modality, one in contents.items():
        try:
            parts[modality] = _opened(one, own[modality].layer, own[modality].genes)
        except DataError as error:
            problems += [Problem(f"{modality}: {p.what}", p.remedy) for p in error.problems]
    if problems:
        raise DataError(problems, subject=next(iter(contents.values())).name.split("/")[0])
    return join(parts, obs, notes)


def _opened(contents: Contents, layer: str | None, genes: str | None) -> Cells:
    """Choose what is read of one file or object."""
    problems = structure(contents)
    if problems:
        raise DataError(problems, subject=contents.name)
    chosen, notes, problems = choose(contents, layer)
    problems += [p for w in chosen.values() if (p := genes_problem(contents, w[0].where, genes))]
    if problems:
        raise DataError(dict.fromkeys(problems), subject=contents.name)
    spaces = {m: feature_space(m, place, genes) for m, (place, _) in chosen.items()}
    parts = {}
    for modality, (place, _) in chosen.items():
        columns = place.columns[modality]
        parts[modality] = Part(place.rows, None if len(columns) == len(place.var) else columns)
        if place.rows.note:
            notes.append(f"{place.where}: {place.rows.note}")
    return Cells(
        name=contents.name,
        obs=contents.obs,
        spaces=spaces,
        values={m: str(finding.values) for m, (_, finding) in chosen.items()},
        finding={m: finding for m, (_, finding) in chosen.items()},
        parts=parts,
        notes=[*contents.notes, *dict.fromkeys(notes)],
        path=contents.path,
        stamp=contents.stamp,
    )


def read_obs(path: Path) -> pd.DataFrame:
    """Facts of the cells of a file; of an ``.h5mu`` also those that its modalities alone have."""
    several = open_modalities(path, open_contents)
    if several is None:
        return open_contents(path).obs
    parts, obs, _ = several
    return facts_of({name: one.obs for name, one in parts.items()}, obs)


def open_contents(data: str | Path | AnnData) -> Contents:
    """Open without choosing: the cells and all matrices of a file or object."""
    if isinstance(data, AnnData):
        return open_anndata(data)
    if not isinstance(data, str | Path):
        what = f"{type(data).__name__} is not a kind of data that can be read"
        raise DataError(Problem(what, f"give an AnnData or a path: {FORMATS}"))
    path = Path(data).expanduser()
    if not path.exists():
        raise DataError(_missing(path), subject=str(path))
    stamp = Stamp.of((path.is_dir() and find_matrix(path)) or path)
    return replace(_open_path(path), stamp=stamp)


def _open_path(path: Path) -> Contents:
    """By what the file or folder is."""
    if path.is_dir():
        if is_store(path):
            return open_anndata_file(path)
        if matrix := find_matrix(path):
            return open_mtx_folder(path, matrix)
        inside = ", ".join(sorted(p.name for p in path.iterdir())[:6]) or "nothing"
        problem = Problem(f"the folder holds {inside}", f"give {FORMATS}")
        raise DataError(problem, subject=path.resolve().name)
    if path.stat().st_size == 0:
        raise DataError(Problem("the file is empty (0 bytes)", "copy it again"), subject=path.name)
    suffix = path.suffix.lower()
    if path.name.lower().removesuffix(".gz").endswith((".tsv", ".bed")):
        what = "tables of text are not read"
        remedy = (
            f"give {FORMATS}; if these are fragments, count them first: "
            f"cytonym count {path.name} --peaks MODEL --out counted.h5ad"
        )
        raise DataError(Problem(what, remedy), subject=path.name)
    if suffix not in (".h5ad", ".h5mu", ".h5", ".hdf5"):
        problem = Problem(
            f"{path.suffix or 'a name without ending'} is not a known format", f"give {FORMATS}"
        )
        raise DataError(problem, subject=path.name)
    try:
        with h5py.File(path, "r") as file:
            anndata_like = suffix == ".h5ad" or ("obs" in file and "var" in file)
    except OSError as error:
        with path.open("rb") as stream:
            start = stream.read(8)
        if start != b"\x89HDF\r\n\x1a\n":
            problem = Problem(f"it is not HDF5 (it begins with {start!r})", "check the download")
            raise DataError(problem, subject=path.name) from error
        raise damaged(path.name, error) from error
    return open_anndata_file(path) if anndata_like else open_tenx_h5(path)


def _missing(path: Path) -> Problem:
    folder = path.absolute().parent
    if not folder.is_dir():
        return Problem(f"there is no folder {folder}", "check the path")
    names = [p.name for p in folder.iterdir() if p.suffix in (".h5ad", ".h5", ".zarr")]
    return Problem(
        "there is no such file", suggest(path.name, names) if names else "check the path"
    )
