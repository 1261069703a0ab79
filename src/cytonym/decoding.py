"""A modality as a model sees it, without noise: from itself, or from another one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from jaxtyping import Bool
from scipy.sparse import csr_matrix, vstack
from torch import nn
from tqdm.auto import tqdm

from cytonym.data.joined import join
from cytonym.data.loader import Feed
from cytonym.data.read import Reading, open_read
from cytonym.data.source import Cells
from cytonym.dense import ROWS, check_target, write_blocks
from cytonym.device import pick
from cytonym.errors import OptionError, suggest
from cytonym.memory import FACTS, Memory, check_fits, in_bytes, resident
from cytonym.methods import Generates, Method
from cytonym.opening import Data, Opened, check_loads
from cytonym.types import Batch, FeatureSpace

LARGEST = 200_000_000
"""Values that are computed into memory at once, at most."""

TIMES = 5
"""Times that decoded values are in memory while a block of them is computed and written."""

LEAST = 16
"""Cells that are decoded at once, at least: a store of fewer rows a chunk is a heap of files."""

PER_CELL = 1e4
"""Counts, in the genes that the model reads, that decoded RNA is given for."""


class Model(Protocol):
    """What is used of a fitted model."""

    @property
    def method(self) -> Method:
        """The recipe."""
        ...

    @property
    def net(self) -> nn.Module:
        """The network."""
        ...

    def opened(self, data: Data | Cells, how: Reading) -> Opened:
        """The data as the network reads them."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """One modality of some cells, computed where it is looked at; never a whole matrix in memory.

    Values are expected counts per 10,000 in the genes that the model reads (RNA), probabilities
    of being open in a cell of mean depth (ATAC), or rates (methylation). Of a cell without any
    value of ``source`` nothing is known: its row is NaN.

    Attributes
    ----------
    modality, source
        What is decoded, and from the code of which modality.
    obs
        Facts of the cells, as in the data.
    space
        The features that the model decodes.
    notes
        What the user should know.
    read
        The file that is read, or None.
    size
        Cells that are computed at once.
    """

    modality: str
    source: str
    obs: pd.DataFrame
    space: FeatureSpace
    notes: tuple[str, ...]
    read: Path | None
    _feed: Feed = field(repr=False)
    _method: Generates = field(repr=False)
    _net: nn.Module = field(repr=False)
    _device: torch.device = field(repr=False)
    size: int = ROWS

    @property
    def cells(self) -> np.ndarray:
        """``(cells,)`` str."""
        return self._feed.source.cells

    @property
    def features(self) -> np.ndarray:
        """``(features,)`` str."""
        return self.space.names

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and features."""
        return len(self.cells), len(self.features)

    def __repr__(self) -> str:
        return f"<{self.modality} from {self.source}: {self.shape[0]:,} cells × {self.shape[1]:,}>"

    def frame(
        self, cells: Sequence[str] | None = None, features: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Some cells and features (all that are not named) as a table of float32.

        Raises
        ------
        OptionError
            A name that is not there, or more values than fit into memory well.
        """
        rows = _places(cells, self.cells, "cell")
        columns = _places(features, self.features, "feature")
        if len(rows) * len(columns) > LARGEST:
            raise OptionError(
                f"{len(rows):,} cells × {len(columns):,} features are {len(rows) * len(columns):,} "
                f"values, and at most {LARGEST:,} are computed at once: name cells or features, "
                "walk over blocks(), or write() them to a file."
            )
        chosen = None if features is None else columns
        parts = [block for _, block in self.blocks(rows=rows, columns=chosen)]
        values = np.concatenate(parts) if parts else np.empty((0, len(columns)), np.float32)
        return pd.DataFrame(values, index=self.cells[rows], columns=self.features[columns])

    def blocks(
        self,
        size: int | None = None,
        *,
        rows: np.ndarray | None = None,
        columns: np.ndarray | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Row numbers and their values ``(size, features)`` float32, one block after the other."""
        feed = self._feed if rows is None else self._feed.of(rows)
        wanted = None
        if columns is not None:
            wanted = torch.from_numpy(np.asarray(columns, np.int64)).to(self._device)
        scale = PER_CELL if self.modality == "rna" else 1.0
        for places, batch in feed.batches(size or self.size):
            batch = batch.to(self._device)
            self._net.to(self._device)  # whoever named cells meanwhile has taken it away
            with torch.inference_mode():
                latent = self._method.latent(self._net, batch, self.source)
                values = self._method.decode(self._net, latent, self.modality, wanted)
                values = torch.where(_known(batch, self.source)[:, None], values, torch.nan)
            yield places, (values * scale).float().cpu().numpy()

    def draw(self, *, seed: int = 0, depth: float | None = None, progress: bool = False) -> AnnData:
        """Counts as if measured: Poisson for RNA, 0 or 1 for peaks; sparse. Cells of which
        nothing is known are left out.

        Parameters
        ----------
        depth
            Expected counts of a cell; default: 10,000 for RNA, for ATAC ten times the open peaks
            of a mean cell, so that little is lost by chance.
        """
        rng = np.random.default_rng(seed)
        parts, kept = [], []
        with tqdm(total=len(self.cells), desc="generating", disable=not progress) as bar:
            for rows, values in self.blocks():
                known = ~np.isnan(values).all(1)
                parts.append(csr_matrix(self._counts(values[known], depth, rng)))
                kept.append(known)
                bar.update(len(rows))
        var = pd.DataFrame(dict(self.space.columns), index=pd.Index(self.features))
        obs = pd.DataFrame(self.obs[np.concatenate(kept)], copy=True)
        return AnnData(csr_matrix(vstack(parts, "csr")), obs, var)

    def _counts(
        self, values: np.ndarray, depth: float | None, rng: np.random.Generator
    ) -> np.ndarray:
        if self.modality == "rna":
            return rng.poisson(values * ((depth or PER_CELL) / PER_CELL)).astype(np.float32)
        if self.modality != "atac":
            raise OptionError(f"There are no counts of {self.modality} to draw.")
        more = 10.0 if depth is None else depth / values.sum(1, keepdims=True)
        chance = values * more
        return (rng.random(values.shape, np.float32) < chance).astype(np.float32)

    def write(self, out: str | Path, *, progress: bool = True) -> None:
        """Write everything to ``out``, ``.zarr`` (float16) or ``.h5ad`` (float32), by blocks.

        It appears under its name only when it is complete.
        """
        write_decoded([self], out, progress=progress)


def measured(
    model: Model,
    data: Data,
    *,
    genes: str | None = None,
    layer: str | None = None,
    modalities: Mapping[str, str] | None = None,
) -> list[str]:
    """The modalities of the model that ``data`` have."""
    return [*model.opened(data, Reading(genes, layer, modalities)).coverage]


def decoded(
    model: Model,
    data: Data | Cells,
    how: Reading,
    *,
    target: str | None,
    source: str | None,
    device: str,
    max_memory: Memory | None = None,
) -> Decoded:
    """The modality ``target`` of ``data``, by the code of ``source`` (default: its own)."""
    method, where = model.method, pick(device)
    if not isinstance(method, Generates):
        raise OptionError(f"The method {method.name!r} neither denoises nor generates; dcca does.")
    opened = model.opened(data, how)
    known = [*opened.feed.inputs.bound]
    have = [name for name in known if name in opened.coverage]
    target = target or (have[0] if len(have) == 1 else None)
    if target is None:
        raise OptionError(f"Say which modality: {' or '.join(have)}.")
    if target not in known:
        raise OptionError(f"The model has no {target!r}. {suggest(target, known)}")
    source = source or target
    if source != "joint" and source not in have:
        other = next((name for name in known if name not in have), target)
        remedy = f"ask denoise for {have[0]}, or generate {other} from it"
        raise OptionError(
            f"{target} is asked for from {source}, and the data have {', '.join(have)} of the "
            f"model's {', '.join(known)}: {remedy}."
        )
    space = opened.feed.source.spaces[target]
    kept = space.take(opened.feed.inputs.counts[target])
    size = _at_once(opened, len(kept), max_memory)
    work = (opened.feed, method, model.net.eval(), where, size)
    return Decoded(target, source, opened.cells.obs, kept, opened.notes, opened.cells.path, *work)


def _at_once(opened: Opened, features: int, limit: Memory | None) -> int:
    """Cells whose values are computed at once; an OptionError where not even ``LEAST`` fit."""
    if limit is None:
        return ROWS
    check_loads(opened.cells, in_bytes(limit))
    held = resident() + FACTS * len(opened.feed.rows)
    one = 4 * (TIMES * features + sum(opened.feed.inputs.widths.values()))
    what = f"Decoding {features:,} features of {LEAST} cells"
    check_fits(what, held + LEAST * one, limit, "give as much")
    return min(ROWS, (in_bytes(limit) - held) // one)


def _known(batch: Batch, source: str) -> Bool[torch.Tensor, " cells"]:
    """In which cells there is any value to decode from."""
    names = [*batch.counts] if source == "joint" else [source]
    some = [batch.present[name] & (batch.counts[name].start.diff() > 0) for name in names]
    return torch.stack(some).any(0)


def write_decoded(parts: Sequence[Decoded], out: str | Path, *, progress: bool = True) -> None:
    """Write one decoded modality as AnnData, or several of the same cells as MuData, by blocks.

    ``out`` ends in ``.zarr``, or in ``.h5ad`` (``.h5mu`` for several).
    """
    out = Path(out).expanduser()
    check_target(out, *(one.read for one in parts), several=len(parts) > 1)
    tables = {
        one.modality: AnnData(
            obs=one.obs.copy(),
            var=pd.DataFrame(dict(one.space.columns), index=pd.Index(one.features)),
            uns={"decoded": {"modality": one.modality, "source": one.source}},
        )
        for one in parts
    }
    size = min(one.size for one in parts)
    total = sum(len(one.cells) for one in parts)
    with tqdm(total=total, desc="decoding", unit="cell", disable=not progress) as bar:

        def walk(one: Decoded) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            for rows, values in one.blocks(size):
                yield rows, values
                bar.update(len(rows))

        write_blocks(out, tables, {one.modality: walk(one) for one in parts}, size=size)


def with_generated(
    model: Model,
    data: Data,
    how: Reading,
    *,
    wanted: Sequence[str],
    device: str,
    progress: bool,
) -> Cells:
    """``data`` with those of the modalities ``wanted`` that they lack, drawn by ``model``."""
    cells = open_read(data, how)
    lacking = [name for name in wanted if name not in cells.spaces]
    if not lacking:
        cells.notes.append("nothing was generated: no modality is missing")
        return cells
    parts, notes = dict.fromkeys(cells.spaces, cells), [*cells.notes]
    for name in lacking:
        source = next((one for one in wanted if one in cells.spaces), None)
        made = decoded(model, cells, how, target=name, source=source, device=device)
        parts[name] = open_read({name: made.draw(progress=progress)}, Reading())
        notes.append(f"{name} was not measured: generated from {source} by {model.method.name}")
    return join(parts, cells.obs, notes)


def _places(names: Sequence[str] | None, known: np.ndarray, what: str) -> np.ndarray:
    """Where ``names`` are among ``known``; all of them where none are given."""
    if names is None:
        return np.arange(len(known))
    found = pd.Index(known).get_indexer(pd.Index([*names]))
    if (found < 0).any():
        absent = [str(name) for name, place in zip(names, found, strict=True) if place < 0]
        raise OptionError(
            f"{len(absent):,} of {len(names):,} {what}s are not there: {', '.join(absent[:5])}. "
            + suggest(absent[0], [str(one) for one in known])
        )
    return found
