"""Look at a data set without using it: what it holds, what would be read, all that is wrong."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.data.align import identifiers, match, misfit
from cytonym.data.choose import choose, feature_space, genes_problem, structure
from cytonym.data.contents import Contents
from cytonym.data.ids import id_type, is_known, species
from cytonym.data.inspection import (
    ColumnFacts,
    Identifier,
    Inspection,
    ModalityFacts,
    PeakFacts,
    RateFacts,
)
from cytonym.data.joined import open_modalities
from cytonym.data.labels import candidates, check_labels
from cytonym.data.pairing import pairing
from cytonym.data.rates import BLOCK_CELLS, METHYLATION, Survey, survey, unobserved
from cytonym.data.read import Reading, open_contents, open_joined, open_read, readings
from cytonym.data.source import damaged
from cytonym.dna.intervals import build_of, intervals, style
from cytonym.errors import DataError, Problem
from cytonym.types import FeatureSpace

BATCHES = re.compile(
    r"(batch|donor|sample|patient|individual|library|lane|run|channel|replicate|tech|technology"
    r"|assay|dataset|study|condition|orig[._]ident)([._]?(id|key))?",
    re.IGNORECASE,
)
"""Names of columns that hold batches rather than types."""


def inspect_cells(
    data: Any,
    *,
    how: Reading | None = None,
    labels: str | None = None,
    spaces: Mapping[str, FeatureSpace] | None = None,
    own: Collection[str] = (),
    values_needed: str | None = None,
) -> Inspection:
    """Look at a data set without using it; finds all problems, raises none of them.

    Parameters
    ----------
    data, how
        As for :func:`cytonym.data.read.open_cells`.
    labels
        The column of ``obs`` with the types, to be checked as training does.
    spaces
        By modality, the features of a reference, to see how well the data fit it.
    own
        Modalities of these whose features need not be the reference's.
    values_needed
        ``"counts"`` if only raw counts will do.
    """
    how = how or Reading()
    try:
        several = open_modalities(data, open_contents, modalities=how.modalities)
        contents = [open_contents(data)] if several is None else [*several[0].values()]
        cells = None if several is None else open_joined(several, how)
    except DataError as error:
        return Inspection(error.subject, problems=list(error.problems))
    first = contents[0]
    if cells is None:
        page = Inspection(first.name, first.format, len(first.obs))
        page.notes.extend(first.notes)
    else:
        page = Inspection(cells.name, "MuData", len(cells))
        page.notes.extend(cells.notes)
    for one in contents:
        page.problems.extend(structure(one))
    sound = page.usable
    _look_at_obs(page, first.obs if cells is None else cells.obs, labels)
    if not sound:
        return page
    ways = [how] if several is None else [*readings(several[0], how).values()]
    for one, reading in zip(contents, ways, strict=True):
        try:
            _look_at_values(page, one, reading, spaces, own, values_needed)
        except DataError as error:
            page.problems.extend(error.problems)
    if page.usable and len(page.modalities) > 1:
        found = pairing(cells or open_read(data, how))
        page = replace(page, pairing=found)
        page.notes.extend([found.note] if found and found.note else [])
    if spaces is not None and not page.coverage and not {*own} & {*page.modalities}:
        what = f"it has {', '.join(page.modalities)}, the reference has {', '.join(spaces)}"
        page.problems.append(Problem(what, "give data with a modality of the reference"))
    return page


def _look_at_obs(page: Inspection, obs: pd.DataFrame, labels: str | None) -> None:
    """Columns that could hold types or batches, and the named labels."""
    for name, found in candidates(obs).items():
        sizes = found.sizes
        order = np.argsort(-sizes, kind="stable")
        by_size = {str(found.names[code]): int(sizes[code]) for code in order}
        facts = ColumnFacts(by_size, int((found.codes < 0).sum()))
        (page.batches if BATCHES.fullmatch(name) else page.labels)[name] = facts
    if labels is not None:
        checked, problems = check_labels(obs, labels)
        page.problems.extend(problems)
        page.notes.extend(checked.notes)


def _look_at_values(
    page: Inspection,
    contents: Contents,
    how: Reading,
    spaces: Mapping[str, FeatureSpace] | None,
    own: Collection[str],
    values_needed: str | None,
) -> None:
    """What the matrices hold, which one is read, and whether it fits."""
    chosen, notes, problems = choose(contents, how.layer)
    page.notes.extend(notes)
    page.problems.extend(problems)
    shown = {modality: place.where for modality, (place, _) in chosen.items()}
    for where, place in contents.places.items():  # facts also of what cannot be read
        shown |= {modality: where for modality in place.columns if modality not in shown}
    for modality, where in shown.items():
        if problem := genes_problem(contents, where, how.genes):
            page.problems.append(problem)
        space = feature_space(modality, contents.places[where], how.genes)
        seen = _survey(contents, where, modality) if modality == METHYLATION else None
        facts = _modality(contents, space, where, seen, read=modality in chosen)
        page.modalities[modality] = facts
        page.notes.extend(_remarks(space, facts))
        problem = unobserved(seen, space.names, where) if seen and modality in chosen else None
        if problem and spaces is None:
            page.problems.append(problem)
        elif problem:  # a model takes them as not measured
            page.notes.append(problem.what)
        if spaces is not None and modality in spaces and modality not in own:
            _, coverage = match(space, spaces[modality])
            page.coverage[modality] = coverage
            page.notes.extend(coverage.notes)
            if problem := misfit(space, spaces[modality], coverage):
                page.problems.append(problem)
        if values_needed == "counts" and modality in chosen:
            finding = chosen[modality][1]
            if finding.values not in ("counts", "rates"):
                what = f"{modality}: raw counts are needed, and {where} is {finding.kind}"
                remedy = "give raw counts in layers['counts'], or choose a method without this need"
                page.problems.append(Problem(what, remedy))
    for way, size in _memory(contents, [page.modalities[m] for m in shown]).items():
        page.memory[way] = page.memory.get(way, 0.0) + size


def _survey(contents: Contents, where: str, modality: str) -> Survey:
    """What is observed in all cells of one place."""
    place = contents.places[where]
    columns, n_cells = place.columns[modality], len(contents.obs)
    blocks = (
        place.rows.read(np.arange(start, min(start + BLOCK_CELLS, n_cells)), observed=True)
        for start in range(0, n_cells, BLOCK_CELLS)
    )
    try:
        return survey((csr_matrix(block[:, columns]) for block in blocks), len(columns))
    except OSError as error:
        raise damaged(contents.name, error) from error


def _rates(seen: Survey) -> RateFacts:
    observed = int(seen.per_site.sum())
    share, mean = (part / max(1, observed) for part in (seen.zeros, seen.total))
    size = len(seen.per_site) * len(seen.per_cell)
    return RateFacts(size, observed, share, mean, int((seen.per_site == 0).sum()))


def _peaks(space: FeatureSpace, block: csr_matrix) -> PeakFacts | None:
    """Where peaks or sites lie; None for other features and those without coordinates."""
    table = intervals(space) if space.modality in ("atac", METHYLATION) else None
    if table is None:
        return None
    try:
        build = build_of(table, space.columns.get("genome"))
        builds, evidence = [*build.possible], build.why()
    except DataError as error:  # bioframe is not installed
        builds, evidence = [], f"not looked for: {error.problems[0].remedy}"
    return PeakFacts(
        written=style(space),
        width=float((table["end"] - table["start"]).median()),
        builds=builds,
        evidence=evidence,
        binary=bool(block.nnz == 0 or block.data.max() <= 1),
    )


def _modality(
    contents: Contents, space: FeatureSpace, where: str, seen: Survey | None, *, read: bool
) -> ModalityFacts:
    """Facts from the sample of one place, and the findings of all; of rates, from all cells."""
    modality = space.modality
    _, block = contents.sample(where, modality)
    sums = np.asarray(block.sum(axis=1), dtype=np.float64).ravel()
    known = {}
    for name, values in identifiers(space).items():
        examples = [str(value) for value in values[:: max(1, len(values) // 5)][:5]]
        repeats = len(values) - len(np.unique(values))
        known[name] = Identifier(id_type(values), examples, repeats)
    guess = max((species(v) for v in identifiers(space).values()), key=lambda g: g[0] != "unknown")
    places = [w for w, place in contents.places.items() if modality in place.columns]
    density = int(block.count_nonzero()) / max(1, len(sums) * len(space))
    rates = None if seen is None else _rates(seen)
    if seen is not None and rates is not None:
        density, sums = rates.observed / max(1, rates.size), seen.per_cell
    return ModalityFacts(
        features=len(space),
        findings=[contents.judge(w, modality) for w in places],
        used=where if read else None,
        density=density,
        per_cell=float(np.median(sums)),
        empty_cells=int((np.diff(block.indptr) == 0).sum()),
        identifiers=known,
        species=guess[0],
        species_evidence=guess[1],
        peaks=_peaks(space, block),
        rates=rates,
    )


def _remarks(space: FeatureSpace, facts: ModalityFacts) -> list[str]:
    remarks = []
    if repeats := facts.identifiers["names"].repeats:
        how = "added up" if facts.rates is None else "averaged"
        remarks.append(f"{repeats:,} {space.modality} features repeat a name; they are {how}")
    if facts.empty_cells:
        remarks.append(f"{facts.empty_cells:,} of the sampled cells hold no {space.modality} value")
    if not any(is_known(known.type) for known in facts.identifiers.values()):
        remarks.append(
            f"the {space.modality} features have no names that other data share: only data with "
            "the same columns can be annotated from these"
        )
    return remarks


def _memory(contents: Contents, modalities: Sequence[ModalityFacts]) -> dict[str, float]:
    """GB of the sparse matrices, and of reading them by blocks (8 bytes for each value)."""
    n_cells = max(1, len(contents.obs))
    values = sum(f.density * f.features * n_cells for f in modalities)
    fixed = float(contents.obs.memory_usage(deep=True).sum()) + 8 * n_cells
    block = 3 * 8 * values * min(1.0, BLOCK_CELLS / n_cells)  # read, selected, transformed
    return {"in memory": (8 * values + block + fixed) / 1e9, "streamed": (block + fixed) / 1e9}
