"""HDF5 files that are written: a full disk is an error, and not the end of the process.

The HDF5 library does not survive a write that fails: the file stays open, every object of it tells
of the failure again, and the process ends in a segmentation fault. So it writes to a file that
takes everything, and remembers what it could not keep.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import anndata as ad
import h5py
import numpy as np

if TYPE_CHECKING:
    from mudata import MuData


@contextmanager
def hdf5(path: Path, mode: Literal["w", "r+"], **how: Any) -> Iterator[h5py.File]:
    """The file ``path``, which is there, to be written anew or added to; ``how`` as for
    :class:`h5py.File`.

    Raises
    ------
    OSError
        What the system refused, when the block has ended.
    """
    with _patient(path) as file, h5py.File(file, mode, **how) as opened:
        yield opened


def write_anndata(adata: ad.AnnData, path: Path) -> None:
    """As ``adata.write_h5ad(path)``; ``path`` is there. Text columns become categories in place."""
    adata.strings_to_categoricals()
    with hdf5(path, "w") as file:
        ad.io.write_elem(file, "/", adata)


def write_mudata(mdata: MuData, path: Path) -> None:
    """As ``mdata.write_h5mu(path)``; ``path`` is there."""
    with _patient(path) as file:
        mdata.write_h5mu(file)  # pyright: ignore[reportArgumentType]


def write_rows(group: Any, name: str, shape: tuple[int, int], blocks: Iterable[Any]) -> None:
    """A csr matrix of float32 in the place of ``name``, a block of rows at a time."""
    if name in group:
        del group[name]
    made = group.create_group(name)
    made.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0"})
    made.attrs["shape"] = np.array(shape)
    data, indices = (
        made.create_dataset(part, (0,), dtype, maxshape=(None,), chunks=(1 << 16,))
        for part, dtype in (("data", "f4"), ("indices", "i4"))
    )
    pointers = [np.zeros(1, np.int64)]
    for block in blocks:
        start, end = len(data), len(data) + block.nnz
        for part, values in ((data, block.data), (indices, block.indices)):
            part.resize((end,))
            part[start:end] = values
        pointers.append(start + block.indptr[1:].astype(np.int64))
    made["indptr"] = np.concatenate(pointers)


class _Patient(io.FileIO):
    """Takes every byte; after the first that could not be kept, none is."""

    failed: OSError | None = None

    def __fspath__(self) -> str:
        return str(self.name)

    def write(self, data: Any, /) -> int:
        rest = memoryview(data).cast("B")
        size = len(rest)
        while self.failed is None and len(rest):
            try:
                rest = rest[super().write(rest) :]
            except OSError as error:
                self.failed = error
        return size

    def readinto(self, buffer: Any, /) -> int | None:
        if self.failed is not None:
            raise self.failed  # what HDF5 would read is not there
        return super().readinto(buffer)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failed = self.failed or error
            return size or 0


@contextmanager
def _patient(path: Path) -> Iterator[_Patient]:
    """Such a file; in the end, what it could not keep is raised."""
    with _Patient(path, "r+") as file:
        try:
            yield file
        except Exception:
            if file.failed is None:
                raise
        if file.failed is not None:
            raise file.failed
