"""The parts of a network that ``torch.compile`` takes: each fuses its own small kernels."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import nn

from cytonym.errors import OptionError


def compile_parts(net: nn.Module) -> None:
    """Have the parts of ``net`` compiled where they are first called; weights and names stay."""
    torch.compiler.reset()  # what was compiled for other networks counts against a limit
    for part in parts(net):
        part.compile()


def parts(net: nn.Module) -> Iterator[nn.Module]:
    """The outermost modules that can be called, are made of others, and are not torch's own."""
    for child in net.children():
        if type(child).forward is nn.Module.forward:
            yield from parts(child)
        elif any(child.children()) and not type(child).__module__.startswith("torch."):
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
