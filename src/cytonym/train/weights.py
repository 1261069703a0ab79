"""Weights of a network: copied, lent, averaged, and which of them take gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn


def copy_weights(net: nn.Module) -> dict[str, Tensor]:
    """All tensors of a network by name, as they are now."""
    return {name: value.detach().clone() for name, value in net.state_dict().items()}


def follow(average: dict[str, Tensor], net: nn.Module, decay: float, moment: int) -> None:
    """Move the running mean towards the weights; faster in the first steps."""
    decay = min(decay, (1 + moment) / (10 + moment))
    for name, value in net.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


@contextmanager
def only(net: nn.Module, part: Sequence[nn.Parameter]) -> Iterator[None]:
    """Inside, only ``part`` takes gradients."""
    wanted = {id(parameter) for parameter in part}
    before = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    for parameter, _ in before:
        parameter.requires_grad_(id(parameter) in wanted)
    try:
        yield
    finally:
        for parameter, flag in before:
            parameter.requires_grad_(flag)


@contextmanager
def lent(net: nn.Module, weights: dict[str, Tensor]) -> Iterator[None]:
    """Inside, the network has other weights."""
    own = copy_weights(net)
    net.load_state_dict(weights)
    try:
        yield
    finally:
        net.load_state_dict(own)
