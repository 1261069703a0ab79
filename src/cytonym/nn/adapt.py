"""What draws the features of two data sets together: a discriminator, or a distance of both."""

from __future__ import annotations

from math import exp
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

SAMPLED = 512
"""Cells of each data set between which MMD and CORAL are measured in a step."""


class _Reverse(torch.autograd.Function):
    """Identity; the gradient comes back times -alpha."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, alpha: float) -> Tensor:
        ctx.alpha = alpha
        return h.view_as(h)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return -ctx.alpha * grads[0], None


def strength(progress: float, schedule: str) -> float:
    """Alpha: ``2 / (1 + exp(-10 e/E)) - 1`` (Eq. 20), e/E, or 1."""
    if schedule == "constant":
        return 1.0
    return progress if schedule == "linear" else 2 / (1 + exp(-10 * progress)) - 1


def told_apart(
    discriminator: nn.Module, h: Tensor, other: Tensor, alpha: float, share: Tensor | None
) -> Float[Tensor, ""]:
    """Cross-entropy of the discriminator behind the reversed gradient (Eqs. 17 to 19).

    Both data sets weigh alike; ``share`` weighs the cells of the reference among themselves.
    """
    both = [
        F.cross_entropy(discriminator(reverse(one, alpha)), y, reduction="none")
        for one, y in (
            (h, torch.zeros(len(h), dtype=torch.int64, device=h.device)),
            (other, torch.ones(len(other), dtype=torch.int64, device=h.device)),
        )
    ]
    first = both[0].mean() if share is None else (both[0] * share).sum() / share.sum()
    return (first + both[1].mean()) / 2


def reverse(h: Tensor, alpha: float) -> Tensor:
    """Identity; the gradient comes back times -alpha."""
    return _Reverse.apply(h, alpha)  # type: ignore[return-value]


def common(guessed: Tensor, y: Tensor) -> Tensor:
    """How common the type of each reference cell is among the query's answers, at most 1."""
    share = guessed.detach().softmax(1).mean(0)
    weight = (share / share.max())[y.clamp_min(0)].clamp_min(1e-3)
    return torch.where(y < 0, weight.mean(), weight)


def some(h: Tensor, seed: int) -> Tensor:
    """At most ``SAMPLED`` rows, drawn by the seed."""
    if len(h) <= SAMPLED:
        return h
    draw = torch.Generator().manual_seed(seed)
    return h[torch.randperm(len(h), generator=draw)[:SAMPLED].to(h.device)]


def mmd(h: Tensor, other: Tensor) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy, five Gaussian kernels around the mean squared distance."""
    both = torch.cat([h, other])
    far = torch.cdist(both, both).square()
    middle = far.detach().mean().clamp_min(1e-12)
    kernel = sum(((-far / (middle * 2.0**i)).exp() for i in range(-2, 3)), far.new_zeros(()))
    n = len(h)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def coral(h: Tensor, other: Tensor) -> Float[Tensor, ""]:
    """Squared distance of the covariances over 4 d² (Sun and Saenko 2016); 0 for a single cell."""
    if min(len(h), len(other)) < 2:
        return h.new_zeros(())
    return (h.T.cov() - other.T.cov()).square().sum() / (4 * h.shape[1] ** 2)
