"""Where networks compute: one place that decides, and refuses what was never run."""

from __future__ import annotations

import re

import torch

from cytonym.errors import OptionError

NAMES = ("auto", "cpu", "cuda", "cuda:1")
"""What can be asked for; any number may follow ``cuda:``."""


def pick(name: str) -> torch.device:
    """The device called ``name``; ``auto`` is a CUDA GPU where torch finds one, else the CPU.

    A device without a number is the process's own: of several processes each has its GPU.

    Raises
    ------
    OptionError
        No such name, no such GPU, or an Apple GPU, on which nothing of this was ever run.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "mps":
        raise OptionError(
            "device mps: nothing of cytonym was ever run on an Apple GPU, which has no float64\n"
            "    → take cpu, which auto takes on a Mac too"
        )
    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", name):
        raise OptionError(f"There is no device {name!r}\n    → take one of {', '.join(NAMES)}")
    found = torch.device(name)
    if found.type == "cuda":
        _check_cuda(found)
    return found


def has_bf16(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 itself, which older GPUs only imitate, slowly."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _check_cuda(device: torch.device) -> None:
    """An OptionError where there is no such GPU."""
    built = torch.version.cuda or torch.version.hip
    if built is None:
        raise OptionError(
            f"device {device}: this torch ({torch.__version__}) was built without CUDA\n"
            "    → install a build with CUDA, or take cpu"
        )
    n = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if n == 0:
        raise OptionError(
            f"device {device}: torch {torch.__version__} (built for {built}) finds no GPU\n"
            "    → see whether nvidia-smi lists one, whether its driver is as new as that build, "
            "and what CUDA_VISIBLE_DEVICES hides; or take cpu"
        )
    if device.index is not None and device.index >= n:
        raise OptionError(
            f"device {device}: torch finds {n} GPU{'s' * (n > 1)}, the last is cuda:{n - 1}\n"
            "    → take that one, or cuda"
        )
