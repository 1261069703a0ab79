"""Where a fit stands, on disk: written whole at every epoch, read back bit for bit; no pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from cytonym.disk.files import replacing
from cytonym.errors import TrainingError


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All tensors of a moment by name, and the facts beside them."""

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


def write_snapshot(path: Path, snapshot: Snapshot) -> None:
    """Write it whole or not at all.

    Raises
    ------
    WriteError
        The disk is full, or nothing may be written there; the state of before is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous() for name, value in snapshot.tensors.items()}
    with replacing(path) as partial:
        partial.write_bytes(save(tensors, metadata={"facts": json.dumps(snapshot.facts)}))


def read_snapshot(path: Path, *, fingerprint: str) -> Snapshot | None:
    """The snapshot at ``path``; None where there is none.

    Raises
    ------
    TrainingError
        The file is damaged, or belongs to a fit with other data, options or seed.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            owner = facts["fingerprint"]
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"The training state {path} is damaged ({error}). Remove it and start the fit again."
        ) from error
    if owner != fingerprint:
        raise TrainingError(
            f"The training state {path} belongs to a fit with other data, options or seed, "
            f"or one of the two is compiled ({owner}, this fit is {fingerprint}). Remove it, or "
            "choose another folder."
        )
    return Snapshot(tensors, facts)


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under ``prefix/name``."""
    return {f"{prefix}/{name}": value for name, value in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors that :func:`prefixed` put under ``prefix``."""
    head = f"{prefix}/"
    return {key.removeprefix(head): tensors[key] for key in tensors if key.startswith(head)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """An optimiser's memory as flat tensors ``"<parameter>.<name>"``."""
    return {
        f"{place}.{name}": torch.as_tensor(value)
        for place, memory in optimizer.state_dict()["state"].items()
        for name, value in memory.items()
    }


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Give back what :func:`optimizer_tensors` took."""
    whole = optimizer.state_dict()
    whole["state"] = {}
    for key, value in tensors.items():
        place, name = key.split(".", 1)
        whole["state"].setdefault(int(place), {})[name] = value
    optimizer.load_state_dict(whole)
