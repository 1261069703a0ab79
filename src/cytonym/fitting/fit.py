"""From a labelled reference to a fitted model: choose, try on held-out cells, fit on all."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cytonym.annotator import Annotator
from cytonym.data.align import align, match, misfit, space_of
from cytonym.data.batches import read_batches
from cytonym.data.joined import modality_names
from cytonym.data.labels import Labels, candidates_text, read_labels
from cytonym.data.pairing import pairing
from cytonym.data.rates import METHYLATION, check_observed
from cytonym.data.read import open_cells
from cytonym.data.source import Cells
from cytonym.device import pick
from cytonym.errors import DataError, OptionError, Problem
from cytonym.evaluate.splits import holdout
from cytonym.explaining import mean_salience
from cytonym.fit_report import FitReport
from cytonym.fitting.choose import choose
from cytonym.fitting.compare import compare, verdict
from cytonym.fitting.run import Fitted, Query, Task, run, told
from cytonym.fitting.trusting import learn_quick, learn_trust
from cytonym.memory import Memory, in_bytes, room
from cytonym.methods import Method, check_compiles, get, registry
from cytonym.nn.compiled import check_compiler
from cytonym.opening import (
    Data,
    check_loads,
    check_together,
    check_transforms,
    check_values,
    unread,
)
from cytonym.options import Settings, parse
from cytonym.quick import Quick
from cytonym.train.processes import processes
from cytonym.trust.read import UNTRIED
from cytonym.trust.trust import Trust
from cytonym.types import FeatureSpace

log = logging.getLogger("cytonym")


def fit(
    reference: Data,
    *,
    labels: str | None = None,
    method: str = "auto",
    seed: int = 0,
    options: Settings = None,
    query: Data | None = None,
    genome: str | Path | None = None,
    genes: str | None = None,
    layer: str | None = None,
    modalities: Mapping[str, str] | None = None,
    validation: float = 0.1,
    batch: str | None = None,
    state: str | Path | None = None,
    max_memory: Memory | None = None,
    device: str = "auto",
    compile: bool = False,
    progress: bool = True,
) -> Annotator:
    """Learn the cell types of a labelled reference, or what its cells are like without labels.

    Options that are ``auto`` are chosen by a cross-validated linear probe inside the reference.
    A first fit leaves out ``validation`` of the cells and is compared on them with ``linear``
    and kNN; the model that is returned is then fitted on all labelled cells. A method that needs
    no labels is fitted once, and the cells left out say when to stop.

    Parameters
    ----------
    reference
        A file or AnnData with raw counts (or logged values, where the method allows); it is
        left as it is.
    labels
        The column of ``obs`` with the names; cells without one are unlabelled. None: the method
        has to do without (``dcca``), and the model names no cells.
    method
        A name of :func:`cytonym.methods`; ``auto`` picks by the modalities of the reference:
        ``sctrans`` for RNA alone, ``scmoanno`` where there is ATAC, ``dcca`` where there are no
        labels. The report says which.
    seed
        The same seed, data and machine give the same weights.
    options
        Of the method: a dict, or words ``"key=value"``; ``preset`` picks a named set.
    query
        The data that will be annotated: features that they lack are not learned. A method that
        adapts to them (``seqalign``) learns from their cells too, never from labels there.
    genome
        The FASTA file of the genome on which peaks lie, plain or bgzip, for a method that reads
        DNA (``seqalign``).
    genes, layer, modalities
        The column with gene identifiers, where the values lie, and what the parts of a MuData
        are called (``{"rna": "GEX"}``); found by evidence otherwise.
    validation
        Share of the labelled cells held out for the comparison; 0 skips the first fit. Of a
        method that needs no labels it is a share of all cells: they say when to stop and are not
        learned from; with 0 every turn runs to its end.
    batch
        The column of batches or donors: whole ones are held out, so that what is said of new
        cells holds for new batches. Default: ``donor_id``, ``donor`` or ``batch`` where there are
        five or more of them; cells are drawn one by one otherwise.
    state
        A folder that keeps training states, from which a killed fit goes on.
    max_memory
        What the process may take, as bytes or ``"4GB"``; None: no limit, and 2 GiB of features.
        Features that fit in are kept, others are made anew in each epoch, on another thread: this
        changes how long it takes, not the model.
        What a network itself keeps of its reference (``seqalign``: the graph) comes on top.
    device
        Where the network learns: ``auto`` (CUDA where there is a GPU, else the CPU), ``cpu``,
        ``cuda`` or ``cuda:1``. What is learned before it, and after, is computed on the CPU.
    compile
        Have ``torch.compile`` translate the parts of the network first: minutes, for a long fit on
        a GPU.
    progress
        Show progress bars; of several processes the first alone does.

    Returns
    -------
    Annotator
        Fitted; its ``report`` holds the comparison.

    Raises
    ------
    OptionError
        Unknown method or option, no such device or compiler, or too little memory.
    DataError
        The reference cannot be used; all problems at once.
    TrainingError
        The loss is not finite, ``state`` belongs to another fit, or one of several processes was
        lost.
    """
    start = time.monotonic()
    progress = progress and processes().is_main_process
    if not 0 <= seed < 2**32:
        raise OptionError(f"The seed is a number from 0 to 2^32 - 1; it is {seed}.")
    if not 0 <= validation < 1:
        raise OptionError(f"validation is a share, from 0 to below 1; it is {validation}.")
    memory = room(max_memory)
    where = pick(device)
    if compile:
        if method != "auto":
            check_compiles(get(method))  # the compiler takes a while
        check_compiler(where)
    if method != "auto":
        check_labelled(get(method), labels)  # told before a large file is opened
    cells = open_cells(reference, layer=layer, genes=genes, modalities=modalities, genome=genome)
    if method == "auto" and labels is None:
        check_several(cells)
    recipe, notes = pick_method(
        method, cells.spaces, labelled=labels is not None, dna=genome is not None
    )
    if compile:
        check_compiles(recipe)
    parsed = parse(recipe.Options, options, presets=recipe.presets)
    if max_memory is not None:
        check_loads(cells, in_bytes(max_memory))
    task, found = _task(
        recipe, parsed, cells, labels, query, genome, genes, modalities, seed, memory
    )
    notes += found
    task = replace(task, device=device, compile=compile)
    parsed = _settled(recipe, parsed, task, notes)
    folder = Path(state) if state is not None else None
    with torch.random.fork_rng():
        kinds = task.y
        if not recipe.needs.labels:  # cells without a label are held out too
            kinds = np.where(task.y >= 0, task.y, len(task.names))
        groups, column = read_batches(cells.obs, batch, cells.name)
        held = holdout(kinds, share=validation, seed=seed, groups=groups)
        if groups is not None and validation:
            whole, every = len(np.unique(groups[held])), len(np.unique(groups))
            whole *= len(np.unique(kinds[held])) > 1  # one type alone would teach nothing
            notes.append(
                f"held out: {whole} of the {every} batches in obs[{column!r}]"
                if whole
                else f"no batch of obs[{column!r}] could be held out (each has too many of the "
                "cells, or types of its own): cells were drawn one by one"
            )
            held = held if whole else holdout(kinds, share=validation, seed=seed)
        notes += _untested(task, held) if validation else []
        parsed, chosen = choose(recipe, parsed, task, np.flatnonzero(~held), progress)
        learn = _twice if recipe.needs.labels else _once
        measured = np.logical_or.reduce([task.source.present(name) for name in task.spaces])
        learned = measured & (~held | recipe.needs.labels)
        found = learn(recipe, parsed, task, held, folder, progress)
        labelled = found.fitted.feed.of(np.flatnonzero(task.y >= 0))
        salience = mean_salience(recipe, found.fitted.net, labelled, len(task.names))
    if labels is not None and found.trust is None and validation:
        notes.append(UNTRIED)
    report = FitReport(
        held_out=found.table,
        per_type=found.per_type,
        n_reference=int((task.y[learned] >= 0).sum()),
        n_held_out=int((held & (task.y >= 0) if found.table else held).sum()),
        n_unlabelled=0 if recipe.needs.labels else int((task.y[learned] < 0).sum()),
        refitted=recipe.needs.labels,
        chosen=chosen,
        notes=(*notes, *found.notes, *told(found.fitted)),
        history=tuple(found.history),
        seconds=round(time.monotonic() - start, 1),
    )
    names = [str(name) for name in task.names]
    final = found.fitted
    return Annotator(
        recipe,
        parsed,
        seed,
        names,
        task.spaces,
        final.transforms,
        final.net,
        report,
        salience,
        found.trust,
        found.quick,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Learned:
    """A fit with its comparison; ``history`` is that of the network that was watched."""

    fitted: Fitted
    table: tuple[dict[str, Any], ...] = ()
    per_type: tuple[dict[str, Any], ...] = ()
    history: Sequence[dict[str, Any]] = ()
    notes: Sequence[str] = ()
    trust: Trust | None = None
    quick: Quick | None = None


def _twice(
    method: Method, options: Any, task: Task, held: np.ndarray, folder: Path | None, progress: bool
) -> _Learned:
    """A first fit without the cells ``held`` (bool), compared on them; then one on all cells."""
    more: dict[str, Any] = {"folder": folder, "progress": progress}
    trial, epochs, table, per_type, notes = None, None, (), (), []
    if held.any():
        trial = run(method, options, task, ~held, "trial", held=held, **more)
        if trial.history.interrupted:
            notes = [f"Interrupted: this is the first fit, on {(~held).sum():,} cells"]
            return _Learned(trial, history=trial.history.records, notes=notes)
        table, per_type = compare(method, trial, task, held, progress)
        notes, epochs = verdict(table), trial.history.best_epochs
    everyone = np.ones(len(task.y), dtype=bool)
    final = run(method, options, task, everyone, "fit", epochs=epochs, **more)
    if final.history.interrupted:
        notes = [*notes, "Interrupted: the last stage did not run to its end"]
    history = (trial or final).history.records
    whole = trial is not None and not final.history.interrupted
    if trial is None or not whole:
        return _Learned(final, table, per_type, history, notes)
    trust = learn_trust(method, trial, final, task, held)
    quick = learn_quick(method, options, trial, final, task, held)
    return _Learned(final, table, per_type, history, notes, trust, quick)


def _once(
    method: Method, options: Any, task: Task, held: np.ndarray, folder: Path | None, progress: bool
) -> _Learned:
    """One fit; the cells ``held`` (bool) say when to stop, and those with labels are compared."""
    watched = held if held.any() else None
    fitted = run(
        method, options, task, ~held, "fit", held=watched, folder=folder, progress=progress
    )
    history = fitted.history.records
    if fitted.history.interrupted:
        notes = ["Interrupted: the last stage did not run to its end"]
        return _Learned(fitted, history=history, notes=notes)
    known = held & (task.y >= 0)
    if not known.any():
        return _Learned(fitted, history=history)
    table, per_type = compare(method, fitted, task, known, progress)
    trust = learn_trust(method, fitted, fitted, task, held)
    quick = learn_quick(method, options, fitted, fitted, task, held)
    return _Learned(fitted, table, per_type, history, verdict(table), trust, quick)


def _settled(method: Method, options: Any, task: Task, notes: list[str]) -> Any:
    """The options with what the sizes of types decide; a note says what that was."""
    sizes = np.bincount(task.y[task.y >= 0], minlength=len(task.names)).tolist()
    found = method.settled(options, sizes)
    for name, value in found.model_dump().items():
        if value != getattr(options, name):
            cells = f"{sum(sizes):,} labelled cells of {len(sizes)} types"
            notes.append(f"{name} {getattr(options, name)}: {cells}, so {value}")
    return found


def _untested(task: Task, held: np.ndarray) -> list[str]:
    """Says which types have no cell among those held out."""
    absent = np.setdiff1d(task.y[task.y >= 0], task.y[held & (task.y >= 0)])
    if not len(absent):
        return []
    listed = ", ".join(str(name) for name in task.names[absent[:5]]) + ", ..." * (len(absent) > 5)
    return [f"{len(absent)} types have no cell among those held out and were not tested: {listed}"]


# --- the data ----------------------------------------------------------------------------------


def check_labelled(method: Method, labels: str | None) -> None:
    """Refuse a method that learns from labels where there are none."""
    if method.needs.labels and labels is None:
        able = ", ".join(name for name, one in registry().items() if not one.needs.labels)
        raise OptionError(
            f"{method.name} learns from labels: name their column with labels= (--labels). "
            f"Without labels: {able}."
        )


def check_several(cells: Cells) -> None:
    """Refuse cells of one modality where there are no labels: nothing is left to learn from."""
    if len(cells.spaces) == 1:
        (only,) = cells.spaces
        what = f"no labels were named, and without labels {only} alone teaches nothing"
        remedy = f"name the column of types with labels= (--labels); {candidates_text(cells.obs)}"
        raise DataError(Problem(what, remedy), subject=cells.name)


def pick_method(
    name: str, modalities: Collection[str], *, labelled: bool, dna: bool = False
) -> tuple[Method, list[str]]:
    """The method called ``name``; ``auto`` decides by the modalities, and says so."""
    if name != "auto":
        return get(name), []
    picked = "sctrans" if {*modalities} == {"rna"} else "scmoanno"
    picked = "seqalign" if {*modalities} == {"atac"} and dna else picked
    picked = picked if labelled else "dcca"
    note = f"method auto: the reference has {' and '.join(modalities)}, so {picked}"
    note = note if labelled else "method auto: there are no labels, so dcca"
    log.info(note)
    return get(picked), [note]


def _task(
    method: Method,
    options: Any,
    cells: Cells,
    labels: str | None,
    query: Data | None,
    genome: str | Path | None,
    genes: str | None,
    modalities: Mapping[str, str] | None,
    seed: int,
    memory: int,
) -> tuple[Task, list[str]]:
    """The reference made ready, with what was found on the way; all problems at once."""
    check_values(method, cells, cells.name)
    check_together(method, cells, cells.name)
    found = Labels(np.full(len(cells), -1), np.empty(0, dtype=str))
    if labels is not None:
        found = read_labels(cells.obs, labels, cells.name)
    wanted = method.needs.modalities
    spaces = {name: space for name, space in space_of(cells, genes=genes).items() if name in wanted}
    notes = [*cells.notes, *found.notes, *unread(cells, wanted)]
    pairs = pairing(cells) if len(wanted) > 1 else None
    notes += [pairs.note] if pairs and pairs.note else []
    notes += cells.read_as(spaces)
    asked, own = None, method.own(options)
    if genome is not None and not own:
        notes.append(f"the genome was not read: {method.name} with these options needs no DNA")
    chains = method.features(method.candidates(options)[0])
    check_transforms(chains, spaces, cells.name)
    if query is not None:
        known = modality_names(query)
        named = {ours: theirs for ours, theirs in (modalities or {}).items() if theirs in known}
        asked = open_cells(query, modalities=named or None, genome=genome)
        check_values(method, asked, asked.name)
        check_transforms(chains, asked.spaces, asked.name)
        spaces = _shared(spaces, asked, notes, genes, own)
    source, coverage = align(cells, spaces, genes=genes)
    if METHYLATION in spaces:
        check_observed(source, METHYLATION)
    notes += [note for found in coverage.values() for note in found.notes]
    there = {name: source.present(name) for name in spaces}
    measured = np.logical_or.reduce([*there.values()])
    if lost := int((~measured & (found.codes >= 0)).sum()):
        lacking = " and ".join(spaces)
        notes.append(f"{lost:,} labelled cells lack {lacking}: nothing is learned of them")
    for name, have in there.items():
        unseen = np.setdiff1d(found.codes[measured & (found.codes >= 0)], found.codes[have])
        if len(unseen):
            types = ", ".join(str(found.names[code]) for code in unseen[:5])
            notes.append(f"no cell of these types has {name}, so {name} alone names none: {types}")
    codes, names = np.where(measured, found.codes, -1), found.names
    left = np.unique(codes[codes >= 0])
    if len(left) < len(names):  # types of which no cell is left
        gone = ", ".join(str(name) for name in np.delete(names, left)[:5])
        notes.append(f"no cell of these types can be read, so they are not learned: {gone}")
        codes, names = np.where(codes >= 0, np.searchsorted(left, codes), -1), names[left]
    if len(names) < 2 and labels is not None:
        what = f"only {len(names)} types have cells with {' or '.join(spaces)}"
        raise DataError(Problem(what, "give a reference with at least two"), subject=cells.name)
    if asked is None or not method.needs.query:
        return Task(source, spaces, codes, names, seed, memory, stamp=cells.stamp), notes
    there, _ = align(asked, spaces, genes=None if genes not in _columns(asked) else genes, own=own)
    many = "1 cell" if len(asked) == 1 else f"{len(asked):,} cells"
    notes.append(f"learned from {many} of the query too, without labels")
    taught, stamp = Query(there, there.spaces), cells.stamp | asked.stamp
    return Task(source, spaces, codes, names, seed, memory, taught, stamp=stamp), notes


def _shared(
    spaces: Mapping[str, FeatureSpace],
    cells: Cells,
    notes: list[str],
    genes: str | None,
    own: Collection[str],
) -> dict[str, FeatureSpace]:
    """Only the features that the query has too; too few is a DataError."""
    if genes not in _columns(cells):
        genes = None  # a column of the reference alone
    out = dict(spaces)
    for name in (spaces.keys() & cells.spaces.keys()) - {*own}:
        selection, coverage = match(cells.spaces[name], spaces[name], genes=genes)
        problem = misfit(cells.spaces[name], spaces[name], coverage)
        if problem is not None:
            raise DataError(problem, subject=cells.name)
        out[name] = spaces[name].take(np.unique(selection.tocoo().col))
        notes.append(f"Learned only features that the query has too ({coverage})")
    return out


def _columns(cells: Cells) -> set[str]:
    """What the columns of facts about features are called."""
    return {name for space in cells.spaces.values() for name in space.columns}
