"""Predicted names as other tools and portals want them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.compat import COMPAT, called, data_ids, method_id
from cytonym.errors import DataError, OptionError, Problem, suggest
from cytonym.ontology.mapping import RESERVED, LabelMap, map_labels
from cytonym.ontology.terms import SAYS_NOTHING, UPPER, Terms, cell_ontology
from cytonym.publishing.changes import Changes, Held, held
from cytonym.publishing.required import missing_for_cap, missing_for_cellxgene

Target: TypeAlias = Literal["cellxgene", "cap", "celltypist", "seurat", "openproblems"]

UNKNOWN = "unknown"
"""What portals call a cell without a type; Unknown, Heterogeneous, doublets and junk become it."""


def export(
    data: AnnData | str | Path,
    to: Target,
    *,
    key: str = "cell_type_pred",
    review: str | Path | None = None,
    publish: bool = False,
) -> Changes:
    """What becomes of annotated data for another tool or portal; nothing is changed yet.

    Parameters
    ----------
    data
        Annotated cells: an AnnData or an ``.h5ad``.
    to
        ``celltypist``, ``seurat`` and ``openproblems`` rename the predicted columns as those tools
        call them. ``cellxgene`` adds Cell Ontology ids, ``cap`` the columns and metadata of the
        Cell Annotation Platform; both list what is missing for an upload.
    key
        The predicted column.
    review
        A review file for the labels; see :func:`map_labels`. Where the data have
        ``obs[f"{key}_ontology_term_id"]``, its ids are taken instead.
    publish
        For ``cellxgene``: write the curated column ``cell_type_ontology_term_id`` itself, and call
        a column ``cell_type`` ``author_cell_type``, since the portal writes its own.

    Returns
    -------
    Changes
        With ``to(adata)`` and ``write(data, out)``.

    Raises
    ------
    DataError
        No such column, names that are taken, or all that is wrong with the review file.
    OptionError
        An unknown target, or ``publish`` or ``review`` for one that has no use for it.
    """
    if to not in get_args(Target):
        raise OptionError(f"There is no target {to!r}. {suggest(to, get_args(Target))}")
    if publish and to != "cellxgene":
        raise OptionError(f"publish is for cellxgene; {to} has no curated columns.")
    if review is not None and to in COMPAT:
        raise OptionError(f"A review file is for cellxgene and cap; {to} has no term ids.")
    found = held(data)
    if key not in found.obs:
        columns = [str(name) for name in found.obs.columns]
        remedy = suggest(key, columns) if columns else "annotate the cells first: cytonym annotate"
        raise DataError(Problem(f"there is no column {key!r} in obs", remedy), subject=found.name)
    if to in COMPAT:
        return _compat(found, to, key, "" if isinstance(data, AnnData) else Path(data).stem)
    if to == "cellxgene" and key == "cell_type" and not publish:
        raise OptionError(
            "The key 'cell_type' would write the curated column cell_type_ontology_term_id; "
            "say publish (--publish) if that is meant."
        )
    labels = _labels(found.obs[key])
    mapping = map_labels(labels.unique(), review=review)
    ids = _ids(found, key, labels, mapping)
    notes = _notes(found, key, labels, ids, mapping, reviewed=review is not None)
    if to == "cellxgene":
        return _cellxgene(found, key, ids, publish=publish, notes=notes)
    return _cap(found, key, labels, ids, mapping, notes)


# --- other tools -------------------------------------------------------------------------------


def _compat(found: Held, to: str, key: str, dataset: str) -> Changes:
    names = called(key, to)
    renamed = {old: new for old, new in names.items() if old in found.obs and old != new}
    _check_free(found, renamed.values())
    notes = [
        f"obs[{old!r}] is not there, so {new} is not written"
        for old, new in names.items()
        if old not in found.obs
    ]
    facts = _facts(found, key)
    uns: dict[str, Any] = _wrote(found, key, renamed=renamed)
    if to == "openproblems":
        lacking = data_ids(dataset)
        uns |= {name: str(found.uns.get(name) or value) for name, value in lacking.items()}
        uns["method_id"] = method_id(str(facts.get("method", "")))
    return Changes(
        found.name, found.obs.index, {}, renamed, uns, notes=tuple(notes), stamp=found.stamp
    )


def _wrote(
    found: Held, key: str, *, renamed: Mapping[str, str] | None = None, more: Iterable[str] = ()
) -> dict[str, Any]:
    """What the annotation under ``key`` says of its own columns, brought up to date."""
    columns = _facts(found, key).get("columns")
    if columns is None:
        return {}
    names = [(renamed or {}).get(str(name), str(name)) for name in columns]
    return {key: {"columns": np.array([*dict.fromkeys([*names, *more])], dtype=str)}}


def _check_free(found: Held, names: Any) -> None:
    taken = [name for name in names if name in found.obs]
    if taken:
        what = f"obs has {', '.join(map(repr, taken))} already"
        raise DataError(Problem(what, "rename or remove what is there"), subject=found.name)


def _facts(found: Held, key: str) -> Mapping[str, Any]:
    """What the annotation said of its model."""
    facts = found.uns.get(key)
    return facts if isinstance(facts, Mapping) else {}


# --- labels and ids ----------------------------------------------------------------------------


def _labels(column: Any) -> pd.Series:
    """``(cells,)`` labels as text; what names no cell type is ``unknown``."""
    column = pd.Series(column).astype(object)
    text = column.where(column.notna(), UNKNOWN).astype(str).str.strip()
    return text.where(~text.str.lower().isin(RESERVED), UNKNOWN)


def _ids(found: Held, key: str, labels: pd.Series, mapping: LabelMap) -> pd.Series:
    """``(cells,)`` term ids, or ``unknown``: those that the annotation wrote, or of the labels."""
    terms = cell_ontology()
    name = f"{key}_ontology_term_id"
    if name not in found.obs:
        ids = labels.map(mapping.ids)
    else:
        column = pd.Series(found.obs[name]).astype(object)
        ids = column.where(column.notna(), "").astype(str).str.strip().replace(UNKNOWN, "")
        wrong = sorted({one for one in ids.unique() if one and one not in terms.names})
        if wrong:
            what = f"obs[{name!r}] holds {len(wrong)} ids that are no terms in use: {wrong[:5]}"
            remedy = "annotate again, or remove the column to map the labels"
            raise DataError(Problem(what, remedy), subject=found.name)
        ids = ids.where(labels != UNKNOWN, "")
    return ids.where(~ids.isin({"", *SAYS_NOTHING}), UNKNOWN)


def _notes(
    found: Held, key: str, labels: pd.Series, ids: pd.Series, mapping: LabelMap, *, reviewed: bool
) -> tuple[str, ...]:
    notes = [f"Cell Ontology {mapping.version}"]
    reserved = int((labels == UNKNOWN).sum())
    if reserved:
        notes.append(f"{reserved:,} of {len(labels):,} cells have no type (Unknown, junk, ...)")
    left = pd.Series(labels[(ids == UNKNOWN) & (labels != UNKNOWN)]).value_counts()
    name = f"{key}_ontology_term_id"
    if name in found.obs:
        unread = "; the review file was not needed" * reviewed
        none = f"; {left.sum():,} cells with a type have none there" * bool(len(left))
        notes.append(f"the ids are those of obs[{name!r}]{none}{unread}")
    elif len(left):
        named = ", ".join(f"{name} ({n:,} cells)" for name, n in left.iloc[:6].items())
        more = ", ..." * (len(left) > 6)
        notes.append(
            f"{len(left)} labels have no sure term and became {UNKNOWN!r}: {named}{more}; "
            "settle them in a review file (cytonym ontology FILE --labels COLUMN --out TSV)"
        )
    return tuple(notes)


# --- portals -----------------------------------------------------------------------------------


def _cellxgene(
    found: Held, key: str, ids: pd.Series, *, publish: bool, notes: tuple[str, ...]
) -> Changes:
    name = "cell_type_ontology_term_id" if publish else f"{key}_ontology_term_id"
    renamed = {}
    if publish:
        renamed = {"cell_type": "author_cell_type"} if "cell_type" in found.obs else {}
        _check_free(found, [name, *renamed.values()])
    columns = {name: pd.Categorical(ids)}
    written = frozenset({name, *renamed.values()})
    missing = missing_for_cellxgene(found, written=written)
    uns = _wrote(found, key, renamed=renamed, more=() if publish else columns)
    cells = found.obs.index
    return Changes(found.name, cells, columns, renamed, uns, missing, notes, found.stamp)


def _cap(
    found: Held,
    key: str,
    labels: pd.Series,
    ids: pd.Series,
    mapping: LabelMap,
    notes: tuple[str, ...],
) -> Changes:
    terms = cell_ontology()
    have = ids != UNKNOWN
    names = ids.map(terms.names).where(have, "")
    used = sorted({*ids} - {UNKNOWN})
    parents = ids.map({one: _category(one, terms) for one in used}).where(have, "")
    how = {match.label: match.how for match in mapping.matches}
    method = _facts(found, key).get("method")
    told = f"Named by cytonym {_version(found, key)} ({method}); label to term: "
    why = labels.map({one: told + how[one] if method else "" for one in how})
    given = f"{key}_ontology_term_id" in found.obs
    own = labels.map(mapping.ids)
    other = given & (labels != UNKNOWN) & (ids != own.where(own != "", UNKNOWN))
    why = why.where(~other, f"{told}{_level(found, key)}" if method else "")
    synonyms = ids.map({one: ", ".join(terms.synonyms[one]) for one in used})
    columns = {
        "": labels,
        "cell_fullname": names.where(have, labels),
        "cell_ontology_exists": have,
        "cell_ontology_term_id": ids.where(have, ""),
        "cell_ontology_term": names,
        "rationale": why,
        "marker_gene_evidence": pd.Series("", labels.index),
        "canonical_marker_genes": pd.Series("", labels.index),
        "synonyms": synonyms.where(have, ""),
        "category_fullname": parents.map(terms.names).where(parents != "", ""),
        "category_cell_ontology_exists": parents != "",
        "category_cell_ontology_term_id": parents,
        "category_cell_ontology_term": parents.map(terms.names).where(parents != "", ""),
    }
    whole = {
        f"{key}--{name}" if name else key: column.to_numpy(bool)
        if name.endswith("_exists")
        else pd.Categorical(column.astype(str))
        for name, column in columns.items()
    }
    metadata = _cap_metadata(found, key)
    empty = {
        "name the genes that you checked": [
            f"obs['{key}--{name}']" for name in ("marker_gene_evidence", "canonical_marker_genes")
        ]
        + [f"obs['{key}--rationale']"] * (not method),
        "say how the cells were named, and where the code and the reference are": [
            f"uns['cellannotation_metadata'][{key!r}][{name!r}]"
            for name, value in metadata.items()
            if not value
        ],
    }
    open_ = [Problem(f"{', '.join(names)}: empty", remedy) for remedy, names in empty.items()]
    uns = {"cellannotation_metadata": {key: metadata}, **_wrote(found, key, more=whole)}
    missing = (*missing_for_cap(found), *open_)
    cells = found.obs.index
    return Changes(found.name, cells, whole, {}, uns, missing, notes, found.stamp)


def _cap_metadata(found: Held, key: str) -> dict[str, str]:
    """The facts of one set of annotations; "" where they are not known."""
    facts = _facts(found, key)
    names = ("description", "annotation_method", "algorithm_name", "algorithm_version")
    blank: dict[str, str] = dict.fromkeys(
        (*names, "algorithm_repo_url", "reference_location", "reference_description"), ""
    )
    if not facts.get("method"):  # not an annotation of ours
        return blank
    model = f" (model {facts['hash']})" if facts.get("hash") else ""
    return blank | {
        "description": f"Cell types predicted by cytonym, method {facts['method']}.",
        "annotation_method": "algorithmic",
        "algorithm_name": f"cytonym {facts['method']}",
        "algorithm_version": _version(found, key),
        "reference_description": f"The labelled cells that the model learned from{model}.",
    }


def _level(found: Held, key: str) -> str:
    """Why the term of a cell, or that it has none, is not that of its label."""
    facts = _facts(found, key).get("ontology")
    level = facts.get("level") if isinstance(facts, Mapping) else None
    return "as given" if level is None else f"by probability, level {float(level):g}"


def _version(found: Held, key: str) -> str:
    return str(_facts(found, key).get("version") or version("cytonym"))


def _category(term: str, terms: Terms) -> str:
    """The deepest term above that says something, or ""; of equals the one with fewer below."""
    above = terms.ancestors[term] - UPPER
    order = sorted(above, key=lambda one: (-terms.depth[one], terms.n_below[one], one))
    return order[0] if order else ""
