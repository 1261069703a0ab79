"""Small layers that several networks share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def observed(
    x: Float[Tensor, "cells features"],
) -> tuple[Float[Tensor, "cells features"], Bool[Tensor, "cells features"] | None]:
    """Values with 0 where nothing was measured (NaN), and where something was; None: all was."""
    if not has_gaps(x):
        return x, None
    seen = ~torch.isnan(x)
    return torch.where(seen, x, 0.0), seen


def has_gaps(x: Float[Tensor, "cells features"]) -> bool:
    """Whether a value is NaN: one sum tells, without a mask as large as ``x``."""
    return bool(torch.isnan(x.detach().sum())) and bool(torch.isnan(x).any())


def normal(*shape: int, spread: float) -> nn.Parameter:
    """Weights to begin with: normal numbers of this standard deviation."""
    weight = torch.empty(shape)
    # Where only sizes are asked for, drawing would load torch's compiler: two seconds for nothing.
    return nn.Parameter(weight if weight.is_meta else weight.normal_(std=spread))


def random_like(
    key: Int[Tensor, " cells"], width: int, *, seed: int
) -> Float[Tensor, "cells width"]:
    """Uniform numbers in [0, 1) that depend on the cell, the column and the seed alone.

    A counter put through the mixing function of SplitMix64 (Steele, Lea and Flood 2014), so a
    cell draws the same numbers whatever its neighbours and whichever process holds it. Each
    64-bit number makes four draws of 16 bits.
    """
    column = torch.arange(-(-width // 4), device=key.device, dtype=torch.int64)
    state = (key[:, None] * 0x1000003 + column) * -7046029254386353131 + _wrap(seed)
    state = (state ^ _shift(state, 30)) * -4658895280553007687
    state = (state ^ _shift(state, 27)) * -7723592293110705685
    state = state ^ _shift(state, 31)
    draws = state.view(torch.int16)[:, :width]
    return (draws.to(torch.float32) + 2.0**15) / 2.0**16


def normal_like(
    key: Int[Tensor, " cells"], width: int, *, seed: int
) -> Float[Tensor, "cells width"]:
    """Standard normal numbers that depend on the cell, the column and the seed alone.

    Two uniform numbers make one (Box and Muller 1958).
    """
    uniform = random_like(key, 2 * width, seed=seed) + 2.0**-17
    radius = (-2 * uniform[:, :width].log()).sqrt()
    return radius * (2 * torch.pi * uniform[:, width:]).cos()


def _wrap(seed: int) -> int:
    """The seed mixed over 64 bits, as a signed number: neighbours lie far apart."""
    spread = (seed + 1) * 0xD1342543DE82EF95 % 2**64
    spread = (spread ^ (spread >> 32)) * 0xDABA0B6EB09322E3 % 2**64
    spread ^= spread >> 29
    return spread - 2**64 if spread >= 2**63 else spread


def _shift(state: Tensor, bits: int) -> Tensor:
    """Right shift that brings in zeros."""
    return (state >> bits) & ((1 << (64 - bits)) - 1)


@contextmanager
def still(net: nn.Module) -> Iterator[None]:
    """Inside, ``net`` is in eval mode: no dropout, and nothing is learned of a batch."""
    before = {module: module.training for module in net.modules()}
    net.eval()
    try:
        yield
    finally:
        for module, training in before.items():
            module.training = training


def feed_forward(dim: int, *, times: int = 2, dropout: float = 0.0) -> nn.Sequential:
    """Linear - GELU - Linear with ``times * dim`` hidden channels."""
    return nn.Sequential(
        nn.Linear(dim, times * dim),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(times * dim, dim),
        nn.Dropout(dropout),
    )


class Block(nn.Module):
    """A pre-norm transformer block over ``(cells, tokens, dim)``."""

    def __init__(self, dim: int, *, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.before = nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.between = nn.LayerNorm(dim)
        self.after = feed_forward(dim, dropout=dropout)

    def forward(self, tokens: Float[Tensor, "cells tokens dim"]) -> Tensor:
        """Attend among tokens, then transform each."""
        normed = self.before(tokens)
        tokens = tokens + self.attention(normed, normed, normed, need_weights=False)[0]
        return tokens + self.after(self.between(tokens))
