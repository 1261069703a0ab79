"""What a fit learns about its own answers, on the cells that were held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from cytonym.asking import collected, said_of
from cytonym.data.altered import Doubled, Thinned, pairs_of
from cytonym.data.loader import Feed
from cytonym.evaluate.splits import sample
from cytonym.fitting.run import Fitted, Task, predict
from cytonym.methods import Method, with_weights
from cytonym.quick import Quick
from cytonym.trust.axes import VALUES, Axes
from cytonym.trust.doublets import MADE
from cytonym.trust.quality import SHARES, Quality
from cytonym.trust.reference import KEPT, Reference
from cytonym.trust.said import Said
from cytonym.trust.trust import LEAST, Trust
from cytonym.types import CellSource

MOST = 20_000
"""Held-out cells that are looked at, at most."""

THINNED = 300
"""Held-out cells that are thinned, at most."""


def learn_trust(
    method: Method, trial: Fitted, final: Fitted, task: Task, held: np.ndarray
) -> Trust | None:
    """Learned from ``trial``, which did not see the cells ``held`` (bool), for ``final``.

    None where fewer than ``LEAST`` held-out cells have a label. Distances to the reference are in
    units of the types' own, so what ``trial`` learned of them holds for ``final``.
    """
    rows = np.flatnonzero(held & (task.y >= 0))
    if len(rows) < LEAST:
        return None
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(task.seed).permutation(rows)[:MOST])
    axes = _axes(trial, task)
    others = _inputs(trial.feed.of(rows))
    own = _inputs(trial.feed.of(_known(trial, task)))
    able = [name for name in axes if len(others[name]) > 1]
    many = {name: axes[name].real(own[name], others[name]) for name in able}
    axes = {name: axes[name].first(k) for name, k in many.items()}
    del own, others
    reference, single, made = _learned(method, trial, task, axes)
    said = ask(method, trial, trial.feed.of(rows), axes)
    found = Trust.learn(
        said,
        task.y[rows],
        reference,
        _quality(method, trial, rows, axes),
        _all_of(single, made, _doublets(method, trial, task, rows, axes)),
        moved=method.needs.query,
    )
    if final is trial:
        return found
    axes = _axes(final, task)
    axes = {name: axes[name].first(k) for name, k in many.items()}
    return found.on(*_learned(method, final, task, axes))


def learn_quick(
    method: Method, options: Any, trial: Fitted, final: Fitted, task: Task, held: np.ndarray
) -> Quick | None:
    """The same for the quick way of naming cells, and how often both agree on ``held`` (bool).

    None where the method has no such way with these options, or too few cells were held out.
    """
    quick = method.quick(options)
    if quick is None:
        return None
    hurried = _hurried(method, quick, trial, task)
    last = hurried if final is trial else _hurried(method, quick, final, task)
    trust = learn_trust(method, hurried, last, task, held)
    if trust is None:
        return None
    asked = trial.feed.of(np.flatnonzero(held & (task.y >= 0)))
    both = [predict(method, one.net, asked) for one in (trial, hurried)]
    return Quick(len(asked.rows), round(float((both[0] == both[1]).mean()), 4), trust)


def _hurried(method: Method, quick: Any, fitted: Fitted, task: Task) -> Fitted:
    """The same weights with the options ``quick``."""
    widths, weights = fitted.feed.inputs.widths, fitted.net.state_dict()
    return replace(fitted, net=with_weights(method, quick, widths, len(task.names), weights))


def ask(method: Method, fitted: Fitted, feed: Feed, axes: Mapping[str, Axes]) -> Said:
    """What the network says of the cells of ``feed``."""
    told = []
    with torch.inference_mode():
        for _, batch in feed.batches(512):
            told.append({k: v.numpy() for k, v in said_of(method, fitted.net, axes, batch).items()})
    whole = {name: np.concatenate([one[name] for one in told]) for name in told[0]}
    return collected(feed.source.cells[feed.rows], whole, [*feed.inputs.bound])


def _learned(
    method: Method, fitted: Fitted, task: Task, axes: Mapping[str, Axes]
) -> tuple[Reference, Said | None, Said | None]:
    """The cells that a network learned from, as it sees them: of them ``KEPT`` at most, single
    cells among them, and doublets made of them.
    """
    rows = _known(fitted, task)
    said = ask(method, fitted, fitted.feed.of(rows), axes)
    reference = Reference.of(axes, said, task.y[rows], len(task.names))
    made = _doublets(method, fitted, task, rows, axes)
    if made is None:
        return reference, None, None
    some = np.random.default_rng(task.seed).permutation(len(rows))[: len(made)]
    return reference, said.of(np.resize(some, len(made))), made


def _known(fitted: Fitted, task: Task) -> np.ndarray:
    """Labelled cells (rows) that the network learned from, ``KEPT`` at most."""
    rows = fitted.feed.rows[task.y[fitted.feed.rows] >= 0]
    return np.sort(rows[sample(task.y[rows], most=KEPT, seed=task.seed)])


def _axes(fitted: Fitted, task: Task) -> dict[str, Axes]:
    """By modality, the main directions of what the network read."""
    read = _inputs(fitted.feed.of(_known(fitted, task)))
    return {name: Axes.of(x, seed=task.seed) for name, x in read.items() if len(x) > 1}


def _inputs(feed: Feed) -> dict[str, np.ndarray]:
    """By modality ``(cells, features)``: what the network reads as dense features, of the cells
    that have it; of very wide ones fewer cells.
    """
    names = sorted(feed.inputs.bound.keys() - feed.inputs.plain)
    widths = [len(feed.inputs.bound[name].space) for name in names]
    most = VALUES // max(max(widths, default=1), 1)
    some = np.random.default_rng(0).permutation(feed.rows)[:most]
    kept: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for _, batch in feed.of(np.sort(some)).batches(512):
        for name in names:
            kept[name].append(batch.x[name].numpy()[batch.present[name].numpy()])
    return {name: np.concatenate(parts) for name, parts in kept.items()}


def _quality(method: Method, fitted: Fitted, rows: np.ndarray, axes: Mapping[str, Axes]) -> Quality:
    """From held-out cells with fewer and fewer counts; nothing is learned of other values."""
    source = fitted.feed.source
    if not _counted(source):
        return Quality({})
    rng = np.random.default_rng(0)
    some = np.sort(rng.permutation(rows)[:THINNED])
    several = np.tile(some, len(SHARES))
    thin = Thinned(source, several, np.repeat(SHARES, len(some)))
    said = ask(method, fitted, _feed(fitted.feed, thin), axes)
    whole = ask(method, fitted, fitted.feed.of(some), axes)
    seen = {name: thin.present(name) for name in fitted.feed.inputs.bound}
    return Quality.fit(said, whole.of(np.tile(np.arange(len(some)), len(SHARES))), seen)


def _doublets(
    method: Method, fitted: Fitted, task: Task, rows: np.ndarray, axes: Mapping[str, Axes]
) -> Said | None:
    """Of ``rows``, in pairs of different types; None where values are not counts, or few differ."""
    source = fitted.feed.source
    if not _counted(source):
        return None
    there = np.stack([source.present(name)[rows] for name in fitted.feed.inputs.bound], axis=1)
    kind = np.unique(there, axis=0, return_inverse=True)[1].ravel()
    pairs = pairs_of(task.y[rows], kind, min(MADE, len(rows)), seed=task.seed)
    if len(pairs) < LEAST:
        return None
    return ask(method, fitted, _feed(fitted.feed, Doubled(source, rows[pairs])), axes)


def _feed(feed: Feed, source: CellSource) -> Feed:
    """Other cells on the same way to the network."""
    n = len(source.cells)
    return replace(feed.of(np.arange(n)), source=source, y=np.full(n, -1))


def _counted(source: CellSource) -> bool:
    return all(kind == "counts" for kind in source.values.values())


def _all_of(*said: Said | None) -> tuple[Said, Said, Said] | None:
    one, other, third = said
    return None if one is None or other is None or third is None else (one, other, third)
