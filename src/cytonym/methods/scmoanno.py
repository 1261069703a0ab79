"""scMoAnno: cross-attention between RNA and ATAC, pre-trained with labels, then a classifier.

Each modality of a cell is a vector of D components, split into L *sub-vectors* of g: its tokens.
Stage 1 lets the tokens of one modality attend to those of the other, and names the cell from each
modality alone; stage 2 names it from both, on the frozen features of stage 1. In the published
code the tokens are the cells of a minibatch, so that an answer depends on its neighbours; here
they are the sub-vectors of one cell.

Symbols: X components, F fused features, g width of a token, L tokens, h pooled embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from cytonym.methods.base import Method, Needs, part, solved
from cytonym.nn.blocks import random_like
from cytonym.nn.losses import classification, ridge
from cytonym.options import Options, Share
from cytonym.prep import Components, Depth, Log1p, Open, Panel, Scale, TfIdf, Weight
from cytonym.types import Batch, Clock, Loss, Optim, Output, Stage, Step, Transform

RNA, ATAC = "rna", "atac"
OTHER = {RNA: ATAC, ATAC: RNA}


class ScMoAnnoOptions(Options):
    """Options of ``scmoanno``. ``auto`` is decided by cross-validation inside the reference."""

    genes: PositiveInt | Literal["all"] = Field(3000, description="variable genes that are read")
    open_share: Share = Field(0.005, description="least share of cells in which a peak is open")
    peaks: PositiveInt | None = Field(50_000, description="most peaks that are read")
    rna_components: PositiveInt = Field(50, description="principal components of the genes")
    atac_components: PositiveInt = Field(50, description="singular vectors of the peaks")
    depth_limit: Share | None = Field(
        0.9, description="drop components of peaks this correlated with depth; none = keep"
    )
    atac_weight: PositiveFloat | Literal["auto"] = Field(
        "auto", description="size of the ATAC components against those of RNA"
    )
    dim: PositiveInt = Field(64, description="D, common width of both modalities")
    token: PositiveInt = Field(32, description="g, width of a token (gap)")
    fusion: Literal["cross", "self", "direct"] = Field(
        "cross", description="attend to the other modality, to the own one, or not at all"
    )
    gates: Literal["learned", "fixed"] = Field(
        "learned", description="weights of the fusions: learned, or as published"
    )
    own_share: Share = Field(0.5, description="share of X beside the attention in F, at first")
    rna_share: Share = Field(0.9, description="share of RNA in the late fusion, at first")
    heads: PositiveInt = Field(4, description="attention heads")
    hidden: PositiveInt = Field(128, description="width of the feed-forward layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside the encoders")
    modality_dropout: Share = Field(
        0.15, description="share of training cells from which a modality is hidden, each"
    )
    linear_path: bool = Field(
        True, description="linear maps of the components, solved first, share in the scores"
    )
    penalty: NonNegativeFloat = Field(1.0, description="L2 penalty of the linear path")
    pretrain_epochs: PositiveInt = Field(30, description="epochs of stage 1")
    epochs: PositiveInt = Field(30, description="epochs of stage 2")
    batch_size: PositiveInt = Field(256, description="cells in a batch")
    lr: PositiveFloat = Field(4e-3, description="learning rate")
    weight_decay: NonNegativeFloat = Field(1e-2, description="of AdamW")
    average: float = Field(0.98, ge=0, lt=1, description="decay of the running mean of weights")

    @model_validator(mode="after")
    def _widths_fit(self) -> ScMoAnnoOptions:
        if self.token % self.heads:
            raise ValueError(f"token {self.token} must be a multiple of heads {self.heads}")
        if self.dim < 2 * self.token:
            raise ValueError(
                f"dim {self.dim} must hold at least two tokens of {self.token}: a transformer over "
                "one token has nothing to attend to"
            )
        return self


# --- the network -------------------------------------------------------------------------------


class Gate(nn.Module):
    """``w · a + (1 - w) · b``, w in (0, 1), learned or fixed."""

    def __init__(self, share: float, *, learned: bool) -> None:
        super().__init__()
        start = torch.tensor(share).clamp(1e-4, 1 - 1e-4).logit()
        self.logit = nn.Parameter(start, requires_grad=learned)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Both of one shape."""
        weight = self.logit.sigmoid()
        return weight * a + (1 - weight) * b


class Split(nn.Module):
    """Brings a modality to the common width D and cuts it into L tokens of g."""

    def __init__(self, width: int, options: ScMoAnnoOptions) -> None:
        super().__init__()
        self.token = options.token
        self.enter = nn.Identity() if width == options.dim else nn.Linear(width, options.dim)
        self.pad = -options.dim % options.token

    def forward(self, x: Float[Tensor, "cells features"]) -> Float[Tensor, "cells tokens token"]:
        """Consecutive sub-vectors; the last is filled up with zeros."""
        return nn.functional.pad(self.enter(x), (0, self.pad)).unflatten(1, (-1, self.token))


class Reader(nn.Module):
    """Position, one post-norm transformer layer, and the mean over the tokens: F to h."""

    def __init__(self, options: ScMoAnnoOptions) -> None:
        super().__init__()
        tokens = -(-options.dim // options.token)
        self.register_buffer("position", sinusoids(tokens, options.token), persistent=False)
        self.layer = nn.TransformerEncoderLayer(
            options.token, options.heads, options.hidden, options.dropout, batch_first=True
        )

    def forward(self, fused: Float[Tensor, "cells tokens token"]) -> Float[Tensor, "cells token"]:
        """The pooled embedding h."""
        assert isinstance(self.position, Tensor)
        return self.layer(fused + self.position).mean(1)


def sinusoids(count: int, width: int) -> Float[Tensor, "count width"]:
    """The fixed positions of Vaswani et al. 2017."""
    place = torch.arange(count)[:, None]
    rate = torch.exp(-torch.arange(0, width, 2) * (torch.log(torch.tensor(1e4)) / width))
    angles = place * rate
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def classifier(width: int, n_types: int) -> nn.Sequential:
    """Linear - ReLU - Linear."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, n_types))


class Pretrain(nn.Module):
    """Stage 1: tokens of both modalities, fused by attention shared for both directions."""

    def __init__(self, widths: Mapping[str, int], n_types: int, options: ScMoAnnoOptions) -> None:
        super().__init__()
        self.fusion = options.fusion
        self.split = nn.ModuleDict({name: Split(widths[name], options) for name in OTHER})
        self.attention = nn.MultiheadAttention(options.token, options.heads, batch_first=True)
        learned = options.gates == "learned"
        self.gate = nn.ModuleDict({m: Gate(options.own_share, learned=learned) for m in OTHER})
        self.reader = nn.ModuleDict({name: Reader(options) for name in OTHER})
        self.names = classifier(options.token, n_types)

    def fused(
        self, x: Mapping[str, Tensor], there: Mapping[str, Bool[Tensor, " cells"]]
    ) -> dict[str, Float[Tensor, "cells tokens token"]]:
        """F of each modality. Where the other one is missing, a modality attends to itself."""
        tokens = {name: self.split[name](x[name]) for name in OTHER}
        if self.fusion == "direct":
            return tokens
        out = {}
        for name, own in tokens.items():
            asked = own
            if self.fusion == "cross":
                asked = torch.where(there[OTHER[name]][:, None, None], tokens[OTHER[name]], own)
            attended = self.attention(own, asked, asked, need_weights=False)[0]
            out[name] = self.gate[name](own, attended)
        return out

    def forward(
        self, x: Mapping[str, Tensor], there: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, "cells types"]]:
        """Scores from each modality's own features."""
        fused = self.fused(x, there)
        return {name: self.names(self.reader[name](fused[name])) for name in OTHER}


class Final(nn.Module):
    """Stage 2: new readers, late fusion of both embeddings, and the classifier."""

    def __init__(self, n_types: int, options: ScMoAnnoOptions) -> None:
        super().__init__()
        self.reader = nn.ModuleDict({name: Reader(options) for name in OTHER})
        self.gate = Gate(options.rna_share, learned=options.gates == "learned")
        self.names = classifier(options.token, n_types)

    def forward(
        self, fused: Mapping[str, Tensor], there: Mapping[str, Tensor]
    ) -> tuple[Float[Tensor, "cells token"], Float[Tensor, "cells types"]]:
        """The embedding h and scores; without a modality all the weight is with the other."""
        h = {name: self.reader[name](fused[name]) for name in OTHER}
        h[RNA], h[ATAC] = (
            torch.where(there[name][:, None], h[name], h[OTHER[name]]) for name in OTHER
        )
        joint = self.gate(h[RNA], h[ATAC])
        return joint, self.names(joint)


class Linear(nn.Module):
    """The linear path: one map for cells with both modalities, one for each of them alone."""

    def __init__(self, widths: Mapping[str, int], n_types: int) -> None:
        super().__init__()
        both = sum(widths[name] for name in OTHER)
        sizes = {"both": both, **{name: widths[name] for name in OTHER}}
        self.maps = nn.ModuleDict({name: nn.Linear(n, n_types) for name, n in sizes.items()})
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Mapping[str, Tensor], whole: Mapping[str, Tensor], there: Mapping[str, Tensor]
    ) -> Float[Tensor, "cells types"]:
        """The scores of the map for what a cell has; ``whole`` is ``x`` without weights."""
        scores = self.maps["both"](torch.cat([x[name] for name in OTHER], dim=1))
        for name, other in OTHER.items():
            alone = (there[name] & ~there[other])[:, None]
            scores = torch.where(alone, self.maps[name](whole[name]), scores)
        return scores


class ScMoAnnoNet(nn.Module):
    """``pretrain`` (stage 1), ``final`` (stage 2) and ``linear`` (the linear path)."""

    def __init__(self, widths: Mapping[str, int], n_types: int, options: ScMoAnnoOptions) -> None:
        super().__init__()
        self.options = options
        self.pretrain = Pretrain(widths, n_types, options)
        self.final = Final(n_types, options)
        self.linear = Linear(widths, n_types) if options.linear_path else None

    def whole(self, x: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Components for the transformers: ATAC without its weight, which serves linear maps."""
        weight = self.options.atac_weight
        assert weight != "auto"
        return {RNA: x[RNA], ATAC: x[ATAC] / weight}


# --- the losses --------------------------------------------------------------------------------


def hidden(
    batch: Batch, share: float, seed: int
) -> tuple[dict[str, Tensor], dict[str, Bool[Tensor, " cells"]]]:
    """Modality dropout: hides one modality, never both, from a share of the cells for each."""
    draw = random_like(batch.key, 1, seed=seed)[:, 0]
    both = batch.present[RNA] & batch.present[ATAC]
    gone = {RNA: both & (draw < share), ATAC: both & (draw >= 1 - share)}
    there = {name: batch.present[name] & ~gone[name] for name in OTHER}
    return masked(batch.x, there), there


def masked(x: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Components, 0 where the modality is not there."""
    return {name: torch.where(there[name][:, None], x[name], 0.0) for name in OTHER}


def pretrain_loss(net: nn.Module, batch: Batch, clock: Clock) -> dict[str, Tensor]:
    """Stage 1: the sum of the cross-entropies of both modalities, each where it is there."""
    assert isinstance(net, ScMoAnnoNet)
    x, there = hidden(batch, net.options.modality_dropout, clock.seed)
    scores = net.pretrain(net.whole(x), there)
    parts = {
        name: classification(scores[name], torch.where(there[name], batch.y, -1), whole=True)
        for name in OTHER
    }
    return {"total": parts[RNA] + parts[ATAC], **parts}


def final_loss(net: nn.Module, batch: Batch, clock: Clock) -> dict[str, Tensor]:
    """Stage 2: cross-entropy on the frozen features of stage 1."""
    assert isinstance(net, ScMoAnnoNet)
    x, there = hidden(batch, net.options.modality_dropout, clock.seed)
    with torch.no_grad():
        fused = net.pretrain.fused(net.whole(x), there)
    return {"total": classification(net.final(fused, there)[1], batch.y)}


def linear_loss(name: str, n_cells: int) -> Loss:
    """Cross-entropy of one map of the linear path, with the penalty of logistic regression."""

    def loss(net: nn.Module, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        assert isinstance(net, ScMoAnnoNet)
        assert net.linear is not None
        there = batch.present
        kept = there[RNA] | there[ATAC] if name == "both" else there[name]
        x = masked(batch.x, there)
        own = net.linear.maps[name]
        assert isinstance(own, nn.Linear)
        if name == "both":  # the weight of ATAC decides how freely this map may use it
            wanted = torch.cat([x[one] for one in OTHER], dim=1)
        else:
            wanted = net.whole(x)[name]
        fit = classification(own(wanted), torch.where(kept, batch.y, -1))
        shrink = ridge(own.weight, net.options.penalty, n_cells)
        return {"total": fit + shrink, f"linear_{name}": fit.detach()}

    return loss


# --- the record --------------------------------------------------------------------------------


class ScMoAnno(Method[ScMoAnnoOptions]):
    """Names cells from RNA and ATAC, or from the one that they have."""

    name: ClassVar = "scmoanno"
    paper: ClassVar = "scMoAnno (ZhangLab312, 2025)"
    summary: ClassVar = "cross-attention between RNA and ATAC of the same cells; one may be missing"
    needs: ClassVar = Needs({RNA: "shared", ATAC: "shared"}, optional=True)
    Options: ClassVar = ScMoAnnoOptions
    presets: ClassVar = {
        "paper": {
            "atac_weight": 1.0,
            "gates": "fixed",
            "linear_path": False,
            "modality_dropout": 0.0,
            "dropout": 0.1,
            "average": 0.0,
        }
    }

    def candidates(self, options: ScMoAnnoOptions) -> Sequence[ScMoAnnoOptions]:
        """How much ATAC counts beside RNA."""
        if options.atac_weight != "auto":
            return (options,)
        return [options.but(atac_weight=weight) for weight in (0.1, 0.3, 0.03, 1.0)]

    def features(self, options: ScMoAnnoOptions) -> Mapping[str, tuple[Transform, ...]]:
        """Principal components of scaled genes, and latent semantic indexing of peaks."""
        genes = None if options.genes == "all" else options.genes
        weight = 1.0 if options.atac_weight == "auto" else options.atac_weight
        rna = (Depth(), Log1p(), Panel(genes), Scale(), Components(options.rna_components))
        atac = (
            Open(options.open_share, most=options.peaks),
            TfIdf(),
            Components(options.atac_components, depth_limit=options.depth_limit),
            Scale(),
            Weight(weight),
        )
        return {RNA: rna, ATAC: atac}

    def build(
        self, widths: Mapping[str, int], n_types: int, options: ScMoAnnoOptions
    ) -> ScMoAnnoNet:
        """Both stages, and the linear path."""
        return ScMoAnnoNet(widths, n_types, options)

    def stages(self, options: ScMoAnnoOptions, n_cells: int) -> Sequence[Stage]:
        """The linear path, stage 1, stage 2."""
        optim = Optim(options.lr, weight_decay=options.weight_decay)
        steps = (Step(pretrain_loss, part("pretrain"), optim),)
        first = Stage("pretrain", steps, options.pretrain_epochs, options.batch_size)
        steps = (Step(final_loss, part("final"), optim),)
        second = Stage(
            "classify", steps, options.epochs, options.batch_size, average=options.average
        )
        if not options.linear_path:
            return (first, second)
        solve = [
            Step(linear_loss(name, n_cells), part(f"linear.maps.{name}"), Optim(solver="lbfgs"))
            for name in ("both", RNA, ATAC)
        ]
        return (solved("linear", solve, n_cells), first, second)

    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """From both modalities, or from the branch of the one that is there."""
        assert isinstance(net, ScMoAnnoNet)
        there = batch.present
        x = masked(batch.x, there)
        whole = net.whole(x)
        h, scores = net.final(net.pretrain.fused(whole, there), there)
        if net.linear is not None:
            scores = (scores + net.linear(x, whole, there)) / 2
        return Output(h, scores)
