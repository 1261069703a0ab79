"""A toy network and loader: 64 cells of 2 types in the plane."""

import numpy as np
import pytest
import torch
from torch import nn

from cytonym.types import Batch, Optim, Stage, Step


class Cells:
    """Batches of 16 of 64 cells; ``bad`` is the number of a batch whose values are NaN."""

    def __init__(self, bad: int | None = None) -> None:
        rng = np.random.default_rng(0)
        y = np.arange(64) % 2
        x = rng.standard_normal((64, 2)) + 2.0 * y[:, None]
        self.x, self.y = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
        self.bad = bad

    def steps(self, stage):
        return 4

    def epoch(self, stage, *, seed, rank, world):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(64))
        for number, rows in enumerate(order.reshape(4, 16)):
            x = self.x[rows]
            if number == self.bad and seed[2] == 1:
                x = x * torch.nan
            here = torch.ones(16, dtype=torch.bool)
            domain = torch.zeros(16, dtype=torch.int64)
            yield Batch({"rna": x}, {}, {"rna": here}, self.y[rows], domain, rows)


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.inner = nn.Linear(2, 4)
        self.outer = nn.Linear(4, 2)
        self.side = nn.Linear(4, 1)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        return self.outer(torch.tanh(self.inner(x)))


def name_loss(net, batch, clock):
    total = nn.functional.cross_entropy(net(batch.x["rna"]), batch.y)
    return {"total": total, "names": total.detach()}


def side_loss(net, batch, clock):
    """Draws from the global generator, so that resuming must restore the seed."""
    inner = torch.tanh(net.inner(batch.x["rna"]))
    return {"total": (net.side(inner) - torch.rand(len(batch), 1)).square().mean()}


@pytest.fixture
def toy():
    """``toy.net()``, ``toy.cells(bad=None)``, ``toy.stage(name="one", epochs=3, **more)``."""

    class Kit:
        net, cells = Toy, Cells

        @staticmethod
        def stage(name="one", epochs=3, lr=1e-2, side=False, loss=name_loss, **more):
            steps = [Step(loss, lambda net: nn.ModuleList([net.inner, net.outer]), Optim(lr))]
            if side:
                steps.append(Step(side_loss, lambda net: net.side, Optim(lr, weight_decay=0.1)))
            return Stage(name, tuple(steps), epochs, 16, **more)

    return Kit
