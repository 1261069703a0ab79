"""Graphs of neighbouring cells: built once, propagated over, and asked for cells that are new."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

BLOCK = 1024
"""Cells whose distances to all others are in memory at a time."""

SAME = 1e-6
"""Squared distance, as a share of a cell's squared length, below which two cells are one."""


class Grown(nn.Module):
    """A module whose buffers take the size of what is loaded."""

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        for name, buffer in [*self.named_buffers(recurse=False)]:
            if (given := state_dict.get(prefix + name)) is not None:
                setattr(self, name, torch.empty_like(given, device=buffer.device))
        super()._load_from_state_dict(state_dict, prefix, *rest)  # type: ignore[arg-type]


class Graph(Grown):
    """Cells ``x``, joined with their nearest ones, and Â = D^-1/2 (A + I) D^-1/2 over them.

    A is 1 where either of two cells is among the ``k`` nearest (Euclidean) of the other.

    Attributes
    ----------
    x
        ``(cells, width)`` float32.
    start, column, weight
        Â by rows: of row i ``column[start[i]:start[i + 1]]`` int64, and values float32.
    """

    x: Tensor
    start: Tensor
    column: Tensor
    weight: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("x", torch.zeros(0, width))
        self.register_buffer("start", torch.zeros(1, dtype=torch.int64))
        self.register_buffer("column", torch.zeros(0, dtype=torch.int64))
        self.register_buffer("weight", torch.zeros(0))
        self._matrix: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getstate__(self) -> dict[str, Any]:
        """A sparse matrix can be neither copied nor pickled; it is made anew."""
        return {**self.__dict__, "_matrix": None}

    def build(self, x: Tensor, k: int, part: Tensor | None = None) -> None:
        """Join the cells ``x``; with ``part`` (int, by cell) only those of one part."""
        n = len(x)
        nearest, _ = neighbours(x, x, min(k + 1, n))
        row = torch.arange(n, device=x.device).repeat_interleave(nearest.shape[1])
        column = nearest.flatten()
        itself = torch.arange(n, device=x.device)
        pair = torch.cat([row * n + column, column * n + row, itself * (n + 1)]).unique()
        row, column = pair // n, pair % n
        if part is not None:
            kept = part[row] == part[column]
            row, column = row[kept], column[kept]
        degree = torch.bincount(row, minlength=n)
        root = degree.to(x.dtype).rsqrt()
        self.x, self.column, self.weight = x, column, root[row] * root[column]
        self.start = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        self._matrix = None

    def spread(self, h: Tensor, steps: int, teleport: float = 0.0) -> Tensor:
        """``steps`` times ``h = (1 - teleport) Â h + teleport h_0``; with gradients."""
        return _Spread.apply(h, self._csr(), steps, teleport)  # type: ignore[return-value]

    def only(self, rows: Tensor) -> Graph:
        """The cells ``rows`` (int, sorted) with the edges among them."""
        place = torch.full((len(self),), -1, device=rows.device)
        place[rows] = torch.arange(len(rows), device=rows.device)
        row = torch.arange(len(self), device=rows.device).repeat_interleave(self.start.diff())
        kept = (place[row] >= 0) & (place[self.column] >= 0)
        out = Graph(self.x.shape[1])
        degree = torch.bincount(place[row[kept]], minlength=len(rows))
        out.x, out.column, out.weight = self.x[rows], place[self.column[kept]], self.weight[kept]
        out.start = torch.cat([degree.new_zeros(1), degree.cumsum(0)])
        return out

    def near(self, x: Tensor, k: int) -> Near:
        """Where cells that need not be in the graph hang on to it."""
        found, distance = neighbours(x, self.x, min(k, len(self)))
        degree = self.start.diff().to(x.dtype)
        own = float(found.shape[1] + 1)
        weight = (degree[found] * own).rsqrt()
        same = distance[:, 0] <= SAME * x.square().sum(1).clamp_min(1.0)
        return Near(found, weight, torch.full_like(weight[:, 0], 1 / own), same)

    def _csr(self, *, checked: bool = False) -> Tensor:
        if self._matrix is None or self._matrix.device != self.x.device:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch calls the format a beta
                self._matrix = torch.sparse_csr_tensor(
                    self.start,
                    self.column,
                    self.weight,
                    (len(self), len(self)),
                    check_invariants=checked,
                )
        return self._matrix

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """What comes from a file is checked: torch follows an index to wherever it points."""
        self._matrix = None
        super()._load_from_state_dict(state_dict, prefix, *rest)
        self._csr(checked=True)
        self._matrix = None


class Near:
    """Cells hung on to a graph: ``cell`` ``(cells, k)`` int64 their neighbours in it.

    ``weight`` and ``own`` are a row of Â for each, as if it were in the graph; ``same`` says which
    are in it, as their first neighbour.
    """

    def __init__(self, cell: Tensor, weight: Tensor, own: Tensor, same: Tensor) -> None:
        self.cell, self.weight, self.own, self.same = cell, weight, own, same

    def step(self, h: Tensor, table: Tensor) -> Tensor:
        """One propagation: own values ``h``, those of the graph ``table``."""
        return self.own[:, None] * h + (self.weight[..., None] * table[self.cell]).sum(1)

    def found(self, after: Tensor, new: Tensor) -> Tensor:
        """``after`` of the cells that are in the graph, ``new`` of those that are not."""
        return torch.where(self.same[:, None], after[self.cell[:, 0]].to(new.dtype), new)

    def mean(self, table: Tensor) -> Tensor:
        """Mean of the neighbours by weight."""
        share = self.weight / self.weight.sum(1, keepdim=True)
        return (share[..., None] * table[self.cell]).sum(1)


def neighbours(x: Tensor, among: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest rows of ``among`` for each of ``x``: their numbers and squared distances,
    ``(cells, k)``, the nearest first. Exact, by blocks.
    """
    found, far = [], []
    with torch.autocast(x.device.type, enabled=False):
        length = among.square().sum(1)
        for part in x.to(among.dtype).split(BLOCK):
            squared = torch.addmm(length, part, among.T, alpha=-2)
            best, index = squared.topk(k, dim=1, largest=False)
            found.append(index)
            far.append((best + part.square().sum(1, keepdim=True)).clamp_min(0))
    return torch.cat(found), torch.cat(far)


class _Spread(torch.autograd.Function):
    """A polynomial of a symmetric matrix: its gradient is the same polynomial."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, matrix: Tensor, steps: int, teleport: float) -> Tensor:
        ctx.matrix, ctx.steps, ctx.teleport, ctx.dtype = matrix, steps, teleport, h.dtype
        return _spread(h, matrix, steps, teleport)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        (grad,) = grads
        spread = _spread(grad, ctx.matrix, ctx.steps, ctx.teleport)
        return spread.to(ctx.dtype), None, None, None


def _spread(h: Tensor, matrix: Tensor, steps: int, teleport: float) -> Tensor:
    with torch.autocast(h.device.type, enabled=False):
        start = h.to(matrix.dtype)
        state = start
        for _ in range(steps):
            moved = matrix @ state
            state = moved if teleport == 0 else (1 - teleport) * moved + teleport * start
    return state
