"""The model folder: manifest.json, weights.safetensors, features.npz; whole or not there at all."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from cytonym.disk.arrays import MOST_VALUES, read_arrays
from cytonym.disk.files import replacing_folder
from cytonym.errors import ModelError

SCHEMA = 1
WEIGHTS, FEATURES, MANIFEST = "weights.safetensors", "features.npz", "manifest.json"

MOST_FACTS = 64 << 20
"""Bytes of a manifest; with more it is refused before it is read, as are weights and arrays with
more than ``MOST_VALUES``.
"""


class Entry(BaseModel):
    """Size and checksum of a file of the folder."""

    bytes: NonNegativeInt
    sha256: str


class Manifest(BaseModel):
    """What every manifest says, whatever else it holds."""

    model_config = ConfigDict(extra="allow", strict=True)

    format: Literal["cytonym model"]
    version: str
    format_version: NonNegativeInt = Field(alias="schema")
    method: str
    files: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a model folder holds: facts (JSON), weights, and named arrays."""

    facts: dict[str, Any]
    weights: dict[str, Tensor]
    arrays: dict[str, np.ndarray]


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write the folder under a temporary name, then rename it to ``path``.

    Raises
    ------
    ModelError
        ``path`` exists and is no model folder: it is left alone.
    WriteError
        The disk is full, or nothing may be written there.
    """
    check_target(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = {WEIGHTS: _weights_bytes(bundle.weights), FEATURES: _array_bytes(bundle.arrays)}
    manifest = {
        "format": "cytonym model",
        "schema": SCHEMA,
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in contents.items()
        },
        **bundle.facts,
    }
    manifest["digest"] = _digest(manifest)
    with replacing_folder(path) as partial:
        for name, data in contents.items():
            (partial / name).write_bytes(data)
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def check_target(path: Path) -> None:
    """Refuse to replace something that is not a model folder."""
    empty = path.is_dir() and not any(path.iterdir())
    if path.exists() and not empty and not is_model(path):
        raise ModelError(
            f"{path} exists and is no model folder; choose another name, or remove it first."
        )
    if path.is_dir() and (foreign := foreign_files(path)):
        raise ModelError(
            f"{path} is a model, which would be replaced, but it also holds "
            f"{', '.join(foreign[:5])}; move them, or choose another name."
        )


def is_model(path: Path) -> bool:
    """Whether a folder is a model by its manifest, whole or damaged."""
    try:
        facts = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(facts, dict) and facts.get("format") == "cytonym model"


def foreign_files(path: Path) -> list[str]:
    """What lies in a model folder and does not belong to the model."""
    return sorted({one.name for one in path.iterdir()} - {WEIGHTS, FEATURES, MANIFEST, ".DS_Store"})


def read_bundle(path: Path) -> Bundle:
    """Read a model folder; sizes and checksums are verified before anything is used.

    Raises
    ------
    ModelError
        No such folder, a file that is missing or changed, or a newer format.
    """
    manifest = read_manifest(path)
    data = {name: _verified(path / name, manifest["files"][name]) for name in (WEIGHTS, FEATURES)}
    try:
        weights = load_tensors(data[WEIGHTS])
        arrays = read_arrays(io.BytesIO(data[FEATURES]), most=MOST_VALUES)
    except (SafetensorError, ValueError, OSError) as error:
        raise ModelError(f"The model {path} cannot be read: {error}.") from error
    return Bundle(manifest, weights, arrays)


def read_manifest(path: Path) -> dict[str, Any]:
    """The facts of a model folder, without its weights."""
    file = path / MANIFEST
    if not file.is_file():
        if left := _left_behind(path):
            raise ModelError(
                f"{path} was being replaced when the process was killed; the older model is whole: "
                f"move {left} to {path}."
            )
        raise ModelError(
            f"{path} is no model folder: it has no {MANIFEST}. Give the folder that "
            "`cytonym fit --out` wrote."
        )
    _check_own(file, MOST_FACTS)
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
        whole = manifest.get("digest") == _digest(manifest)
    except (ValueError, AttributeError, OSError, RecursionError) as error:
        raise ModelError(f"{file} is damaged: {error}. Copy the model again.") from error
    if not whole:
        raise ModelError(f"{file} was changed since it was written. Copy the model again.")
    try:
        told = Manifest.model_validate(manifest)
    except ValidationError as error:
        raise ModelError(f"{file} is no manifest of a model: {first_fault(error)}.") from None
    if told.format_version > SCHEMA:
        raise ModelError(
            f"{path} was written by cytonym {told.version} in format "
            f"{told.format_version}; this version reads up to {SCHEMA}. Install a newer cytonym."
        )
    if lacking := {WEIGHTS, FEATURES} - {*told.files}:
        raise ModelError(f"{file} says nothing of {' and '.join(sorted(lacking))}.")
    return manifest


def first_fault(error: ValidationError) -> str:
    """Where the first fact is that is not of its kind, and what it ought to be."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _left_behind(path: Path) -> Path | None:
    """The older model, where a process was killed between the two renames of
    :func:`cytonym.disk.files.replacing_folder`.
    """
    if path.exists():
        return None
    found = sorted(path.parent.glob(f".{path.name}.old.*/{path.name}"))
    return found[-1] if found else None


def _check_own(file: Path, most: int) -> None:
    """A plain file of the folder itself, of a size that a model may have."""
    if file.is_symlink() or file.stat().st_size > most:
        what = "a link to another place" if file.is_symlink() else f"larger than {most:,} bytes"
        raise ModelError(f"{file} is {what}, which no model holds; it was not read.")


def _verified(file: Path, wanted: Mapping[str, Any]) -> bytes:
    if not file.is_file():
        raise ModelError(f"The model lacks {file}. Copy the whole folder again.")
    _check_own(file, MOST_VALUES)
    size = file.stat().st_size
    if size != wanted["bytes"]:
        raise ModelError(
            f"{file} has {size:,} bytes, the manifest says {wanted['bytes']:,}. "
            "Copy the model again."
        )
    data = file.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != wanted["sha256"]:
        raise ModelError(
            f"{file} is damaged: its checksum is {found[:12]}…, the manifest says "
            f"{wanted['sha256'][:12]}…. Copy the model again."
        )
    return data


def _digest(manifest: Mapping[str, Any]) -> str:
    """Checksum of the manifest itself, its own line left out."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _weights_bytes(weights: Mapping[str, Tensor]) -> bytes:
    return save_tensors(
        {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    )


def _array_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()
