"""One stage of training: its optimisers, its epochs, its running mean, its best weights."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from cytonym.errors import TrainingError
from cytonym.train.processes import from_first, gathered, in_any, mean
from cytonym.train.state import (
    Snapshot,
    optimizer_tensors,
    prefixed,
    restore_optimizer,
    under,
    write_snapshot,
)
from cytonym.train.weights import copy_weights, follow, lent, only
from cytonym.types import Batch, Clock, Optim, Stage, Step

log = logging.getLogger("cytonym")

Monitor = Callable[[nn.Module, Stage], dict[str, float]]
"""Scores the network on a held-out part of the reference; ``"score"`` is better when higher."""


class Loader(Protocol):
    """Gives the batches of an epoch; a process takes every ``world``-th cell from ``rank`` on."""

    def steps(self, stage: Stage) -> int:
        """How many batches an epoch has."""
        ...

    def epoch(
        self, stage: Stage, *, seed: tuple[int, ...], rank: int, world: int
    ) -> Iterator[Batch]:
        """The batches, in an order that is a function of ``seed`` alone."""
        ...

    def whole(self, stage: Stage) -> Iterator[Batch]:
        """All cells of the stage once, in order, whatever the process."""
        ...


SCORED = 25
"""Epochs whose weights are scored on held-out cells, where no patience asks for every one."""


@dataclass(slots=True)
class History:
    """One record an epoch: stage, epoch, mean losses, validation scores."""

    records: list[dict[str, Any]] = field(default_factory=list)
    best_epochs: dict[str, int] = field(default_factory=dict)
    interrupted: bool = False


class _Taught(nn.Module):
    """A network whose forward pass is a loss, so that DDP and ``torch.compile`` see all of it."""

    def __init__(self, net: nn.Module, step: Step) -> None:
        super().__init__()
        self.net = net
        self.step = step

    def forward(self, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        return self.step.loss(self.net, batch, clock)


@dataclass(slots=True)
class _Running:
    """One step of a stage made ready: the wrapped loss, its optimiser and its parameters."""

    step: Step
    taught: nn.Module
    optimizer: torch.optim.Optimizer | None
    part: list[nn.Parameter]


class StageRun:
    """A stage under way."""

    def __init__(
        self,
        accelerator: Accelerator,
        net: nn.Module,
        stage: Stage,
        place: int,
        loader: Loader,
        seed: int,
        monitor: Monitor | None,
        history: History,
    ) -> None:
        self.accelerator, self.net, self.stage, self.place = accelerator, net, stage, place
        self.loader, self.seed, self.monitor, self.history = loader, seed, monitor, history
        self.running = [self._ready(step) for step in stage.steps]
        self.average = copy_weights(net) if stage.average else None
        self.best: dict[str, Tensor] | None = None
        self.best_score, self.best_epoch, self.epoch = -math.inf, 0, 0
        self.stopped = False

    def _ready(self, step: Step) -> _Running:
        part = list(step.part(self.net).parameters())
        optimizer = None if step.optim.solver == "lbfgs" else _optimizer(part, step.optim)
        with only(self.net, part):
            taught = self.accelerator.prepare_model(_Taught(self.net, step))
        return _Running(step, taught, optimizer, part)

    def go(
        self,
        state: Path | None,
        fingerprint: str,
        on_epoch: Callable[[int, dict[str, float]], None] | None,
        on_batch: Callable[[float], None] | None,
        done: int,
        stop: threading.Event,
    ) -> None:
        """Run the epochs that are left, then leave the best weights in the network."""
        if self.stage.before is not None and self.epoch < self.stage.epochs:
            device = self.accelerator.device
            with torch.no_grad():
                self.stage.before(
                    self.net.eval(), (batch.to(device) for batch in self.loader.whole(self.stage))
                )
            if self.average is not None and self.epoch == 0:  # what is kept may have grown
                self.average = copy_weights(self.net)
        while self.epoch < self.stage.epochs and not self._patience_is_over():
            losses = self._train_epoch(on_batch, done + self.epoch)
            self.epoch += 1
            scores = self._score()
            record = {"stage": self.stage.name, "epoch": self.epoch, **losses, **scores}
            self.history.records.append(record)
            log.debug("%s", record)
            if state is not None and self.accelerator.is_main_process:
                write_snapshot(state, self._snapshot(fingerprint))
            if on_epoch is not None:
                on_epoch(done + self.epoch, {**losses, **scores})
            self.stopped = in_any(stop.is_set())  # in several processes all end together
            if self.stopped:
                break
        if self.history.records:
            last = self.history.records[-1]
            numbers = (f"{k} {v:.3f}" for k, v in last.items() if isinstance(v, float))
            log.info("%s: %d epochs, %s", self.stage.name, self.epoch, ", ".join(numbers))
        final = self.best if self.best is not None else self.average
        if final is not None:
            self.net.load_state_dict(final)
        self.history.best_epochs[self.stage.name] = self.best_epoch or self.epoch

    def _train_epoch(self, on_batch: Callable[[float], None] | None, done: int) -> dict[str, float]:
        self.net.train()
        steps = self.loader.steps(self.stage)
        seed = (self.seed, self.place, self.epoch)
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        torch.manual_seed(mix_seed(*seed, rank))
        sums: dict[str, float] = {}
        batches = self.loader.epoch(self.stage, seed=seed, rank=rank, world=world)
        for number, batch in enumerate(batches):
            moment = self.epoch * steps + number
            progress = moment / (self.stage.epochs * steps)
            draw = mix_seed(self.seed, self.place, moment)
            clock = Clock(self.stage.name, self.epoch, progress, draw)
            if world > 1:
                clock = replace(clock, gather=gathered)
            for running in self.running:
                self._take(running, batch.to(self.accelerator.device), clock, number, sums)
            if self.average is not None:
                follow(self.average, self.net, self.stage.average, moment)
            if on_batch is not None:
                on_batch(done + (number + 1) / steps)
        return {name: value / steps for name, value in sums.items()}

    def _take(
        self, running: _Running, batch: Batch, clock: Clock, number: int, sums: dict[str, float]
    ) -> None:
        """One optimiser step; gradients reach the step's part and nothing else."""
        with only(self.net, running.part):
            if running.optimizer is None:
                losses = self._solve(running, batch, clock, number)
            else:
                losses = self._descend(running, running.optimizer, batch, clock, number)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + value.item()

    def _slope(
        self, running: _Running, batch: Batch, clock: Clock, number: int
    ) -> dict[str, Tensor]:
        """The losses over all processes, with their gradients left in the part."""
        # A line search compares losses that differ by less than bf16 can tell apart.
        exact = nullcontext() if running.optimizer is None else self.accelerator.autocast()
        with exact:
            own = running.taught(batch, clock)
        losses = mean(own)
        if not torch.isfinite(losses["total"]):
            parts = ", ".join(f"{name} {value.item():.3g}" for name, value in losses.items())
            raise TrainingError(
                f"The loss is not finite in stage {clock.stage!r}, epoch {clock.epoch + 1}, "
                f"batch {number + 1} ({parts}). Lower the learning rate or the weight of a part of "
                "the loss, or run `cytonym inspect` on the reference."
            )
        for parameter in running.part:
            parameter.grad = None
        self.accelerator.backward(own["total"])
        return losses

    def _descend(
        self,
        running: _Running,
        optimizer: torch.optim.Optimizer,
        batch: Batch,
        clock: Clock,
        number: int,
    ) -> dict[str, Tensor]:
        losses = self._slope(running, batch, clock, number)
        optim = running.step.optim
        if optim.clip is not None:
            nn.utils.clip_grad_norm_(running.part, optim.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(optim, clock.progress, clock.epoch)
        optimizer.step()
        return losses

    def _solve(
        self, running: _Running, batch: Batch, clock: Clock, number: int
    ) -> dict[str, Tensor]:
        """L-BFGS on one batch; every process follows the mean loss, so all take the same path."""
        optim = running.step.optim
        solver = torch.optim.LBFGS(
            running.part,
            lr=optim.lr,
            max_iter=optim.iterations,
            history_size=10,
            line_search_fn="strong_wolfe",
        )
        last: dict[str, Tensor] = {}

        def closure() -> float:
            last.update(self._slope(running, batch, clock, number))
            return last["total"].item()

        solver.step(closure)
        return last

    def _score(self) -> dict[str, float]:
        """Score the (averaged) weights; keep the best ones where the stage has patience."""
        last = self.epoch == self.stage.epochs
        seldom = self.stage.patience is None and not last  # nothing hangs on it then
        if self.monitor is None or (seldom and self.epoch % max(self.stage.epochs // SCORED, 1)):
            return {}
        self.net.eval()
        weights = self.average if self.average is not None else copy_weights(self.net)
        with lent(self.net, weights):
            monitor = self.monitor
            scores = from_first(lambda: monitor(self.net, self.stage))
        if self.stage.patience is not None and scores["score"] > self.best_score:
            self.best_score, self.best_epoch = scores["score"], self.epoch
            self.best = {name: value.clone() for name, value in weights.items()}
        return scores

    def _patience_is_over(self) -> bool:
        patience = self.stage.patience
        return (
            self.monitor is not None
            and patience is not None
            and self.epoch - self.best_epoch >= patience
        )

    def _snapshot(self, fingerprint: str) -> Snapshot:
        tensors = prefixed("net", self.net.state_dict())
        for place, running in enumerate(self.running):
            if running.optimizer is not None:
                tensors |= prefixed(f"optim{place}", optimizer_tensors(running.optimizer))
        tensors |= prefixed("average", self.average or {}) | prefixed("best", self.best or {})
        tensors = {name: value.clone() for name, value in tensors.items()}
        facts = {
            "fingerprint": fingerprint,
            "stage": self.place,
            "epoch": self.epoch,
            "best_score": self.best_score,
            "best_epoch": self.best_epoch,
            "records": self.history.records,
            "best_epochs": self.history.best_epochs,
        }
        return Snapshot(tensors, facts)

    def restore(self, snapshot: Snapshot) -> None:
        """Stand where the snapshot was taken."""
        device = self.accelerator.device
        tensors = {name: value.to(device) for name, value in snapshot.tensors.items()}
        self.net.load_state_dict(under("net", tensors))
        for place, running in enumerate(self.running):
            if running.optimizer is not None:
                restore_optimizer(running.optimizer, under(f"optim{place}", tensors))
        self.average = under("average", tensors) or self.average
        self.best = under("best", tensors) or None
        self.epoch = snapshot.facts["epoch"]
        self.best_score = snapshot.facts["best_score"]
        self.best_epoch = snapshot.facts["best_epoch"]


def _optimizer(part: Sequence[nn.Parameter], optim: Optim) -> torch.optim.Optimizer:
    """AdamW or SGD; weight decay on matrices only."""
    groups = [
        {"params": [p for p in part if p.ndim > 1], "weight_decay": optim.weight_decay},
        {"params": [p for p in part if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [one for one in groups if one["params"]]
    if optim.solver == "sgd":
        return torch.optim.SGD(groups, lr=optim.lr, momentum=optim.momentum)
    return torch.optim.AdamW(groups, lr=optim.lr, eps=optim.eps, fused=True)


def learning_rate(optim: Optim, progress: float, epoch: int) -> float:
    """Linear warm-up, then a cosine down to ``floor`` times the full rate; or steps of epochs."""
    if optim.decay == "steps":
        return optim.lr * max(0.9 ** (epoch // 10), optim.floor)
    if progress < optim.warmup:
        return optim.lr * (progress + 1e-3) / (optim.warmup + 1e-3)
    along = (progress - optim.warmup) / max(1 - optim.warmup, 1e-9)
    return optim.lr * (optim.floor + (1 - optim.floor) * 0.5 * (1 + math.cos(math.pi * along)))


def mix_seed(*numbers: int) -> int:
    """One 63-bit seed from several numbers."""
    mixed = 0x9E3779B97F4A7C15
    for number in numbers:
        mixed = ((mixed ^ (number + 0x632BE59B)) * 0xBF58476D1CE4E5B9) % 2**64
        mixed ^= mixed >> 31
    return mixed >> 1
