"""seqAlignATAC: name ATAC cells of one data set by those of another, from the DNA of their peaks.

Stage 1 (a transform, :mod:`cytonym.prep.trunk`) places each cell by the DNA of its open peaks, so
that data sets need not share any. Stage 2, here, learns the types on graphs of neighbouring cells,
one graph for each data set, while a discriminator that must not tell the data sets apart draws
their features together (graph domain adaptation after A2GNN).

Symbols: Â normalised adjacency, K steps of propagation in the target (the query), D discriminator,
alpha strength of the reversed gradient, lambda weight of the domain loss.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)
from sklearn.cluster import MiniBatchKMeans
from torch import Tensor, nn
from torch.nn import functional as F

from cytonym.dna.peaks import Embedder, PeakReader
from cytonym.methods.base import Method, Needs, part, solved
from cytonym.methods.shift import SAID, Center, shift
from cytonym.nn.adapt import common, coral, mmd, some, strength, told_apart
from cytonym.nn.blocks import random_like
from cytonym.nn.graph import Graph, Grown, Near, neighbours
from cytonym.nn.losses import Balance, Rebalance, balance, classification, logistic
from cytonym.options import File, Options, Share
from cytonym.prep import Components, Open, Scale, SequenceCells, TfIdf
from cytonym.types import Batch, Clock, Optim, Output, Stage, Step, Transform

ATAC = "atac"
Draw = tuple[Tensor, int]
"""Keys of cells, and a seed."""

SOURCE, TARGET = 0, 1
"""Domains of a batch."""

WHOLE = 20_000
"""Cells of a data set up to which its graph is propagated as a whole in every step."""

PART = 2_000
"""Cells of a part, mode cluster."""


class SeqalignOptions(Options):
    """Options of ``seqalign``."""

    embedder: Embedder = Field("kmer", description="what reads the DNA of peaks; lsi: no DNA")
    window: PositiveInt = Field(1002, le=1_000_000, description="bases around the middle of a peak")
    k: PositiveInt = Field(6, le=8, description="embedder=kmer: length of the words")
    motifs: File | None = Field(None, description="embedder=motif: a MEME file; none = JASPAR")
    checkpoint: str | None = Field(
        None, description="embedder=transformer: folder or repository of the Nucleotide Transformer"
    )
    layer: int = Field(-1, description="embedder=transformer: whose states; -1 = the last one's")
    both_strands: bool = Field(False, description="embedder=transformer: mean of both strands")
    half: bool = Field(False, description="embedder=transformer: compute in float16")
    channels: PositiveInt = Field(
        288, le=1 << 16, description="embedder=cnn: channels of the first layer"
    )
    embeddings: File | None = Field(None, description="embedder=precomputed: an .npz file")
    change: Literal["none", "shuffled", "mutated", "random"] = Field(
        "none", description="spoil the DNA first, to see what it is worth"
    )
    mutated: Share = Field(0.3, description="change=mutated: share of the bases")
    dim: PositiveInt = Field(64, le=1024, description="h, width of a cell's embedding")
    trunk_hidden: PositiveInt = Field(512, le=1 << 16, description="hidden layer of the trunk")
    trunk_cells: PositiveInt = Field(4096, description="reference cells the trunk is learned from")
    trunk_epochs: PositiveInt = Field(100, description="most epochs of the trunk")
    trunk_lr: PositiveFloat = Field(1e-3, description="learning rate of the trunk")
    components: PositiveInt = Field(50, description="embedder=lsi: how many")
    open_share: Share = Field(0.0005, description="embedder=lsi: least share of cells of a peak")
    classifier: Literal["graph", "knn"] = Field(
        "graph", description="what names cells; knn: the nearest of the reference, not trained"
    )
    neighbours: PositiveInt = Field(15, description="nearest cells that a cell is joined with")
    mode: Literal["auto", "full", "sgc", "cluster"] = Field(
        "auto", description="whole graphs at once, propagated before, or by parts"
    )
    hidden: PositiveInt = Field(128, description="width of the hidden layers")
    dropout: float = Field(0.1, ge=0, lt=1, description="after the first layer")
    first_step: bool = Field(True, description="one propagation in the first layer too")
    source_steps: NonNegativeInt = Field(0, le=1000, description="in the second, in the reference")
    target_steps: NonNegativeInt = Field(10, le=1000, description="K, in the second, in the query")
    teleport: Share = Field(0.1, description="share of its own that a cell keeps in every step")
    align: Literal["adversarial", "mmd", "coral", "none"] = Field(
        "adversarial", description="what draws the data sets together"
    )
    weight: NonNegativeFloat = Field(0.1, description="lambda, weight of that loss")
    schedule: Literal["ramp", "linear", "constant"] = Field("ramp", description="course of alpha")
    discriminator: tuple[PositiveInt, ...] = Field((), description="hidden layers of D")
    prior: bool = Field(
        False, description="align reference cells by how common their type is in the query"
    )
    center: Center = Field(
        "auto", description="what the query differs by: none, its mean, that less its mixture"
    )
    metric: Literal["cosine", "euclidean"] = Field(
        "cosine", description="of neighbours; cosine: cells of one length throughout"
    )
    linear_path: bool = Field(
        True, description="a linear map of the embedding, solved first, shares in the scores"
    )
    graph_share: Share = Field(0.1, description="of the graphs in the scores, beside that path")
    penalty: NonNegativeFloat = Field(1.0, description="L2 penalty of the linear path")
    balance: Rebalance = Field("none", description="help for small types, by weights or logits")
    epochs: PositiveInt = Field(200, description="epochs; steps, with whole graphs")
    batch_size: PositiveInt = Field(512, description="mode=sgc: cells in a batch")
    lr: PositiveFloat = Field(0.01, description="learning rate (SGD, momentum 0.9)")
    weight_decay: NonNegativeFloat = Field(1e-3, description="of SGD")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.change != "none" and self.embedder in ("lsi", "precomputed"):
            raise ValueError(f"change spoils DNA, and embedder={self.embedder} reads none")
        return self


# --- the network -------------------------------------------------------------------------------


class Domain(Grown):
    """The cells of one data set: their graph, their mean and their types (-1: not known)."""

    mean: Tensor
    y: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.graph = Graph(width)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("y", torch.zeros(0, dtype=torch.int64))
        self.key = torch.zeros(0, dtype=torch.int64)
        self.part = torch.zeros(0, dtype=torch.int64)

    def ready(self, x: Tensor, options: SeqalignOptions) -> Tensor:
        """Cells without the mean of their data set; all of one length for the cosine."""
        x = x - self.mean
        return x if options.metric == "euclidean" else F.normalize(x, dim=1) * x.shape[1] ** 0.5

    def take(self, x: Tensor, y: Tensor, key: Tensor, options: SeqalignOptions) -> None:
        """Keep the cells, in the order of their keys, and make their graph."""
        order = key.argsort()
        x, self.y, self.key = self.ready(x[order], options), y[order], key[order]
        self.part = parted(x, options) if options.mode == "cluster" else self.y * 0
        if not (self.graph.x.shape == x.shape and torch.equal(self.graph.x, x)):
            several = self.part if options.mode == "cluster" else None
            self.graph.build(x, options.neighbours, several)


class Layers(nn.Module):
    """Three graph convolutions shared by both data sets, and the discriminator."""

    def __init__(self, width: int, n_types: int, options: SeqalignOptions) -> None:
        super().__init__()
        self.first = nn.Linear(width, options.hidden)
        self.second = nn.Linear(options.hidden, options.hidden)
        self.last = nn.Linear(options.hidden, n_types)
        widths = (options.hidden, *options.discriminator)
        deep: list[nn.Module] = []
        for before, after in pairwise(widths):
            deep += [nn.Linear(before, after), nn.ReLU()]
        self.discriminator = nn.Sequential(*deep, nn.Linear(widths[-1], 2))


class SeqalignNet(nn.Module):
    """``layers``, ``linear`` (the linear path), and the cells of both data sets."""

    def __init__(self, width: int, n_types: int, options: SeqalignOptions) -> None:
        super().__init__()
        self.options, self.n_types = options, n_types
        self.layers = Layers(width, n_types, options)
        self.linear = nn.Linear(width, n_types) if options.linear_path else None
        for parameter in self.linear.parameters() if self.linear is not None else ():
            nn.init.zeros_(parameter)
        self.domains = nn.ModuleList([Domain(width), Domain(width)])
        self.explained = ""
        self._tables: dict[int, Tables] = {}
        self._moved_cells: dict[int, Tensor] = {}

    @property
    def note(self) -> str:
        """By what the query was found to differ."""
        return SAID[self.explained]

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """What is said of the cells of both data sets has to be of these cells and types."""
        found = super().load_state_dict(*args, **kwargs)
        for number, one in enumerate(self.domains):
            assert isinstance(one, Domain)
            cells, width = one.graph.x.shape
            of_types = ((one.y >= -1) & (one.y < self.n_types)).all()
            if one.y.shape != (cells,) or one.mean.shape != (width,) or not of_types:
                raise ValueError(f"types or mean of data set {number} are not those of its cells")
        return found

    def domain(self, number: int) -> Domain:
        """The reference (0), or the query (1), which is the reference where none was given."""
        found = self.domains[number]
        assert isinstance(found, Domain)
        return found if len(found.graph) else self.domain(SOURCE)

    def has_target(self) -> bool:
        """Whether a query took part."""
        return self.domain(TARGET) is not self.domain(SOURCE)

    def steps(self, number: int) -> int:
        """Propagations in the second layer."""
        adapted = number == TARGET and self.has_target()
        return self.options.target_steps if adapted else self.options.source_steps

    def early_steps(self, number: int) -> int:
        """Propagations before the first layer (mode sgc): those of all three layers."""
        return self.steps(number) + int(self.options.first_step) + 1

    def whole(self, graph: Graph, steps: int, draw: Draw | None = None) -> Tables:
        """All cells of a graph (Eqs. 9 to 15); ``draw`` is what dropout is drawn by."""
        first, second, last = self.layers.first, self.layers.second, self.layers.last
        one = self._spread(graph, graph.x @ first.weight.T, int(self.options.first_step))
        h1 = self._dropped((one.now + first.bias).relu(), draw)
        two = self._spread(graph, h1 @ second.weight.T, steps)
        h2 = (two.now + second.bias).relu()
        three = self._spread(graph, h2 @ last.weight.T, 1)
        return Tables((one, two, three), h2, three.now + last.bias)

    def early(self, graph: Graph, steps: int) -> Tables:
        """All cells of a graph, propagated before the first layer (mode sgc)."""
        spread = self._spread(graph, graph.x, steps)
        return Tables((spread,), *self.plain(spread.now))

    def plain(self, z: Tensor, draw: Draw | None = None) -> tuple[Tensor, Tensor]:
        """The second layer and the scores of cells that are not propagated any more."""
        h1 = self._dropped(self.layers.first(z).relu(), draw)
        h2 = self.layers.second(h1).relu()
        return h2, self.layers.last(h2)

    def _dropped(self, h: Tensor, draw: Draw | None) -> Tensor:
        """Dropout by the keys of the cells: the same in one process and in several."""
        share = self.options.dropout
        if draw is None or not share:
            return h
        key, seed = draw
        return h * (random_like(key, h.shape[1], seed=seed) >= share) / (1 - share)

    def _spread(self, graph: Graph, h: Tensor, steps: int) -> Spread:
        teleport = self.options.teleport
        now = graph.spread(h, steps, teleport)
        known = self.training or not steps  # only new cells need the step before the last
        return Spread(now if known else graph.spread(h, steps - 1, teleport), now)

    def forward(self, x: Tensor, domain: int) -> Output:
        """Any cells, hung on to the graph of their data set."""
        home = self.domain(domain)
        x, graph, steps = home.ready(x, self.options), home.graph, self.steps(domain)
        if self.options.classifier == "knn":
            return Output(x, self.votes(x))
        near, told = graph.near(x, self.options.neighbours), self.tables(domain)
        if self.sgc():
            h2, scores = self.plain(self._hung(x, near, told.spread[0], self.early_steps(domain)))
        else:
            first, second, last = self.layers.first, self.layers.second, self.layers.last
            one, two, three = told.spread
            h1 = self._hung(x @ first.weight.T, near, one, int(self.options.first_step))
            h2 = self._hung((h1 + first.bias).relu() @ second.weight.T, near, two, steps)
            h2 = (h2 + second.bias).relu()
            scores = self._hung(h2 @ last.weight.T, near, three, 1) + last.bias
        if self.linear is not None:
            share = self.options.graph_share
            scores = share * scores + (1 - share) * self.linear(x)
        return Output(h2, scores)

    def votes(self, x: Tensor) -> Tensor:
        """Logarithms of the shares of types among the nearest labelled cells of the reference."""
        home = self.domain(SOURCE)
        labelled = home.y >= 0
        cells, y = home.graph.x[labelled], home.y[labelled]
        found, _ = neighbours(x, cells, min(self.options.neighbours, len(cells)))
        share = F.one_hot(y[found], self.n_types).to(x.dtype).mean(1)
        return share.clamp_min(1e-6).log()

    def _hung(self, h: Tensor, near: Near, told: Spread, steps: int) -> Tensor:
        """``steps`` propagations of cells that hang on to a graph."""
        if not steps:
            return h
        own = near.mean(told.before) if steps > 1 else h
        teleport = self.options.teleport
        new = (1 - teleport) * near.step(own, told.before) + teleport * h
        return near.found(told.now, new)

    def tables(self, domain: int) -> Tables:
        """What became of the cells of a graph; kept until the network is trained on."""
        number = domain if self.has_target() else SOURCE
        if number not in self._tables:
            graph = self.domain(number).graph
            self._tables[number] = (
                self.early(graph, self.early_steps(number))
                if self.sgc()
                else self.whole(graph, self.steps(number))
            )
        return self._tables[number]

    def propagated(self, domain: int) -> Tensor:
        """Mode sgc: the cells of a graph after all steps; kept, since no weight is in it."""
        if domain not in self._moved_cells:
            graph = self.domain(domain).graph
            with torch.no_grad():
                spread = self._spread(graph, graph.x, self.early_steps(domain))
            self._moved_cells[domain] = spread.now
        return self._moved_cells[domain]

    def sgc(self) -> bool:
        """Whether cells are propagated before the first layer."""
        most = max(len(self.domain(number).graph) for number in (SOURCE, TARGET))
        auto = self.options.mode == "auto" and most > WHOLE
        return auto or self.options.mode == "sgc"

    def _apply(self, *args: Any, **kwargs: Any) -> Any:
        """Moving the network leaves no table on another device."""
        self.forget()
        return super()._apply(*args, **kwargs)

    def forget(self) -> None:
        """Drop what was computed of other graphs."""
        self._tables, self._moved_cells = {}, {}

    def train(self, mode: bool = True) -> SeqalignNet:
        """Training makes what was kept out of date."""
        self._tables = {}
        return super().train(mode)


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Values of all cells of a graph, one step before the last propagation and after it."""

    before: Tensor
    now: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What became of all cells of a graph: in each layer that propagates, and in the end."""

    spread: tuple[Spread, ...]
    h2: Tensor
    scores: Tensor


# --- the losses --------------------------------------------------------------------------------


def join_cells(net: nn.Module, batches: Iterable[Batch]) -> None:
    """Before training: take the cells of both data sets in, and make their graphs."""
    assert isinstance(net, SeqalignNet)
    found = [(one.x[ATAC], one.y, one.key, one.domain, one.present[ATAC]) for one in batches]
    x, y, key, domain, present = (torch.cat(one) for one in zip(*found, strict=True))
    options, own = net.options, [(domain == number) & present for number in (SOURCE, TARGET)]
    cells = [x[one] for one in own]
    means = [one.mean(0) for one in cells]
    if options.center == "none":
        means = [torch.zeros_like(one) for one in means]
    elif own[TARGET].any():
        known = y[own[SOURCE]].cpu().numpy()
        reference, query = (one.cpu().numpy() for one in cells)
        away, net.explained = shift(query, reference, known, options.center)
        means[TARGET] = means[SOURCE] + torch.from_numpy(away).to(means[SOURCE])
    for number, home in enumerate(net.domains):
        if len(cells[number]):
            assert isinstance(home, Domain)
            home.mean = means[number]
            home.take(cells[number], y[own[number]], key[own[number]], options)
    net.forget()


def parted(cells: Tensor, options: SeqalignOptions) -> Tensor:
    """``(cells,)`` int64: parts of some thousand cells, by k-means."""
    n = max(1, round(len(cells) / PART))
    means = MiniBatchKMeans(n, random_state=0, batch_size=4096)
    return torch.from_numpy(means.fit_predict(cells.cpu().numpy()).astype("int64")).to(cells.device)


def align_loss(net: nn.Module, batch: Batch, clock: Clock, *, even: Balance) -> dict[str, Tensor]:
    """Cross-entropy of the reference and lambda times what tells the data sets apart (Eq. 21)."""
    assert isinstance(net, SeqalignNet)
    options = net.options
    seen = [
        shown(net, number, batch, clock) for number in ((SOURCE, TARGET)[: 1 + net.has_target()])
    ]
    h, scores, y = seen[0]
    parts = {"cross_entropy": classification(scores, y, even=even)}
    if net.has_target() and options.align != "none":
        other, guessed, _ = seen[1]
        alpha = strength(clock.progress, options.schedule)
        if options.align == "adversarial":
            share = common(guessed, y) if options.prior else None
            apart = told_apart(net.layers.discriminator, h, other, alpha, share)
        else:
            measure = mmd if options.align == "mmd" else coral
            apart = alpha * measure(*(some(one, clock.seed) for one in (h, other)))
        parts["domains"] = options.weight * apart
    return {"total": torch.stack([*parts.values()]).sum(), **parts}


def shown(net: SeqalignNet, number: int, batch: Batch, clock: Clock) -> tuple[Tensor, ...]:
    """Second layer, scores and types of the cells of a data set that a step looks at.

    All of them, those of one part (mode cluster), or those of the batch (mode sgc).
    """
    home, steps = net.domain(number), net.steps(number)
    if net.sgc():
        table = net.propagated(number)
        own = (batch.domain == number) & batch.present[ATAC]
        rows = torch.searchsorted(home.key, batch.key[own])
        h2, scores = net.plain(table[rows], (batch.key[own], clock.seed))
        return h2, scores, home.y[rows]
    if net.options.mode == "cluster":
        part = int(home.part[clock.seed * 7919 % len(home.part)])
        rows = torch.nonzero(home.part == part)[:, 0]
        told = net.whole(home.graph.only(rows), steps, (home.key[rows], clock.seed))
        return told.h2, told.scores, home.y[rows]
    told = net.whole(home.graph, steps, (home.key, clock.seed))
    return told.h2, told.scores, home.y


def linear_loss(
    net: nn.Module, batch: Batch, clock: Clock, *, n_cells: int, even: Balance
) -> dict[str, Tensor]:
    """Cross-entropy of the linear path, with the penalty of logistic regression (convex)."""
    assert isinstance(net, SeqalignNet)
    assert net.linear is not None
    learn = (batch.domain == SOURCE) & (batch.y >= 0)
    x = net.domain(SOURCE).ready(batch.x[ATAC][learn], net.options)
    penalty = net.options.penalty
    return logistic(net.linear, x, batch.y[learn], penalty=penalty, n_cells=n_cells, even=even)


# --- the record --------------------------------------------------------------------------------


class Seqalign(Method[SeqalignOptions]):
    """Names ATAC cells across data sets that need not share a peak."""

    name: ClassVar = "seqalign"
    paper: ClassVar = "seqAlignATAC (Bioinformatics, 2025, btaf682)"
    summary: ClassVar = "ATAC cells by the DNA of their peaks, aligned on graphs across data sets"
    needs: ClassVar = Needs({ATAC: "shared"}, query=True)
    Options: ClassVar = SeqalignOptions
    presets: ClassVar = {
        "paper": {
            "dim": 128,
            "center": "none",
            "metric": "euclidean",
            "linear_path": False,
            "target_steps": 30,
            "teleport": 0.0,
            "weight": 0.001,
            "lr": 0.1,
        }
    }

    def own(self, options: SeqalignOptions) -> frozenset[str]:
        """Peaks stay each data set's own, unless they are not read by their DNA."""
        return frozenset() if options.embedder == "lsi" else frozenset({ATAC})

    def features(self, options: SeqalignOptions) -> Mapping[str, tuple[Transform, ...]]:
        """Cells by the DNA of their peaks, or by singular vectors."""
        if options.embedder == "lsi":
            components = Components(options.components + 1, first=1)
            chain = (Open(options.open_share), TfIdf(unit=True), components, Scale())
            return {ATAC: chain}
        cells = SequenceCells(
            PeakReader(
                options.embedder,
                window=options.window,
                k=options.k,
                motifs=options.motifs,
                checkpoint=options.checkpoint,
                layer=options.layer,
                both_strands=options.both_strands,
                half=options.half,
                embeddings=options.embeddings,
                change=options.change,
                mutated=options.mutated,
            ),
            dim=options.dim,
            hidden=options.trunk_hidden,
            cells=options.trunk_cells,
            channels=options.channels,
            epochs=options.trunk_epochs,
            lr=options.trunk_lr,
        )
        return {ATAC: (cells,)}

    def build(
        self, widths: Mapping[str, int], n_types: int, options: SeqalignOptions
    ) -> SeqalignNet:
        """The graph network; its graphs come with the cells."""
        return SeqalignNet(widths[ATAC], n_types, options)

    def stages(self, options: SeqalignOptions, sizes: Sequence[int]) -> Sequence[Stage]:
        """The linear path, by the reference; then the graphs of both data sets."""
        n_cells, even = sum(sizes), balance(sizes, options.balance)
        teach = partial(linear_loss, n_cells=n_cells, even=even)
        solve = Step(teach, part("linear"), Optim(solver="lbfgs"))
        knn = options.classifier == "knn"  # nothing is learned: the cells are taken in
        first = solved("linear", () if knn else (solve,), n_cells)
        size = first.batch_size if first.average else sys.maxsize  # cells without a type come too
        first = replace(first, batch_size=size, unlabelled=True, before=join_cells)
        if knn:
            return (first,)
        optim = Optim(options.lr, "sgd", weight_decay=options.weight_decay, clip=None)
        step = Step(partial(align_loss, even=even), part("layers"), optim)
        size = {"sgc": options.batch_size, "cluster": PART, "full": sys.maxsize}.get(options.mode)
        size = size or (options.batch_size if n_cells > WHOLE else WHOLE)
        align = Stage("align", (step,), options.epochs, size, unlabelled=True, before=join_cells)
        return (first, align) if options.linear_path else (align,)

    def predict(self, net: nn.Module, batch: Batch) -> Output:
        """Second layer and scores, each cell hung on to the graph of its data set."""
        assert isinstance(net, SeqalignNet)
        x, theirs = batch.x[ATAC], (batch.domain == TARGET)[:, None]
        if theirs.all() or not net.has_target():
            return net(x, TARGET)
        source = net(x, SOURCE)
        if not theirs.any():
            return source
        target = net(x, TARGET)
        return Output(
            torch.where(theirs, target.embedding, source.embedding),
            torch.where(theirs, target.scores, source.scores),
        )
