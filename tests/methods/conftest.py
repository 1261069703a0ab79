"""Small sctrans networks with weights that are nowhere zero, and batches for them."""

import numpy as np
import pytest
import torch

from cytonym.methods import get
from cytonym.types import Batch

SMALL = {
    "genes": "all",
    "smooth_alpha": 0.0,
    "smooth_k": 4,
    "unit_variance": False,
    "sub_vector": 4,
    "dim": 8,
    "heads": 2,
    "decoder_dim": 8,
    "epochs": 2,
    "batch_size": 16,
}


class Kit:
    width, types = 18, 3  # 5 tokens of 4 genes; the last holds 2

    @staticmethod
    def options(**changes):
        return get("sctrans").Options(**{**SMALL, **changes})

    @classmethod
    def net(cls, **changes):
        torch.manual_seed(3)
        net = get("sctrans").build({"rna": cls.width}, cls.types, cls.options(**changes))
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        return net.eval()

    @classmethod
    def batch(cls, n=12, missing=(), seed=0):
        rng = np.random.default_rng(seed)
        x = torch.tensor(rng.standard_normal((n, cls.width)), dtype=torch.float32)
        x[:, list(missing)] = torch.nan
        here, zero = torch.ones(n, dtype=torch.bool), torch.zeros(n, dtype=torch.int64)
        y = torch.arange(n) % cls.types
        return Batch({"rna": x}, {}, {"rna": here}, y, zero, torch.arange(n) + 100)


@pytest.fixture
def small():
    """``small.net(**options)``, ``small.batch(n, missing)``, ``small.options(**options)``."""
    return Kit
