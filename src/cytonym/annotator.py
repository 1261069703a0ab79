"""The fitted model: annotate, embed, explain, complete, save and load."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from torch import nn
from tqdm.auto import tqdm

from cytonym.bundle import Bundle, read_bundle, write_bundle
from cytonym.data.align import align
from cytonym.data.coverage import Coverage
from cytonym.data.loader import Feed
from cytonym.data.pairing import pairing
from cytonym.data.read import Reading, open_read
from cytonym.errors import DataError, ModelError, OptionError, Problem
from cytonym.explaining import by_gene, by_sub_vector
from cytonym.methods import Completes, Method, get
from cytonym.options import Options
from cytonym.prep import bind_chain, chain_state, restore_chain
from cytonym.report import FitReport
from cytonym.result import Annotation
from cytonym.types import CellSource, FeatureSpace, Transform

if TYPE_CHECKING:
    from mudata import MuData

Data: TypeAlias = "str | Path | AnnData | MuData | Mapping[str, str | Path | AnnData]"
"""A file, an object, or one of these for each modality."""


@dataclass(frozen=True, slots=True, eq=False)
class Annotator:
    """A fitted model; made by :func:`cytonym.fit` or :func:`cytonym.load`, never otherwise.

    Attributes
    ----------
    method, options, seed
        What was fitted, and how; every ``auto`` is decided.
    label_names
        The types, in the order of the scores.
    spaces
        By modality, the reference's features.
    transforms
        By modality, the fitted transforms.
    net
        The network, in eval mode.
    report
        How well it does on held-out cells of the reference, and what was noted.
    salience
        Mean salience by type: ``features`` ``(types, features)`` and perhaps ``tokens``
        ``(types, tokens)``; empty where the method cannot explain.
    """

    method: Method
    options: Options
    seed: int
    label_names: list[str]
    spaces: Mapping[str, FeatureSpace]
    transforms: Mapping[str, tuple[Transform, ...]]
    net: nn.Module
    report: FitReport
    salience: Mapping[str, np.ndarray]

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(space):,} {name}" for name, space in self.spaces.items())
        return f"<{self.method.name} model: {len(self.label_names)} types, reference of {sizes}>"

    def annotate(
        self,
        data: Data,
        *,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        batch_size: int = 512,
        progress: bool = True,
    ) -> Annotation:
        """Name the cells of ``data``; writes nothing.

        Parameters
        ----------
        data
            A file (then streamed) or AnnData; left as it is.
        genes, layer, modalities
            The column with gene identifiers, where the values lie, and what the parts of a
            MuData are called (``{"rna": "GEX"}``); found by evidence otherwise.
        batch_size
            Cells at a time; the answer does not depend on it.

        Raises
        ------
        DataError
            The data cannot be read, or share too few features with the reference.
        """
        if batch_size < 1:
            raise OptionError(f"batch_size is at least 1; it is {batch_size}.")
        feed, coverage, notes = self._open(data, Reading(genes, layer, modalities))
        probabilities, embedding = self._predict(feed, batch_size, progress)
        if feed.n_empty:
            notes = (
                *notes,
                f"{feed.n_empty:,} cells hold no count of any feature that both sides have: their "
                "names mean nothing",
            )
        for modality, n in feed.n_without.items():
            notes = (
                *notes,
                f"{n:,} cells hold no count of {modality}: they were named as cells without it",
            )
        best = probabilities.argmax(1)
        return Annotation(
            cells=feed.source.cells,
            labels=np.array(self.label_names, dtype=object)[best],
            confidence=probabilities.max(1),
            probabilities=pd.DataFrame(
                probabilities, index=feed.source.cells, columns=pd.Index(self.label_names)
            ),
            embedding=embedding,
            coverage=coverage,
            notes=notes,
            model=self.facts(),
        )

    def embed(
        self,
        data: Data,
        *,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        batch_size: int = 512,
        progress: bool = True,
    ) -> np.ndarray:
        """The embedding ``(cells, dim)`` float32 of the cells of ``data``."""
        feed, *_ = self._open(data, Reading(genes, layer, modalities))
        return self._predict(feed, batch_size, progress)[1]

    def complete(
        self,
        data: Data,
        *,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        batch_size: int = 512,
    ) -> pd.DataFrame:
        """Values of the model's genes, in its own scale, with unmeasured genes filled in.

        Returns
        -------
        DataFrame
            ``(cells, features)`` float32: scaled log1p CP10k (0 = the reference's mean).

        Raises
        ------
        OptionError
            The method cannot complete, or its decoder was switched off.
        """
        method = self.method
        if not isinstance(method, Completes):
            raise OptionError(f"The method {method.name!r} cannot fill in features.")
        feed, *_ = self._open(data, Reading(genes, layer, modalities))
        modality, bound = next(iter(feed.bound.items()))
        missing = torch.from_numpy(~bound.space.measured)
        filled = []
        with torch.inference_mode():
            self.net.cpu()
            for _, batch in feed.batches(batch_size):
                # Smoothing has filled the gaps; the decoder is asked for what was not measured.
                x = batch.x[modality].masked_fill(missing, torch.nan)
                asked = replace(batch, x={**batch.x, modality: x})
                filled.append(method.complete(self.net, asked)[modality].numpy())
        return pd.DataFrame(
            np.concatenate(filled), index=feed.source.cells, columns=bound.space.names
        )

    def explain(
        self, *, top: int = 20, by: Literal["genes", "sub_vectors"] = "genes"
    ) -> pd.DataFrame:
        """Which features speak for each type, as learned from the reference.

        Parameters
        ----------
        top
            Rows a type.
        by
            ``genes``: columns ``type, rank, gene, score`` (a gene's mean share of the type's
            score, above the mean of all types' scores, in the reference cells of the type),
            ``expression`` (``high`` or ``low``: the type's mean against that of all types; a
            gene that is absent from a type can speak for it as well as one that is there) and,
            where the method reads sub-vectors, ``sub_vector, salience``.
            ``sub_vectors``: columns ``type, rank, sub_vector, salience, genes``.

        Raises
        ------
        OptionError
            The method has no such explanation.
        """
        if "features" not in self.salience:
            raise OptionError(f"The method {self.method.name!r} does not say why.")
        names = self.feature_names()
        if by == "genes":
            return by_gene(self.salience, names, self.label_names, top)
        if "tokens" not in self.salience:
            raise OptionError(f"This {self.method.name!r} model has no sub-vectors.")
        return by_sub_vector(self.salience, names, self.label_names, top)

    def feature_names(self) -> np.ndarray:
        """``(features,)`` str: the features that the network reads, of the first modality."""
        modality = next(iter(self.transforms))
        return bind_chain(self.transforms[modality], self.spaces[modality]).space.names

    def facts(self) -> dict[str, Any]:
        """What identifies the model, for ``uns`` and the manifest."""
        return {
            "method": self.method.name,
            "version": version("cytonym"),
            "seed": self.seed,
            "options": self.options.model_dump_json(),
            "hash": _hash(self.net),
        }

    def save(self, path: str | Path) -> None:
        """Write the model folder ``path``; replaces an older model of that name, nothing else."""
        arrays: dict[str, np.ndarray] = {}
        for modality, space in self.spaces.items():
            arrays[f"space/{modality}/names"] = space.names
            for name, column in space.columns.items():
                arrays[f"space/{modality}/column/{name}"] = column
            for name, array in chain_state(self.transforms[modality]).items():
                arrays[f"transform/{modality}/{name}"] = array
        arrays |= {f"salience/{name}": array for name, array in self.salience.items()}
        facts = {
            **self.facts(),
            "options": self.options.model_dump(mode="json"),
            "labels": self.label_names,
            "modalities": [*self.spaces],
            "report": self.report.to_dict(),
        }
        write_bundle(Path(path), Bundle(facts, self.net.state_dict(), arrays))

    def _open(self, data: Data, how: Reading) -> tuple[Feed, dict[str, Coverage], tuple[str, ...]]:
        """The data as the network reads them, with what was found on the way."""
        cells = open_read(data, how)
        check_values(self.method, cells, cells.name)
        source, coverage = align(cells, self.spaces, genes=how.genes)
        bound = {
            modality: bind_chain(chain, source.spaces[modality])
            for modality, chain in self.transforms.items()
        }
        problems = [_unread(one.space) for one in bound.values()]
        if any(problems):
            raise DataError([one for one in problems if one], subject=cells.name)
        n = len(source.cells)
        feed = Feed(source, bound, np.full(n, -1), np.arange(n), memory=0, domain=1)
        notes = [*cells.notes, *unread(cells, self.spaces)]
        pairs = pairing(cells) if len(self.spaces) > 1 else None
        notes += [pairs.note] if pairs and pairs.note else []
        notes += cells.read_as(coverage)
        notes += [str(found) for found in coverage.values()]
        notes += [
            f"{modality}: of the features that the model reads, {one.space.measured.mean():.0%} "
            "were measured"
            + "; fewer than half: a fit with query= (--query), on the genes of both, is safer"
            * bool(one.space.measured.mean() < 0.5)
            for modality, one in bound.items()
            if not one.space.measured.all()
        ]
        notes += [
            f"{modality}: fewer than half of the reference's features were measured; a fit with "
            "query= (--query), on the features of both, is safer"
            for modality, found in coverage.items()
            if found.share < 0.5 and bound[modality].space.measured.all()
        ]
        notes += [note for found in coverage.values() for note in found.notes]
        return feed, coverage, tuple(notes)

    def _predict(
        self, feed: Feed, batch_size: int, progress: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities ``(cells, types)`` and embedding ``(cells, dim)``, float32."""
        answer: list[np.ndarray] = []
        done, n_cells = 0, len(feed.rows)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.net.to(device)
        bar = tqdm(total=n_cells, desc="naming", unit="cell", disable=not progress)
        with bar, torch.inference_mode():
            for rows, batch in feed.batches(batch_size):
                said = self.method.predict(self.net, batch.to(device))
                if said.scores is None:
                    raise OptionError(f"{self.method.name!r} was fitted without labels.")
                pieces = said.scores.float().softmax(1), said.embedding.float()
                answer = answer or [
                    np.empty((n_cells, piece.shape[1]), dtype=np.float32) for piece in pieces
                ]
                for whole, piece in zip(answer, pieces, strict=True):
                    whole[done : done + len(rows)] = piece.cpu().numpy()
                done += len(rows)
                bar.update(len(rows))
        self.net.cpu()
        probabilities, embedding = answer
        return probabilities, embedding


def load(path: str | Path) -> Annotator:
    """Read a model folder that :meth:`Annotator.save` wrote; runs no code from it.

    Raises
    ------
    ModelError
        No model there, damaged, or of a newer format.
    """
    bundle = read_bundle(Path(path))
    facts, arrays = bundle.facts, bundle.arrays
    try:
        method = get(facts["method"])
        options = method.Options.model_validate(facts["options"])
        spaces, transforms = {}, {m: method.features(options)[m] for m in facts["modalities"]}
        for modality in facts["modalities"]:
            names = arrays[f"space/{modality}/names"]
            columns = dict(_under(f"space/{modality}/column/", arrays))
            spaces[modality] = FeatureSpace(modality, names, np.ones(len(names), bool), columns)
            state = dict(_under(f"transform/{modality}/", arrays))
            restore_chain(transforms[modality], state)
        widths = {m: len(bind_chain(transforms[m], spaces[m]).space) for m in spaces}
        net = method.build(widths, len(facts["labels"]), options)
        net.load_state_dict(bundle.weights)
        salience = dict(_under("salience/", arrays))
        report = FitReport.from_dict(facts["report"])
        seed, labels = facts["seed"], facts["labels"]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"The model {path} does not hold together: {error}.") from error
    net.eval()
    return Annotator(method, options, seed, labels, spaces, transforms, net, report, salience)


def unread(source: CellSource, modalities: Collection[str]) -> list[str]:
    """Says so where the data have a modality that is not read."""
    left = [name for name in source.spaces if name not in modalities]
    return [f"{', '.join(left)}: not read by this model"] if left else []


def check_values(method: Method, source: CellSource, subject: str) -> None:
    """Whether the data have what the method needs; a DataError with all that is lacking."""
    problems = []
    spared = method.needs.optional and {*method.needs.modalities} & {*source.spaces}
    for modality in method.needs.modalities:
        if modality not in source.spaces:
            if spared:
                continue
            have = ", ".join(source.spaces)
            problems.append(
                Problem(
                    f"{method.name} reads {modality}, and the data have {have}",
                    "give data with that modality, or choose another method",
                )
            )
        elif method.needs.counts and source.values[modality] != "counts":
            problems.append(
                Problem(
                    f"{method.name} needs raw counts of {modality}, and only logged values exist",
                    "put the counts into layers['counts']",
                )
            )
    if problems:
        raise DataError(problems, subject=subject)


def _unread(space: FeatureSpace, *, least: float = 0.2) -> Problem | None:
    """What is wrong if most of the features that the network reads were not measured."""
    measured = int(space.measured.sum())
    if measured >= least * len(space):
        return None
    absent = ", ".join(space.names[~space.measured][:5])
    return Problem(
        f"{measured:,} of the {len(space):,} {space.modality} features that the model reads were "
        f"measured (at least {least:.0%} are needed); lacking are {absent}, ...",
        "give the data before genes were selected, or fit with query= (--query)",
    )


def _hash(net: nn.Module) -> str:
    """SHA-256 of the weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _under(prefix: str, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    for name, array in arrays.items():
        if name.startswith(prefix):
            yield name.removeprefix(prefix), array
