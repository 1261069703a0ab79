"""Rows of a matrix, wherever it lies: in memory, in HDF5 or in Zarr; only what is asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.sparse import csc_matrix, csr_matrix, vstack

logger = logging.getLogger("cytonym")

GAP = 16_384
"""Stored values between two wanted rows that are read along rather than skipped: one longer
read is faster than two short ones."""

CELL_LIMIT = 1 << 24
"""Values of a dense matrix that are held at once on the way to a sparse block (64 MB)."""


class Rows(Protocol):
    """A matrix of which rows can be read; ``note`` says what the user should know about it."""

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        ...

    @property
    def nnz(self) -> int:
        """The number of stored values (all of them where the matrix is dense)."""
        ...

    @property
    def note(self) -> str | None:
        """What the user should know about how it is read."""
        ...

    @property
    def loads(self) -> int:
        """Bytes that the first read takes into memory, and that stay there."""
        ...

    def read(self, rows: np.ndarray, *, observed: bool = False) -> csr_matrix:
        """``rows`` (int, any order, repeats allowed) as they are stored, cells × features.

        With ``observed``, NaN is missing and not stored, and every other value is, also the
        zeros of a dense matrix.
        """
        ...


def stored(matrix: Any, observed: bool) -> csr_matrix:
    """A csr matrix or dense array as csr; with ``observed`` as :meth:`Rows.read` says.

    Explicit zeros of a csr matrix stay.
    """
    if not observed:
        return csr_matrix(matrix)
    if hasattr(matrix, "indptr"):
        sparse = csr_matrix(matrix)
        there = ~np.isnan(sparse.data)
        if there.all():
            return sparse
        before = np.concatenate([[0], np.cumsum(there)])
        values = (sparse.data[there], sparse.indices[there], before[sparse.indptr])
        return csr_matrix(values, shape=sparse.shape)
    dense = np.asarray(matrix)
    there = ~np.isnan(dense)
    pointers = np.concatenate([[0], np.cumsum(there.sum(axis=1))])
    return csr_matrix((dense[there], np.nonzero(there)[1], pointers), shape=dense.shape)


def whole(kind: type, values: tuple[Any, Any, Any], shape: tuple[int, int]) -> Any:
    """A sparse matrix of what a file holds; an OSError as of :func:`check_sparse`."""
    with _together():
        matrix = kind(values, shape=shape)
    check_sparse(matrix)
    return matrix


def check_sparse(matrix: Any) -> None:
    """Whether the pointers and indices of a csr or csc matrix lie inside of it.

    scipy trusts them: an index beyond the last column is written to wherever it points.

    Raises
    ------
    OSError
        They do not.
    """
    if hasattr(matrix, "check_format"):
        with _together():
            matrix.check_format(full_check=True)


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise OSError(f"a sparse matrix does not hold together: {error}") from error


@dataclass(frozen=True, eq=False)
class MemoryRows:
    """A matrix in memory: csr, or a dense array."""

    matrix: Any
    note: str | None = None
    loads = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return self.matrix.shape

    @property
    def nnz(self) -> int:
        """The number of stored values."""
        return int(self.matrix.nnz if hasattr(self.matrix, "nnz") else self.matrix.size)

    def read(self, rows: np.ndarray, *, observed: bool = False) -> csr_matrix:
        """``rows`` as they are stored; the result shares nothing with the matrix."""
        if len(rows) and rows[-1] - rows[0] == len(rows) - 1 and (np.diff(rows) == 1).all():
            return stored(self.matrix[int(rows[0]) : int(rows[-1]) + 1], observed).copy()
        return stored(self.matrix[rows], observed)


@dataclass(frozen=True, eq=False)
class MappedRows:
    """A matrix seen in another order of rows; ``index`` (int) -1 is a row without values."""

    rows: Rows
    index: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return len(self.index), self.rows.shape[1]

    @property
    def nnz(self) -> int:
        """The number of stored values."""
        return self.rows.nnz

    @property
    def note(self) -> str | None:
        """What the user should know about how it is read."""
        return self.rows.note

    @property
    def loads(self) -> int:
        """Those of the matrix that is seen."""
        return self.rows.loads

    def read(self, rows: np.ndarray, *, observed: bool = False) -> csr_matrix:
        """``rows`` as they are stored, those without values empty."""
        wanted = self.index[rows]
        there = wanted >= 0
        block = self.rows.read(wanted[there], observed=observed)
        lengths = np.zeros(len(rows), dtype=np.int64)
        lengths[there] = np.diff(block.indptr)
        pointers = np.concatenate([[0], np.cumsum(lengths)])
        return csr_matrix((block.data, block.indices, pointers), shape=(len(rows), self.shape[1]))


@dataclass(frozen=True, eq=False)
class SparseDiskRows:
    """A csr matrix on disk: row pointers in memory, ``indices`` and ``data`` read by slices."""

    data: Any
    indices: Any
    indptr: np.ndarray
    shape: tuple[int, int]
    note: str | None = None
    loads = 0

    @property
    def nnz(self) -> int:
        """The number of stored values."""
        return int(self.indptr[-1])

    def read(self, rows: np.ndarray, *, observed: bool = False) -> csr_matrix:
        """``rows`` as they are stored: sorted, read in as few slices as pay, put back in order."""
        wanted, back = np.unique(rows, return_inverse=True)
        if not len(wanted):
            return csr_matrix((0, self.shape[1]), dtype=np.float32)
        between = self.indptr[wanted[1:]] - self.indptr[wanted[:-1] + 1]
        pieces, place, held = [], np.empty(len(wanted), np.int64), 0
        for part in np.split(np.arange(len(wanted)), np.flatnonzero(between > GAP) + 1):
            first, last = int(wanted[part[0]]), int(wanted[part[-1]]) + 1
            pieces.append(self._slice(first, last))
            place[part] = held + wanted[part] - first
            held += last - first
        block: Any = pieces[0] if len(pieces) == 1 else vstack(pieces, format="csr")
        order = place[back]
        as_read = len(order) == held and (order == np.arange(held)).all()
        return stored(block if as_read else block[order], observed)

    def _slice(self, first: int, last: int) -> csr_matrix:
        start, stop = int(self.indptr[first]), int(self.indptr[last])
        pointers = self.indptr[first : last + 1] - start
        values = (self.data[start:stop], self.indices[start:stop], pointers)
        return whole(csr_matrix, values, (last - first, self.shape[1]))


@dataclass(frozen=True, eq=False)
class DenseDiskRows:
    """A dense matrix on disk (h5py or Zarr), made sparse block by block."""

    array: Any
    note: str | None = None
    loads = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return tuple(self.array.shape)

    @property
    def nnz(self) -> int:
        """The number of stored values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def read(self, rows: np.ndarray, *, observed: bool = False) -> csr_matrix:
        """``rows`` as they are stored, never more than ``CELL_LIMIT`` values dense at a time."""
        wanted, back = np.unique(rows, return_inverse=True)
        if not len(wanted):
            return csr_matrix((0, self.shape[1]), dtype=np.float32)
        step = max(1, CELL_LIMIT // max(1, self.shape[1]))
        pieces = []
        for run in np.split(wanted, np.flatnonzero(np.diff(wanted) > 1) + 1):
            for first in range(int(run[0]), int(run[-1]) + 1, step):
                last = min(first + step, int(run[-1]) + 1)
                pieces.append(stored(self.array[first:last], observed))
        block: Any = pieces[0] if len(pieces) == 1 else vstack(pieces, format="csr")
        in_order = len(back) == len(wanted) and (back == np.arange(len(back))).all()
        return csr_matrix(block if in_order else block[back])


@dataclass(frozen=True, eq=False)
class ColumnDiskRows:
    """A csc matrix on disk: it has no rows to slice, so the first read loads all of it."""

    data: Any
    indices: Any
    indptr: np.ndarray
    shape: tuple[int, int]

    @property
    def nnz(self) -> int:
        """The number of stored values."""
        return int(self.indptr[-1])

    @property
    def note(self) -> str:
        """What it costs."""
        return (
            "the matrix is stored column-wise (csc): it cannot be streamed by cell and is loaded "
            f"into memory once ({self.nnz * 8 / 1e9:.2g} GB). Store it as csr to stream it."
        )

    @property
    def loads(self) -> int:
        """The values as they are stored and, for a moment, by rows."""
        return 16 * self.nnz

    @cached_property
    def _loaded(self) -> MemoryRows:
        logger.info("loading a column-wise matrix (%d stored values) into memory", self.nnz)
        values = (self.data[:], self.indices[:], self.indptr)
        return MemoryRows(whole(csc_matrix, values, self.shape).tocsr())

    def read(self, rows: np.ndarray, *, observed: bool = False) -> csr_matrix:
        """``rows`` as they are stored."""
        return self._loaded.read(rows, observed=observed)
