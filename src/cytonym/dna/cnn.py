"""A network that learns to read DNA with the cells, after scBasset (Yuan and Kelley 2022)."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

GROWTH = 1.122
"""How many times as many channels each block of the tower has."""

BLOCKS, LAST, SHIFT = 6, 256, 3
"""Blocks of the tower, channels after it, and bases by which a training sequence is moved."""

SHORTEST = 3 * 2**BLOCKS
"""Bases of which something is left after the tower."""


def _block(before: int, after: int, width: int, pool: int) -> nn.Sequential:
    """GELU - convolution - batch normalisation - maximum over ``pool`` places."""
    layers: list[nn.Module] = [
        nn.GELU(),
        nn.Conv1d(before, after, width, padding=width // 2, bias=False),
        nn.BatchNorm1d(after, momentum=0.1),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool1d(pool)] if pool > 1 else []))


class Convolution(nn.Module):
    """Letters (0 to 4) to ``dim`` numbers: 17 bases wide, a tower of six blocks, and a dense layer.

    In training each sequence is read from a strand drawn at random and moved by up to three bases.
    """

    def __init__(self, window: int, dim: int, *, channels: int = 288) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, channels, 17, padding=8, bias=False)
        self.norm = nn.BatchNorm1d(channels, momentum=0.1)
        sizes = [round(channels * GROWTH**i) for i in range(BLOCKS)]
        before = [channels, *sizes[:-1]]
        tower = [_block(a, b, 5, 2) for a, b in zip(before, sizes, strict=True)]
        self.tower = nn.Sequential(*tower, _block(sizes[-1], LAST, 1, 1))
        length = window // 3
        for _ in range(BLOCKS):
            length //= 2
        if length < 1:
            raise ValueError(f"a window of {window} bases is too short: {3 * 2**BLOCKS} or more")
        self.dense = nn.Linear(LAST * length, dim)
        self.last = nn.BatchNorm1d(dim)

    def forward(self, letters: UInt8[Tensor, "peaks window"]) -> Float[Tensor, "peaks dim"]:
        """Of N nothing is read."""
        codes = letters.long()
        if self.training:
            codes = self._moved(codes)
        bases = F.one_hot(codes, 5)[..., :4].transpose(1, 2).to(self.dense.weight.dtype)
        h = F.max_pool1d(self.norm(self.first(bases)), 3)
        h = F.gelu(self.tower(h)).flatten(1)
        return F.gelu(self.last(self.dense(h)))

    def _moved(self, codes: Tensor) -> Tensor:
        other = torch.where(codes < 4, 3 - codes, codes).flip(1)
        codes = torch.where(torch.rand(len(codes), 1, device=codes.device) < 0.5, other, codes)
        shift = int(torch.randint(-SHIFT, SHIFT + 1, ()))
        padded = F.pad(codes, (SHIFT, SHIFT), value=4)
        return padded[:, SHIFT + shift : SHIFT + shift + codes.shape[1]]
