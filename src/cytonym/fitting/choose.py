"""Options that are ``auto``: which input serves best, by a linear probe inside the reference."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cytonym.data.loader import SourceBlocks
from cytonym.evaluate.probe import pick, probe, score
from cytonym.evaluate.splits import folds, sample
from cytonym.fitting.run import Task
from cytonym.methods import Method
from cytonym.train.watch import Watch
from cytonym.types import FeatureSpace, Transform

log = logging.getLogger("cytonym")

PROBED = 2500
"""Cells of the reference that candidates are compared on."""


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Blocks that were computed once and stay in memory."""

    space: FeatureSpace
    parts: list[Any]

    def __len__(self) -> int:
        return sum(part.shape[0] for part in self.parts)

    def __iter__(self) -> Any:
        return iter(self.parts)


def choose(
    method: Method, options: Any, task: Task, rows: np.ndarray, progress: bool
) -> tuple[Any, tuple[Mapping[str, Any], ...]]:
    """The candidate whose features serve a linear probe best, inside the reference.

    Within one standard error of the best, the first candidate wins.
    """
    candidates = method.candidates(options)
    if len(candidates) == 1:
        return candidates[0], ()
    modalities = [name for name in method.features(candidates[0]) if name in task.spaces]
    for modality in modalities:  # a probe reads whole cells
        rows = rows[task.source.present(modality)[rows]]
    rows = rows[sample(task.y[rows], most=PROBED, seed=task.seed)]
    y = np.unique(task.y[rows], return_inverse=True)[1]
    fold = folds(y, n=3, seed=task.seed)
    if any(len(np.unique(y[fold != one])) < 2 for one in range(3)):
        log.info("Too few labelled cells with %s to choose by", " and ".join(modalities))
        return candidates[0], ()
    seen: dict[str, Any] = {}
    tried: dict[str, tuple[Any, np.ndarray]] = {}
    with Watch("choosing", len(candidates), show=progress, unit="input") as watch:
        for place, candidate in enumerate(candidates):
            parts = [
                _fitted(chain, task, modality, rows, seen)
                for modality, chain in method.features(candidate).items()
                if modality in modalities
            ]
            name = " ".join(key for key, _ in parts)
            if name not in tried:  # a panel of all genes may be the panel of the most variable
                x = np.hstack([np.concatenate(held.parts) for _, held in parts])
                tried[name] = (candidate, probe(x, y, fold))
            watch.epoch(place + 1, {"score": score(y, tried[name][1])})
    kept = [candidate for candidate, _ in tried.values()]
    best, found = pick(y, [named for _, named in tried.values()])
    changed = _differing(kept)
    facts = tuple(
        {**{key: getattr(one, key) for key in changed}, "score": round(value, 4)}
        for one, value in zip(kept, found, strict=True)
    )
    log.info("Chose %s", facts[best])
    return kept[best], facts


def _fitted(
    chain: tuple[Transform, ...],
    task: Task,
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
