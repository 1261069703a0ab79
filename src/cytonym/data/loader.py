"""From rows of a source to the batches that a network sees."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix, vstack

from cytonym.data.ahead import Item, ahead
from cytonym.prep import Inputs
from cytonym.types import Batch, CellSource, FeatureSpace, Matrix, SparseRows, Stage

log = logging.getLogger("cytonym")

CHUNK = 32
"""Neighbouring rows that are read together when a file is shuffled."""

WINDOW = 16384
"""Rows within which a file's chunks are mixed."""


@dataclass(frozen=True, slots=True)
class SourceBlocks:
    """One modality of some cells as a stream of sparse blocks: what transforms are fitted on."""

    source: CellSource
    modality: str
    rows: np.ndarray
    size: int = 1024

    @property
    def space(self) -> FeatureSpace:
        """The columns of the source."""
        return self.source.spaces[self.modality]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[csr_matrix]:
        for start in range(0, len(self.rows), self.size):
            yield self.source.read(self.modality, self.rows[start : start + self.size])


@dataclass(slots=True)
class Feed:
    """Cells of one data set, transformed on the way to the network.

    Parameters
    ----------
    source
        Aligned to the columns that ``inputs`` want.
    inputs
        The way from the source's columns to what the network reads.
    y
        ``(cells of the source,)`` int64 label codes; -1 = unlabelled.
    rows
        ``(cells,)`` int: which cells of the source take part.
    memory
        Bytes that finished features and counts may take. Below, they are made once and kept;
        above, every epoch reads them anew, in the same order.
    domain
        0 reference, 1 query.

    A cell without any value of a modality that has some of another one counts as a cell without
    that modality; ``n_without`` counts these, ``n_empty`` cells without any value at all, both as
    often as they are read from the source.
    """

    source: CellSource
    inputs: Inputs
    y: np.ndarray
    rows: np.ndarray
    memory: int = 0
    domain: int = 0
    n_empty: int = 0
    n_without: dict[str, int] = field(default_factory=dict)
    _held: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _kept: dict[str, np.ndarray] = field(default_factory=dict, repr=False)
    _counts: dict[str, csr_matrix] = field(default_factory=dict, repr=False)
    _place: np.ndarray | None = field(default=None, repr=False)
    _tried: bool = field(default=False, repr=False)

    @property
    def size(self) -> int:
        """Bytes of finished features, were they kept."""
        plain, bound = self.inputs.plain, self.inputs.bound
        width = sum(len(one.space) for name, one in bound.items() if name not in plain)
        return 4 * len(self.rows) * width

    @property
    def cells(self) -> np.ndarray:
        """``(cells,)`` str: names of the cells that take part."""
        return self.source.cells[self.rows]

    def of(self, rows: np.ndarray) -> Feed:
        """The same data, other cells."""
        empty: dict[str, Any] = {name: {} for name in ("_held", "_kept", "_counts")}
        return replace(self, rows=rows, n_empty=0, n_without={}, _place=None, _tried=False, **empty)

    def keep(self) -> None:
        """Make the features once and hold them, where they fit into ``memory``."""
        if self._tried or not len(self.rows) or self.size > self.memory:
            return
        self._tried = True
        taken = self.size
        counted: dict[str, list[csr_matrix]] = {name: [] for name in self.inputs.counts}
        held = {name: np.empty(len(self.rows), np.int64) for name in self.inputs.bound}
        kept = {
            name: np.empty((len(self.rows), len(one.space)), np.float32)
            for name, one in self.inputs.bound.items()
            if name not in self.inputs.plain
        }
        for modality in held:
            done = 0
            for block in SourceBlocks(self.source, modality, self.rows):
                x, counts, found = self._made(modality, block)
                own = slice(done, done := done + len(found))
                held[modality][own] = found
                if x is not None:
                    kept[modality][own] = x
                if counts is not None:
                    counted[modality].append(counts)
                    taken += 16 * counts.nnz  # for a moment, twice
                if taken > self.memory:
                    return
        self._held, self._kept = held, kept
        self._counts = {n: csr_matrix(vstack(parts, "csr")) for n, parts in counted.items()}
        self._place = np.empty(int(self.rows.max()) + 1, dtype=np.int64)
        self._place[self.rows] = np.arange(len(self.rows))

    def drop(self) -> None:
        """Let go of what is held; it is read anew where it is asked for."""
        self._held, self._kept, self._counts, self._place = {}, {}, {}, None

    def _made(
        self, modality: str, block: csr_matrix
    ) -> tuple[np.ndarray | None, csr_matrix | None, np.ndarray]:
        """Features, counts, and how many values each cell has, of a block of the source."""
        columns = self.inputs.counts.get(modality)
        plain = modality in self.inputs.plain
        return (
            None if plain else _dense(self.inputs.bound[modality].apply(block)),
            None if columns is None else csr_matrix(block[:, columns]),
            np.diff(block.indptr).astype(np.int64),
        )

    def batch(self, rows: np.ndarray) -> Batch:
        """The cells ``rows`` (int, of the source) as a batch."""
        x, counts, held = {}, {}, {}
        for name in self.inputs.bound:
            if self._place is None:
                features, raw, held[name] = self._made(name, self.source.read(name, rows))
            else:
                place = self._place[rows]
                features = self._kept[name][place] if name in self._kept else None
                raw = self._counts[name][place] if name in self._counts else None
                held[name] = self._held[name][place]
            if features is not None:
                x[name] = torch.from_numpy(features)
            if raw is not None:
                counts[name] = SparseRows.of(raw)
        return Batch(
            x,
            counts,
            {name: torch.from_numpy(one) for name, one in self._present(held, rows).items()},
            torch.from_numpy(self.y[rows]),
            torch.full((len(rows),), self.domain, dtype=torch.int64),
            torch.from_numpy(rows.astype(np.int64)),
            {name: torch.from_numpy(one) for name, one in held.items()},
        )

    def _present(self, held: Mapping[str, np.ndarray], rows: np.ndarray) -> dict[str, np.ndarray]:
        """Which modalities were measured in the cells ``rows``; counts those without values."""
        some = np.logical_or.reduce([one > 0 for one in held.values()])
        self.n_empty += int((~some).sum()) if self._place is None else 0
        there = {}
        for name, values in held.items():
            measured = self.source.present(name)[rows]
            without = measured & (values == 0) & some
            if without.any() and self._place is None:
                self.n_without[name] = self.n_without.get(name, 0) + int(without.sum())
            there[name] = measured & ~without
        return there

    def batches(self, size: int) -> Iterator[tuple[np.ndarray, Batch]]:
        """All cells in order, with their rows; the next ones are read meanwhile."""
        parts = (self.rows[start : start + size] for start in range(0, len(self.rows), size))
        return self._ahead((rows, self.batch(rows)) for rows in parts)

    def _ahead(self, items: Iterator[Item]) -> Iterator[Item]:
        """Read before they are asked for; what is held is at hand anyway."""
        return ahead(items) if self._place is None else items

    # --- training ---------------------------------------------------------------------------

    def whole(self, stage: Stage) -> Iterator[Batch]:
        """All cells of the stage once, in order."""
        self.keep()
        rows = self._taught(stage)
        for start in range(0, len(rows), stage.batch_size):
            yield self.batch(rows[start : start + stage.batch_size])

    def _taught(self, stage: Stage) -> np.ndarray:
        return self.rows if stage.unlabelled else self.rows[self.y[self.rows] >= 0]

    def steps(self, stage: Stage) -> int:
        """Batches in an epoch."""
        return max(-(-len(self._taught(stage)) // stage.batch_size), 1)

    def epoch(
        self,
        stage: Stage,
        *,
        seed: tuple[int, ...],
        rank: int,
        world: int,
        steps: int | None = None,
    ) -> Iterator[Batch]:
        """Shuffled batches of one size; ``rank`` takes every ``world``-th cell of each.

        The batches are the same for any ``world``, but for cells that come twice in one where its
        size is no multiple of ``world``.

        Labelled and unlabelled cells (where the stage wants both) come as two streams of fixed
        size, so that every batch, on every process, holds as many of each.
        """
        self.keep()
        rng = np.random.default_rng(seed)
        own = self.steps(stage)
        taught = self._taught(stage)
        labelled = self.y[taught] >= 0
        streams = [
            self._stream(part, own, world, rng) for part in (taught[labelled], taught[~labelled])
        ]
        places = (step % own for step in range(steps or own))
        drawn = (np.concatenate([one[place] for one in streams])[rank::world] for place in places)
        return self._ahead(self.batch(rows) for rows in drawn)

    def _stream(
        self, rows: np.ndarray, steps: int, world: int, rng: np.random.Generator
    ) -> np.ndarray:
        """``(steps, size)`` rows, filled up from the start; of each step, too, so that its size is
        a multiple of ``world``.
        """
        if len(rows) == 0:
            return np.empty((steps, 0), dtype=np.int64)
        size = -(-len(rows) // steps)
        order = np.resize(shuffled(rows, rng), (steps, size))
        return np.pad(order, ((0, 0), (0, -size % world)), mode="wrap")


def shuffled(
    rows: np.ndarray,
    rng: np.random.Generator,
    *,
    chunk: int = CHUNK,
    window: int = WINDOW,
) -> np.ndarray:
    """An order that a file can be read in: of more rows than ``window``, chunks of neighbours are
    shuffled, then the rows of every ``window`` among themselves.
    """
    if len(rows) <= window:
        return rng.permutation(rows)
    rows = np.sort(rows)
    starts = rng.permutation(np.arange(0, len(rows), chunk))
    order = np.concatenate([rows[start : start + chunk] for start in starts])
    for start in range(0, len(order), window):
        rng.shuffle(order[start : start + window])
    return order


def _dense(block: Matrix) -> np.ndarray:
    dense = block if isinstance(block, np.ndarray) else block.toarray()
    return np.ascontiguousarray(dense, dtype=np.float32)
