"""The losses of sctrans in its first three optimiser steps at a fixed seed.

Run ``python tests/parity/sctrans_first_steps.py`` to write them anew after a change that is
meant to alter them; the difference then shows in the review.
"""

import json
from pathlib import Path

import numpy as np
import torch

from cytonym.methods import get
from cytonym.types import Batch, Clock

OPTIONS = {
    "genes": "all",
    "smooth_alpha": 0.0,
    "smooth_k": 4,
    "unit_variance": False,
    "sub_vector": 8,
    "dim": 16,
    "heads": 2,
    "decoder_dim": 16,
    "mutual": True,
    "epochs": 1,
}


def first_steps() -> list[dict[str, float]]:
    """All losses of the joint stage, by ``<step>.<name>``; plain gradient descent, 40 cells."""
    method = get("sctrans")
    options = method.Options(**OPTIONS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = method.build({"rna": 30}, 4, options)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((40, 30)).astype(np.float32))
    x[:, 7] = torch.nan
    y, zero = torch.arange(40) % 5 - 1, torch.zeros(40, dtype=torch.int64)
    batch = Batch({"rna": x}, {}, {"rna": zero == 0}, y, zero, torch.arange(40))
    steps = next(stage for stage in method.stages(options, [10] * 4) if stage.name == "joint").steps
    found = []
    for moment in range(3):
        record = {}
        for place, step in enumerate(steps):
            losses = step.loss(net, batch, Clock("joint", 0, moment / 3, 1000 + moment))
            record |= {f"{place}.{name}": round(v.item(), 6) for name, v in losses.items()}
            net.zero_grad()
            losses["total"].backward()
            with torch.no_grad():
                for parameter in step.part(net).parameters():
                    if parameter.grad is not None:
                        parameter -= 0.1 * parameter.grad
        found.append(record)
    return found


if __name__ == "__main__":
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps(first_steps(), indent=1) + "\n", encoding="utf-8")
