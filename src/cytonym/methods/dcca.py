"""DCCA: two variational autoencoders, of RNA and of the epigenome, that teach each other.

Each modality of a cell is encoded into a Gaussian code and decoded from it. The autoencoders learn
in turns: one is frozen and is the *teacher*, the other, the *student*, is drawn to the teacher's
codes while it learns to reconstruct its own modality (cyclic attention transfer). Afterwards the
codes of both are near each other, so that the decoder of one can read the codes of the other: a
modality that was not measured is generated. Cell types come from a logistic regression on the
frozen codes.

Symbols: z code, mu and s mean and log-variance of its posterior, rho shares of the counts, theta
inverse dispersion of the negative binomial, k weight of the KL divergence, sf1 and sf2 (beta_2 and
beta_1 in the paper) weights of the pull to the teacher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from cytonym.methods.base import Method, Needs, part, solved
from cytonym.nn.blocks import normal_like, observed, still
from cytonym.nn.likelihoods import (
    bernoulli,
    divergence,
    exact,
    negative_binomial,
    squared_error,
    zero_inflated,
)
from cytonym.nn.losses import Balance, Rebalance, balance, classification, ridge
from cytonym.options import Options, Share
from cytonym.prep import Centre, Components, Depth, Log1p, Open, Panel, Scale, Sites, TfIdf
from cytonym.types import Batch, Clock, Optim, Output, SparseRows, Stage, Step, Transform

RNA, ATAC, METHYLATION, JOINT = "rna", "atac", "methylation", "joint"
PARTNER = {"rna": "epi", "epi": "rna"}
"""The autoencoders, and which one teaches which."""
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]


class DccaOptions(Options):
    """Options of ``dcca``."""

    genes: PositiveInt | Literal["all"] = Field(3000, description="variable genes that are read")
    open_share: Share = Field(0.0005, description="least share of cells in which a peak is open")
    peaks: PositiveInt | None = Field(100_000, description="most peaks that are read")
    sites: PositiveInt | None = Field(5000, description="most methylation sites that are read")
    observed_share: Share = Field(0.1, description="least share of cells in which a site is seen")
    rna_input: Literal["scaled", "log"] = Field(
        "scaled", description="what the encoder of RNA reads: scaled log1p CP10k, or log1p counts"
    )
    atac_input: Literal["peaks", "components"] = Field(
        "peaks", description="what the encoder of ATAC reads: open peaks, or singular vectors"
    )
    components: PositiveInt = Field(50, description="atac_input=components: how many")
    dim: PositiveInt = Field(20, description="Z, width of the codes")
    rna_hidden: Widths = Field((128,), description="hidden layers of the encoder of RNA")
    epi_hidden: Widths = Field((256,), description="hidden layers of the encoder of the epigenome")
    rna_decoder: tuple[PositiveInt, ...] = Field(
        (128,), description="hidden layers of the decoder of RNA"
    )
    epi_decoder: tuple[PositiveInt, ...] = Field(
        (), description="hidden layers of the decoder of the epigenome"
    )
    norm: Literal["layer", "batch"] = Field("layer", description="normalisation of hidden layers")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout of hidden layers")
    counts: Literal["nb", "zinb"] = Field("nb", description="likelihood of RNA counts")
    dispersion: Literal["gene", "gene-cell"] = Field(
        "gene", description="one theta for each gene, or for each gene and cell"
    )
    size: Literal["counts", "legacy"] = Field(
        "counts", description="size of a cell: sum of its counts, or of log1p counts as published"
    )
    depth: bool = Field(True, description="depth of ATAC enters as an offset, not by the codes")
    negatives: PositiveInt | None = Field(
        4096, description="closed peaks that the loss looks at, drawn for each batch; none = all"
    )
    mask: Literal["observed", "legacy"] = Field(
        "observed", description="methylation in the loss: what was observed, or what is above 0"
    )
    kl: Literal["standard", "legacy"] = Field("standard", description="KL divergence")
    warmup: NonNegativeInt = Field(10, description="epochs in which the weight of the KL rises")
    first: Literal["rna", "epi"] = Field("rna", description="which autoencoder teaches first")
    cycle: NonNegativeInt = Field(3, description="turns of teaching; 0 = none, 1 = one way")
    alone: bool = Field(True, description="the first student learns alone before it is taught")
    rna_to_epi: NonNegativeFloat = Field(20.0, description="sf1, pull of RNA on the epigenome")
    epi_to_rna: NonNegativeFloat = Field(1.0, description="sf2, pull of the epigenome on RNA")
    joint: Literal["mean", "weighted", "concat"] = Field(
        "mean", description="joint embedding: mean of the codes, by precision, or side by side"
    )
    balance: Rebalance = Field("none", description="help for small types, by weights or logits")
    penalty: NonNegativeFloat = Field(1.0, description="L2 penalty of the naming of codes")
    epochs: PositiveInt = Field(100, description="most epochs of a turn")
    patience: PositiveInt | None = Field(
        20, description="epochs without a better loss on held-out cells that end a turn"
    )
    batch_size: PositiveInt = Field(128, description="cells in a batch")
    rna_lr: PositiveFloat = Field(2e-3, description="learning rate of RNA")
    epi_lr: PositiveFloat = Field(2e-3, description="learning rate of the epigenome")
    floor: Share = Field(0.1, description="least learning rate, as a share of the first")
    decay: Literal["cosine", "steps"] = Field("cosine", description="course of the learning rate")
    eps: PositiveFloat = Field(1e-8, description="epsilon of Adam")
    weight_decay: NonNegativeFloat = Field(1e-2, description="of AdamW")
    clip: PositiveFloat | None = Field(None, description="largest norm of a gradient")


# --- the network -------------------------------------------------------------------------------


class OpenRows(nn.Module):
    """A linear layer that reads sparse 0/1 rows: the sum of the weights of what is open."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, out))
        self.bias = nn.Parameter(torch.zeros(out))
        nn.init.uniform_(self.weight, -(width**-0.5), width**-0.5)

    def forward(self, rows: SparseRows) -> Float[Tensor, "cells out"]:
        """What is stored above 0 counts as 1."""
        opened = (rows.value > 0).to(self.weight.dtype)
        total = F.embedding_bag(
            rows.column, self.weight, rows.start[:-1], mode="sum", per_sample_weights=opened
        )
        return total + self.bias


def layers(widths: Sequence[int], options: DccaOptions) -> nn.Sequential:
    """Linear - norm - ReLU - dropout between each two widths."""
    found: list[nn.Module] = []
    for before, after in pairwise(widths):
        found += [nn.Linear(before, after), *finish(after, options)]
    return nn.Sequential(*found)


def finish(width: int, options: DccaOptions) -> tuple[nn.Module, ...]:
    """Norm - ReLU - dropout."""
    batch = options.norm == "batch"
    norm = nn.BatchNorm1d(width, eps=1e-3, momentum=0.01) if batch else nn.LayerNorm(width)
    return norm, nn.ReLU(), nn.Dropout(options.dropout)


class Encoder(nn.Module):
    """A modality to mean and log-variance of its code."""

    def __init__(self, width: int, hidden: Sequence[int], options: DccaOptions, *, sparse: bool):
        super().__init__()
        self.first = OpenRows(width, hidden[0]) if sparse else nn.Linear(width, hidden[0])
        rest = layers(hidden, options)
        self.hidden = nn.Sequential(*finish(hidden[0], options), rest)
        self.mean = nn.Linear(hidden[-1], options.dim)
        self.spread = nn.Linear(hidden[-1], options.dim)

    def forward(self, x: Tensor | SparseRows) -> tuple[Tensor, Tensor]:
        """Mu and s, ``(cells, dim)`` each; a value that was not measured (NaN) counts as 0."""
        h = self.hidden(self.first(x if isinstance(x, SparseRows) else observed(x)[0]))
        return self.mean(h), exact(self.spread(h)).clamp(-15, 15)


class CountDecoder(nn.Module):
    """A code to the shares rho of the counts, and how they spread."""

    def __init__(self, width: int, options: DccaOptions) -> None:
        super().__init__()
        self.options = options
        widths = (options.dim, *options.rna_decoder)
        self.hidden = layers(widths, options)
        self.share = nn.Linear(widths[-1], width)
        by_cell = options.dispersion == "gene-cell"
        self.theta = nn.Linear(widths[-1], width) if by_cell else nn.Parameter(torch.zeros(width))
        self.drop = nn.Linear(widths[-1], width) if options.counts == "zinb" else None

    def forward(self, z: Tensor, features: Tensor | None = None) -> Float[Tensor, "cells genes"]:
        """rho: shares of a cell's counts, of all genes or of those asked for."""
        share = exact(self.share(self.hidden(z))).softmax(1)
        return share if features is None else share[:, features]

    def surprise(self, z: Tensor, counts: SparseRows) -> Float[Tensor, " cells"]:
        """Negative log-likelihood of raw counts, summed over genes."""
        x, h = counts.dense(), self.hidden(z)
        total = x.sum(1, keepdim=True)
        if self.options.size == "legacy":
            total = x.log1p().sum(1, keepdim=True)
        log_mean = total.clamp_min(1e-3).log() + exact(self.share(h)).log_softmax(1)
        theta = self.theta if isinstance(self.theta, nn.Parameter) else self.theta(h)
        theta = exact(theta).clamp(-10, 10)
        if self.drop is None:
            return -negative_binomial(x, log_mean, theta).sum(1)
        return -zero_inflated(x, log_mean, theta, self.drop(h)).sum(1)


class PeakDecoder(nn.Module):
    """A code to the probabilities of peaks to be open in a cell of mean depth."""

    def __init__(self, width: int, options: DccaOptions) -> None:
        super().__init__()
        self.options = options
        widths = (options.dim, *options.epi_decoder)
        self.hidden = layers(widths, options)
        self.open = nn.Linear(widths[-1], width)
        nn.init.constant_(self.open.bias, -5.0)  # most peaks are closed in most cells
        self.register_buffer("depth", torch.zeros(()))

    def forward(self, z: Tensor, features: Tensor | None = None) -> Float[Tensor, "cells peaks"]:
        """Probabilities, of all peaks or of those asked for."""
        return exact(self.logits(self.hidden(z), features)).sigmoid()

    def logits(self, h: Tensor, peaks: Tensor | None) -> Float[Tensor, "cells peaks"]:
        """Of being open, in a cell of mean depth."""
        if peaks is None:
            return self.open(h)
        return F.linear(h, self.open.weight[peaks], self.open.bias[peaks])

    def surprise(self, z: Tensor, opened: SparseRows, seed: int) -> Float[Tensor, " cells"]:
        """Negative log-likelihood of which peaks are open, summed over peaks.

        With ``negatives``, closed peaks are counted by a sample that stands for all of them, and
        the open ones exactly: the expectation is the same.
        """
        h, deep = self.hidden(z), self.deeper(opened)
        n, peaks = self.options.negatives, opened.width
        if n is None or n >= peaks:
            return -bernoulli(opened, self.logits(h, None) + deep)
        draw = torch.Generator().manual_seed(seed)
        some = torch.randperm(peaks, generator=draw)[:n].to(h.device)
        closed = F.softplus(exact(self.logits(h, some) + deep)).sum(1) * (peaks / n)
        cell, is_open = opened.cell(), opened.value > 0
        weight = F.embedding(opened.column, self.open.weight)
        logit = (h[cell] * weight).sum(1) + self.open.bias[opened.column] + deep[cell, 0]
        gain = torch.zeros_like(closed).index_add(0, cell, (logit * is_open).to(closed.dtype))
        return closed - gain

    def deeper(self, opened: SparseRows) -> Float[Tensor, "cells 1"]:
        """Logarithm of a cell's number of open peaks against that of a mean cell."""
        if not self.options.depth:
            return opened.value.new_zeros(len(opened), 1)
        return (log_depth(opened) - self.get_buffer("depth"))[:, None]

    def learn_depth(self, batches: Iterable[Batch]) -> None:
        """Which depth is the mean one, among the cells that are learned from."""
        found = [log_depth(batch.counts[ATAC])[batch.present[ATAC]] for batch in batches]
        self.get_buffer("depth").copy_(torch.cat(found).mean())


def log_depth(opened: SparseRows) -> Float[Tensor, " cells"]:
    """log(1 + number of open peaks)."""
    n = opened.value.new_zeros(len(opened))
    return n.index_add(0, opened.cell(), (opened.value > 0).to(n)).log1p()


class RateDecoder(nn.Module):
    """A code to methylation rates."""

    def __init__(self, width: int, options: DccaOptions) -> None:
        super().__init__()
        self.options = options
        widths = (options.dim, *options.epi_decoder)
        self.hidden = layers(widths, options)
        self.rate = nn.Linear(widths[-1], width)

    def forward(self, z: Tensor, features: Tensor | None = None) -> Float[Tensor, "cells sites"]:
        """Rates, of all sites or of those asked for."""
        rate = exact(self.rate(self.hidden(z))).sigmoid()
        return rate if features is None else rate[:, features]

    def surprise(self, z: Tensor, rates: SparseRows) -> Float[Tensor, " cells"]:
        """Squared error, summed over what was observed."""
        return squared_error(rates, self(z), mask=self.options.mask)


class Autoencoder(nn.Module):
    """Encoder and decoder of one modality."""

    def __init__(self, modality: str, widths: Mapping[str, int], options: DccaOptions) -> None:
        super().__init__()
        self.modality, self.options = modality, options
        counts = widths[f"counts_{modality}"]
        rna = modality == RNA
        hidden = options.rna_hidden if rna else options.epi_hidden
        sparse = modality not in widths
        self.encoder = Encoder(widths.get(modality, counts), hidden, options, sparse=sparse)
        kinds = {RNA: CountDecoder, ATAC: PeakDecoder, METHYLATION: RateDecoder}
        self.decoder = kinds[modality](counts, options)

    def code(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mu and s; without meaning in cells that lack the modality."""
        x = batch.x.get(self.modality)
        return self.encoder(batch.counts[self.modality] if x is None else x)

    def surprise(self, z: Tensor, batch: Batch, seed: int) -> Float[Tensor, " cells"]:
        """Negative log-likelihood of the raw values, summed over features."""
        rows = batch.counts[self.modality]
        if isinstance(self.decoder, PeakDecoder):
            return self.decoder.surprise(z, rows, seed)
        return self.decoder.surprise(z, rows)


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """What the encoders say of the cells of a batch.

    ``mean`` holds, by autoencoder, ``(cells, dim)``: the other one's where a cell lacks the
    modality. ``there`` says which are its own; ``joint`` is one code for both.
    """

    mean: Mapping[str, Tensor]
    there: Mapping[str, Bool[Tensor, " cells"]]
    joint: Tensor


class Names(nn.Module):
    """Logistic regressions on frozen codes: of both modalities, or of the one that a cell has."""

    def __init__(self, n_types: int, options: DccaOptions) -> None:
        super().__init__()
        both = options.dim * (2 if options.joint == "concat" else 1)
        sizes = {JOINT: both, "rna": options.dim, "epi": options.dim}
        self.maps = nn.ModuleDict({name: nn.Linear(n, n_types) for name, n in sizes.items()})
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, codes: Codes) -> Float[Tensor, "cells types"]:
        """Scores of the map for what a cell has."""
        scores = self.maps[JOINT](codes.joint)
        for name, other in PARTNER.items():
            alone = (codes.there[name] & ~codes.there[other])[:, None]
            scores = torch.where(alone, self.maps[name](codes.mean[name]), scores)
        return scores


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """Codes of a frozen teacher: ``z`` ``(cells, dim)`` by ``key``, sorted, where ``there``."""

    key: Int[Tensor, " cells"]
    z: Tensor
    there: Bool[Tensor, " cells"]


class DccaNet(nn.Module):
    """``rna`` and ``epi``, the autoencoders, and ``names``, where there are labels."""

    def __init__(self, widths: Mapping[str, int], n_types: int, options: DccaOptions) -> None:
        super().__init__()
        self.options = options
        second = METHYLATION if f"counts_{METHYLATION}" in widths else ATAC
        self.rna = Autoencoder(RNA, widths, options)
        self.epi = Autoencoder(second, widths, options)
        self.names = Names(n_types, options) if n_types else None
        self.lesson: Lesson | None = None

    def autoencoder(self, name: str) -> Autoencoder:
        """``rna``, ``epi``, or by its modality."""
        return self.rna if name == RNA else self.epi

    def codes(self, batch: Batch) -> Codes:
        """The codes of a batch and the joint one."""
        found = {name: self.autoencoder(name).code(batch) for name in PARTNER}
        there = {name: batch.present[self.autoencoder(name).modality] for name in PARTNER}
        own = {name: there[name][:, None] | ~there[PARTNER[name]][:, None] for name in PARTNER}
        mean, spread = (
            {n: torch.where(own[n], found[n][i], found[PARTNER[n]][i]) for n in PARTNER}
            for i in (0, 1)
        )
        return Codes(mean, there, self._joint(mean, spread))

    def _joint(self, mean: Mapping[str, Tensor], spread: Mapping[str, Tensor]) -> Tensor:
        if self.options.joint == "concat":
            return torch.cat([mean[name] for name in PARTNER], dim=1)
        if self.options.joint == "mean":
            return (mean["rna"] + mean["epi"]) / 2
        share = torch.sigmoid(spread["epi"] - spread["rna"])  # of RNA: precision over their sum
        return share * mean["rna"] + (1 - share) * mean["epi"]


# --- the losses --------------------------------------------------------------------------------


def autoencode(
    net: nn.Module,
    batch: Batch,
    clock: Clock,
    *,
    name: str,
    teacher: str | None = None,
    pull: float = 0.0,
    warmup: int = 0,
) -> dict[str, Tensor]:
    """Reconstruction, k · KL, and the pull to the teacher's codes (Eqs. of the two ELBOs with
    beta · ||z - z_teacher||²); sums over features, means over cells.

    In evaluation the code is the mean.
    """
    assert isinstance(net, DccaNet)
    own = net.autoencoder(name)
    there = batch.present[own.modality]
    mean, spread = own.code(batch)
    z = mean
    if net.training:
        noise = normal_like(batch.key, mean.shape[1], seed=clock.seed).to(mean.dtype)
        z = mean + (spread / 2).exp() * noise
    k = min(1.0, clock.epoch / warmup) if warmup else 1.0
    parts = {
        "surprise": own.surprise(z, batch, clock.seed),
        "kl": k * divergence(mean, spread, kl=net.options.kl),
    }
    if teacher is not None:
        taught, known = lesson(net, batch, teacher)
        apart = (exact(z) - taught).square().sum(1)
        parts["apart"] = torch.where(known, pull * apart, 0.0)
    means = {key: torch.where(there, one, 0.0).sum() / len(batch) for key, one in parts.items()}
    return {"total": torch.stack([*means.values()]).sum(), **means}


def lesson(net: DccaNet, batch: Batch, teacher: str) -> tuple[Tensor, Bool[Tensor, " cells"]]:
    """The teacher's codes (posterior means, no gradient) and in which cells it has any."""
    kept = net.lesson
    if kept is not None:
        place = torch.searchsorted(kept.key, batch.key).clamp_max(len(kept.key) - 1)
        if torch.equal(kept.key[place], batch.key):
            return kept.z[place], kept.there[place]
    own = net.autoencoder(teacher)
    with torch.no_grad(), still(own):
        return exact(own.code(batch)[0]), batch.present[own.modality]


def learn_lesson(net: nn.Module, batches: Iterable[Batch], *, teacher: str) -> None:
    """Keep the codes of the teacher, which is frozen, of all cells: they are read in each epoch."""
    assert isinstance(net, DccaNet)
    net.lesson = None
    found = [(batch.key, *lesson(net, batch, teacher)) for batch in batches]
    key, z, there = (torch.cat(one) for one in zip(*found, strict=True))
    order = torch.argsort(key)
    net.lesson = Lesson(key[order], z[order], there[order])


def prepare(net: nn.Module, batches: Iterable[Batch]) -> None:
    """Before an autoencoder learns alone: no lesson; the mean depth of ATAC is learned."""
    assert isinstance(net, DccaNet)
    net.lesson = None
    if isinstance(net.epi.decoder, PeakDecoder):
        net.epi.decoder.learn_depth(batches)


def name_loss(
    net: nn.Module, batch: Batch, clock: Clock, *, n_cells: int, even: Balance
) -> dict[str, Tensor]:
    """Cross-entropies of the three maps on frozen codes, each with its penalty."""
    assert isinstance(net, DccaNet)
    assert net.names is not None
    with torch.no_grad(), still(net):
        codes = net.codes(batch)
    there = codes.there
    views = {
        JOINT: (codes.joint, there["rna"] | there["epi"]),
        **{name: (codes.mean[name], there[name]) for name in PARTNER},
    }
    parts, shrink = {}, torch.zeros((), device=batch.y.device)
    for name, (z, known) in views.items():
        own = net.names.maps[name]
        assert isinstance(own, nn.Linear)
        y = torch.where(known, batch.y, -1)
        parts[f"names_{name}"] = classification(own(z), y, even=even, whole=True)
        shrink = shrink + ridge(own.weight, net.options.penalty, n_cells)
    return {"total": torch.stack([*parts.values()]).sum() + shrink, **parts}


# --- the record --------------------------------------------------------------------------------


class Dcca(Method[DccaOptions]):
    """Embeds, denoises and generates RNA and ATAC (or methylation) of the same cells."""

    name: ClassVar = "dcca"
    paper: ClassVar = "DCCA (Zuo et al., 2021)"
    compiles: ClassVar = True
    summary: ClassVar = (
        "two autoencoders that teach each other: joint embedding, denoising, a missing modality"
    )
    needs: ClassVar = Needs(
        {RNA: "shared", ATAC: "shared", METHYLATION: "shared"},
        counts=True,
        labels=False,
        optional=True,
        together=((RNA,), (ATAC, METHYLATION)),
    )
    Options: ClassVar = DccaOptions
    presets: ClassVar = {
        "paper": {
            "genes": 2000,
            "open_share": 0.002,
            "rna_input": "log",
            "dim": 10,
            "dropout": 0.1,
            "rna_to_epi": 5.0,
            "epi_hidden": (1500, 128),
            "norm": "batch",
            "dispersion": "gene-cell",
            "depth": False,
            "negatives": None,
            "epochs": 500,
            "patience": 30,
            "batch_size": 64,
            "rna_lr": 1e-2,
            "epi_lr": 5e-3,
            "decay": "steps",
            "eps": 1e-2,
            "weight_decay": 1e-6,
        }
    }

    def features(self, options: DccaOptions) -> Mapping[str, tuple[Transform, ...]]:
        """Variable genes; open peaks, as they are or as components; sites, centred."""
        genes = None if options.genes == "all" else options.genes
        rna = (Depth(), Log1p(), Panel(genes), Scale())
        if options.rna_input == "log":
            rna = (Log1p(), Panel(genes), Scale(unit=False, clip=None))
        peaks = Open(options.open_share, most=options.peaks)
        atac = (peaks, TfIdf(), Components(options.components), Scale())
        if options.atac_input == "peaks":
            atac = (peaks,)
        sites = (Sites(options.observed_share, most=options.sites), Centre())
        return {RNA: rna, ATAC: atac, METHYLATION: sites}

    def targets(self, options: DccaOptions) -> Mapping[str, int]:
        """The genes of the panel, the peaks that are open often enough, the sites."""
        return {RNA: 3 if options.rna_input == "scaled" else 2, ATAC: 1, METHYLATION: 1}

    def build(self, widths: Mapping[str, int], n_types: int, options: DccaOptions) -> DccaNet:
        """Both autoencoders, and the maps to the types."""
        return DccaNet(widths, n_types, options)

    def stages(self, options: DccaOptions, sizes: Sequence[int]) -> Sequence[Stage]:
        """The first autoencoder alone, then each taught by the other in turn, then the names."""
        first, second = options.first, PARTNER[options.first]
        stages = [turn(options, first, warmup=options.warmup)]
        fresh = True  # the second has learned nothing yet
        if options.alone or not options.cycle:
            stages.append(turn(options, second, warmup=options.warmup))
            fresh = False
        for number in range(1, options.cycle + 1):
            student = second if number % 2 else first
            warmup = options.warmup if fresh else 0
            stages.append(turn(options, student, number, warmup=warmup))
            fresh = False
        if sum(sizes):
            loss = partial(name_loss, n_cells=sum(sizes), even=balance(sizes, options.balance))
            solve = Step(loss, part("names"), Optim(solver="lbfgs", iterations=100))
            stages.append(solved("names", (solve,), sum(sizes)))
        return stages

    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """The joint embedding, and names where the reference had any."""
        assert isinstance(net, DccaNet)
        codes = net.codes(batch)
        return Output(codes.joint, None if net.names is None else net.names(codes))

    def views(self, net: nn.Module, batch: Batch) -> Mapping[str, Tensor]:
        """The codes of each modality; NaN in cells that lack it."""
        assert isinstance(net, DccaNet)
        codes = net.codes(batch)
        return {
            net.autoencoder(name).modality: torch.where(there[:, None], codes.mean[name], torch.nan)
            for name, there in codes.there.items()
        }

    def latent(self, net: nn.Module, batch: Batch, source: str) -> Tensor:
        """The codes of ``source``; ``joint`` is the mean of those that a cell has."""
        assert isinstance(net, DccaNet)
        codes = net.codes(batch)
        if source == JOINT:
            return (codes.mean["rna"] + codes.mean["epi"]) / 2
        return codes.mean["rna" if source == RNA else "epi"]

    def decode(
        self, net: nn.Module, latent: Tensor, target: str, features: Tensor | None = None
    ) -> Tensor:
        """Rho of genes, probabilities of peaks, or rates of sites."""
        assert isinstance(net, DccaNet)
        return net.autoencoder(target).decoder(latent, features)


def turn(
    options: DccaOptions, student: str, number: int | None = None, *, warmup: int = 0
) -> Stage:
    """One autoencoder learns, alone or (``number`` of the cycle) taught by the other."""
    teacher = None if number is None else PARTNER[student]
    pull = options.rna_to_epi if student == "epi" else options.epi_to_rna
    loss = partial(autoencode, name=student, teacher=teacher, pull=pull, warmup=warmup)
    optim = Optim(
        options.rna_lr if student == "rna" else options.epi_lr,
        weight_decay=options.weight_decay,
        floor=options.floor,
        clip=options.clip,
        decay=options.decay,
        eps=options.eps,
    )
    return Stage(
        student if teacher is None else f"{student} taught by {teacher} {number}",
        (Step(loss, part(student), optim),),
        options.epochs,
        options.batch_size,
        patience=options.patience,
        unlabelled=True,
        before=prepare if teacher is None else partial(learn_lesson, teacher=teacher),
    )
