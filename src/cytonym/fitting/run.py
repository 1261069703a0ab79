"""One fit on some cells of a reference: transforms first, then the network."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from cytonym.data.domains import Domains
from cytonym.data.loader import Feed, SourceBlocks
from cytonym.disk.stamps import Stamp
from cytonym.evaluate.metrics import scores
from cytonym.memory import words
from cytonym.methods import Method
from cytonym.nn.compiled import compile_parts
from cytonym.nn.threads import threads_for
from cytonym.options import Options
from cytonym.prep import chain_state, fit_chain, inputs
from cytonym.train.loop import History, train
from cytonym.train.processes import processes
from cytonym.train.watch import Watch
from cytonym.types import CellSource, Clock, FeatureSpace, Slow, Stage, Telling, Transform

log = logging.getLogger("cytonym")

LARGE = 500_000_000
"""Bytes of features that are worth a word."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A reference made ready: aligned to its own space, labels as codes; ``memory`` bytes may be
    taken by features that are kept.
    """

    source: CellSource
    spaces: Mapping[str, FeatureSpace]
    y: np.ndarray
    names: np.ndarray
    seed: int
    memory: int
    query: Query | None = None
    device: str = "auto"
    compile: bool = False
    stamp: Stamp = field(default_factory=Stamp)


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """Cells without labels that a method learns from beside the reference, in their own columns."""

    source: CellSource
    spaces: Mapping[str, FeatureSpace]

    def __len__(self) -> int:
        return len(self.source.cells)

    def feed(
        self, method: Method, options: Any, transforms: Mapping[str, Any], memory: int
    ) -> Feed:
        """The way of these cells through fitted transforms."""
        way = inputs(transforms, method.targets(options), self.spaces)
        rows = np.arange(len(self))
        return Feed(self.source, way, np.full(len(self), -1), rows, memory, domain=1)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A network with its transforms, the cells that it learned from, and how that went."""

    net: nn.Module
    transforms: Mapping[str, tuple[Transform, ...]]
    feed: Feed
    history: History


def run(
    method: Method,
    options: Any,
    task: Task,
    learn: np.ndarray,
    title: str,
    *,
    held: np.ndarray | None = None,
    epochs: Mapping[str, int] | None = None,
    folder: Path | None,
    progress: bool,
) -> Fitted:
    """Fit transforms and network on the cells ``learn`` (bool), watched on ``held``.

    ``epochs`` by stage replace the stages' own, where an earlier fit found when to stop.
    """
    rows = np.flatnonzero(learn)
    wanted = method.features(options)
    transforms = {name: wanted[name] for name in wanted if name in task.spaces}
    for modality, chain in transforms.items():
        for transform in chain:
            if isinstance(transform, Slow):
                transform.progress, transform.seed = progress, task.seed
        there = rows[task.source.present(modality)[rows]]
        fit_chain(chain, SourceBlocks(task.source, modality, there))
    way = inputs(transforms, method.targets(options), task.spaces)
    watched = rows[:0] if held is None else np.flatnonzero(held)
    each = task.memory // (len(rows) + len(watched) + (len(task.query) if task.query else 0))
    feed = Feed(task.source, way, task.y, rows, each * len(rows))
    _tell_size(feed.size + feed.of(watched).size, task.memory, title)
    torch.manual_seed(task.seed)
    widths = feed.inputs.widths
    net = method.build(widths, len(task.names), options)
    if task.compile:
        compile_parts(net)
    labelled = task.y[rows][task.y[rows] >= 0]
    stages = method.stages(options, np.bincount(labelled, minlength=len(task.names)).tolist())
    if epochs is not None:
        stages = [replace(one, epochs=epochs[one.name], patience=None) for one in stages]
    asked = replace(feed.of(watched), memory=each * len(watched))
    asked.keep()
    numbers = min(stages[-1].batch_size, len(rows)) * sum(widths.values())
    total = sum(stage.epochs for stage in stages)
    taught = feed
    if task.query is not None:
        taught = Domains(feed, task.query.feed(method, options, transforms, each * len(task.query)))
    known = folder is not None or processes().num_processes > 1  # by whom it is compared
    with threads_for(numbers), Watch(title, total, show=progress) as watch:
        history = train(
            net,
            stages,
            taught,
            seed=task.seed,
            monitor=partial(held_score, method, feed=asked) if len(watched) else None,
            state=None if folder is None else folder / f"{title}.safetensors",
            fingerprint=_fingerprint(method, options, task, rows, transforms) if known else "",
            on_epoch=watch.epoch,
            on_batch=watch.at,
            device=task.device,
        )
    net.cpu().eval()
    if task.compile:  # the rest is short, and on the CPU: a copy is plain
        net = copy.deepcopy(net)
    feed.drop()
    return Fitted(net, transforms, feed, history)


def _tell_size(size: int, memory: int, title: str) -> None:
    """Say where large features stay."""
    if size > memory:
        log.info(
            "%s: features of %s are made anew in each epoch; max_memory leaves %s for them",
            title,
            words(size),
            words(memory),
        )
    elif size > LARGE:
        log.info("%s: features of %s are kept in memory", title, words(size))


def told(fitted: Fitted) -> list[str]:
    """What transforms and network have to say."""
    parts = [*(one for chain in fitted.transforms.values() for one in chain), fitted.net]
    return [one.note for one in parts if isinstance(one, Telling) and one.note]


def _fingerprint(
    method: Method,
    options: Options,
    task: Task,
    rows: np.ndarray,
    transforms: Mapping[str, tuple[Transform, ...]],
) -> str:
    """What a training state must agree on: method, options, seed, files, cells, labels, values, and
    what was learned of them before (as of the DNA of peaks).
    """
    digest = hashlib.sha256()
    recipe = f"{version('cytonym')} {method.name} {options.model_dump_json()} {task.seed}"
    recipe += f" {task.stamp.checksum}" + " compiled" * task.compile
    digest.update(recipe.encode())
    spaces = [*task.spaces.values(), *(task.query.spaces.values() if task.query else ())]
    for array in (rows, task.y, *(space.names for space in spaces)):
        digest.update(np.ascontiguousarray(array).tobytes())
    spread = rows[:: max(len(rows) // 256, 1)]
    for modality in task.spaces:
        digest.update(task.source.read(modality, spread).data.tobytes())
    if task.query is not None:
        cells = task.query.source.cells
        digest.update("\n".join(map(str, cells)).encode())
        some = np.arange(0, len(cells), max(len(cells) // 256, 1))
        for modality in task.query.spaces:
            digest.update(task.query.source.read(modality, some).data.tobytes())
    for chain in transforms.values():
        for name, array in sorted(chain_state(chain).items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def predict(method: Method, net: nn.Module, feed: Feed) -> np.ndarray:
    """Codes of the most probable types of the cells of ``feed``."""
    device = next(net.parameters()).device
    named = []
    with torch.inference_mode():
        for _, batch in feed.batches(512):
            said = method.predict(net, batch.to(device))
            assert said.scores is not None
            named.append(said.scores.argmax(1).cpu().numpy())
    return np.concatenate(named)


def held_score(method: Method, net: nn.Module, stage: Stage, *, feed: Feed) -> dict[str, float]:
    """Scores of the network on held-out cells, for the loop; ``score`` is what it goes by."""
    if not method.needs.labels and stage.unlabelled:
        return held_loss(net, stage, feed)
    feed = replace(feed, rows=feed.rows[feed.y[feed.rows] >= 0])  # what is kept stays
    if not len(feed.rows):
        return {}
    truth = feed.y[feed.rows]
    found = scores(truth, predict(method, net, feed), known=range(int(feed.y.max()) + 1))
    return {
        "score": (found.accuracy + found.macro_f1) / 2,
        "held_out_accuracy": found.accuracy,
        "held_out_macro_f1": found.macro_f1,
    }


def held_loss(net: nn.Module, stage: Stage, feed: Feed) -> dict[str, float]:
    """The losses at the end of ``stage`` on held-out cells; ``score`` is better when higher."""
    device = next(net.parameters()).device
    clock = Clock(stage.name, stage.epochs, 1.0, 0)
    total = 0.0
    with torch.no_grad():
        for _, batch in feed.batches(512):
            for step in stage.steps:
                loss = step.loss(net, batch.to(device), clock)["total"].item()
                total += loss * len(batch) / len(feed.rows)
    return {"score": -total, "held_out_loss": total}
