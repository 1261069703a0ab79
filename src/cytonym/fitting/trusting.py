"""What a fit learns about its own answers, on the cells that were held out."""

from __future__ import annotations

import numpy as np
import torch

from cytonym.data.loader import Feed
from cytonym.evaluate.splits import sample
from cytonym.fitting.run import Fitted, Task
from cytonym.methods import Method
from cytonym.trust.trust import LEAST, Said, Trust, patterns
from cytonym.trust.unknown import KEPT, Near


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
    said = ask(method, trial, trial.feed.of(rows))
    found = Trust.learn(said, task.y[rows], _near(method, trial, task))
    if final is trial:
        return found
    return found.on(_near(method, final, task))


def ask(method: Method, fitted: Fitted, feed: Feed) -> Said:
    """Scores and embedding of the cells of ``feed``."""
    scores, z, pattern = [], [], []
    with torch.inference_mode():
        for _, batch in feed.batches(512):
            said = method.predict(fitted.net, batch)
            assert said.scores is not None
            scores.append(said.scores.float().numpy())
            z.append(said.embedding.float().numpy())
            have = torch.stack([*batch.present.values()], dim=1).numpy()
            pattern.append(patterns(have, [*batch.present]))
    names = feed.source.cells[feed.rows]
    return Said(names, *(np.concatenate(part) for part in (scores, z, pattern)))


def _near(method: Method, fitted: Fitted, task: Task) -> Near:
    """Cells that a network learned from, in its embedding."""
    rows = fitted.feed.rows[task.y[fitted.feed.rows] >= 0]
    rows = np.sort(rows[sample(task.y[rows], most=KEPT, seed=task.seed)])
    said = ask(method, fitted, fitted.feed.of(rows))
    return Near.of(said.z, task.y[rows], len(task.names), seed=task.seed)
