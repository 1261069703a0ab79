"""The parts of a network that ``torch.compile`` takes: each fuses its own small kernels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import nn

from cytonym.errors import OptionError


def compile_parts(net: nn.Module, device: torch.device) -> None:
    """Have the parts of ``net`` compiled where they are first called; weights and names stay.

    Raises
    ------
    OptionError
        It has no part of more than one layer, or as :func:`check_compiler`.
    """
    found = [*_parts(net)]
    if not found:
        raise OptionError(
            f"{type(net).__name__} has no part of more than one layer, so there is nothing to "
            "compile; leave out compile (--compile)."
        )
    check_compiler(device)
    for part in found:
        part.compile()


def _parts(net: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that can be called and are made of others."""
    for child in net.children():
        if type(child).forward is nn.Module.forward:
            yield from _parts(child)
        elif any(True for _ in child.children()):
            yield child


def check_compiler(device: torch.device) -> None:
    """Whether torch can compile for a device, by doing it once (some ten seconds).

    Raises
    ------
    OptionError
        It lacks what it needs: a C++ compiler for the CPU, Triton for a GPU.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch, about torch
            torch.compile(lambda x: torch.relu(x) + 1)(torch.ones(2, device=device))
    except Exception as error:  # torch names no common one
        said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        needs = "Triton" if device.type == "cuda" else "a C++ compiler and the headers of Python"
        raise OptionError(
            f"torch cannot compile for {device}: {said}\n"
            f"    → install {needs}, or leave out compile (--compile)"
        ) from error
