"""linear: multinomial logistic regression on log counts, the baseline of every fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from cytonym.methods.base import Method, Needs, solved
from cytonym.nn.blocks import observed
from cytonym.nn.losses import Rebalance, balance, classification, ridge
from cytonym.options import Options
from cytonym.prep import Components, Depth, Log1p, Panel, Scale
from cytonym.types import Batch, Clock, Optim, Output, Salience, Stage, Step, Transform


class LinearOptions(Options):
    """Options of ``linear``."""

    genes: PositiveInt | None = Field(3000, description="variable genes; none = all")
    components: PositiveInt | None = Field(
        None, description="principal components of the genes to read instead of them; none = genes"
    )
    penalty: float = Field(1.0, ge=0, description="L2 penalty, 1/C of scikit-learn")
    balance: Rebalance = Field("none", description="help for small types, by weights or logits")
    iterations: PositiveInt = Field(100, description="steps of the solver (L-BFGS)")
    batch_size: int = Field(
        8192, ge=512, description="cells solved together; exact where it is all of them"
    )


class LinearNet(nn.Module):
    """Scores = x W + b; ``placed``: x is an embedding already, of components."""

    def __init__(self, width: int, n_types: int, *, placed: bool = False) -> None:
        super().__init__()
        self.placed = placed
        self.scores = nn.Linear(width, n_types)
        nn.init.zeros_(self.scores.weight)
        nn.init.zeros_(self.scores.bias)

    def forward(self, x: Tensor) -> Tensor:
        """``(cells, genes)`` centred log1p CP10k (or components) to ``(cells, types)`` logits."""
        return self.scores(observed(x)[0])


class Linear(Method[LinearOptions]):
    """Logistic regression: the simplest method that is hard to beat."""

    name: ClassVar = "linear"
    paper: ClassVar = "Cox (1958), the regression analysis of binary sequences"
    summary: ClassVar = "multinomial logistic regression on log1p CP10k of variable genes"
    needs: ClassVar = Needs()
    Options: ClassVar = LinearOptions

    def features(self, options: LinearOptions) -> Mapping[str, tuple[Transform, ...]]:
        """Centred, so that a gene which was not measured counts as the reference's mean."""
        genes = (Depth(), Log1p(), Panel(options.genes))
        if options.components is None:
            return {"rna": (*genes, Scale(unit=False, clip=None))}
        return {"rna": (*genes, Scale(), Components(options.components))}

    def build(self, widths: Mapping[str, int], n_types: int, options: LinearOptions) -> LinearNet:
        """One linear map."""
        return LinearNet(widths["rna"], n_types, placed=options.components is not None)

    def stages(self, options: LinearOptions, sizes: Sequence[int]) -> Sequence[Stage]:
        """One stage, one step: cross-entropy with the penalty of scikit-learn's LogisticRegression,
        ``penalty · ‖W‖² / 2n``.
        """
        n_cells, even = sum(sizes), balance(sizes, options.balance)

        def loss(net: nn.Module, batch: Batch, clock: Clock) -> dict[str, Tensor]:
            assert isinstance(net, LinearNet)
            fit = classification(net(batch.x["rna"]), batch.y, even=even)
            shrink = ridge(net.scores.weight, options.penalty, n_cells)
            return {"total": fit + shrink, "cross_entropy": fit.detach()}

        step = Step(loss, lambda net: net, Optim(solver="lbfgs", iterations=options.iterations))
        return (solved("fit", (step,), n_cells, batch_size=options.batch_size),)

    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """The components are the embedding, or the scores where there are none."""
        assert isinstance(net, LinearNet)
        scores = net(batch.x["rna"])
        return Output(batch.x["rna"] if net.placed else scores, scores)

    def salience(self, net: nn.Module, batch: Batch) -> Salience | None:
        """Weight times centred value: each gene's exact share of the type's score above the mean
        of all types, which is all that a probability depends on. Components say nothing of genes.
        """
        assert isinstance(net, LinearNet)
        if net.placed:
            return None
        x = observed(batch.x["rna"])[0]
        own = torch.where(batch.y >= 0, batch.y, net.scores(x).argmax(1))
        weight = net.scores.weight
        return Salience(x * (weight[own] - weight.mean(0)))
