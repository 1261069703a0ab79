"""Cells by the DNA of their open peaks: a network from sequence to accessibility (stage 1).

A *trunk* turns the embedding of a peak's sequence into h numbers; how open the peak is in a cell is
``sigmoid(h · w + b)``, with w and b of the cell. The trunk is learned from reference peaks in some
reference cells; it is then frozen. The w of any cell, over any peaks, is the one solution of a
convex problem, so data sets need not share a peak, and a new cell needs no new training.

Symbols: E embeddings of peaks, H what the trunk makes of them, w embedding of a cell, mu penalty
of w.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import cache
from hashlib import blake2b
from typing import Protocol, Self

import numpy as np
import torch
from scipy.sparse import csc_matrix, csr_matrix
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from cytonym.dna.cnn import Convolution
from cytonym.errors import DataError, ModelError, Problem
from cytonym.types import Blocks, Bound, FeatureSpace, Matrix

log = logging.getLogger("cytonym")

BLOCK = 2048
"""Peaks that go through the trunk at a time."""

SCORED = (2000, 256)
"""Held-out peaks, and cells, by which the trunk is judged, at most."""

CHANCE = 0.53
"""AUROC below which the DNA is doubted."""

PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)
"""Among which mu is chosen, by how well open peaks that were held out are told."""


class Reader(Protocol):
    """The sequence embeddings of the peaks of a data set."""

    @property
    def name(self) -> str:
        """What reads them; other weights, another name."""
        ...

    def __call__(self, space: FeatureSpace, *, progress: bool = False) -> np.ndarray:
        """``(peaks, d)``."""
        ...

    def proof(self, space: FeatureSpace, embedded: np.ndarray) -> dict[str, np.ndarray]:
        """What says later, beside the name, that other peaks are read as those of the fit were."""
        ...

    def check(self, space: FeatureSpace, learned: Mapping[str, np.ndarray]) -> None:
        """A DataError where they cannot be read, or not as ``learned`` (empty: nothing yet)."""
        ...


class Trunk(nn.Module):
    """Sequence embedding to h numbers: Linear - BatchNorm - GELU, twice (Eq. 2)."""

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden),
            nn.GELU(),
            nn.Linear(hidden, dim),
            nn.BatchNorm1d(dim),
            nn.GELU(),
        )

    def forward(self, embedded: Tensor) -> Tensor:
        """``(peaks, dim)``."""
        return self.layers(embedded)


class SequenceCells:
    """Place each cell by the DNA of its open peaks; the columns stay each data set's own.

    Parameters
    ----------
    read
        The sequence embeddings of the peaks of a data set.
    dim, hidden
        Width of a cell's embedding, and of the trunk's hidden layer.
    cells
        Reference cells that the trunk is learned from, at most.
    epochs, patience, batch_size, lr, dropout
        Of that training, which is over peaks; a twentieth of them say when to stop.
    channels
        Of the first convolution, where the trunk reads letters.
    sampled
        Peaks that stand for all closed ones when a cell is placed; drawn by their names.
    """

    def __init__(
        self,
        read: Reader,
        *,
        dim: int = 64,
        hidden: int = 512,
        cells: int = 4096,
        epochs: int = 100,
        patience: int = 8,
        batch_size: int = 512,
        lr: float = 1e-3,
        dropout: float = 0.2,
        sampled: int = 4096,
        channels: int = 288,
        seed: int = 0,
        progress: bool = False,
    ) -> None:
        self.read, self.channels = read, channels
        self.dim, self.hidden, self.cells = dim, hidden, cells
        self.epochs, self.patience, self.batch_size = epochs, patience, batch_size
        self.lr, self.dropout, self.sampled = lr, dropout, sampled
        self.seed, self.progress = seed, progress
        self.learned: dict[str, np.ndarray] = {}

    @property
    def note(self) -> str:
        """How well the DNA told which peaks are open."""
        told = float(self.learned.get("auroc", np.nan))
        poor = "; that is hardly more than chance (.5): is it their genome?" * (told < CHANCE)
        return (
            f"the DNA of held-out peaks told which are open in a cell with AUROC {told:.3f}{poor}"
        )

    def check(self, space: FeatureSpace) -> None:
        """A DataError where the DNA of the peaks cannot be read, or not as in the fit."""
        self.read.check(space, self.learned)
        if "reader" not in self.learned:
            return
        learned, name = str(self.learned["reader"]), self.read.name  # which reads weights
        if learned != name:
            what = f"the model was fitted on DNA as read by {learned}, not {name}"
            problem = Problem(what, "give the checkpoint of the fit, or fit again")
            raise DataError(problem, subject="the peaks")

    def fit(self, blocks: Blocks) -> Self:
        """Learn the trunk, the penalty mu, and the scale of the cells' embeddings."""
        embedded = self.read(blocks.space, progress=self.progress)
        if embedded.dtype == np.uint8:  # letters are read as they are
            self.learned = {}
        else:
            level, spread = embedded.mean(0), embedded.std(0)
            self.learned = {"level": level, "spread": np.where(spread > 1e-8, spread, 1.0)}
        self.learned["reader"] = np.array(self.read.name)
        self.learned |= self.read.proof(blocks.space, embedded)
        opened = _some(blocks, self.cells, self.seed)
        seen = np.bincount(opened.indices[opened.data > 0], minlength=len(embedded)) > 0
        held = np.zeros(len(seen), dtype=bool)
        rng = np.random.default_rng(self.seed)
        held[rng.choice(np.flatnonzero(seen), max(int(seen.sum()) // 20, 1), replace=False)] = True
        learn, told = np.flatnonzero(seen & ~held), np.flatnonzero(held)
        trunk, auroc = self._train(embedded, opened, learn, told)
        self.learned |= {f"trunk.{k}": v.numpy() for k, v in trunk.state_dict().items()}
        self.learned["auroc"] = np.array(auroc)
        log.info(self.note)
        h = self._through(trunk, embedded)
        self._choose(h, opened, held, blocks.space.names)
        made = self._placed(h, blocks.space.names)(opened)
        self.learned["center"], deep = made.mean(0), made.std(0)
        self.learned["scale"] = np.where(deep > 1e-8, deep, 1.0)
        return self

    def bind(self, space: FeatureSpace) -> Bound:
        """Counts over any peaks in, ``(cells, dim)`` float32 out: unit length, then scaled.

        The DNA is read with the first block.
        """
        center, scale = self.learned["center"], self.learned["scale"]
        names = np.array([f"dna_{i + 1}" for i in range(len(center))])
        out = FeatureSpace(space.modality, names, np.ones(len(names), dtype=bool))
        place = cache(lambda: self._bound(space))

        def apply(block: Matrix) -> Matrix:
            return ((place()(block) - center) / scale).astype(np.float32)

        return Bound(out, apply)

    def _bound(self, space: FeatureSpace) -> Callable[[Matrix], np.ndarray]:
        """What places cells by the peaks of ``space``."""
        embedded = self.read(space, progress=self.progress)
        return self._placed(self._trunk_of(embedded), space.names)

    def _trunk_of(self, embedded: np.ndarray) -> Tensor:
        """H of these peaks, by the trunk that was learned."""
        level = self.learned.get("level")
        if level is not None and embedded.shape[1] != len(level):
            what = f"their DNA is read as {embedded.shape[1]} numbers, in the fit as {len(level)}"
            problem = Problem(what, "embed them as the peaks of the fit")
            raise DataError(problem, subject="the peaks")
        trunk = self._network(embedded)
        weights = {
            name.removeprefix("trunk."): torch.from_numpy(np.asarray(array))
            for name, array in self.learned.items()
            if name.startswith("trunk.")
        }
        try:
            trunk.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(f"What the model learned of DNA is not whole: {error}") from error
        return self._through(trunk.eval(), embedded)

    def state(self) -> dict[str, np.ndarray]:
        """Trunk, penalty and scales."""
        return self.learned

    def restore(self, state: Mapping[str, np.ndarray]) -> Self:
        """Take them back; a ValueError where something lacks."""
        if lacking := {"reader", "penalty", "center", "scale"} - {*state}:
            raise ValueError(f"what was learned of the DNA lacks {', '.join(sorted(lacking))}")
        if any(state[name].shape != (self.dim,) for name in ("center", "scale")):
            raise ValueError(f"cells are not placed by {self.dim} numbers")
        self.learned = dict(state)
        return self

    def _network(self, embedded: np.ndarray) -> nn.Module:
        """A fresh trunk for what is read."""
        if embedded.dtype == np.uint8:
            return Convolution(embedded.shape[1], self.dim, channels=self.channels)
        return Trunk(embedded.shape[1], self.hidden, self.dim)

    def _scaled(self, embedded: np.ndarray) -> Tensor:
        """Some peaks as the trunk reads them."""
        if embedded.dtype == np.uint8:
            return torch.from_numpy(np.array(embedded))
        some = (embedded - self.learned["level"]) / self.learned["spread"]
        return torch.from_numpy(some.astype(np.float32))

    @torch.no_grad()
    def _through(self, trunk: nn.Module, embedded: np.ndarray) -> Tensor:
        """H of all peaks, by blocks."""
        starts = range(0, len(embedded), BLOCK)
        return torch.cat([trunk(self._scaled(embedded[i : i + BLOCK])) for i in starts])

    def _train(
        self, embedded: np.ndarray, opened: csr_matrix, learn: np.ndarray, held: np.ndarray
    ) -> tuple[nn.Module, float]:
        """Trunk and columns together (Eqs. 1 to 5); the best on held-out peaks is kept."""
        by_peak = csc_matrix(opened > 0, dtype=np.float32)
        rate = np.asarray(by_peak.mean(1)).ravel().clip(1e-6, 1 - 1e-6)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            trunk = self._network(embedded)
            cells = nn.Linear(self.dim, opened.shape[0])  # type: ignore[index]
            nn.init.normal_(cells.weight, std=0.01)
            with torch.no_grad():
                cells.bias.copy_(torch.from_numpy(np.log(rate / (1 - rate))))
            both = [*trunk.parameters(), *cells.parameters()]
            optimiser = torch.optim.Adam(both, lr=self.lr, betas=(0.95, 0.9995))
            order = np.random.default_rng(self.seed)
            held, some = held[: SCORED[0]], order.permutation(by_peak.shape[0])[: SCORED[1]]  # type: ignore[index]
            truth = torch.from_numpy(by_peak[:, held][some].toarray().T)
            best, kept, waited = -np.inf, {}, 0
            bar = tqdm(total=self.epochs, desc="reading DNA", disable=not self.progress)
            with bar:
                for _ in range(self.epochs):
                    trunk.train()
                    for rows in _batches(order.permutation(learn), self.batch_size):
                        h = F.dropout(trunk(self._scaled(embedded[rows])), self.dropout)
                        y = torch.from_numpy(by_peak[:, rows].toarray().T)
                        loss = F.binary_cross_entropy_with_logits(cells(h), y)
                        optimiser.zero_grad()
                        loss.backward()
                        optimiser.step()
                    trunk.eval()
                    with torch.no_grad():
                        said = cells(self._through(trunk, embedded[held]))
                        score = auroc(said[:, some], truth)
                    bar.update()
                    bar.set_postfix(auroc=f"{score:.3f}")
                    waited += 1
                    if score > best:
                        best, waited = score, 0
                        kept = {k: v.clone() for k, v in trunk.state_dict().items()}
                    if waited >= self.patience:
                        break
        trunk.load_state_dict(kept)
        return trunk.eval(), best

    def _choose(self, h: Tensor, opened: csr_matrix, held: np.ndarray, names: np.ndarray) -> None:
        """The penalty with which held-out peaks of reference cells are told best."""
        rows = np.random.default_rng(self.seed).permutation(opened.shape[0])[:256]  # type: ignore[index]
        some = csr_matrix(opened[np.sort(rows)])
        truth = torch.from_numpy((some[:, held] > 0).toarray().astype(np.float32))
        level, kept = {}, drawn(names[~held], self.sampled)
        for penalty in PENALTIES:
            solve = Solver(h[~held], penalty, kept)
            found = solve(csr_matrix(some[:, ~held]))
            with torch.no_grad():
                logits = found[:, :-1] @ h[held].T + found[:, -1:]
                level[penalty] = F.binary_cross_entropy_with_logits(logits, truth).item()
        self.learned["penalty"] = np.array(min(level, key=lambda one: level[one]))

    def _placed(self, h: Tensor, names: np.ndarray) -> Callable[[Matrix], np.ndarray]:
        solve = Solver(h, float(self.learned["penalty"]), drawn(names, self.sampled))

        def place(block: Matrix) -> np.ndarray:
            w = solve(csr_matrix(block))[:, :-1]
            return F.normalize(w, dim=1).numpy()

        return place


class Solver:
    """The embedding of each cell on a frozen trunk, by Newton's method.

    Minimises ``sum_p softplus(z_p) - sum_open z_p + mu/2 |w|²`` with ``z = H w + b``. The first sum
    is over the peaks ``some``, which stand for all; the second is exact. What the sample's mean
    differs by from that of all peaks is made up for (a control variate), or two data sets, with a
    sample each, would differ by it. Cells do not depend on one another.
    """

    def __init__(self, h: Tensor, penalty: float, some: np.ndarray) -> None:
        self.h = torch.cat([h, h.new_ones(len(h), 1)], dim=1)
        self.some, self.weight = self.h[some], len(h) / len(some)
        self.left = self.h.sum(0) - self.weight * self.some.sum(0)  # what the sample misses
        width = self.h.shape[1]
        self.upper = torch.triu_indices(width, width)
        self.outer = self.some[:, self.upper[0]] * self.some[:, self.upper[1]]
        self.penalty = torch.full((width,), penalty)
        self.penalty[-1] = 1e-3  # the depth of a cell is hardly shrunk

    @torch.no_grad()
    def __call__(self, block: csr_matrix, *, steps: int = 12) -> Tensor:
        """``(cells, dim + 1)`` float32; the last column is b."""
        found = [self._solve(part, steps) for part in _parts(block, 512)]
        return torch.cat([self.h[:0], *found])

    def _solve(self, block: csr_matrix, steps: int) -> Tensor:
        opened = (block.data > 0).astype(np.float32)
        binary = csr_matrix((opened, block.indices, block.indptr), block.shape)
        pull = torch.from_numpy(np.asarray(binary @ self.h.numpy(), dtype=np.float32))
        rate = pull[:, -1].clamp_min(0.5) / len(self.h)
        pull = pull - rate[:, None] * self.left  # as if all peaks were as open as the mean one
        w = torch.zeros_like(pull)
        w[:, -1] = torch.logit(rate.clamp_max(0.99))
        value = self._value(w, pull)
        for _ in range(steps):
            p = (w @ self.some.T).sigmoid()
            slope = self.weight * p @ self.some - pull + self.penalty * w
            flat = self.weight * (p * (1 - p)) @ self.outer
            curve = w.new_zeros(len(w), w.shape[1], w.shape[1])
            curve[:, self.upper[0], self.upper[1]] = flat
            curve[:, self.upper[1], self.upper[0]] = flat
            curve += torch.diag(self.penalty)
            step = torch.cholesky_solve(slope[..., None], _root(curve))[..., 0]
            share = torch.ones(len(w), 1)
            for halving in range(9):  # a step that does not help is halved, and left out at last
                tried = self._value(w - share * step, pull)
                worse = tried > value + 1e-6 * value.abs()
                if not worse.any():
                    break
                share[worse] = share[worse] / 2 if halving < 7 else 0.0
            w, value = w - share * step, tried
            if (share * step).abs().max() < 1e-4:
                break
        return w

    def _value(self, w: Tensor, pull: Tensor) -> Tensor:
        closed = self.weight * F.softplus(w @ self.some.T).sum(1)
        return closed - (w * pull).sum(1) + (self.penalty * w.square()).sum(1) / 2


def drawn(names: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most ``most`` peaks, by a checksum of their names: in any order the same ones."""
    if len(names) <= most:
        return np.arange(len(names))
    lot = [blake2b(str(one).encode(), digest_size=8).digest() for one in names]
    return np.sort(np.argsort(np.array(lot), kind="stable")[:most])


def _root(curve: Tensor) -> Tensor:
    """Cholesky's root; where rounding leaves none, of a matrix with more on its diagonal."""
    root, failed = torch.linalg.cholesky_ex(curve)
    raised = 1e-6
    while failed.any():
        if raised > 1e6:
            raise DataError(
                Problem("a cell has no place: the embeddings are too large", "scale them"),
                subject="the peaks",
            )
        diagonal = curve.diagonal(dim1=1, dim2=2)
        more = torch.diag_embed(raised * diagonal.mean(1, keepdim=True).expand_as(diagonal))
        root, failed = torch.linalg.cholesky_ex(curve + (failed > 0)[:, None, None] * more)
        raised *= 10
    return root


def auroc(scores: Tensor, truth: Tensor) -> float:
    """Mean over cells of the area under the curve: are its open peaks told from its closed ones?

    ``(peaks, cells)`` both. How deep a cell was read does not matter to it. Cells that have all of
    the peaks or none are passed over.
    """
    is_open = truth > 0
    n = is_open.sum(0).double()
    mixed = (n > 0) & (n < len(truth))
    if not mixed.any():
        raise DataError(
            Problem("the held-out peaks are all open or all closed", "give more cells or peaks"),
            subject="the reference",
        )
    ranks = scores.argsort(0).argsort(0).double() + 1
    area = ((ranks * is_open).sum(0) - n * (n + 1) / 2) / (n * (len(truth) - n))
    return float(area[mixed].mean())


def _some(blocks: Blocks, most: int, seed: int) -> csr_matrix:
    """Up to ``most`` cells of all blocks, drawn once."""
    from scipy.sparse import vstack

    chosen = np.zeros(len(blocks), dtype=bool)
    chosen[np.random.default_rng(seed).permutation(len(blocks))[:most]] = True
    parts, start = [], 0
    for block in blocks:
        rows = csr_matrix(block)
        stop = start + rows.shape[0]  # type: ignore[index]
        parts.append(rows[chosen[start:stop]])
        start = stop
    return csr_matrix(vstack(parts, "csr"))


def _batches(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Even parts of about ``size``."""
    return np.array_split(rows, max(round(len(rows) / size), 1))


def _parts(block: csr_matrix, size: int) -> list[csr_matrix]:
    n = block.shape[0]  # type: ignore[index]
    return [csr_matrix(block[start : start + size]) for start in range(0, n, size)]
