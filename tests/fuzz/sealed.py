"""Model folders of an enemy: every checksum is right, and some part is something else.

``python tests/fuzz/sealed.py METHOD SECONDS SEED`` changes the kept model of a method, loads it and
names cells with it. As in ``targets.py``, it may answer or raise a ``CytonymError``.
"""

from __future__ import annotations

import copy
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from packaging.version import Version

import cytonym
from cytonym.bundle import Bundle, read_bundle, write_bundle
from cytonym.errors import CytonymError

sys.path.append(str(Path(__file__).parents[1]))
import releases

ODD: list[Any] = [
    None,
    True,
    -1,
    0,
    2,
    3.5,
    1e308,
    float("nan"),
    10**9,
    10**30,
    "",
    "word",
    "../../etc",
    "\x00",
    [],
    [1],
    {},
    {"a": 1},
]
"""What stands in the place of a fact."""

OWN = {"format", "schema", "files", "digest"}
"""Facts that are written with the folder."""


@dataclass(frozen=True)
class Model:
    """A kept model in memory, and the cells that it is asked about."""

    bundle: Bundle
    query: Any

    @classmethod
    def of(cls, method: str) -> Model:
        """The newest one of a method."""
        mine = [one.model for one in releases.kept() if one.model.stem == method]
        whole = read_bundle(max(mine, key=lambda model: Version(model.parent.name)))
        facts = {key: value for key, value in whole.facts.items() if key not in OWN}
        query = releases.cells(cytonym.methods()[method])[1]
        return cls(Bundle(facts, whole.weights, whole.arrays), query)

    def ask(self, bundle: Bundle) -> str:
        """``named`` or ``refused``; anything else is raised."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            path = Path(folder) / "model"
            write_bundle(path, bundle)
            try:
                model = cytonym.load(path)
                for one in (model, model.fast()) if model.quick is not None else (model,):
                    one.annotate(self.query, device="cpu", progress=False)
            except CytonymError:
                return "refused"
        return "named"

    def changed(self, rng: np.random.Generator) -> tuple[Bundle, str]:
        """One or two parts are something else; and which."""
        facts = copy.deepcopy(self.bundle.facts)
        weights, arrays = dict(self.bundle.weights), dict(self.bundle.arrays)
        told = []
        for _ in range(int(rng.integers(1, 3))):
            kind = rng.integers(0, 6)
            if kind < 3:
                told.append(_fact(facts, rng))
            elif kind < 5:
                told.append(_array(arrays, rng))
            else:
                told.append(_weight(weights, rng))
        return Bundle(facts, weights, arrays), "; ".join(told)


def _pick(some: Sequence[Any], rng: np.random.Generator) -> Any:
    return some[int(rng.integers(len(some)))]


def _fact(facts: dict[str, Any], rng: np.random.Generator) -> str:
    """A fact at any depth is gone, or another."""
    inside: Any = facts
    way: list[Any] = []
    while True:
        way.append(_pick([*inside] if isinstance(inside, dict) else range(len(inside)), rng))
        deeper = inside[way[-1]]
        if not isinstance(deeper, dict | list) or not deeper or rng.random() < 0.3:
            break
        inside = deeper
    if rng.random() < 0.2:
        del inside[way[-1]]
        return f"{way} gone"
    inside[way[-1]] = copy.deepcopy(_pick(ODD, rng))
    return f"{way} = {inside[way[-1]]!r}"


def _array(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> str:
    """An array is gone, of another shape or type, or holds odd values."""
    name, kind = _pick(sorted(arrays), rng), int(rng.integers(0, 7))
    one = arrays[name]
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = one[: len(one) // 2] if one.ndim else np.zeros(3)
    elif kind == 2:
        arrays[name] = np.concatenate([one, one]) if one.ndim else np.array("word")
    elif kind == 3:
        arrays[name] = one[None]
    elif kind == 4:
        arrays[name] = np.full(one.shape, np.nan)
    elif kind == 5:
        arrays[name] = rng.integers(-(2**40), 2**40, one.shape)
    else:
        arrays[name] = np.full(one.shape, "word")
    return f"array {name} {one.shape} {one.dtype}, kind {kind}"


def _weight(weights: dict[str, torch.Tensor], rng: np.random.Generator) -> str:
    """A weight is gone, of another shape or type, or not finite."""
    name, kind = _pick(sorted(weights), rng), int(rng.integers(0, 5))
    one = weights[name]
    if kind == 0:
        del weights[name]
    elif kind == 1:
        weights[name] = one[None].clone()
    elif kind == 2:
        weights[name] = torch.full_like(one.float(), torch.nan)
    elif kind == 3:
        weights[name] = one.to(torch.int64)
    else:
        weights["more"] = one.clone()
    return f"weight {name} {tuple(one.shape)}, kind {kind}"


class Hung(BaseException):
    """No answer in time; nothing that means to catch errors catches it."""


def _hung(*_: object) -> None:
    raise Hung


def main() -> None:
    """Change and ask for some seconds; print every find with the seed that makes it."""
    method, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    model, said, end = Model.of(method), Counter[str](), time.monotonic() + seconds
    assert model.ask(model.bundle) == "named"
    signal.signal(signal.SIGALRM, _hung)
    while time.monotonic() < end:
        bundle, told = model.changed(np.random.default_rng(seed))
        signal.alarm(30)
        try:
            said[model.ask(bundle)] += 1
        except (Exception, Hung) as error:  # noqa: BLE001
            said["hung" if isinstance(error, Hung) else "found"] += 1
            sys.stderr.write(f"{method} {seed}: {told}\n{traceback.format_exc(limit=-4)}\n")
        finally:
            signal.alarm(0)
        seed += 1
    print(f"sealed {method} to seed {seed}", dict(said))  # noqa: T201


if __name__ == "__main__":
    main()
