"""The training loop: every method's stages run here, on any device, resumable at every epoch."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs
from torch import nn

from cytonym.device import has_bf16, pick
from cytonym.errors import OptionError, TrainingError
from cytonym.train.processes import from_first, in_any, processes, together
from cytonym.train.stage import History, Loader, Monitor, StageRun
from cytonym.train.state import read_snapshot
from cytonym.types import Stage

__all__ = ["History", "Loader", "Monitor", "train"]

log = logging.getLogger("cytonym")


@together()
def train(
    net: nn.Module,
    stages: Sequence[Stage],
    loader: Loader,
    *,
    seed: int,
    monitor: Monitor | None = None,
    state: Path | None = None,
    fingerprint: str = "",
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
    on_batch: Callable[[float], None] | None = None,
    device: str = "auto",
) -> History:
    """Run ``stages`` on ``net`` in place.

    Parameters
    ----------
    net
        Ends with the best weights of the last stage: by ``monitor`` where a stage has patience,
        else the last (or averaged) ones.
    seed
        Every random draw is a function of (seed, stage, epoch), so a fit that resumes at an
        epoch's end gives the same weights as one that was never stopped.
    state
        A file that is rewritten after each epoch and from which a killed fit goes on; of several
        processes the first alone reads and writes it.
    fingerprint
        Says which fit the state belongs to.
    on_epoch
        Called with the epochs done so far, over all stages, and the latest numbers.
    on_batch
        Called with the epochs done so far, of the present one the share.
    device
        Where: see :func:`cytonym.device.pick`. With bfloat16 where a GPU has it.

    Raises
    ------
    TrainingError
        A loss that is not finite (with stage, epoch and batch), a state of another fit, processes
        that do not fit the same, or one that was lost.
    OptionError
        There is no such device.
    """
    where, us = pick(device), processes()
    accelerator = _accelerator(where)
    net.to(accelerator.device if us.num_processes > 1 else where)
    history = History()
    _check_same(fingerprint)
    snapshot = from_first(
        lambda: read_snapshot(state, fingerprint=fingerprint) if state is not None else None
    )
    begin, done = 0, 0
    if snapshot is not None:
        begin = snapshot.facts["stage"]
        history = History(snapshot.facts["records"], snapshot.facts["best_epochs"])
        log.info("Going on after %d epochs found in %s", len(history.records), state)
    own = torch.cuda.device(where) if where.type == "cuda" else nullcontext()
    with own, _polite_interrupt() as stop:
        for place, stage in enumerate(stages):
            if place < begin:
                done += stage.epochs
                continue
            run = StageRun(accelerator, net, stage, place, loader, seed, monitor, history)
            if snapshot is not None and place == begin:
                run.restore(snapshot)
            try:
                run.go(state, fingerprint, on_epoch, on_batch, done, stop)
            except TrainingError:
                if state is not None and us.is_main_process:  # nobody can go on from there
                    state.unlink(missing_ok=True)
                raise
            done += stage.epochs
            if run.stopped:
                if place < len(stages) - 1:  # a part of the network knows nothing yet
                    raise KeyboardInterrupt
                history.interrupted = True
    return history


def _accelerator(device: torch.device) -> Accelerator:
    """On a device of that kind, and on none that Accelerate would take by itself (a Mac's GPU)."""
    held = processes()  # for the life of the process, by whoever came first
    if held.num_processes == 1 and held.device is not None and held.device.type != device.type:
        AcceleratorState._reset_state(reset_partial_state=True)
    made = Accelerator(
        cpu=device.type == "cpu",
        mixed_precision="bf16" if has_bf16(device) else "no",
        kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
    )
    if made.device.type != device.type or (made.num_processes > 1 and device.index is not None):
        raise OptionError(
            f"device {device}: this is one of {made.num_processes} processes, started on "
            f"{made.device}\n    → leave out the device, so that each takes its own"
        )
    return made


def _check_same(fingerprint: str) -> None:
    """A TrainingError in all processes, where one was started with anything else."""
    first = from_first(lambda: fingerprint)
    if in_any(fingerprint != first):
        raise TrainingError(
            f"The processes of this fit do not fit the same: this one {fingerprint}, the first "
            f"{first}.\n    → give all of them the same command, files and version of cytonym, on "
            "machines of one kind"
        )


@contextmanager
def _polite_interrupt() -> Iterator[threading.Event]:
    """The first Ctrl-C asks to end after the epoch; the second ends at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def ask(signum: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        log.warning("Ends after this epoch and keeps the best weights; Ctrl-C again ends at once")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
