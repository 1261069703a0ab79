"""The nouns of the contract: where cells are read, what a network sees, and what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, Self, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor, nn

Matrix = csr_matrix | np.ndarray
"""A block of cells × features: sparse until a transform makes it dense; NaN = not measured."""


@dataclass(frozen=True, slots=True, eq=False)
class FeatureSpace:
    """The features (genes, peaks, sites) of one modality of one data set, in column order.

    Attributes
    ----------
    modality
        ``"rna"``, ``"atac"``, ...
    names
        ``(features,)`` str: the name of each column.
    measured
        ``(features,)`` bool: False where the data set has no such feature. Its values are then
        *missing*, which is not zero.
    columns
        Other facts by column, each ``(features,)``: ``gene_ids``, ``feature_name``, ``chr``, ...
    genome
        The FASTA file in which the DNA of the features is read, where one was given.
    """

    modality: str
    names: np.ndarray
    measured: np.ndarray
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)
    genome: Path | None = None

    def __len__(self) -> int:
        return len(self.names)

    def take(self, index: np.ndarray) -> FeatureSpace:
        """The same space, only the columns of ``index`` (int), in that order."""
        columns = {name: values[index] for name, values in self.columns.items()}
        names, measured = self.names[index], self.measured[index]
        return FeatureSpace(self.modality, names, measured, columns, self.genome)


class CellSource(Protocol):
    """Where cells are read: rows of raw values, by modality, never more than is asked for.

    ``values`` says, by modality, what the rows are: ``"counts"`` (raw counts), ``"relative"``
    (counts known only up to a factor per cell: a logarithm that was undone) or ``"rates"`` (of
    methylation, in [0, 1]). Of counts and relative values, what is not stored is 0; of rates it is
    missing, and every observed one is stored, also 0.
    """

    @property
    def spaces(self) -> Mapping[str, FeatureSpace]:
        """The features of each modality, in column order."""
        ...

    @property
    def values(self) -> Mapping[str, str]:
        """What the rows of each modality are."""
        ...

    @property
    def cells(self) -> np.ndarray:
        """``(cells,)`` str: cell names."""
        ...

    def read(self, modality: str, rows: np.ndarray) -> csr_matrix:
        """float32 values of ``rows`` (int, any order), cells × features, not logged."""
        ...

    def present(self, modality: str) -> np.ndarray:
        """``(cells,)`` bool: whether the modality was measured in the cell."""
        ...


@runtime_checkable
class Checks(Protocol):
    """A transform that can say, before any work, that it will not be able to read a data set."""

    def check(self, space: FeatureSpace) -> None:
        """A DataError, where it cannot."""
        ...


@runtime_checkable
class Slow(Protocol):
    """A transform that takes long to fit: it shows how far it is, and draws by the fit's seed."""

    progress: bool
    seed: int


@runtime_checkable
class Telling(Protocol):
    """A transform or a network with something to say about how it was fitted."""

    @property
    def note(self) -> str:
        """A sentence; empty: nothing."""
        ...


class Blocks(Protocol):
    """One modality as a stream of blocks that can be walked more than once."""

    @property
    def space(self) -> FeatureSpace:
        """The columns."""
        ...

    def __len__(self) -> int:
        """The number of cells (rows of all blocks together)."""
        ...

    def __iter__(self) -> Iterator[Matrix]: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """A fitted transform, bound to the columns of one data set."""

    space: FeatureSpace
    apply: Callable[[Matrix], Matrix]


class Transform(Protocol):
    """A step from raw values to features: fitted on the reference, then bound to any data set."""

    def fit(self, blocks: Blocks) -> Self:
        """Learn from the reference; ``blocks`` come out of the transforms before this one."""
        ...

    def bind(self, space: FeatureSpace) -> Bound:
        """The function for blocks with the columns of ``space``."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """What was learned, as arrays."""
        ...

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take over what :meth:`state` gave."""
        ...


def _sent(tensor: Tensor, device: torch.device) -> Tensor:
    """On ``device``; a GPU fetches it from pinned memory, while this process goes on."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=device.type == "cuda")


@dataclass(frozen=True, slots=True, eq=False)
class SparseRows:
    """Rows of a sparse matrix as tensors, for networks that read what is stored and no more.

    Row ``i`` has ``value[start[i]:start[i + 1]]`` in the columns ``column[start[i]:...]``.
    What is stored may be 0: of methylation it is what was observed.

    Attributes
    ----------
    start
        ``(cells + 1,)`` int64.
    column
        ``(stored,)`` int64.
    value
        ``(stored,)`` float32.
    width
        How many columns there are.
    """

    start: Int[Tensor, " edges"]
    column: Int[Tensor, " stored"]
    value: Float[Tensor, " stored"]
    width: int

    @classmethod
    def of(cls, block: csr_matrix) -> Self:
        """The same rows, as tensors."""
        start, column = (
            torch.from_numpy(np.asarray(one, np.int64)) for one in (block.indptr, block.indices)
        )
        shape: Any = block.shape
        return cls(start, column, torch.from_numpy(block.data), shape[1])

    def __len__(self) -> int:
        return len(self.start) - 1

    def cell(self) -> Int[Tensor, " stored"]:
        """The row of each stored value."""
        cells = torch.arange(len(self), device=self.start.device)
        return cells.repeat_interleave(self.start.diff(), output_size=len(self.column))

    def dense(self) -> Float[Tensor, "cells features"]:
        """With 0 where nothing is stored."""
        out = torch.zeros(len(self), self.width, dtype=self.value.dtype, device=self.value.device)
        out[self.cell(), self.column] = self.value
        return out

    def to(self, to: torch.device | torch.dtype) -> SparseRows:
        """The same rows on another device, or with values of another type."""
        if isinstance(to, torch.dtype):
            return SparseRows(self.start, self.column, self.value.to(to), self.width)
        start, column, value = (_sent(one, to) for one in (self.start, self.column, self.value))
        return SparseRows(start, column, value, self.width)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What a network sees. All tensors share the first axis, the cells of the batch.

    Attributes
    ----------
    x
        By modality ``(cells, features)`` float32, transformed; NaN = not measured.
    counts
        By modality ``(cells, features)`` raw values, only where the method asks for them
        (:meth:`cytonym.methods.Method.targets`).
    present
        By modality ``(cells,)`` bool: whether the modality was measured in the cell.
    y
        ``(cells,)`` int64: index into the label names; -1 = unlabelled.
    domain
        ``(cells,)`` int64: 0 reference, 1 query.
    key
        ``(cells,)`` int64: a number that belongs to the cell, not to its place in the batch;
        :func:`cytonym.nn.blocks.random_like` draws from it, so that masks do not depend on
        the neighbours or on the number of processes.
    detected
        By modality ``(cells,)`` int64: how many features of the data set have a value; empty where
        nobody counted.
    """

    x: Mapping[str, Float[Tensor, "cells _"]]
    counts: Mapping[str, SparseRows]
    present: Mapping[str, Bool[Tensor, " cells"]]
    y: Int[Tensor, " cells"]
    domain: Int[Tensor, " cells"]
    key: Int[Tensor, " cells"]
    detected: Mapping[str, Int[Tensor, " cells"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.y)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""

        def move(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: _sent(tensor, device) for name, tensor in tensors.items()}

        return Batch(
            move(self.x),
            {name: rows.to(device) for name, rows in self.counts.items()},
            move(self.present),
            _sent(self.y, device),
            _sent(self.domain, device),
            _sent(self.key, device),
            move(self.detected),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What a network says about a batch.

    ``embedding`` is ``(cells, dim)`` float32; ``scores`` is ``(cells, types)`` logits, or None
    where labels come by transfer on the embedding.
    """

    embedding: Float[Tensor, "cells dim"]
    scores: Float[Tensor, "cells types"] | None


@dataclass(frozen=True, slots=True, eq=False)
class Salience:
    """What decided.

    ``features`` ``(cells, features)`` are shares of the score of the cell's type,
    above the mean of all types. Where the
    network reads groups of features, ``tokens`` ``(cells, tokens)`` are their coefficients in
    [0, 1] and ``group`` ``(features,)`` says to which token a feature belongs.
    """

    features: Float[Tensor, "cells features"]
    tokens: Float[Tensor, "cells tokens"] | None = None
    group: Int[Tensor, " features"] | None = None


def _alone(tensor: Tensor) -> Tensor:
    return tensor


@dataclass(frozen=True, slots=True)
class Clock:
    """Where training stands; losses may warm up with it.

    ``progress`` runs from 0 to 1 over the stage. ``seed`` changes with every optimiser step.
    ``gather`` joins a ``(cells, ...)`` tensor over all processes, with gradients; a loss over
    pairs of cells calls it, so that it sees the whole batch.
    """

    stage: str
    epoch: int
    progress: float
    seed: int
    gather: Callable[[Tensor], Tensor] = _alone


Loss = Callable[[nn.Module, Batch, Clock], dict[str, Tensor]]
"""Returns named scalars with ``"total"`` among them; every entry is logged."""


@dataclass(frozen=True, slots=True)
class Optim:
    """How a part follows its loss.

    ``adamw`` has linear warm-up and cosine decay, both as shares of the stage, or (``decay``
    ``steps``) falls by a tenth every ten epochs; neither goes below ``floor`` times ``lr``.
    ``sgd`` has the same course, with ``momentum``.
    ``lbfgs`` solves a convex loss on each batch, in ``iterations`` steps with a line search, from
    where the batch before it left off; with a batch that holds the whole reference it is exact.
    """

    lr: float = 1.0
    solver: Literal["adamw", "sgd", "lbfgs"] = "adamw"
    iterations: int = 30
    weight_decay: float = 0.0
    warmup: float = 0.05
    floor: float = 0.01
    clip: float | None = 1.0
    decay: Literal["cosine", "steps"] = "cosine"
    eps: float = 1e-8
    momentum: float = 0.9


@dataclass(frozen=True, slots=True)
class Step:
    """One loss, the part of the network that follows it, and how."""

    loss: Loss
    part: Callable[[nn.Module], nn.Module]
    optim: Optim


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps taken in turn on every batch, for some epochs.

    ``patience`` epochs without a better validation score end the stage (None: never);
    ``average`` is the decay of a running mean of the weights, which is what the stage leaves
    behind (0: the last weights); ``unlabelled`` says whether cells without a label take part.
    ``before`` is called with the network (in eval mode) and all cells of the stage, in order,
    before its first epoch, also where a killed fit goes on: it may keep with the network what
    stays the same throughout the stage.
    """

    name: str
    steps: tuple[Step, ...]
    epochs: int
    batch_size: int
    patience: int | None = None
    average: float = 0.0
    unlabelled: bool = False
    before: Callable[[nn.Module, Iterable[Batch]], None] | None = None
