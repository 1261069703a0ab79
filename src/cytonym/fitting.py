"""From a labelled reference to a fitted model: choose, try on held-out cells, fit on all."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from torch import nn

from cytonym.annotator import Annotator, Data, check_values, mean_salience
from cytonym.data.align import align, match, misfit, space_of
from cytonym.data.labels import Labels, read_labels
from cytonym.data.loader import Feed, SourceBlocks
from cytonym.data.read import open_cells
from cytonym.errors import DataError
from cytonym.evaluate.metrics import scores
from cytonym.evaluate.probe import pick, probe, score
from cytonym.evaluate.splits import folds, holdout, sample
from cytonym.methods import Method, get
from cytonym.options import Options, Settings, parse
from cytonym.prep import Depth, Log1p, Panel, Scale, bind_chain, fit_chain
from cytonym.report import FitReport
from cytonym.train.loop import History, train
from cytonym.train.watch import Watch
from cytonym.types import CellSource, FeatureSpace, Transform

log = logging.getLogger("cytonym")

PROBED = 2500
"""Cells of the reference that candidates are compared on."""

COMPARED = 20_000
"""Cells of the reference that ``knn`` learns from, at most."""


def fit(
    reference: Data,
    *,
    labels: str,
    method: str = "sctrans",
    seed: int = 0,
    options: Settings = None,
    query: Data | None = None,
    genes: str | None = None,
    layer: str | None = None,
    validation: float = 0.1,
    state: str | Path | None = None,
    progress: bool = True,
) -> Annotator:
    """Learn the cell types of a labelled reference.

    Options that are ``auto`` are chosen by a cross-validated linear probe inside the reference.
    A first fit leaves out ``validation`` of the cells and is compared on them with ``linear``
    and kNN; the model that is returned is then fitted on all labelled cells.

    Parameters
    ----------
    reference
        A file or AnnData with raw counts (or logged values, where the method allows); it is
        left as it is.
    labels
        The column of ``obs`` with the names; cells without one are unlabelled.
    method
        A name of :func:`cytonym.methods`.
    seed
        The same seed, data and machine give the same weights.
    options
        Of the method: a dict, or words ``"key=value"``; ``preset`` picks a named set.
    query
        The data that will be annotated: features that they lack are not learned.
    genes, layer
        The column with gene identifiers, and where the values lie; found by evidence otherwise.
    validation
        Share of the labelled cells held out for the comparison; 0 skips the first fit.
    state
        A folder that keeps training states, from which a killed fit goes on.
    progress
        Show progress bars.

    Returns
    -------
    Annotator
        Fitted; its ``report`` holds the comparison.

    Raises
    ------
    OptionError
        Unknown method or option.
    DataError
        The reference cannot be used; all problems at once.
    TrainingError
        The loss is not finite, or ``state`` belongs to another fit.
    """
    start = time.monotonic()
    recipe = get(method)
    parsed = parse(recipe.Options, options, presets=recipe.presets)
    task, notes = _open(recipe, reference, labels, query, genes, layer, seed)
    with torch.random.fork_rng():
        held = holdout(task.y, share=validation, seed=seed)
        parsed, chosen = _choose(recipe, parsed, task, np.flatnonzero(~held), progress)
        folder = Path(state) if state is not None else None
        table: tuple[dict[str, Any], ...] = ()
        history: list[dict[str, Any]] = []
        epochs = None
        if held.any():
            trial = _run(
                recipe, parsed, task, ~held, "trial", held=held, folder=folder, progress=progress
            )
            table = _compare(recipe, trial, task, held, progress)
            notes += _verdict(table)
            history, epochs = trial.history.records, trial.history.best_epochs
        everyone = np.ones(len(task.y), dtype=bool)
        final = _run(
            recipe, parsed, task, everyone, "fit", epochs=epochs, folder=folder, progress=progress
        )
        labelled = final.feed.of(np.flatnonzero(task.y >= 0))
        salience = mean_salience(recipe, final.net, labelled, len(task.names))
    report = FitReport(
        held_out=table,
        n_reference=int((task.y >= 0).sum()),
        n_held_out=int(held.sum()),
        chosen=chosen,
        notes=tuple(notes),
        history=tuple(history or final.history.records),
        seconds=round(time.monotonic() - start, 1),
    )
    names = [str(name) for name in task.names]
    return Annotator(
        recipe, parsed, seed, names, task.spaces, final.transforms, final.net, report, salience
    )


# --- the data ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """A reference made ready: aligned to its own space, labels as codes."""

    source: CellSource
    spaces: Mapping[str, FeatureSpace]
    y: np.ndarray
    names: np.ndarray
    seed: int


def _open(
    method: Method,
    reference: Data,
    labels: str,
    query: Data | None,
    genes: str | None,
    layer: str | None,
    seed: int,
) -> tuple[_Task, list[str]]:
    cells = open_cells(reference, layer=layer, genes=genes)
    check_values(method, cells, cells.name)
    found: Labels = read_labels(cells.obs, labels, cells.name)
    wanted = method.needs.modalities
    spaces = {name: space for name, space in space_of(cells).items() if name in wanted}
    notes = [*cells.notes, *found.notes]
    notes += [f"{cells.finding[name].where} read as {cells.finding[name].kind}" for name in spaces]
    if query is not None:
        spaces = _shared(spaces, query, notes)
    source, _ = align(cells, spaces, genes=genes)
    return _Task(source, spaces, found.codes, found.names, seed), notes


def _shared(
    spaces: Mapping[str, FeatureSpace], query: Data, notes: list[str]
) -> dict[str, FeatureSpace]:
    """Only the features that the query has too; too few is a DataError."""
    cells = open_cells(query)
    out = dict(spaces)
    for name in spaces.keys() & cells.spaces.keys():
        selection, coverage = match(cells.spaces[name], spaces[name])
        problem = misfit(cells.spaces[name], spaces[name], coverage)
        if problem is not None:
            raise DataError(problem, subject=cells.name)
        out[name] = spaces[name].take(np.unique(selection.tocoo().col))
        notes.append(f"Learned only features that the query has too ({coverage})")
    return out


# --- choosing ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Blocks that were computed once and stay in memory."""

    space: FeatureSpace
    parts: list[Any]

    def __len__(self) -> int:
        return sum(part.shape[0] for part in self.parts)

    def __iter__(self) -> Any:
        return iter(self.parts)


def _choose(
    method: Method, options: Any, task: _Task, rows: np.ndarray, progress: bool
) -> tuple[Any, tuple[Mapping[str, Any], ...]]:
    """The candidate whose features serve a linear probe best, inside the reference.

    Within one standard error of the best, the first candidate wins.
    """
    candidates = method.candidates(options)
    if len(candidates) == 1:
        return candidates[0], ()
    rows = rows[sample(task.y[rows], most=PROBED, seed=task.seed)]
    y = np.unique(task.y[rows], return_inverse=True)[1]
    fold = folds(y, n=3, seed=task.seed)
    seen: dict[str, Any] = {}
    known: dict[str, np.ndarray] = {}
    tried = []
    with Watch("choosing", len(candidates), show=progress, unit="input") as watch:
        for place, candidate in enumerate(candidates):
            parts = [
                _fitted(chain, task, modality, rows, seen)
                for modality, chain in method.features(candidate).items()
            ]
            name = " ".join(key for key, _ in parts)
            if name not in known:  # a panel of all genes may be the panel of the most variable
                known[name] = probe(np.hstack([np.concatenate(x.parts) for _, x in parts]), y, fold)
            tried.append(known[name])
            watch.epoch(place + 1, {"score": score(y, tried[-1])})
    best, found = pick(y, tried)
    changed = _differing(candidates)
    facts = tuple(
        {**{key: getattr(one, key) for key in changed}, "score": round(value, 4)}
        for one, value in zip(candidates, found, strict=True)
    )
    log.info("Chose %s", facts[best])
    return candidates[best], facts


def _fitted(
    chain: tuple[Transform, ...],
    task: _Task,
    modality: str,
    rows: np.ndarray,
    seen: dict[str, _Held],
) -> tuple[str, _Held]:
    """The features after ``chain``, and a name for what was learned on the way there.

    What candidates have in common is kept in ``seen``, all but the last transform's output.
    """
    key = modality
    blocks: Any = SourceBlocks(task.source, modality, rows)
    for place, transform in enumerate(chain):
        bound = transform.fit(blocks).bind(blocks.space)
        key = _name(key, transform)
        if key not in seen:
            made = _Held(bound.space, [bound.apply(block) for block in blocks])
            if place == len(chain) - 1:
                return key, made
            seen[key] = made
        blocks = seen[key]
    return key, blocks


def _name(before: str, transform: Transform) -> str:
    digest = hashlib.sha256(f"{before} {type(transform).__name__}".encode())
    for name, array in sorted(transform.state().items()):
        digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _differing(candidates: Any) -> list[str]:
    dumps = [one.model_dump() for one in candidates]
    return [key for key in dumps[0] if len({repr(dump[key]) for dump in dumps}) > 1]


# --- fitting -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Fitted:
    net: nn.Module
    transforms: Mapping[str, tuple[Transform, ...]]
    feed: Feed
    history: History


def _run(
    method: Method,
    options: Any,
    task: _Task,
    learn: np.ndarray,
    title: str,
    *,
    held: np.ndarray | None = None,
    epochs: Mapping[str, int] | None = None,
    folder: Path | None,
    progress: bool,
) -> _Fitted:
    """Fit transforms and network on the cells ``learn`` (bool), watched on ``held``.

    ``epochs`` by stage replace the stages' own, where an earlier fit found when to stop.
    """
    rows = np.flatnonzero(learn)
    transforms = method.features(options)
    bound = {}
    for modality, chain in transforms.items():
        fit_chain(chain, SourceBlocks(task.source, modality, rows))
        bound[modality] = bind_chain(chain, task.spaces[modality])
    feed = Feed(task.source, bound, task.y, rows)
    torch.manual_seed(task.seed)
    widths = {modality: len(one.space) for modality, one in bound.items()}
    net = method.build(widths, len(task.names), options)
    stages = method.stages(options, int((task.y[rows] >= 0).sum()))
    if epochs is not None:
        stages = [replace(one, epochs=epochs[one.name], patience=None) for one in stages]
    watched = None if held is None else feed.of(np.flatnonzero(held))
    with Watch(title, sum(stage.epochs for stage in stages), show=progress) as watch:
        history = train(
            net,
            stages,
            feed,
            seed=task.seed,
            monitor=None if watched is None else lambda net: _score(method, net, watched),
            state=None if folder is None else folder / f"{title}.safetensors",
            fingerprint=_fingerprint(method, options, task, rows),
            on_epoch=watch.epoch,
        )
    net.cpu().eval()
    return _Fitted(net, transforms, feed, history)


def _fingerprint(method: Method, options: Options, task: _Task, rows: np.ndarray) -> str:
    """What a training state must agree on: method, options, seed, cells, labels, values."""
    digest = hashlib.sha256()
    digest.update(f"{method.name} {options.model_dump_json()} {task.seed}".encode())
    for array in (rows, task.y, *(space.names for space in task.spaces.values())):
        digest.update(np.ascontiguousarray(array).tobytes())
    for modality in task.spaces:
        digest.update(task.source.read(modality, rows[:256]).data.tobytes())
    return digest.hexdigest()[:16]


# --- the comparison ----------------------------------------------------------------------------


def _predict(method: Method, net: nn.Module, feed: Feed) -> np.ndarray:
    """Codes of the most probable types of the cells of ``feed``."""
    device = next(net.parameters()).device
    named = []
    with torch.inference_mode():
        for _, batch in feed.batches(512):
            said = method.predict(net, batch.to(device))
            assert said.scores is not None
            named.append(said.scores.argmax(1).cpu().numpy())
    return np.concatenate(named)


def _score(method: Method, net: nn.Module, feed: Feed) -> dict[str, float]:
    found = scores(feed.y[feed.rows], _predict(method, net, feed))
    return {
        "score": (found.accuracy + found.macro_f1) / 2,
        "held_out_accuracy": found.accuracy,
        "held_out_macro_f1": found.macro_f1,
    }


def _compare(
    method: Method, trial: _Fitted, task: _Task, held: np.ndarray, progress: bool
) -> tuple[dict[str, Any], ...]:
    """This method, ``linear`` and kNN, learned from the same cells, on the same held-out ones."""
    truth = task.y[held]
    rows = [_row(method.name, truth, _predict(method, trial.net, trial.feed.of(np.where(held)[0])))]
    if "rna" not in task.spaces:
        return tuple(rows)
    if method.name != "linear":
        linear = get("linear")
        options = linear.Options()
        fitted = _run(linear, options, task, ~held, "linear", folder=None, progress=progress)
        named = _predict(linear, fitted.net, fitted.feed.of(np.flatnonzero(held)))
        rows.append(_row("linear", truth, named))
    rows.append(_row("knn", truth, _nearest(task, held)))
    return tuple(rows)


def _nearest(task: _Task, held: np.ndarray) -> np.ndarray:
    """15 nearest neighbours among 50 principal components of scaled variable genes."""
    learn = np.flatnonzero(~held & (task.y >= 0))
    learn = learn[sample(task.y[learn], most=COMPARED, seed=task.seed)]
    chain = (Depth(), Log1p(), Panel(3000), Scale())
    x = np.concatenate(list(fit_chain(chain, SourceBlocks(task.source, "rna", learn))))
    bound = bind_chain(chain, task.spaces["rna"])
    blocks = SourceBlocks(task.source, "rna", np.flatnonzero(held))
    reduce = PCA(min(50, *x.shape), random_state=task.seed).fit(x)
    model = KNeighborsClassifier(min(15, len(x))).fit(reduce.transform(x), task.y[learn])
    return model.predict(np.concatenate([reduce.transform(bound.apply(b)) for b in blocks]))


def _row(name: str, truth: np.ndarray, named: np.ndarray) -> dict[str, Any]:
    found = scores(truth, named)
    keys = ("accuracy", "balanced_accuracy", "macro_f1")
    return {"method": name, **{key: round(getattr(found, key), 4) for key in keys}}


def _verdict(table: tuple[dict[str, Any], ...]) -> list[str]:
    """Says so when a simple baseline did better."""
    own, *others = table
    better = [row for row in others if row["macro_f1"] > own["macro_f1"] + 0.01]
    return [
        f"{row['method']} did better than {own['method']} on the held-out cells: macro-F1 "
        f"{row['macro_f1']:.3f} against {own['macro_f1']:.3f}"
        for row in better
    ]
