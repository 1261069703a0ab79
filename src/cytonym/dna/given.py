"""Embeddings of peaks that a user made, in an ``.npz``: read with limits, told from another's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cytonym.disk.arrays import MOST_VALUES, read_arrays
from cytonym.dna.intervals import ucsc
from cytonym.errors import DataError, Problem

PEAKS, VALUES = "peaks", "embeddings"
"""The arrays of the file."""

KEPT = 64
"""Peaks of the reference whose embeddings a model keeps, to know the file again by."""


@dataclass(frozen=True, slots=True, eq=False)
class Given:
    """What a file of embeddings says.

    Attributes
    ----------
    path
        The file.
    place
        The row of each peak, by its name; ``1`` and ``chr1`` are the same.
    values
        ``(peaks, d)`` finite numbers.
    """

    path: Path
    place: Mapping[str, int]
    values: np.ndarray

    @classmethod
    def read(cls, path: Path | None) -> Given:
        """The file at ``path``: ``peaks`` (names) and ``embeddings``, a row a peak.

        Raises
        ------
        DataError
            No plain file, an empty or a too large one, no such arrays, or no finite numbers.
        """
        remedy = "fit with --set embeddings=FILE.npz ('peaks', 'embeddings'); a model needs it too"
        if path is None:
            raise DataError(Problem("there is no file of embeddings", remedy), subject="the peaks")
        if not path.is_file():
            raise DataError(Problem("there is no such file", remedy), subject=str(path))
        size = path.stat().st_size
        if not 0 < size <= MOST_VALUES:
            what = f"it cannot be read (it has {size:,} bytes, of {MOST_VALUES:,} at most)"
            remedy = "give an .npz with the peaks of the data alone, in float16"
            raise DataError(Problem(what, remedy), subject=path.name)
        try:
            found = read_arrays(path, most=MOST_VALUES, only=(PEAKS, VALUES))
            names, values = found[PEAKS].astype(str), found[VALUES]
        except (OSError, ValueError, KeyError) as error:
            remedy = "write it by numpy.savez(file, peaks=names.astype(str), embeddings=values)"
            why = f"there are no {error}" if isinstance(error, KeyError) else error
            problem = Problem(f"it cannot be read ({why})", remedy)
            raise DataError(problem, subject=path.name) from error
        if not np.issubdtype(values.dtype, np.number) or values.ndim != 2 or not values.shape[1]:
            what = f"its embeddings are {values.dtype} of shape {values.shape}"
            raise DataError(Problem(what, "give numbers, a row a peak"), subject=path.name)
        if names.shape != values.shape[:1] or not np.isfinite(values).all():
            what = f"it has peaks {names.shape} and embeddings {values.shape}, or some not finite"
            raise DataError(Problem(what, "give one finite row for each peak"), subject=path.name)
        return cls(path, {_plain(one): row for row, one in enumerate(names.tolist())}, values)

    def of(self, peaks: Sequence[str]) -> np.ndarray:
        """``(peaks, d)`` float32, in that order.

        Raises
        ------
        DataError
            Some of them are not there.
        """
        rows = [self.place.get(_plain(name), -1) for name in peaks]
        if lacking := rows.count(-1):
            first = peaks[rows.index(-1)]
            what = f"it lacks {lacking:,} of {len(rows):,} peaks; the first is {first}"
            raise DataError(Problem(what, "embed all peaks of the data"), subject=self.path.name)
        return self.values[rows].astype(np.float32)

    def check(self, proof: Mapping[str, np.ndarray]) -> None:
        """Whether this is the file of the fit, or one that was made alike and holds more.

        Raises
        ------
        DataError
            It is another one: it lacks the peaks that the model knows, or has them otherwise.
        """
        remedy = "give the file of the fit, to which peaks may have been added; or fit again"
        try:
            peaks, rows = proof["proof.peaks"].tolist(), proof["proof.rows"]
        except KeyError:
            what = "the model does not say what the embeddings of its own peaks are"
            raise DataError(Problem(what, "fit again"), subject=self.path.name) from None
        known = [place for place, name in enumerate(peaks) if _plain(name) in self.place]
        found, alike = self.of([peaks[place] for place in known]), 0
        if rows.shape == (len(peaks), found.shape[1]):
            near = 1e-3 * np.abs(rows).max(initial=0)  # it may have been stored in float16 since
            alike = int(np.isclose(found, rows[known], rtol=1e-2, atol=near).all(1).sum())
        if not alike == len(peaks) > 0:
            what = (
                f"it is not what {self.path} was in the fit: of {len(peaks)} peaks that the model "
                f"knows it has {len(known)}, and {alike} as they were"
            )
            raise DataError(Problem(what, remedy), subject=self.path.name)


def proof_of(peaks: np.ndarray, embedded: np.ndarray) -> dict[str, np.ndarray]:
    """What :meth:`Given.check` goes by: some of the reference's peaks."""
    some = np.unique(np.linspace(0, len(peaks) - 1, KEPT).round().astype(int))
    return {"proof.peaks": peaks[some].astype(str), "proof.rows": embedded[some]}


def _plain(peak: str) -> str:
    """The name of a peak, in which ``1`` and ``chr1`` are the same."""
    chrom, colon, rest = peak.partition(":")
    return f"{ucsc(chrom)}{colon}{rest}"
