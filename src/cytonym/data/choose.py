"""Which matrix of a data set is read: the first that holds counts, by the evidence of numbers."""

from __future__ import annotations

import numpy as np

from cytonym.data.contents import Contents, Place, split_types, string_columns
from cytonym.data.judge import Finding
from cytonym.data.rates import METHYLATION, doubts
from cytonym.dna.intervals import interval_names, mostly_intervals
from cytonym.errors import Problem, suggest
from cytonym.types import FeatureSpace

USUAL = ("layers['counts']", "raw.X", "X")
"""Where counts are looked for, in this order; rates are looked for the other way round."""


def structure(contents: Contents) -> list[Problem]:
    """What is wrong with a data set before any number is read."""
    problems = []
    if not len(contents.obs):
        remedy = "check the filter that made it, or give the unfiltered data"
        problems.append(Problem("it has no cells", remedy))
    if not contents.places:
        remedy = "give counts in layers['counts'] or X"
        problems.append(Problem("it has no matrix: X, raw and layers are empty", remedy))
    elif not any(len(place.var) for place in contents.places.values()):
        remedy = "check the filter that made it, or give the unfiltered data"
        problems.append(Problem("it has no genes or peaks", remedy))
    elif not any(place.columns for place in contents.places.values()):
        place = next(iter(contents.places.values()))
        left = ", ".join(f"{n:,} {kind}" for kind, n in split_types(place.var)[1].items())
        remedy = "give a file with 'Gene Expression' features"
        problems.append(Problem(f"it holds only {left}", remedy))
    return problems


def choose(
    contents: Contents, layer: str | None
) -> tuple[dict[str, tuple[Place, Finding]], list[str], list[Problem]]:
    """Pick, for each modality, the place to read: the first one that holds counts, or rates.

    Returns
    -------
    tuple
        By modality the place and what it holds; notes; problems.
    """
    usual = [where for where in USUAL if where in contents.places]
    if layer is not None:
        wanted = {"X": "X", "raw": "raw.X"}.get(layer, f"layers[{layer!r}]")
        if wanted not in contents.places:
            what, remedy = f"there is no layer {layer!r}", suggest(layer, layer_names(contents))
            return {}, [], [Problem(what, remedy)]
        usual = [wanted]
    if not usual:
        what = f"there is no X, no raw and no layer 'counts', only {', '.join(contents.places)}"
        return {}, [], [Problem(what, "name the layer to read (layer= or --layer)")]
    chosen, notes, problems = {}, [], []
    for modality in dict.fromkeys(m for w in usual for m in contents.places[w].columns):
        found: dict[str, Finding] = {}
        wanted = "rates" if modality == METHYLATION else "counts"
        for where in usual[:: -1 if modality == METHYLATION else 1]:
            if modality in contents.places[where].columns:
                found[where] = contents.judge(where, modality)
                if found[where].kind == wanted:
                    break
        best = min(found, key=lambda where: _rank(found[where]))
        finding = found[best]
        look = layer is None and finding.kind != wanted
        hints = _elsewhere(contents, modality, wanted) if look else []
        if finding.problem() is not None:
            wrong = [p for f in found.values() if (p := f.problem())]
            problems += [Problem(p.what, "; ".join([p.remedy, *hints])) for p in wrong]
        else:
            chosen[modality] = (contents.places[best], finding)
            notes += [
                f"{f.where} was passed over: {f.evidence}" for f in found.values() if f.problem()
            ]
            notes += hints
        if finding.kind == "non-integer counts":
            notes.append(f"{best}: {finding.evidence}; they are used as counts")
        if finding.values == "rates":
            rows, block = contents.places[best].rows, contents.sample(best, modality)[1]
            notes += doubts(block, best, dense=rows.nnz == rows.shape[0] * rows.shape[1])
        if finding.values == "relative":
            notes.append(f"no raw counts; {best} is {finding.kind} and is used, not logged")
    for where in usual[:1]:
        place = contents.places[where]
        left = {} if place.modality else split_types(place.var)[1]
        for kind, n in left.items():
            notes.append(f"{n:,} features of type {kind!r} are left out")
    return chosen, notes, problems


def layer_names(contents: Contents) -> list[str]:
    """The places as ``layer=`` names them."""
    short = {"X": "X", "raw.X": "raw"}
    return [short.get(where, where[8:-2]) for where in contents.places]


def _rank(finding: Finding) -> int:
    order = ["counts", "non-integer counts"]
    if finding.kind in order:
        return order.index(finding.kind)
    return 2 if finding.values else 3


def _elsewhere(contents: Contents, modality: str, wanted: str) -> list[str]:
    """Layers with other names that hold counts (or rates): named, not taken."""
    others = [w for w in contents.places if w not in USUAL]
    held = [
        w
        for w in others
        if modality in contents.places[w].columns and contents.judge(w, modality).kind == wanted
    ]
    return [
        f"{where} holds {wanted} but is not a usual place; layer={where[8:-2]!r} reads it"
        for where in held
    ]


def feature_space(modality: str, place: Place, genes: str | None) -> FeatureSpace:
    """The features of one modality of a place; genes are named by the column ``genes``."""
    var = place.var.iloc[place.columns[modality]]
    names, columns = var.index.astype(str).to_numpy().astype(str), string_columns(var)
    if modality in ("atac", METHYLATION) and not mostly_intervals(names):
        placed = interval_names(var)
        columns = columns if placed is None else {**columns, "interval": placed}
    if modality == "rna" and genes in columns:
        columns, names = {"var_names": names, **columns}, columns[genes]
    return FeatureSpace(modality, names, np.ones(len(names), bool), columns)


def genes_problem(contents: Contents, where: str, genes: str | None) -> Problem | None:
    """What is wrong with the wish to name features by the column ``genes``."""
    known = string_columns(contents.places[where].var)
    if genes is None or genes in known:
        return None
    what = f"var of {where} has no text column {genes!r}"
    none = "it has none at all: leave out genes= (--genes)"
    return Problem(what, suggest(genes, list(known)) if known else none)
