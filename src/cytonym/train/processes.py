"""The processes of one fit: how they join, what the first says for all, and when one is lost."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather, parse_flag_from_env, reduce
from torch import Tensor

from cytonym.errors import CytonymError, TrainingError

WAIT = timedelta(hours=1)
"""How long a process waits for the others before it takes them for lost."""

BROKEN = ("gloo", "nccl", "connection", "timed out", "timeout")
"""A word of these is in what torch says when the processes have lost one another."""

Made = TypeVar("Made")


def processes() -> PartialState:
    """The processes that share this fit; they join on the first call.

    One, unless ``torchrun`` or ``accelerate launch`` started several: by gloo on CPUs, by the
    backend of the accelerator where every process has one of its own.

    Raises
    ------
    TrainingError
        More processes on this machine than GPUs, or the others cannot be reached.
    """
    several = "LOCAL_RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1
    cpu = bool(parse_flag_from_env("ACCELERATE_USE_CPU"))
    if several and not cpu:
        cpu = not torch.accelerator.is_available() or torch.backends.mps.is_available()
        here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
        if not cpu and torch.cuda.is_available() and here > gpus:
            raise TrainingError(
                f"{here} processes were started on this machine, which has {gpus} GPUs.\n"
                f"    → start {gpus} (--nproc-per-node), or set ACCELERATE_USE_CPU=true"
            )
    with together(several=several):
        return PartialState(cpu=cpu, timeout=WAIT)


def from_first(make: Callable[[], Made]) -> Made:
    """What the first process makes, for all of them; its TrainingError is raised in all."""
    us = processes()
    if us.num_processes == 1:
        return make()
    box: list[Any] = [None, None]
    if us.is_main_process:
        try:
            box[0] = make()
        except TrainingError as error:
            box[1] = error
    made, error = broadcast_object_list(box)
    if error is not None:
        raise error
    return made


def in_any(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    us = processes()
    if us.num_processes == 1:
        return flag
    found = reduce(torch.tensor(float(flag), device=us.device), "sum")
    assert isinstance(found, Tensor)
    return found.item() > 0


def mean(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Scalars by name, each the mean over the processes."""
    if processes().num_processes == 1:
        return losses
    whole = reduce(torch.stack([value.detach().double() for value in losses.values()]), "mean")
    assert isinstance(whole, Tensor)
    return dict(zip(losses, whole, strict=True))


def gathered(mine: Tensor) -> Tensor:
    """``(cells, ...)`` of all processes, with gradients, in the order of the whole batch: each
    process holds every ``world``-th cell.
    """
    whole = _Gathered.apply(mine)
    assert isinstance(whole, Tensor)
    return whole.unflatten(0, (processes().num_processes, -1)).transpose(0, 1).flatten(0, 1)


class _Gathered(torch.autograd.Function):
    """The tensors of all processes, one after another; the gradient is the sum of all of theirs."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        whole = gather(mine.contiguous())
        assert isinstance(whole, Tensor)
        return whole

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        us, whole = processes(), reduce(grads[0].contiguous(), "sum")
        assert isinstance(whole, Tensor)
        return whole.chunk(us.num_processes)[us.process_index]


@contextmanager
def together(*, several: bool | None = None) -> Iterator[None]:
    """Inside, a broken connection is a TrainingError that says that a process was lost."""
    try:
        yield
    except CytonymError:
        raise
    except RuntimeError as error:
        if several is None:
            several = processes().num_processes > 1
        said = re.sub(r"\[/\S+\] ", "", str(error).partition("\n")[0]).split(". ")[0]
        broken = any(word in str(error).lower() for word in BROKEN)
        if not several or not (broken or isinstance(error, torch.distributed.DistError)):
            raise
        rank, world = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
        raise TrainingError(
            f"Another process of this fit ended or cannot be reached; this is number {rank} of "
            f"{world} ({said}).\n"
            "    → see what the others said, then run the same command again: with its state kept, "
            "a fit goes on from the last epoch"
        ) from error
