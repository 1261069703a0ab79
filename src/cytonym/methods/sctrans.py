"""SCTrans: a multi-scale transformer over gene sub-vectors (Lin et al., IJCAI 2024).

A cell's genes are cut into consecutive *sub-vectors*; each is a token. The encoder E attends
with queries at several scales and one global set of keys and values; a decoder D completes
masked sub-vectors from the others; a light encoder E_S, taught by E, learns which sub-vectors
decide; a classifier C names the cell.

Symbols: X cells × genes, s genes in a sub-vector, L tokens, d width, c a scale (sub-vectors of
s·c genes), Ψ visible and Ω masked positions, M coefficients of salience, z pooled embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from cytonym.errors import OptionError
from cytonym.methods.base import Method, Needs, part, solved
from cytonym.nn.blocks import Block, feed_forward, normal, observed, random_like
from cytonym.nn.losses import (
    Balance,
    Rebalance,
    balance,
    classification,
    classification_bce,
    contrast_eq8,
    distillation,
    logistic,
    supervised_contrast,
)
from cytonym.options import Options, Share
from cytonym.prep import Depth, Log1p, Panel, Scale, Smooth
from cytonym.types import Batch, Clock, Loss, Optim, Output, Salience, Stage, Step, Transform

FEW = 20
"""Cells of a type, in the mean over the types, below which small types are helped."""


class SCTransOptions(Options):
    """Options of ``sctrans``. ``auto`` is decided inside the reference: the input by
    cross-validation, ``balance`` and ``epochs`` by the number of cells.
    """

    genes: PositiveInt | Literal["auto", "all"] = Field("auto", description="size of the panel")
    markers: tuple[str, ...] = Field((), description="genes that belong to the panel in any case")
    order: Literal["given", "coexpression", "random"] = Field(
        "given", description="order of the genes before they are cut into sub-vectors"
    )
    smooth_k: PositiveInt | Literal["auto"] = Field(
        "auto", description="principal components of the smoothing"
    )
    smooth_alpha: Share | Literal["auto"] = Field(
        "auto", description="share of the projection in the smoothed input, 0 to 1"
    )
    unit_variance: bool | Literal["auto"] = Field(
        "auto", description="divide genes by their standard deviation"
    )
    log_base: float | None = Field(None, gt=1, description="base of the logarithm; none = natural")
    sub_vector: PositiveInt = Field(512, description="s, genes in a sub-vector")
    projection: Literal["own", "shared"] = Field(
        "own", description="one token projection for each sub-vector, or one for all"
    )
    scales: tuple[PositiveInt, ...] = Field((1, 2), description="c, sub-vectors in a query")
    dim: PositiveInt = Field(64, description="d, width of a token")
    blocks: PositiveInt = Field(2, le=64, description="blocks of the encoder E")
    light_blocks: PositiveInt = Field(1, le=64, description="blocks of the light encoder E_S")
    decoder_blocks: NonNegativeInt = Field(1, le=64, description="blocks of the decoder D")
    decoder_dim: PositiveInt = Field(64, description="width of the decoder D")
    heads: PositiveInt = Field(2, description="attention heads of each scale")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout inside the blocks")
    gene_dropout: float = Field(
        0.2, ge=0, lt=1, description="share of the genes hidden from each training cell"
    )
    linear_path: bool = Field(
        True, description="a linear map of the genes, solved first, shares in the scores"
    )
    penalty: float = Field(1.0, ge=0, description="L2 penalty of the linear path")
    mask: float = Field(0.75, ge=0, lt=1, description="r, share of tokens masked for completion")
    mask_names: float | None = Field(
        0.25, ge=0, lt=1, description="share masked while classifying; none = the mask of Eq. 3"
    )
    completion: float = Field(0.5, ge=0, description="weight of completion (Eq. 3); 0 = without")
    contrast: float = Field(0.2, ge=0, description="weight of contrast (Eq. 8); 0 = without")
    contrast_form: Literal["supcon", "eq8"] = Field("supcon", description="Eq. 8 mended or literal")
    contrast_on: Literal["embedding", "scores"] = Field("embedding", description="what is compared")
    temperature: PositiveFloat = Field(0.1, description="τ of the contrast")
    classification: Literal["ce", "bce"] = Field("ce", description="Eq. 6 mended or literal")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="of the cross-entropy")
    balance: Rebalance | Literal["auto"] = Field(
        "auto",
        description="help for small types, by weights or logits; auto: by logits where a type has "
        f"fewer than {FEW} cells in the mean, else none",
    )
    light: bool = Field(True, description="train the light encoder (Eq. 4, 5, 7)")
    encoder: Literal["full", "light"] = Field(
        "full", description="which encoder names cells: E, or E_S with less work"
    )
    mutual: bool = Field(False, description="the encoder learns from the light one too")
    standardise: bool = Field(True, description="standardise S within the cell; Eq. 4 does not")
    sharpness: PositiveFloat = Field(5.0, description="T of Eq. 4")
    salient_share: float | None = Field(
        0.5,
        ge=0,
        le=1,
        description="share of salient sub-vectors that E_S is drawn to",
    )
    keep: float = Field(
        1.0, gt=0, le=1, description="share of sub-vectors that decide, by a first pass; 1 = all"
    )
    concat_blocks: bool = Field(False, description="pool the output of every block, not the last")
    epochs: PositiveInt | Literal["auto"] = Field("auto", description="passes over the reference")
    patience: PositiveInt | None = Field(None, description="epochs without a better score")
    batch_size: PositiveInt = Field(128, description="cells in a batch")
    lr: PositiveFloat = Field(1e-3, description="learning rate")
    weight_decay: float = Field(0.05, ge=0, description="of AdamW")
    average: float = Field(0.98, ge=0, lt=1, description="decay of the running mean of weights")
    order_seed: int = Field(0, description="of the random order of genes")

    @model_validator(mode="after")
    def _widths_fit(self) -> SCTransOptions:
        parts = len(self.scales) * self.heads
        if self.dim % parts:
            raise ValueError(
                f"dim {self.dim} must be a multiple of scales × heads = {parts}; "
                f"{parts * max(round(self.dim / parts), 1)} is near"
            )
        if not self.light and (self.keep < 1 or self.mutual or self.encoder == "light"):
            raise ValueError(
                "keep below 1, mutual and encoder=light need the light encoder: set light=true"
            )
        if self.classification == "bce" and self.balance in ("weights", "logits"):
            raise ValueError("balance needs classification=ce")
        return self


SMOOTHINGS = [
    {"unit_variance": unit, "smooth_k": k, "smooth_alpha": alpha}
    for unit, k, alpha in [
        (False, 30, 0.5),
        (False, 100, 0.5),
        (False, 30, 0.8),
        (False, 30, 0.0),
        (True, 50, 1.0),
        (True, 30, 1.0),
    ]
]
"""The inputs that ``auto`` compares, the preferred one first. Labels from sorting want detail
(small α, many components); labels from clustering want the components alone, of scaled genes."""


# --- the network -------------------------------------------------------------------------------


class Tokens(nn.Module):
    """Cuts genes into sub-vectors and maps each to a token, with its position."""

    def __init__(self, width: int, options: SCTransOptions) -> None:
        super().__init__()
        self.size = options.sub_vector
        self.count = -(-width // self.size)
        self.width = width
        shape = (self.count if options.projection == "own" else 1, self.size, options.dim)
        self.weight = normal(*shape, spread=self.size**-0.5)
        self.position = normal(self.count, options.dim, spread=0.02)

    def cut(self, x: Float[Tensor, "cells genes"]) -> Float[Tensor, "cells tokens size"]:
        """Consecutive sub-vectors; the last is filled up with zeros."""
        lacking = self.count * self.size - self.width
        return (F.pad(x, (0, lacking)) if lacking else x).unflatten(1, (-1, self.size))

    def forward(
        self, x: Float[Tensor, "cells genes"], seen: Bool[Tensor, "cells genes"] | None
    ) -> tuple[Float[Tensor, "cells tokens dim"], Bool[Tensor, "cells tokens"]]:
        """Tokens, and which of them hold at least one measured gene; ``seen`` None: all were.

        A sub-vector with hidden genes is scaled up by the share that is left, so that its
        token does not shrink.
        """
        if seen is None:
            shown = torch.ones(len(x), self.count, dtype=torch.bool, device=x.device)
            return self.project(x) + self.position, shown
        known = self.cut(seen.to(x.dtype)).sum(2)
        genes = self.cut(torch.ones_like(x[:1])).sum(2)
        tokens = self.project(x) * (genes / known.clamp_min(1)).unsqueeze(2)
        return tokens + self.position, known > 0

    def project(self, x: Float[Tensor, "cells genes"]) -> Float[Tensor, "cells tokens dim"]:
        """Every sub-vector times its weights; the last one, which may be shorter, by itself."""
        weight = self.weight.expand(self.count, -1, -1)
        whole, rest = divmod(self.width, self.size)
        parts = x[:, : whole * self.size].unflatten(1, (whole, self.size))
        tokens = torch.bmm(parts.transpose(0, 1), weight[:whole]).transpose(0, 1)
        if not rest:
            return tokens
        last = x[:, whole * self.size :] @ weight[-1, :rest]
        return torch.cat([tokens, last.unsqueeze(1)], dim=1)


class Visible:
    """Which tokens of each cell are shown (Ψ), packed to the front so that blocks skip the rest.

    ``index`` ``(cells, visible)`` positions; ``valid`` ``(cells, visible)`` is False where a
    cell has fewer than its neighbours; ``all_valid`` spares a mask where it is not needed, and
    ``whole`` (every token of every cell is shown) all packing.
    """

    def __init__(self, shown: Bool[Tensor, "cells tokens"]) -> None:
        count = int(shown.sum(1).max())
        order = (~shown).to(torch.int8).argsort(dim=1, stable=True)
        self.total = shown.shape[1]
        self.index = order[:, : max(count, 1)]
        self.valid = shown.gather(1, self.index)
        self.all_valid = bool(self.valid.all())
        self.whole = self.all_valid and count == self.total

    def take(self, grid: Float[Tensor, "cells tokens dim"]) -> Float[Tensor, "cells visible dim"]:
        """The visible rows of a full grid."""
        if self.whole:
            return grid
        return grid.gather(1, self.index.unsqueeze(2).expand(-1, -1, grid.shape[2]))

    def put(self, rows: Tensor, blank: Float[Tensor, " dim"]) -> Float[Tensor, "cells tokens dim"]:
        """Back on the full grid, ``blank`` where nothing is visible."""
        if self.whole:
            return rows
        rows = torch.where(self.valid.unsqueeze(2), rows, blank)
        grid = blank.to(rows.dtype).expand(rows.shape[0], self.total, -1)
        return grid.scatter(1, self.index.unsqueeze(2).expand_as(rows), rows)

    def spread(self, groups: Tensor, c: int) -> Float[Tensor, "cells visible dim"]:
        """To each visible token the row of its group of ``c`` neighbours."""
        if self.whole:
            return groups.repeat_interleave(c, dim=1)[:, : self.total]
        index = (self.index // c).unsqueeze(2).expand(-1, -1, groups.shape[2])
        return groups.gather(1, index)

    def mean(self, rows: Float[Tensor, "cells visible dim"]) -> Float[Tensor, "cells dim"]:
        """Mean over visible tokens."""
        if self.all_valid:
            return rows.mean(1)
        weight = self.valid.to(rows.dtype).unsqueeze(2)
        return (rows * weight).sum(1) / weight.sum(1).clamp_min(1)


class MultiScale(nn.Module):
    """Attention with queries at several scales and global keys and values (Eq. 1 and 2).

    Sub-vectors are grouped by *position*: a masked neighbour is a learned blank, otherwise two
    visible tokens would be neighbours that are not so on the gene axis.
    """

    def __init__(self, options: SCTransOptions) -> None:
        super().__init__()
        dim, self.scales = options.dim, options.scales
        self.heads = options.heads
        self.part = dim // len(self.scales)
        self.queries = nn.ModuleList(nn.Linear(c * dim, self.part) for c in self.scales)
        self.keys_values = nn.Linear(dim, 2 * dim)
        self.blank = nn.Parameter(torch.zeros(dim))
        self.out = nn.Linear(dim, dim)

    def grouped(self, grid: Tensor, c: int) -> Float[Tensor, "cells groups wide"]:
        """Put c neighbouring positions side by side: I(X, i) of Eq. 1."""
        lacking = -grid.shape[1] % c
        grid = F.pad(grid, (0, 0, 0, lacking)) if lacking else grid
        return grid.unflatten(1, (-1, c)).flatten(2)

    def _split(self, rows: Tensor) -> Float[Tensor, "cells heads rows channels"]:
        return rows.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def project(
        self, tokens: Tensor, visible: Visible, weights: Sequence[Tensor] | None
    ) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Q, K, V of each scale (Eq. 1); ``weights`` M are put on the groups (Eq. 5)."""
        grid = visible.put(tokens, self.blank)
        keys, values = self.keys_values(tokens).chunk(2, dim=2)
        out = []
        for place, c in enumerate(self.scales):
            group = self.grouped(grid, c)
            if weights is not None:
                group = group * weights[place].unsqueeze(2)
            own = slice(place * self.part, (place + 1) * self.part)
            query = self._split(self.queries[place](group))
            out.append((query, self._split(keys[..., own]), self._split(values[..., own])))
        return out

    def forward(
        self, tokens: Tensor, visible: Visible, weights: Sequence[Tensor] | None = None
    ) -> Float[Tensor, "cells visible dim"]:
        """Eq. 2: each scale attends, and every token takes the row of its group."""
        mask = None if visible.all_valid else visible.valid[:, None, None, :]
        rows = []
        for c, (query, key, value) in zip(
            self.scales, self.project(tokens, visible, weights), strict=True
        ):
            attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
            rows.append(visible.spread(attended.transpose(1, 2).flatten(2), c))
        return self.out(torch.cat(rows, dim=2))

    def scores(self, tokens: Tensor, visible: Visible) -> list[Float[Tensor, "cells groups"]]:
        """S of Eq. 4 for each scale: Q·K/√Λ, its mean over heads and visible keys."""
        weight = visible.valid.to(tokens.dtype)[:, None, :, None]
        out = []
        for query, key, _ in self.project(tokens, visible, None):
            centre = (key * weight).sum(2) / weight.sum(2).clamp_min(1)
            together = (query * centre.unsqueeze(2)).sum(3) / query.shape[3] ** 0.5
            out.append(together.mean(1))
        return out


class EncoderBlock(nn.Module):
    """A pre-norm block around multi-scale attention."""

    def __init__(self, options: SCTransOptions) -> None:
        super().__init__()
        self.before = nn.LayerNorm(options.dim)
        self.attention = MultiScale(options)
        self.drop = nn.Dropout(options.dropout)
        self.between = nn.LayerNorm(options.dim)
        self.after = feed_forward(options.dim, dropout=options.dropout)

    def forward(
        self, tokens: Tensor, visible: Visible, weights: Sequence[Tensor] | None = None
    ) -> Tensor:
        """``(cells, visible, dim)`` to the same."""
        tokens = tokens + self.drop(self.attention(self.before(tokens), visible, weights))
        return tokens + self.after(self.between(tokens))


class Encoder(nn.Module):
    """E, or the light E_S: blocks, then the mean over visible tokens."""

    def __init__(self, options: SCTransOptions, n_blocks: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(EncoderBlock(options) for _ in range(n_blocks))
        self.concat = options.concat_blocks
        self.join = nn.Linear(n_blocks * options.dim, options.dim) if self.concat else nn.Identity()
        self.norm = nn.LayerNorm(options.dim)

    def forward(
        self, tokens: Tensor, visible: Visible, weights: Sequence[Tensor] | None = None
    ) -> tuple[Float[Tensor, "cells dim"], Tensor, Tensor]:
        """z, the tokens after the last block, and the tokens before it (where M is read)."""
        pooled, before = [], tokens
        for block in self.blocks:
            before = tokens
            tokens = block(tokens, visible, weights)
            pooled.append(visible.mean(tokens))
        return (
            self.norm(self.join(torch.cat(pooled, 1) if self.concat else pooled[-1])),
            tokens,
            before,
        )


class Decoder(nn.Module):
    """D: completes masked sub-vectors from the visible tokens (Eq. 3)."""

    def __init__(self, count: int, options: SCTransOptions) -> None:
        super().__init__()
        width = options.decoder_dim
        self.enter = nn.Linear(options.dim, width)
        self.blank = nn.Parameter(torch.zeros(width))
        self.position = normal(count, width, spread=0.02)
        heads = max(h for h in (4, 2, 1) if width % h == 0)
        self.blocks = nn.ModuleList(
            Block(width, heads=heads) for _ in range(options.decoder_blocks)
        )
        self.norm = nn.LayerNorm(width)
        own = count if options.projection == "own" else 1
        self.weight = normal(own, width, options.sub_vector, spread=width**-0.5)
        self.bias = nn.Parameter(torch.zeros(count, options.sub_vector))
        self.count = count

    def forward(self, tokens: Tensor, visible: Visible) -> Float[Tensor, "cells tokens size"]:
        """Values of every sub-vector."""
        grid = visible.put(self.enter(tokens), self.blank) + self.position
        for block in self.blocks:
            grid = block(grid)
        weight = self.weight.expand(self.count, -1, -1)
        return torch.bmm(self.norm(grid).transpose(0, 1), weight).transpose(0, 1) + self.bias


class Light(nn.Module):
    """E_S with the threshold θ of each scale (Eq. 4); its own part, so its own optimiser."""

    def __init__(self, options: SCTransOptions) -> None:
        super().__init__()
        self.encoder = Encoder(options, options.light_blocks)
        self.threshold = nn.Parameter(torch.zeros(len(options.scales)))


class Main(nn.Module):
    """E with its tokens, C (``names``) and D: the part of the first three lines of Eq. 9."""

    def __init__(self, width: int, n_types: int, options: SCTransOptions) -> None:
        super().__init__()
        self.tokens = Tokens(width, options)
        self.encoder = Encoder(options, options.blocks)
        self.names = nn.Linear(options.dim, n_types)
        self.decoder = Decoder(self.tokens.count, options) if options.completion else None


class SCTransNet(nn.Module):
    """``main`` (E, C, D), ``light`` (E_S and θ) and ``linear`` (the linear path)."""

    def __init__(self, width: int, n_types: int, options: SCTransOptions) -> None:
        super().__init__()
        self.options = options
        self.main = Main(width, n_types, options)
        self.linear = nn.Linear(width, n_types) if options.linear_path else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)
        self.light = Light(options) if options.light else None

    def look(self, x: Tensor, hide: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Filled values, tokens, and which tokens can be shown; ``hide`` ``(cells, genes)``."""
        x, seen = observed(x)
        if hide is not None:
            seen = ~hide if seen is None else seen & ~hide
            x = torch.where(seen, x, 0.0)
        tokens, shown = self.main.tokens(x, seen)
        return x, tokens, shown

    def encode(self, tokens: Tensor, shown: Tensor) -> tuple[Tensor, Tensor, Tensor, Visible]:
        """z, tokens after and before E's last block, and what was visible."""
        visible = Visible(shown)
        return *self.main.encoder(visible.take(tokens), visible), visible

    def join(self, scores: Tensor, x: Tensor, shown: Tensor) -> Float[Tensor, "cells types"]:
        """C(z) averaged with the linear path over the genes of visible tokens."""
        if self.linear is None:
            return scores
        if shown.all():
            return (scores + self.linear(x)) / 2
        size, width = self.main.tokens.size, x.shape[1]
        genes = shown.repeat_interleave(size, dim=1)[:, :width]
        return (scores + self.linear(x * genes)) / 2

    def salience(self, before: Tensor, visible: Visible) -> list[Float[Tensor, "cells groups"]]:
        """M of Eq. 4 for each scale: S standardised within the cell, then the threshold θ.

        Nothing flows back into E; θ alone learns here.
        """
        assert self.light is not None
        block = self.main.encoder.blocks[-1]
        assert isinstance(block, EncoderBlock)
        with torch.no_grad():
            scores = block.attention.scores(block.before(before), visible)
        out = []
        for threshold, score in zip(self.light.threshold, scores, strict=True):
            if self.options.standardise:
                spread = score.std(1, keepdim=True, unbiased=False).clamp_min(1e-6)
                score = (score - score.mean(1, keepdim=True)) / spread
            out.append(torch.sigmoid(self.options.sharpness * (score - threshold)))
        return out

    def by_token(self, salience: Sequence[Tensor]) -> Float[Tensor, "cells tokens"]:
        """Coefficients of all scales, averaged onto the base positions."""
        count = self.main.tokens.count
        spread = [
            m.repeat_interleave(c, dim=1)[:, :count]
            for m, c in zip(salience, self.options.scales, strict=True)
        ]
        return torch.stack(spread).mean(0)

    def light_encode(self, tokens: Tensor, shown: Tensor) -> Float[Tensor, "cells dim"]:
        """Z of E_S, with every coefficient of Eq. 5 at 1: M would take E's own blocks first."""
        assert self.light is not None
        visible = Visible(shown)
        return self.light.encoder(visible.take(tokens), visible)[0]

    def select(
        self, tokens: Tensor, shown: Tensor, keep: float | Float[Tensor, "cells 1"]
    ) -> Bool[Tensor, "cells tokens"]:
        """First pass of the gene-selective prediction: the most salient share of the tokens."""
        _, _, before, visible = self.encode(tokens, shown)
        return strongest(self.by_token(self.salience(before, visible)), shown, keep)


def strongest(
    coefficient: Float[Tensor, "cells tokens"],
    shown: Bool[Tensor, "cells tokens"],
    keep: float | Float[Tensor, "cells 1"],
) -> Bool[Tensor, "cells tokens"]:
    """Of the tokens that can be shown, the share ``keep`` of all with the largest M."""
    order = coefficient.masked_fill(~shown, -1.0).argsort(dim=1, descending=True, stable=True)
    count = torch.as_tensor(keep * shown.shape[1], device=shown.device).round()
    return shown & (order.argsort(dim=1) < count.clamp_min(1))


def build_mask(
    batch: Batch, shown: Tensor, share: float, seed: int
) -> Bool[Tensor, "cells tokens"]:
    """Ψ: of the tokens that can be shown, all but a random share Ω."""
    if share == 0:
        return shown
    draw = random_like(batch.key, shown.shape[1], seed=seed).masked_fill(~shown, 2.0)
    count = max(shown.shape[1] - round(share * shown.shape[1]), 1)
    best = draw.argsort(dim=1)[:, :count]
    return shown & torch.zeros_like(shown).scatter(1, best, True)


def names_mask(
    net: SCTransNet, batch: Batch, tokens: Tensor, shown: Bool[Tensor, "cells tokens"], clock: Clock
) -> Bool[Tensor, "cells tokens"]:
    """Ψ of the classification: a mask of its own, or that of the completion.

    A model that shall name cells from their salient sub-vectors (``keep`` < 1) learns it on half
    of the cells, each with a share between ``keep`` and all.
    """
    options = net.options
    if options.mask_names is None:
        visible = build_mask(batch, shown, options.mask, clock.seed + 2)
    else:
        visible = build_mask(batch, shown, options.mask_names, clock.seed + 1)
    if options.keep == 1:
        return visible
    coin, share = random_like(batch.key, 2, seed=clock.seed + 3).split(1, dim=1)
    with torch.no_grad():
        salient = net.select(tokens, shown, options.keep + (1 - options.keep) * share)
    torch.clear_autocast_cache()  # older torch keeps weights cast there, without their gradient
    return torch.where(coin < 0.5, visible, salient)


# --- the losses --------------------------------------------------------------------------------


def completion_loss(
    net: SCTransNet, x: Tensor, tokens: Tensor, shown: Tensor, visible: Tensor
) -> Float[Tensor, ""]:
    """Eq. 3: squared error of the masked sub-vectors, mean over a cell's measured ones."""
    _, after, _, packed = net.encode(tokens, visible)
    assert net.main.decoder is not None
    predicted = net.main.decoder(after, packed)
    truth, seen = observed(x)
    cut = net.main.tokens.cut
    measured = cut(torch.ones_like(truth[:1]) if seen is None else seen.to(truth.dtype))
    wanted = measured * (shown & ~visible).unsqueeze(2)
    error = (predicted.float() - cut(truth)).square() * wanted
    return (error.sum((1, 2)) / wanted.sum((1, 2)).clamp_min(1)).mean()


def main_loss(
    net: nn.Module, batch: Batch, clock: Clock, *, even: Balance | None = None
) -> dict[str, Tensor]:
    """What E, C and D minimise: L_eval + L_ctrst + L_comp (Eq. 9, lines 1 to 3)."""
    assert isinstance(net, SCTransNet)
    options, x = net.options, batch.x["rna"]
    hide = random_like(batch.key, x.shape[1], seed=clock.seed) < options.gene_dropout
    _, tokens, shown = net.look(x, hide if options.gene_dropout else None)
    visible = names_mask(net, batch, tokens, shown, clock)
    z, _, before, packed = net.encode(tokens, visible)
    scores = net.main.names(z)
    parts = {}
    if options.classification == "bce":
        parts["classification"] = classification_bce(scores, batch.y)
    else:
        parts["classification"] = classification(
            scores, batch.y, even=even, smoothing=options.label_smoothing
        )
    total = parts["classification"]
    if options.contrast:
        form = supervised_contrast if options.contrast_form == "supcon" else contrast_eq8
        on = z if options.contrast_on == "embedding" else scores
        parts["contrast"] = form(
            clock.gather(on), clock.gather(batch.y), temperature=options.temperature
        )
        total = total + options.contrast * parts["contrast"]
    if options.completion:
        masked = build_mask(batch, shown, options.mask, clock.seed + 2)
        parts["completion"] = completion_loss(net, x, tokens, shown, masked)
        total = total + options.completion * parts["completion"]
    if options.mutual and net.light is not None:
        salience = [m.detach() for m in net.salience(before, packed)]
        student, _, _ = net.light.encoder(packed.take(tokens.detach()), packed, salience)
        told = net.main.names(student).detach()
        parts["mutual"] = distillation(scores, told)
        total = total + parts["mutual"]
    return {"total": total, **parts}


def light_loss(net: nn.Module, batch: Batch, clock: Clock) -> dict[str, Tensor]:
    """What E_S and θ minimise: L_kl (Eq. 7 and 9), and a pull towards a share of salience.

    The published objective has no reason to leave anything out: θ → -∞ makes every
    coefficient 1 and the divergence smallest. The pull (mean M - ρ)² mends that.
    """
    assert isinstance(net, SCTransNet)
    assert net.light is not None
    options = net.options
    with torch.no_grad():
        _, tokens, shown = net.look(batch.x["rna"])
        visible = names_mask(net, batch, tokens, shown, clock)
        z, _, before, packed = net.encode(tokens, visible)
        teacher = net.main.names(z)
    salience = net.salience(before, packed)
    student, _, _ = net.light.encoder(packed.take(tokens), packed, salience)
    kl = distillation(net.main.names(student), teacher)
    total, parts = kl, {"distillation": kl}
    if options.salient_share is not None:
        share = torch.stack([clock.gather(m.mean(1)).mean() for m in salience]).mean()
        parts["salient_share"] = share.detach()
        total = total + (share - options.salient_share).square()
    return {"total": total, **parts}


def linear_loss(n_cells: int, even: Balance) -> Loss:
    """Cross-entropy of the linear path, with the penalty of logistic regression (convex)."""

    def loss(net: nn.Module, batch: Batch, clock: Clock) -> dict[str, Tensor]:
        assert isinstance(net, SCTransNet)
        assert net.linear is not None
        x, penalty = observed(batch.x["rna"])[0], net.options.penalty
        return logistic(net.linear, x, batch.y, penalty=penalty, n_cells=n_cells, even=even)

    return loss


# --- the record --------------------------------------------------------------------------------


class SCTrans(Method[SCTransOptions]):
    """Names cells from sub-vectors of genes, and says which of them decided."""

    name: ClassVar = "sctrans"
    paper: ClassVar = "Lin et al., IJCAI 2024, 5954-5962"
    compiles: ClassVar = True
    summary: ClassVar = "multi-scale transformer over gene sub-vectors, completes masked ones"
    needs: ClassVar = Needs()
    Options: ClassVar = SCTransOptions
    presets: ClassVar = {
        "paper": {
            "genes": 3000,
            "smooth_k": 1,
            "smooth_alpha": 0.0,
            "unit_variance": False,
            "projection": "shared",
            "sub_vector": 128,
            "scales": (1, 2, 4),
            "dim": 48,
            "decoder_blocks": 2,
            "gene_dropout": 0.0,
            "linear_path": False,
            "balance": "none",
            "completion": 1.0,
            "contrast": 1.0,
            "average": 0.0,
        }
    }

    def settled(self, options: SCTransOptions, sizes: Sequence[int]) -> SCTransOptions:
        """Small types are helped where the types are small in the mean."""
        if options.balance != "auto":
            return options
        few = sum(sizes) < FEW * len(sizes) and options.classification == "ce"
        return options.but(balance="logits" if few else "none")

    def candidates(self, options: SCTransOptions) -> Sequence[SCTransOptions]:
        """Panels × ways to smooth, where they are ``auto``; see ``SMOOTHINGS``."""
        panels = [3000, "all"] if options.genes == "auto" else [options.genes]
        asked = {
            name: value
            for name, value in options.model_dump().items()
            if name in SMOOTHINGS[0] and value != "auto"
        }
        ways = list({tuple({**way, **asked}.items()): None for way in SMOOTHINGS})
        return [options.but(genes=genes, **dict(way)) for genes in panels for way in ways]

    def features(self, options: SCTransOptions) -> Mapping[str, tuple[Transform, ...]]:
        """log1p CP10k of the panel, scaled, smoothed by its first components."""
        assert "auto" not in (options.genes, options.smooth_k, options.unit_variance)
        panel = Panel(
            None if options.genes == "all" else int(options.genes),
            order=options.order,
            keep=options.markers,
            seed=options.order_seed,
            base=options.log_base,
        )
        scale = Scale(unit=bool(options.unit_variance))
        smooth = Smooth(int(options.smooth_k), float(options.smooth_alpha))
        return {"rna": (Depth(), Log1p(options.log_base), panel, scale, smooth)}

    def build(self, widths: Mapping[str, int], n_types: int, options: SCTransOptions) -> SCTransNet:
        """E, C, D and E_S."""
        return SCTransNet(widths["rna"], n_types, options)

    def stages(self, options: SCTransOptions, sizes: Sequence[int]) -> Sequence[Stage]:
        """The linear path, then one joint stage (Eq. 9): a step for E, C and D, one for E_S."""
        how = self.settled(options, sizes).balance
        assert how != "auto"
        n_cells, even, epochs = sum(sizes), balance(sizes, how), options.epochs
        if epochs == "auto":  # about 250 optimiser steps, more on large references
            steps = max(-(-n_cells // options.batch_size), 1)
            epochs = min(max(250 // steps, 8), 40)
        optim = Optim(options.lr, weight_decay=options.weight_decay)
        steps = [Step(partial(main_loss, even=even), part("main"), optim)]
        if options.light:
            steps.append(Step(light_loss, part("light"), optim))
        joint = Stage(
            "joint",
            tuple(steps),
            epochs,
            options.batch_size,
            patience=options.patience,
            average=options.average,
        )
        if not options.linear_path:
            return (joint,)
        solve = Step(linear_loss(n_cells, even), part("linear"), Optim(solver="lbfgs"))
        return (solved("linear", (solve,), n_cells), joint)

    def quick(self, options: SCTransOptions) -> SCTransOptions | None:
        """The light encoder names the cells, which it was taught by E (Eq. 7)."""
        able = options.light and options.encoder == "full"
        return options.but(encoder="light") if able else None

    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """Reads the whole cell, or with ``keep`` < 1 its salient sub-vectors in a second pass."""
        assert isinstance(net, SCTransNet)
        x, tokens, shown = net.look(batch.x["rna"])
        if net.options.encoder == "light":
            z = net.light_encode(tokens, shown)
            return Output(z, net.join(net.main.names(z), x, shown))
        if net.options.keep < 1 and net.light is not None:
            shown = net.select(tokens, shown, net.options.keep)
        z, *_ = net.encode(tokens, shown)
        return Output(z, net.join(net.main.names(z), x, shown))

    def salience(self, net: nn.Module, batch: Batch) -> Salience:
        """Genes: gradient of the type's score (above the mean of all types) times the value;
        tokens: M of Eq. 4.
        """
        assert isinstance(net, SCTransNet)
        with torch.enable_grad():
            x = batch.x["rna"].detach().clone().requires_grad_(True)
            filled, tokens, shown = net.look(x)
            z, _, before, visible = net.encode(tokens, shown)
            decides = None
            if net.light is not None:
                decides = net.by_token(net.salience(before, visible)).detach()
            read = shown
            if net.options.keep < 1 and decides is not None:  # as in predict
                read = strongest(decides, shown, net.options.keep)
                z, *_ = net.encode(tokens, read)
            scores = net.join(net.main.names(z), filled, read)
            own = torch.where(batch.y >= 0, batch.y, scores.argmax(1))
            score = scores.gather(1, own[:, None]).sum() - scores.mean(1).sum()
            (slope,) = torch.autograd.grad(score, x)
        genes = observed(slope * x.detach())[0]
        if decides is None:
            return Salience(genes)
        group = torch.arange(x.shape[1]) // net.options.sub_vector
        return Salience(genes, decides, group)

    def complete(self, net: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """Missing genes from the sub-vectors that are there (D, Eq. 3)."""
        assert isinstance(net, SCTransNet)
        x = batch.x["rna"]
        _, tokens, shown = net.look(x)
        _, after, _, visible = net.encode(tokens, shown)
        if net.main.decoder is None:
            raise OptionError("This model was fitted with completion=0 and has no decoder.")
        values = net.main.decoder(after, visible).flatten(1)[:, : x.shape[1]]
        return {"rna": torch.where(torch.isnan(x), values, x)}
