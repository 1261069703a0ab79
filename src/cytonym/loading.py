"""What a model folder holds, put together; and a cell that is made up, to see whether it fits.

Checksums say that a folder is as somebody wrote it, not that its parts belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from itertools import product
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cytonym.fit_report import FitReport
from cytonym.methods import Method, get
from cytonym.options import Options, parse
from cytonym.prep import inputs, restore_chain
from cytonym.quick import Quick
from cytonym.trust.reference import under
from cytonym.trust.trust import Trust
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


class Facts(BaseModel, strict=True):
    """What the manifest of a model that names cells says."""

    method: str
    seed: int
    options: dict[str, Any]
    labels: list[str]
    modalities: list[str]
    report: dict[str, Any]
    trust: dict[str, Any] | None = None
    quick: dict[str, Any] | None = None
    note: str = ""


def put_together(
    told: Mapping[str, Any], weights: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """The fields of :class:`cytonym.annotator.Annotator`; what does not fit raises ``NOT_WHOLE``
    or a CytonymError.
    """
    facts = Facts.model_validate(told)
    method = get(facts.method)
    options = parse(method.Options, facts.options, presets={})  # what came since is at its default
    spaces, transforms = {}, {m: method.features(options)[m] for m in facts.modalities}
    for modality in facts.modalities:
        names = arrays[f"space/{modality}/names"]
        columns = dict(under(f"space/{modality}/column/", arrays))
        if names.dtype.kind != "U" or any(one.shape != names.shape for one in columns.values()):
            raise TypeError(f"the features of {modality} have no names")
        spaces[modality] = FeatureSpace(modality, names, np.ones(len(names), bool), columns)
        restore_chain(transforms[modality], dict(under(f"transform/{modality}/", arrays)))
    widths = inputs(transforms, method.targets(options), spaces).widths
    net = _network(method, options, widths, len(facts.labels), weights)
    trust = quick = None
    if facts.trust is not None:
        trust = Trust.restore(facts.trust, dict(under("trust/", arrays)))
    if facts.quick is not None:
        quick = Quick.restore(facts.quick, dict(under("quick/", arrays)))
    report, salience = FitReport.from_dict(facts.report), dict(under("salience/", arrays))
    return {
        "method": method,
        "options": options,
        "seed": facts.seed,
        "label_names": facts.labels,
        "spaces": spaces,
        "transforms": transforms,
        "net": net,
        "report": report,
        "salience": salience,
        "trust": trust,
        "quick": quick,
        "note": facts.note,
    }


def _network(
    method: Method,
    options: Options,
    widths: Mapping[str, int],
    n_types: int,
    weights: Mapping[str, Tensor],
) -> nn.Module:
    """The network with its weights, in eval mode; their sizes are compared before it is built."""
    with torch.device("meta"):  # takes no memory
        planned = method.build(widths, n_types, options)
    for name, one in planned.named_parameters():
        found = tuple(weights[name].shape)
        if found != (wanted := tuple(one.shape)):
            raise ValueError(f"{name} is {found}, where the options want {wanted}")
    net = method.build(widths, n_types, options)
    net.load_state_dict(dict(weights))
    return net.eval()


def elsewhere(made: str) -> str:
    """What helps where another version wrote a model that this one cannot put together."""
    if made == (ours := version("cytonym")):
        return ""
    return f"\n    → cytonym {made} made it, and this is {ours}: install that one, or fit again"


def made_up(
    method: Method,
    options: Options,
    spaces: Mapping[str, FeatureSpace],
    transforms: Mapping[str, tuple[Transform, ...]],
) -> Iterator[Batch]:
    """A cell with a 1 everywhere; of a method that takes cells without a modality, also these.

    The DNA of peaks is not read for it: their transforms give 0.
    """
    way = inputs(transforms, method.targets(options), spaces)
    x, counts = {}, {}
    for name, bound in way.bound.items():
        ones = csr_matrix(np.ones((1, len(spaces[name])), np.float32))
        if name in way.counts:
            counts[name] = SparseRows.of(csr_matrix(ones[:, way.counts[name]]))
        if name not in way.plain:
            reads = any(isinstance(step, Checks) for step in transforms[name])
            made = np.zeros((1, len(bound.space))) if reads else bound.apply(ones)
            dense = made if isinstance(made, np.ndarray) else made.toarray()
            x[name] = torch.from_numpy(dense.astype(np.float32))
    one = torch.zeros(1, dtype=torch.int64)
    both = (True, False) if method.needs.optional else (True,)
    for there in product(both, repeat=len(way.bound)):
        if any(there):
            present = {
                name: torch.tensor([is_there])
                for name, is_there in zip(way.bound, there, strict=True)
            }
            detected = dict.fromkeys(way.bound, one + 1000000)
            yield Batch(x, counts, present, one - 1, one + 1, one, detected)
