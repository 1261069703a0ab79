"""The terms of annotated cells: those that the probabilities of the model's types support."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytonym.ontology.backoff import back_off, check_level
from cytonym.ontology.mapping import RESERVED, LabelMap, map_labels


@dataclass(frozen=True, slots=True, eq=False)
class CellTerms:
    """The Cell Ontology term of each cell of an annotation.

    Attributes
    ----------
    ids, names
        ``(cells,)`` object, of str: the term; both "" where there is none.
    probability
        ``(cells,)`` float32: of the term, summed over the types below it; 0 where there is none.
    level
        What it had to reach.
    version
        Release of the Cell Ontology.
    open
        The types that wait for a person: their term is not sure, or none was found.
    notes
        How many types and cells have terms.
    """

    ids: np.ndarray
    names: np.ndarray
    probability: np.ndarray
    level: float
    version: str
    open: tuple[str, ...]
    notes: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """What is kept in ``uns``."""
        return {
            "version": self.version,
            "level": float(self.level),
            "open": np.array(self.open, dtype=str),
        }


def cell_terms(
    labels: np.ndarray,
    probabilities: pd.DataFrame,
    *,
    review: str | Path | None = None,
    level: float = 0.9,
) -> CellTerms:
    """Map the types to terms and give each cell the deepest one that reaches ``level``.

    Parameters
    ----------
    labels
        ``(cells,)`` object, of str: what the cells are called. A name that is no type of the model
        (Unknown), or no cell type (doublets, junk), gets no term.
    probabilities
        ``(cells, types)``, rows sum to 1; the columns are the types.
    review
        A review file for the types; see :func:`map_labels`.
    level
        In (0, 1]; see :func:`back_off`.

    Raises
    ------
    OptionError
        ``level`` is out of its range.
    CytonymError
        The extra ``[onto]`` is not installed.
    DataError
        All that is wrong with the review file.
    """
    check_level(level)
    types = [str(name) for name in probabilities.columns]
    mapping = map_labels(types, review=review)
    found = back_off(probabilities, mapping, level)
    kinds = {name for name in types if name.strip().lower() not in RESERVED}
    typed = np.array([str(one) in kinds for one in labels], dtype=bool)
    ids, names = (np.where(typed, part, "") for part in (found.ids, found.names))
    own = int((found.own & typed).sum())
    none = int((ids == "").sum())
    cells = (
        f"Cell Ontology {mapping.version}, level {level:g}: of {len(ids):,} cells {own:,} have the "
        f"term of their type, {len(ids) - own - none:,} another (as a rule a wider one), "
        f"{none:,} none"
    )
    return CellTerms(
        ids=ids,
        names=names,
        probability=np.where(typed, found.probability, np.float32(0)),
        level=level,
        version=mapping.version,
        open=tuple(match.label for match in mapping.open),
        notes=(*_without(mapping), cells),
    )


def _without(mapping: LabelMap) -> tuple[str, ...]:
    """How many types have no sure term, in a note; none where all have one."""
    without = [" ".join(match.label.split())[:40] for match in mapping.matches if not match.sure]
    if not without:
        return ()
    listed = ", ".join(map(repr, without[:6])) + ", ..." * (len(without) > 6)
    remedy = (
        "; settle them in a review file (cytonym ontology FILE --labels COLUMN --out TSV)"
        if mapping.open
        else ""
    )
    what = f"{len(without)} of {len(mapping.matches)} types have no sure Cell Ontology term"
    return (f"{what} and count for none: {listed}{remedy}",)
