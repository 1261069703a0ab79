"""Asks a network about cells: scores, embedding, and what else is needed to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from cytonym.methods import Method
from cytonym.nn.blocks import has_gaps
from cytonym.trust.axes import Axes
from cytonym.trust.said import Said, patterns
from cytonym.types import Batch


def said_of(
    method: Method, net: nn.Module, axes: Mapping[str, Axes], batch: Batch
) -> dict[str, Tensor]:
    """``(cells, ...)`` tensors by name, from which :func:`collected` makes a :class:`Said`."""
    said = method.predict(net, batch)
    assert said.scores is not None
    found = {
        "scores": said.scores.float(),
        "embedding": said.embedding.float(),
        "present": torch.stack([*batch.present.values()], dim=1),
    }
    if batch.detected:
        found["detected"] = torch.stack([*batch.detected.values()], dim=1)
    for name, one in axes.items():
        x = batch.x[name]
        centre, directions = (torch.from_numpy(a).to(x) for a in (one.centre, one.directions))
        known = x.nan_to_num() if has_gaps(x) else x
        along = known @ directions - centre @ directions
        found[f"input {name}"] = along.masked_fill(~batch.present[name][:, None], torch.nan)
    return found


def collected(cells: np.ndarray, told: Mapping[str, np.ndarray], modalities: Sequence[str]) -> Said:
    """What was said of all cells; ``modalities`` in the order of the batches."""
    counted = told["detected"].T.astype(np.int64) if "detected" in told else ()
    inputs = {name[6:]: one for name, one in told.items() if name.startswith("input ")}
    return Said(
        cells,
        told["scores"],
        told["embedding"],
        patterns(told["present"] > 0, modalities),
        inputs,
        dict(zip(modalities, counted, strict=False)),
    )
