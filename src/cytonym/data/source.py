"""An opened data set: cell facts in memory, values read by row on request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.data.judge import Finding, unlog
from cytonym.data.rates import judge_rates
from cytonym.data.rows import Rows
from cytonym.disk.refusals import refusal
from cytonym.disk.stamps import Stamp
from cytonym.errors import CytonymError, DataError, Problem
from cytonym.types import FeatureSpace


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Where the values of one modality lie: a matrix and, if not all, its columns (int).

    ``present`` ``(cells,)`` bool says in which cells it was measured; None: in all.
    """

    rows: Rows
    columns: np.ndarray | None = None
    present: np.ndarray | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """An opened data set; a :class:`cytonym.types.CellSource`.

    Attributes
    ----------
    name
        The file or object, for messages.
    obs
        Facts by cell, with unique names as index; a copy.
    spaces
        By modality, the features in the order of the data set.
    values
        By modality ``"counts"``, ``"relative"`` or ``"rates"``; see
        :class:`cytonym.types.CellSource`.
    finding
        By modality, which place is read and why.
    parts
        By modality, where the values lie.
    notes
        What the user should know; nothing here stops the work.
    path
        The file, or None for an object in memory.
    stamp
        What the files were when they were opened.
    """

    name: str
    obs: pd.DataFrame
    spaces: Mapping[str, FeatureSpace]
    values: Mapping[str, str]
    finding: Mapping[str, Finding]
    parts: Mapping[str, Part] = field(repr=False)
    notes: list[str] = field(default_factory=list)
    path: Path | None = None
    stamp: Stamp = field(default_factory=Stamp)

    def __len__(self) -> int:
        return len(self.obs)

    @property
    def cells(self) -> np.ndarray:
        """``(cells,)`` str: unique cell names."""
        return self.obs.index.to_numpy()

    def read_as(self, modalities: Iterable[str]) -> list[str]:
        """Says which place of each modality is read, and what its numbers are."""
        several = len(self.spaces) > 1
        return [
            f"{name}: " * several + f"{self.finding[name].where} read as {self.finding[name].kind}"
            for name in modalities
        ]

    def present(self, modality: str) -> np.ndarray:
        """``(cells,)`` bool: True where the modality was measured in the cell."""
        part = self.parts.get(modality)
        if part is None or part.present is None:
            return np.full(len(self.obs), part is not None)
        return part.present

    def read(self, modality: str, rows: np.ndarray) -> csr_matrix:
        """Values of ``rows``, never logged.

        Parameters
        ----------
        modality
            One of ``spaces``.
        rows
            ``(rows,)`` int, any order, repeats allowed.

        Returns
        -------
        csr_matrix
            ``(rows, features)`` float32: raw counts, or relative expression. Of rates every
            observed one is stored, also 0; what is not stored is missing.

        Raises
        ------
        DataError
            When the file is damaged there or has changed since it was opened, or values are
            negative, infinite, NaN (of rates that is missing and no error) or, of rates, above 1.
        """
        part, rates = self.parts[modality], self.values[modality] == "rates"
        with self.stamp.unchanged(), guarded(self.name):
            block = part.rows.read(np.asarray(rows, dtype=np.int64), observed=rates)
        if part.columns is not None:
            block = block[:, part.columns]
        values = unlog(block.data.astype(np.float32, copy=False), self.finding[modality].kind)
        # The sample that judged the file saw some rows; every row is looked at when it is read.
        most = 1.0 if rates else np.finfo(np.float32).max
        if len(values) and not (values.min() >= 0 and values.max() <= most):
            raise DataError(_unsound(self, modality, block, values, rows), subject=self.name)
        return csr_matrix((values, block.indices, block.indptr), shape=block.shape)


def _unsound(
    source: Cells, modality: str, block: csr_matrix, values: np.ndarray, rows: np.ndarray
) -> Problem:
    where, names = source.finding[modality].where, source.spaces[modality].names
    if source.values[modality] == "rates":
        found = judge_rates(block, where, cells=source.cells[rows], features=names, whole=True)
        problem = found.problem()
        assert problem is not None
        return problem
    bad = ~(np.isfinite(values) & (values >= 0))
    row = int(np.searchsorted(block.indptr, np.flatnonzero(bad)[0], side="right")) - 1
    gene = names[block.indices[bad][0]]
    return Problem(
        f"{where}: {bad.sum():,} negative, NaN or infinite values in "
        f"{len(rows):,} cells; first: cell {source.cells[rows[row]]}, feature {gene}",
        "drop these cells, or give the counts from before the step that made them",
    )


@contextmanager
def guarded(name: str) -> Iterator[None]:
    """Inside, whatever the libraries that read a file cannot make sense of is a DataError."""
    try:
        yield
    except CytonymError:
        raise
    except OSError as error:
        raise damaged(name, error) from error
    except Exception as error:  # h5py, zarr and anndata name no common one
        what = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        remedy = "open it with the program that wrote it, and write it again"
        problem = Problem(f"its parts do not fit together ({what})", remedy)
        raise DataError(problem, subject=name) from error


def damaged(name: str, error: Exception) -> DataError:
    """The error for a file that starts well and cannot be read to its end, or not at all."""
    if problem := refusal(error):
        unread = replace(problem, what=f"it could not be read: {problem.what}")
        return DataError(unread, subject=name)
    return DataError(
        Problem(
            f"the file is truncated or damaged ({error})",
            "copy or download it again and compare its size or checksum with the original",
        ),
        subject=name,
    )
