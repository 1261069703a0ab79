"""The fitted model: annotate, embed, denoise, generate, explain, complete, save and load."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from cytonym.asking import collected, said_of
from cytonym.bundle import Bundle, read_bundle, write_bundle
from cytonym.data.loader import Feed
from cytonym.data.read import Reading
from cytonym.data.source import Cells
from cytonym.decoding import Decoded, decoded, with_generated
from cytonym.device import pick
from cytonym.errors import CytonymError, ModelError, OptionError
from cytonym.explaining import by_gene, by_sub_vector
from cytonym.fit_report import FitReport
from cytonym.forecast import foretell
from cytonym.loading import (
    NOT_WHOLE,
    ModelFacts,
    check_salience,
    elsewhere,
    made_up,
    network,
    space_of,
    why,
)
from cytonym.memory import Memory
from cytonym.methods import Completes, Method, Views, check_compiles, get, with_weights
from cytonym.nn.compiled import check_compiler, compile_parts
from cytonym.nn.threads import threads_for
from cytonym.opening import Data, Opened, open_for
from cytonym.options import Options, parse
from cytonym.prep import bind_chain, chain_state, inputs, restore_chain
from cytonym.quick import Quick
from cytonym.result import Annotation, Embedding
from cytonym.trust.read import asked, check_shares, read, told
from cytonym.trust.reference import under
from cytonym.trust.said import Said
from cytonym.trust.tally import Tally
from cytonym.trust.trust import LEAST, Trust
from cytonym.types import Batch, FeatureSpace, Transform


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
    trust
        How its scores are calibrated, learned on held-out cells; None where there were too few.
    quick
        How the answers of :meth:`fast` compare; None where it has none.
    note
        What is to be known of all its answers; may be empty.
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
    trust: Trust | None = None
    quick: Quick | None = None
    note: str = ""

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
        genome: str | Path | None = None,
        generate_missing: Annotator | str | Path | None = None,
        coverage: float = 0.9,
        reject: float = 0.05,
        batch_size: int = 512,
        max_memory: Memory | None = None,
        device: str = "auto",
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
        genome
            The FASTA file of the genome on which the data's peaks lie, for a model that reads DNA.
        generate_missing
            A model (or its folder) that generates modalities: those that this model reads and
            the data lack are made by it first.
        coverage
            Share of cells whose own type is to be in their prediction set.
        reject
            Cells that look less like the reference's types than all but this share of its own
            cells are called ``Unknown`` (or ``doublets``), and ``junk`` of which too little is
            seen; 0: none is.
        batch_size
            Cells at a time; the answer does not depend on it.
        max_memory
            What the process may take, as bytes or ``"4GB"``: more is refused before it begins.
        device
            Where it computes: ``auto`` (CUDA where there is a GPU, else the CPU), ``cpu``,
            ``cuda`` or ``cuda:1``.

        Raises
        ------
        DataError
            The data cannot be read, or share too few features with the reference.
        OptionError
            The model was fitted without labels, ``generate_missing`` cannot help, there is no
            such device, or ``max_memory`` is too little.
        """
        check_shares(coverage, reject)
        pick(device)  # told before a large file is opened
        how = Reading(genes, layer, modalities, genome)
        work: dict[str, Any] = {"device": device, "progress": progress}
        opened = self.opened_to_name(data, how, generate_missing, **work)
        n = len(opened.feed.rows)
        speed: dict[str, Any] = {"batch_size": batch_size, "device": device}
        foretell(self, opened, part=n, max_memory=max_memory, **speed)
        return self.answer(opened, coverage=coverage, reject=reject, progress=progress, **speed)

    def opened_to_name(
        self,
        data: Data,
        how: Reading,
        generate_missing: Annotator | str | Path | None = None,
        *,
        device: str = "auto",
        progress: bool = True,
    ) -> Opened:
        """The data as the network reads them, with modalities that they lack made first."""
        if not self.label_names:
            raise OptionError(
                f"This {self.method.name} model was fitted without labels, so it has no names to "
                "give; fit it with labels= (--labels), or ask for embed, denoise or generate."
            )
        if generate_missing is None:
            return self.opened(data, how)
        maker = generate_missing
        maker = maker if isinstance(maker, Annotator) else load(maker)
        wanted = [*self.spaces]
        made = with_generated(maker, data, how, wanted=wanted, device=device, progress=progress)
        return self.opened(made, how)

    def answer(
        self,
        opened: Opened,
        *,
        coverage: float = 0.9,
        reject: float = 0.05,
        batch_size: int = 512,
        device: str = "auto",
        progress: bool = True,
    ) -> Annotation:
        """As :meth:`annotate`, of data that are open, or of a part of them."""
        said = self.asked(opened, batch_size=batch_size, device=device, progress=progress)
        shares = {"coverage": coverage, "reject": reject}
        found = read(said, self.label_names, self.trust, **shares)
        tally = found.tally + opened.tally
        return Annotation(
            cells=said.cells,
            labels=found.labels,
            confidence=found.confidence,
            probabilities=pd.DataFrame(
                found.probabilities, index=said.cells, columns=pd.Index(self.label_names)
            ),
            sets=found.sets,
            strange=found.strange,
            embedding=said.z,
            coverage=opened.coverage,
            notes=self.notes(opened, tally, **shares),
            model=self.facts() | asked(self.trust, **shares),
            tally=tally,
            stamp=opened.cells.stamp,
        )

    def notes(
        self, opened: Opened, tally: Tally, *, coverage: float, reject: float
    ) -> tuple[str, ...]:
        """What a user should know of the answers for the cells of ``tally``."""
        said = told(tally, self.label_names, self.trust, coverage=coverage, reject=reject)
        return (*opened.notes, *([self.note] if self.note else []), *tally.lacking(), *said)

    def embed(
        self,
        data: Data,
        *,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        genome: str | Path | None = None,
        batch_size: int = 512,
        device: str = "auto",
        progress: bool = True,
    ) -> Embedding:
        """Where the cells of ``data`` lie: the joint embedding, and that of each modality where
        the method has one. The arguments are those of :meth:`annotate`.
        """
        where = pick(device)
        opened = self.opened(data, Reading(genes, layer, modalities, genome))
        said = self._walk(opened.feed, self._placed, batch_size, where, progress, "embedding")
        joint = said.pop("embedding")
        views = {name: view for name, view in said.items() if not np.isnan(view).all()}
        notes = (*opened.notes, *opened.tally.lacking())
        cells = opened.feed.source.cells
        return Embedding(
            cells, joint, views, opened.coverage, notes, self.facts(), opened.cells.stamp
        )

    def denoise(
        self,
        data: Data,
        *,
        modality: str | None = None,
        source: str | None = None,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        device: str = "auto",
        max_memory: Memory | None = None,
    ) -> Decoded:
        """What a modality of ``data`` looks like without noise, as a matrix that is computed where
        it is looked at.

        Parameters
        ----------
        data
            As for :meth:`annotate`.
        modality
            Which one; may be left out where the data have one of the model's.
        source
            Denoise by the code of this modality (or ``"joint"``); default: ``modality`` itself.
        device
            As for :meth:`annotate`.
        max_memory
            What the process may take, as bytes or ``"4GB"``, while blocks are written or walked
            over: with little, fewer cells are computed at once.

        Raises
        ------
        OptionError
            The method cannot denoise, the modality is not one of the model's or the data's, or
            not even 16 cells fit into ``max_memory``.
        """
        how = Reading(genes, layer, modalities)
        work: dict[str, Any] = {"device": device, "max_memory": max_memory}
        return decoded(self, data, how, target=modality, source=source, **work)

    def generate(
        self,
        data: Data,
        target: str,
        *,
        source: str | None = None,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        device: str = "auto",
        max_memory: Memory | None = None,
    ) -> Decoded:
        """The modality ``target`` of cells in which it was not measured, from another one.

        Parameters
        ----------
        data
            As for :meth:`annotate`.
        target
            The modality to make, one of the model's.
        source
            From which; default: the model's other modality.
        device
            As for :meth:`annotate`.
        max_memory
            What the process may take, as bytes or ``"4GB"``, while blocks are written or walked
            over: with little, fewer cells are computed at once.

        Raises
        ------
        OptionError
            The method cannot generate, the model or the data lack one of the modalities, or not
            even 16 cells fit into ``max_memory``.
        """
        how = Reading(genes, layer, modalities)
        source = source or next((name for name in self.spaces if name != target), None)
        work: dict[str, Any] = {"device": device, "max_memory": max_memory}
        return decoded(self, data, how, target=target, source=source, **work)

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
        feed = self.opened(data, Reading(genes, layer, modalities)).feed
        modality, bound = next(iter(feed.inputs.bound.items()))
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

    def fast(self) -> Annotator:
        """The same model naming cells with less work (SCTrans: by its light encoder, Eq. 7), with
        a calibration of its own; its answers say how often both agreed on held-out cells.

        Raises
        ------
        OptionError
            There is no such way, or it was not compared on held-out cells.
        """
        options = self.method.quick(self.options)
        if options is None:
            name = self.method.name
            raise OptionError(
                f"{name} with these options has no faster way of naming cells; leave out --fast."
            )
        if self.quick is None:
            raise OptionError(
                "The faster way of this model was never compared with its own answers on held-out "
                "cells (too few, or an older model); fit it again, or do without --fast."
            )
        way = inputs(self.transforms, self.method.targets(options), self.spaces)
        n_types, weights = len(self.label_names), self.net.state_dict()
        net = with_weights(self.method, options, way.widths, n_types, weights)
        told = {"trust": self.quick.trust, "quick": None, "note": self.quick.note}
        return replace(self, options=options, net=net, **told)

    def compiled(self, device: str = "auto") -> Annotator:
        """The same model with its network compiled (``torch.compile``) where it is first used, for
        many cells on a GPU; its answers are the same to rounding. Of the faster way:
        ``model.fast().compiled()``.

        Raises
        ------
        OptionError
            There is nothing to compile, no such device, or no compiler for it.
        """
        check_compiles(self.method)
        check_compiler(pick(device))
        net = copy.deepcopy(self.net)
        compile_parts(net)
        return replace(self, net=net)

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
        if self.trust is not None:
            arrays |= {f"trust/{name}": array for name, array in self.trust.state().items()}
        if self.quick is not None:
            arrays |= {f"quick/{name}": array for name, array in self.quick.state().items()}
        facts = {
            **self.facts(),
            "trust": None if self.trust is None else self.trust.to_dict(),
            "quick": None if self.quick is None else self.quick.to_dict(),
            "note": self.note,
            "options": self.options.model_dump(mode="json"),
            "labels": self.label_names,
            "modalities": [*self.spaces],
            "report": self.report.to_dict(),
        }
        write_bundle(Path(path), Bundle(facts, self.net.state_dict(), arrays))

    def asked(
        self,
        opened: Opened,
        *,
        batch_size: int = 512,
        device: str = "auto",
        progress: bool = False,
    ) -> Said:
        """What the network says of opened data, before it is read: scores and embedding."""
        where = pick(device)
        said = self._walk(opened.feed, self._said, batch_size, where, progress, "naming")
        _check_finite(said)
        return collected(opened.feed.cells, said, [*opened.feed.inputs.bound])

    def opened(self, data: Data | Cells, how: Reading) -> Opened:
        """The data as the network reads them, with what was found on the way."""
        return open_for(self.method, self.options, self.spaces, self.transforms, data, how)

    def _said(self, batch: Batch) -> dict[str, Tensor]:
        return said_of(self.method, self.net, self.trust.axes if self.trust else {}, batch)

    def _placed(self, batch: Batch) -> dict[str, Tensor]:
        found = {"embedding": self.method.predict(self.net, batch).embedding}
        views = self.method.views(self.net, batch) if isinstance(self.method, Views) else {}
        return found | dict(views)

    def _walk(
        self,
        feed: Feed,
        said: Callable[[Batch], Mapping[str, Tensor]],
        batch_size: int,
        device: torch.device,
        progress: bool,
        title: str,
    ) -> dict[str, np.ndarray]:
        """What ``said`` gives for all cells, by name ``(cells, ...)`` float32."""
        if batch_size < 1:
            raise OptionError(f"batch_size is at least 1; it is {batch_size}.")
        answer: dict[str, np.ndarray] = {}
        done, n_cells = 0, len(feed.rows)
        self.net.to(device)
        bar = tqdm(total=n_cells, desc=title, unit="cell", disable=not progress)
        numbers = batch_size * sum(feed.inputs.widths.values())
        with bar, threads_for(numbers, spare=1), torch.inference_mode():
            for rows, batch in feed.batches(batch_size):
                for name, piece in said(batch.to(device)).items():
                    if name not in answer:
                        answer[name] = np.empty((n_cells, piece.shape[1]), dtype=np.float32)
                    answer[name][done : done + len(rows)] = piece.float().cpu().numpy()
                done += len(rows)
                bar.update(len(rows))
        self.net.cpu()
        return answer


def load(path: str | Path) -> Annotator:
    """Read a model folder that :meth:`Annotator.save` wrote; runs no code from it.

    The model names cells that are made up before it is handed out, with its trust and by its fast
    way too, so that parts which do not fit together show here.

    Raises
    ------
    ModelError
        No model there, damaged, or of a newer format.
    """
    bundle = read_bundle(Path(path))
    try:
        facts = ModelFacts.model_validate(bundle.facts)
        model = _put_together(facts, bundle.weights, bundle.arrays)
        str(model.report)
        check_salience(model.salience, len(model.label_names), len(model.feature_names()))
        _try_out(model)
        if model.quick is not None:
            _try_out(model.fast())
    except (CytonymError, *NOT_WHOLE) as error:
        what = f"The model {path} does not hold together: {why(error)}"
        raise ModelError(what + elsewhere(bundle.facts["version"])) from error
    return model


def _put_together(
    facts: ModelFacts, weights: Mapping[str, Tensor], arrays: Mapping[str, np.ndarray]
) -> Annotator:
    """What does not fit raises ``NOT_WHOLE`` or a CytonymError."""
    method = get(facts.method)
    options = parse(method.Options, facts.options, presets={})  # what came since is at its default
    spaces = {name: space_of(name, arrays) for name in facts.modalities}
    transforms = {name: method.features(options)[name] for name in facts.modalities}
    for name, chain in transforms.items():
        restore_chain(chain, dict(under(f"transform/{name}/", arrays)))
    widths = inputs(transforms, method.targets(options), spaces).widths
    trust = quick = None
    if facts.trust is not None:
        trust = Trust.restore(facts.trust, dict(under("trust/", arrays)))
    if facts.quick is not None:
        quick = Quick.restore(facts.quick, dict(under("quick/", arrays)))
    return Annotator(
        method,
        options,
        facts.seed,
        facts.labels,
        spaces,
        transforms,
        network(method, options, widths, len(facts.labels), weights),
        FitReport.from_dict(facts.report),
        dict(under("salience/", arrays)),
        trust,
        quick,
        facts.note,
    )


def _try_out(model: Annotator) -> None:
    """Name cells that are made up, or only place them; what does not fit raises."""
    way = inputs(model.transforms, model.method.targets(model.options), model.spaces)
    for batch in made_up(model.method, way, model.spaces, model.transforms):
        with torch.inference_mode():
            found = model._said(batch) if model.label_names else model._placed(batch)
        told_of = {name: one.float().numpy() for name, one in found.items()}
        if any(len(one) != len(batch) for one in told_of.values()):
            raise ValueError("what it says of two cells is not two things")
        _check_finite(told_of)
        if model.label_names:
            many = {name: one.repeat(LEAST, axis=0) for name, one in told_of.items()}
            said = collected(np.repeat(["all", "none"], LEAST), many, [*batch.present])
            tally = read(said, model.label_names, model.trust, coverage=0.9, reject=0.05).tally
            told(tally, model.label_names, model.trust, coverage=0.9, reject=1e-4)
    model.net.cpu()  # what it keeps of its own cells is let go


def _check_finite(said: Mapping[str, np.ndarray]) -> None:
    """A ModelError where scores or embedding of a cell are no numbers."""
    for name in ("scores", "embedding"):
        bad = int((~np.isfinite(said[name])).any(axis=1).sum()) if name in said else 0
        if bad:
            raise ModelError(
                f"What the model says of {bad:,} of {len(said[name]):,} cells is not "
                "finite: its weights are damaged, or the values of these cells out of all range."
            )


def _hash(net: nn.Module) -> str:
    """SHA-256 of the weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
