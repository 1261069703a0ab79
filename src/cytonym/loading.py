"""What a model folder holds, checked; and a cell that is made up, to see whether it fits together.

Checksums say that a folder is as somebody wrote it, not that its parts belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cytonym.bundle import first_fault
from cytonym.errors import CytonymError
from cytonym.methods import Method, with_weights
from cytonym.options import Options
from cytonym.prep import Inputs
from cytonym.trust.reference import under
from cytonym.types import Batch, Checks, FeatureSpace, SparseRows, Transform

NOT_WHOLE = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    AssertionError,  # an option that ought to be decided is not
)
"""What parts of a model that are not of one piece can raise when they are put together."""

PLENTY = 1_000_000
"""Features that are said to be detected in a cell that is made up: it is no junk."""


class ModelFacts(BaseModel, strict=True):
    """What the manifest of every model says."""

    method: str
    seed: int
    options: dict[str, Any]
    labels: list[str]
    modalities: list[str]
    report: dict[str, Any]
    trust: dict[str, Any] | None = None
    quick: dict[str, Any] | None = None
    note: str = ""


def space_of(modality: str, arrays: Mapping[str, np.ndarray]) -> FeatureSpace:
    """The reference's features; a TypeError where they are none."""
    names = arrays[f"space/{modality}/names"]
    columns = dict(under(f"space/{modality}/column/", arrays))
    if names.dtype.kind != "U" or names.ndim != 1:
        raise TypeError(f"the features of {modality} have no names")
    for name, one in columns.items():
        if one.shape != names.shape:
            raise TypeError(f"{name} of {modality} is {one.shape}, the features {names.shape}")
    return FeatureSpace(modality, names, np.ones(len(names), bool), columns)


def network(
    method: Method,
    options: Options,
    widths: Mapping[str, int],
    n_types: int,
    weights: Mapping[str, Tensor],
) -> nn.Module:
    """The network with its weights, in eval mode; their sizes are compared before it is built.

    Raises
    ------
    ValueError
        Weights of another shape than the options want, or fewer numbers than it would take.
    """
    with torch.device("meta"):  # takes no memory
        planned = method.build(widths, n_types, options)
    learned = {name for name, _ in planned.named_parameters()}
    for name, one in planned.state_dict().items():
        if name not in weights:
            raise ValueError(f"there are no weights of {name}, which the options want")
        found, wanted = tuple(weights[name].shape), tuple(one.shape)
        if one.numel() > weights[name].numel() or (name in learned and found != wanted):
            raise ValueError(f"{name} is {found}, where the options want {wanted}")
    return with_weights(method, options, widths, n_types, weights)


def check_salience(salience: Mapping[str, np.ndarray], n_types: int, n_features: int) -> None:
    """A ValueError where it is not of these types and features."""
    if "features" not in salience:
        return
    tokens = salience["tokens"].shape[-1] if "tokens" in salience else 0
    wanted = {
        "features": (n_types, n_features),
        "values": (n_types, n_features),
        "tokens": (n_types, tokens),
        "group": (n_features,),
    }
    for name, one in salience.items():
        if one.shape != wanted.get(name, one.shape) or one.dtype.kind not in "fiu":
            raise ValueError(f"salience of {name} is {one.shape}, and not {wanted[name]}")
    if "tokens" in salience and not np.isin(salience["group"], np.arange(tokens)).all():
        raise ValueError(f"a feature is in none of the {tokens} sub-vectors")


def why(error: Exception) -> str:
    """What is wrong, in a line."""
    if isinstance(error, ValidationError):
        return f"{first_fault(error)}."
    return str(error) if isinstance(error, CytonymError) else f"{error!r}."


def elsewhere(made: str) -> str:
    """What helps where another version wrote a model that this one cannot put together."""
    if made == (ours := version("cytonym")):
        return ""
    return f"\n    → cytonym {made} made it, and this is {ours}: install that one, or fit again"


def made_up(
    method: Method,
    way: Inputs,
    spaces: Mapping[str, FeatureSpace],
    transforms: Mapping[str, tuple[Transform, ...]],
) -> Iterator[Batch]:
    """Two cells, with a 1 everywhere and without any value; of a method that takes cells without
    a modality, also these.

    The DNA of peaks is not read for them: their transforms give 0.
    """
    x, counts = {}, {}
    for name, bound in way.bound.items():
        values = np.repeat([[1.0], [0.0]], len(spaces[name]), axis=1).astype(np.float32)
        cells = csr_matrix(values)
        if name in way.counts:
            counts[name] = SparseRows.of(csr_matrix(cells[:, way.counts[name]]))
        if name not in way.plain:
            reads = any(isinstance(step, Checks) for step in transforms[name])
            made = np.zeros((2, len(bound.space))) if reads else bound.apply(cells)
            dense = made if isinstance(made, np.ndarray) else made.toarray()
            x[name] = torch.from_numpy(dense.astype(np.float32))
    both = (True, False) if method.needs.optional else (True,)
    for there in product(both, repeat=len(way.bound)):
        if any(there):
            yield Batch(
                x,
                counts,
                present={
                    name: torch.tensor([is_there] * 2)
                    for name, is_there in zip(way.bound, there, strict=True)
                },
                y=torch.tensor([-1, -1]),
                domain=torch.tensor([1, 1]),
                key=torch.tensor([0, 1]),
                detected={name: torch.tensor([PLENTY] * 2) for name in way.bound},
            )
