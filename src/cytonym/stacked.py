"""A matrix whose rows lie in several HDF5 files, read where they are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np


@dataclass(frozen=True, eq=False)
class Stacked:
    """Float32 ``(cells, dim)``: the data sets ``name`` of ``files``, one below the other."""

    files: Sequence[Path]
    name: str

    @cached_property
    def _starts(self) -> np.ndarray:
        """``(files + 1,)`` int: where each file's rows begin, and where the last ones end."""
        sizes = []
        for path in self.files:
            with h5py.File(path, "r") as file:
                sizes.append(file[self.name].shape)  # type: ignore[union-attr]
        assert len({dim for _, dim in sizes}) == 1
        return np.cumsum([0, *(rows for rows, _ in sizes)])

    @cached_property
    def shape(self) -> tuple[int, int]:
        """Cells and dimensions."""
        with h5py.File(self.files[0], "r") as file:
            return int(self._starts[-1]), int(file[self.name].shape[1])  # type: ignore[union-attr]

    dtype = np.dtype(np.float32)
    ndim = 2

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """The rows of each file."""
        for path in self.files:
            with h5py.File(path, "r") as file:
                yield np.asarray(file[self.name], dtype=np.float32)

    def __getitem__(self, rows: Any) -> np.ndarray:
        """``rows`` (bool or int, any order) in memory."""
        wanted = np.arange(len(self))[rows]
        found = np.empty((len(wanted), self.shape[1]), dtype=np.float32)
        for start, block in zip(self._starts, self.blocks(), strict=False):
            mine = (wanted >= start) & (wanted < start + len(block))
            found[mine] = block[wanted[mine] - start]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(np.concatenate([*self.blocks()]), dtype=dtype)

    def write(self, group: Any, name: str) -> None:
        """As a data set of an AnnData file or Zarr store, a block at a time."""
        create = group.create_array if hasattr(group, "create_array") else group.create_dataset
        made = create(name, shape=self.shape, dtype=self.dtype)
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        for start, block in zip(self._starts, self.blocks(), strict=False):
            made[int(start) : int(start) + len(block)] = block
