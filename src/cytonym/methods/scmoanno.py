"""scMoAnno: cross-attention between RNA and ATAC, pre-trained with labels, then a classifier.

Each modality of a cell is a vector of D components, split into L *sub-vectors* of g: its tokens.
Stage 1 lets the tokens of one modality attend to those of the other, and names the cell from each
modality alone; stage 2 names it from both, on the frozen features of stage 1. The published
code attends to the cells of a minibatch, so that an answer depends on its neighbours; here a cell
attends to its own sub-vectors, or (``attend="cells"``) to a fixed bank of training cells.

Symbols: X components, F fused features, g width of a token, L tokens, h pooled embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from cytonym.methods.base import Method, Needs, part, solved
from cytonym.nn.blocks import random_like
from cytonym.nn.losses import Balance, Rebalance, balance, classification, ridge
from cytonym.options import Options, Share
from cytonym.prep import Components, Depth, Log1p, Open, Panel, Scale, TfIdf, Weight
from cytonym.types import Batch, Clock, Optim, Output, Stage, Step, Transform

RNA, ATAC = "rna", "atac"
OTHER = {RNA: ATAC, ATAC: RNA}


class ScMoAnnoOptions(Options):
    """Options of ``scmoanno``. ``auto`` is decided by cross-validation inside the reference."""

    genes: PositiveInt | Literal["all"] = Field(3000, description="variable genes that are read")
    open_share: Share = Field(0.0005, description="least share of cells in which a peak is open")
    peaks: PositiveInt | None = Field(50_000, description="most peaks that are read")
    rna_components: PositiveInt | Literal["auto"] = Field(
        "auto", description="principal components of the genes"
    )
    atac_components: PositiveInt = Field(50, description="singular vectors of the peaks")
    tfidf: Literal["unit", "log"] = Field(
        "unit", description="weights of peaks: of cells of length 1, or logarithms as published"
    )
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
    attend: Literal["token", "cells"] = Field(
        "token", description="attend among the sub-vectors of one cell, or among cells"
    )
    bank: PositiveInt | None = Field(
        512, description="attend=cells: training cells to attend to; none = the cells of the batch"
    )
    gates: Literal["learned", "fixed"] = Field(
        "learned", description="weights of the fusions: learned, or as published"
    )
    own_share: Share = Field(0.5, description="share of X beside the attention in F, at first")
    rna_share: Share = Field(0.9, description="share of RNA in the late fusion, at first")
    heads: PositiveInt = Field(4, description="attention heads")
    hidden: PositiveInt = Field(128, description="width of the feed-forward layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside the encoders")
    modality_dropout: float = Field(
        0.15,
        ge=0,
        le=0.5,
        description="share of training cells that each modality is hidden from",
    )
    linear_path: bool = Field(
        True, description="linear maps of the components, solved first, share in the scores"
    )
    atac_share: Share = Field(
        0.25, description="of the transformers beside that path, for cells with ATAC alone"
    )
    penalty: NonNegativeFloat = Field(1.0, description="L2 penalty of the linear path")
    balance: Rebalance = Field("weights", description="help for small types, by weights or logits")
    pretrain_epochs: PositiveInt = Field(30, description="epochs of stage 1")
    epochs: PositiveInt = Field(30, description="epochs of stage 2")
    batch_size: PositiveInt = Field(256, description="cells in a batch")
    lr: PositiveFloat = Field(4e-3, description="learning rate")
    weight_decay: NonNegativeFloat = Field(1e-2, description="of AdamW")
    average: float = Field(0.98, ge=0, lt=1, description="decay of the running mean of weights")

    @model_validator(mode="after")
    def _widths_fit(self) -> ScMoAnnoOptions:
        for name, width in {"token": self.token, "dim": self.dim}.items():
            if width % self.heads and (name == "token" or self.attend == "cells"):
                raise ValueError(f"{name} {width} must be a multiple of heads {self.heads}")
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
        if learned:
            self.logit = nn.Parameter(start)
        else:  # no parameter: no optimiser can move it
            self.register_buffer("logit", start)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Both of one shape."""
        weight = self.logit.sigmoid()
        return weight * a + (1 - weight) * b


class Enter(nn.Module):
    """Brings a modality to the common width D; zeros where the reference has none of it."""

    def __init__(self, width: int, options: ScMoAnnoOptions) -> None:
        super().__init__()
        self.dim = options.dim
        self.enter = nn.Linear(width, options.dim) if width not in (0, options.dim) else None

    def forward(self, x: Float[Tensor, "cells features"]) -> Float[Tensor, "cells dim"]:
        """X."""
        if self.enter is not None:
            return self.enter(x)
        return x if x.shape[1] else x.new_zeros(len(x), self.dim)


def split(x: Float[Tensor, "cells dim"], token: int) -> Float[Tensor, "cells tokens token"]:
    """Consecutive sub-vectors of width g; the last is filled up with zeros."""
    return nn.functional.pad(x, (0, -x.shape[1] % token)).unflatten(1, (-1, token))


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Cells to attend to: components by modality ``(keys, features)``, and which are there."""

    x: Mapping[str, Tensor]
    there: Mapping[str, Bool[Tensor, " keys"]]


DIGITS = torch.tensor([1.0, 2.0**-16, 2.0**-32, 2.0**-48], dtype=torch.float64)
"""Four draws of 16 bits make one that no two cells share."""


class Bank(nn.Module):
    """A sample of the training cells, each type by its share, which every cell attends to.

    It fills up in the first epoch of stage 1: of each type stay the cells of the lowest draws.
    """

    def __init__(self, size: int, widths: Mapping[str, int]) -> None:
        super().__init__()
        empty = torch.full((size,), -1)
        self.register_buffer("key", empty)
        self.register_buffer("y", empty.clone())
        for name in OTHER:
            self.register_buffer(f"x_{name}", torch.zeros(size, widths[name]))
            self.register_buffer(f"there_{name}", torch.zeros(size, dtype=torch.bool))

    def cells(self) -> Cells:
        """Those that are in it; places not yet filled are in no modality."""
        return Cells(
            {name: self.get_buffer(f"x_{name}") for name in OTHER},
            {name: self.get_buffer(f"there_{name}") for name in OTHER},
        )

    def offer(self, key: Tensor, y: Tensor, cells: Cells, sizes: Sequence[int]) -> None:
        """Take from labelled ``cells`` what belongs into the sample."""
        new = (y >= 0) & ~torch.isin(key, self.get_buffer("key"))
        new &= torch.triu(key[:, None] == key[None, :]).sum(0) == 1  # the first of equal ones
        held = self.cells()
        keys = torch.cat([self.get_buffer("key"), key[new]])
        types = torch.cat([self.get_buffer("y"), y[new]])
        draw = random_like(keys, 4, seed=0).double() @ DIGITS.to(keys.device)
        order = torch.argsort(draw, stable=True)
        rank = torch.empty_like(draw)
        for code in types.unique():
            own = order[types[order] == code]
            rank[own] = torch.arange(len(own), device=rank.device) + draw[own]
        # The r-th of n cells of a type stands for the share r / n of all.
        place = rank / torch.tensor(sizes, device=rank.device).clamp_min(1)[types.clamp_min(0)]
        best = torch.argsort(place.masked_fill(keys < 0, torch.inf), stable=True)
        best = best[: len(self.get_buffer("key"))]
        self.get_buffer("key").copy_(keys[best])
        self.get_buffer("y").copy_(types[best])
        for name in OTHER:
            x = torch.cat([held.x[name], cells.x[name][new].detach()])
            there = torch.cat([held.there[name], cells.there[name][new]])
            self.get_buffer(f"x_{name}").copy_(x[best])
            self.get_buffer(f"there_{name}").copy_(there[best])


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
    """Stage 1: both modalities, fused by attention that is shared for both directions."""

    def __init__(self, widths: Mapping[str, int], n_types: int, options: ScMoAnnoOptions) -> None:
        super().__init__()
        self.options = options
        self.enter = nn.ModuleDict({name: Enter(widths[name], options) for name in OTHER})
        width = options.token if options.attend == "token" else options.dim
        learned, attends = options.gates == "learned", options.fusion != "direct"
        banked = attends and options.attend == "cells" and options.bank is not None
        self.bank = Bank(options.bank or 0, widths) if banked else None
        if attends:
            self.attention = nn.MultiheadAttention(width, options.heads, batch_first=True)
            self.gate = nn.ModuleDict({m: Gate(options.own_share, learned=learned) for m in OTHER})
        self.reader = nn.ModuleDict({name: Reader(options) for name in OTHER})
        self.names = classifier(options.token, n_types)

    def fused(
        self,
        x: Mapping[str, Tensor],
        there: Mapping[str, Bool[Tensor, " cells"]],
        among: Cells | None = None,
    ) -> dict[str, Float[Tensor, "cells tokens token"]]:
        """F of each modality. Where the other one is missing, a modality attends to itself.

        With ``attend="cells"`` a cell attends to the cells of ``among``; without these to the
        bank and to itself, or to the cells of the batch where there is no bank.
        """
        own = {name: self.enter[name](x[name]) for name in OTHER}
        token = self.options.token
        if self.options.fusion == "direct":
            return {name: split(one, token) for name, one in own.items()}
        if self.options.attend == "token":
            own = {name: split(one, token) for name, one in own.items()}
            attended = self._among_tokens(own, there)
        else:
            attended = self._among_cells(own, there, *self._keys(Cells(x, there), among))
        mixed = {name: self.gate[name](own[name], attended[name]) for name in OTHER}
        if self.options.attend == "token":
            return mixed
        return {name: split(one, token) for name, one in mixed.items()}

    def _among_tokens(
        self, own: Mapping[str, Tensor], there: Mapping[str, Tensor]
    ) -> dict[str, Float[Tensor, "cells tokens token"]]:
        out = {}
        for name, tokens in own.items():
            asked = tokens
            if self.options.fusion == "cross":
                asked = torch.where(there[OTHER[name]][:, None, None], own[OTHER[name]], tokens)
            out[name] = self.attention(tokens, asked, asked, need_weights=False)[0]
        return out

    def _among_cells(
        self,
        own: Mapping[str, Tensor],
        there: Mapping[str, Tensor],
        keys: Cells,
        barred: Bool[Tensor, "cells keys"],
    ) -> dict[str, Float[Tensor, "cells dim"]]:
        entered = {name: self.enter[name](keys.x[name]) for name in OTHER}

        def attend(name: str, asked: str) -> Tensor:
            bar = barred | ~keys.there[asked]
            bar = bar & ~bar.all(1, keepdim=True)  # no key at all: the answer is not used
            k = entered[asked]
            return self.attention(own[name], k, k, attn_mask=bar, need_weights=False)[0]

        out = {name: attend(name, name) for name in OTHER}
        if self.options.fusion == "cross":
            for name, other in OTHER.items():
                out[name] = torch.where(there[other][:, None], attend(name, other), out[name])
        return out

    def _keys(self, mine: Cells, among: Cells | None) -> tuple[Cells, Bool[Tensor, "cells keys"]]:
        """The cells to attend to, and True where a cell may not."""
        n = len(mine.there[RNA])
        if among is not None or self.bank is None:
            found = among or mine
            return found, found.there[RNA].new_zeros(n, len(found.there[RNA]))
        held = self.bank.cells()
        joined = Cells(
            {name: torch.cat([held.x[name], mine.x[name]]) for name in OTHER},
            {name: torch.cat([held.there[name], mine.there[name]]) for name in OTHER},
        )
        stranger = ~torch.eye(n, dtype=torch.bool, device=mine.there[RNA].device)
        none = stranger.new_zeros(n, len(held.there[RNA]))
        return joined, torch.cat([none, stranger], dim=1)

    def forward(
        self, x: Mapping[str, Tensor], there: Mapping[str, Tensor], among: Cells | None = None
    ) -> dict[str, Float[Tensor, "cells types"]]:
        """Scores from each modality's own features."""
        fused = self.fused(x, there, among)
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
        sizes = {name: n for name, n in widths.items() if n}
        if len(sizes) > 1:
            sizes["both"] = sum(sizes.values())
        self.maps = nn.ModuleDict({name: nn.Linear(n, n_types) for name, n in sizes.items()})
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(
        self, x: Mapping[str, Tensor], whole: Mapping[str, Tensor], there: Mapping[str, Tensor]
    ) -> Float[Tensor, "cells types"]:
        """The scores of the map for what a cell has; ``whole`` is ``x`` without weights."""
        if "both" not in self.maps:
            ((name, only),) = self.maps.items()
            return only(whole[name])
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
        widths = {name: widths.get(name, 0) for name in OTHER}
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
    x, there = given(batch)
    both = there[RNA] & there[ATAC]
    gone = {RNA: both & (draw < share), ATAC: both & (draw >= 1 - share)}
    there = {name: there[name] & ~gone[name] for name in OTHER}
    return masked(x, there), there


def given(batch: Batch) -> tuple[dict[str, Tensor], dict[str, Bool[Tensor, " cells"]]]:
    """Components, 0 where a cell lacks the modality, and which are there.

    A modality that the reference lacks has no components.
    """
    x = {name: batch.x.get(name, torch.zeros(len(batch), 0)).to(batch.y.device) for name in OTHER}
    none = torch.zeros_like(batch.y, dtype=torch.bool)
    there = {name: batch.present.get(name, none) for name in OTHER}
    return masked(x, there), there


def masked(x: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Components, 0 where the modality is not there."""
    return {name: torch.where(there[name][:, None], x[name], 0.0) for name in OTHER}


def pretrain_loss(
    net: nn.Module, batch: Batch, clock: Clock, *, sizes: Sequence[int], even: Balance
) -> dict[str, Tensor]:
    """Stage 1: the sum of the cross-entropies of both modalities, each where it is there."""
    assert isinstance(net, ScMoAnnoNet)
    x, there = hidden(batch, net.options.modality_dropout, clock.seed)
    x, among = net.whole(x), None
    if net.options.attend == "cells":
        among = Cells(
            {name: clock.gather(x[name]) for name in OTHER},
            {name: clock.gather(there[name].float()) > 0 for name in OTHER},
        )
        if net.pretrain.bank is not None and clock.epoch == 0:
            whole, here = given(batch)
            whole = net.whole(whole)
            offered = Cells(
                {name: clock.gather(whole[name]) for name in OTHER},
                {name: clock.gather(here[name].float()) > 0 for name in OTHER},
            )
            net.pretrain.bank.offer(clock.gather(batch.key), clock.gather(batch.y), offered, sizes)
    scores = net.pretrain(x, there, among)
    parts = {
        name: classification(
            scores[name], torch.where(there[name], batch.y, -1), even=even, whole=True
        )
        for name in OTHER
    }
    return {"total": parts[RNA] + parts[ATAC], **parts}


def final_loss(net: nn.Module, batch: Batch, clock: Clock, *, even: Balance) -> dict[str, Tensor]:
    """Stage 2: cross-entropy on the frozen features of stage 1, made as for new cells."""
    assert isinstance(net, ScMoAnnoNet)
    x, there = hidden(batch, net.options.modality_dropout, clock.seed)
    with torch.no_grad():
        fused = net.pretrain.fused(net.whole(x), there)
    return {"total": classification(net.final(fused, there)[1], batch.y, even=even)}


def linear_loss(
    net: nn.Module, batch: Batch, clock: Clock, *, n_cells: int, even: Balance
) -> dict[str, Tensor]:
    """Cross-entropies of the linear maps, each with the penalty of logistic regression."""
    assert isinstance(net, ScMoAnnoNet)
    assert net.linear is not None
    x, there = given(batch)
    whole = net.whole(x)
    parts, shrink = {}, torch.zeros((), device=batch.y.device)
    for name, own in net.linear.maps.items():
        assert isinstance(own, nn.Linear)
        if name == "both":  # the weight of ATAC decides how freely this map may use it
            wanted, kept = torch.cat([x[one] for one in OTHER], dim=1), there[RNA] | there[ATAC]
        else:
            wanted, kept = whole[name], there[name]
        y = torch.where(kept, batch.y, -1)
        parts[f"linear_{name}"] = classification(own(wanted), y, even=even, whole=True)
        shrink = shrink + ridge(own.weight, net.options.penalty, n_cells)
    return {"total": torch.stack([*parts.values()]).sum() + shrink, **parts}


# --- the record --------------------------------------------------------------------------------


class ScMoAnno(Method[ScMoAnnoOptions]):
    """Names cells from RNA and ATAC, or from the one that they have."""

    name: ClassVar = "scmoanno"
    paper: ClassVar = "scMoAnno (ZhangLab312, 2025)"
    compiles: ClassVar = True
    summary: ClassVar = "cross-attention between RNA and ATAC of the same cells; one may be missing"
    needs: ClassVar = Needs({RNA: "shared", ATAC: "shared"}, optional=True)
    Options: ClassVar = ScMoAnnoOptions
    presets: ClassVar = {
        "paper": {
            "genes": 4000,
            "open_share": 0.01,
            "peaks": 30_000,
            "rna_components": 512,
            "atac_components": 512,
            "tfidf": "log",
            "atac_weight": 1.0,
            "dim": 512,
            "token": 64,
            "attend": "cells",
            "gates": "fixed",
            "heads": 8,
            "hidden": 1024,
            "dropout": 0.1,
            "modality_dropout": 0.0,
            "linear_path": False,
            "balance": "none",
            "batch_size": 512,
            "lr": 6.8e-5,
            "weight_decay": 1e-5,
            "average": 0.0,
        }
    }

    def candidates(self, options: ScMoAnnoOptions) -> Sequence[ScMoAnnoOptions]:
        """How many components of RNA, and how much ATAC counts beside them."""
        sizes = (30, 50) if options.rna_components == "auto" else (options.rna_components,)
        weights = (0.1, 0.3, 0.03, 1.0) if options.atac_weight == "auto" else (options.atac_weight,)
        return [
            options.but(rna_components=size, atac_weight=weight)
            for size in sizes
            for weight in weights
        ]

    def features(self, options: ScMoAnnoOptions) -> Mapping[str, tuple[Transform, ...]]:
        """Principal components of scaled genes, and latent semantic indexing of peaks."""
        genes = None if options.genes == "all" else options.genes
        assert options.rna_components != "auto"
        assert options.atac_weight != "auto"
        rna = (Depth(), Log1p(), Panel(genes), Scale(), Components(options.rna_components))
        unit = options.tfidf == "unit"
        atac = (
            Open(options.open_share, most=options.peaks),
            TfIdf(unit=unit),
            Components(options.atac_components, depth_limit=options.depth_limit),
            Scale(together=unit, clip=None if unit else 10.0),
            Weight(options.atac_weight),
        )
        return {RNA: rna, ATAC: atac}

    def build(
        self, widths: Mapping[str, int], n_types: int, options: ScMoAnnoOptions
    ) -> ScMoAnnoNet:
        """Both stages, and the linear path."""
        return ScMoAnnoNet(widths, n_types, options)

    def stages(self, options: ScMoAnnoOptions, sizes: Sequence[int]) -> Sequence[Stage]:
        """The linear path, stage 1, stage 2."""
        n_cells, even = sum(sizes), balance(sizes, options.balance)
        optim = Optim(options.lr, weight_decay=options.weight_decay)
        teach = partial(pretrain_loss, sizes=sizes, even=even)
        first = Stage(
            "pretrain",
            (Step(teach, part("pretrain"), optim),),
            options.pretrain_epochs,
            options.batch_size,
        )
        second = Stage(
            "classify",
            (Step(partial(final_loss, even=even), part("final"), optim),),
            options.epochs,
            options.batch_size,
            average=options.average,
        )
        if not options.linear_path:
            return (first, second)
        solve = Step(
            partial(linear_loss, n_cells=n_cells, even=even),
            part("linear"),
            Optim(solver="lbfgs", iterations=60),
        )
        return (solved("linear", (solve,), n_cells), first, second)

    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """From both modalities, or from the branch of the one that is there."""
        assert isinstance(net, ScMoAnnoNet)
        x, there = given(batch)
        whole = net.whole(x)
        h, scores = net.final(net.pretrain.fused(whole, there), there)
        if net.linear is not None:
            share = torch.where(there[RNA], 0.5, net.options.atac_share)[:, None]
            scores = share * scores + (1 - share) * net.linear(x, whole, there)
        return Output(h, scores)
