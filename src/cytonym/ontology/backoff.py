"""Back-off: where types share the probability, the deepest term that has enough of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cytonym.errors import DataError, OptionError, Problem
from cytonym.ontology.mapping import LabelMap
from cytonym.ontology.terms import SAYS_NOTHING, UPPER, Terms, cell_ontology

TOLERANCE = 1e-6
"""What a sum of float32 probabilities may lack."""

AT_ONCE = 20_000
"""Cells whose probabilities of all terms are held in memory together."""


@dataclass(frozen=True, slots=True, eq=False)
class BackOff:
    """The term of each cell.

    Attributes
    ----------
    ids, names
        ``(cells,)`` object, of str: the term; both "" where none is sure enough (unknown).
    probability
        ``(cells,)`` float32: of the term, summed over the types below it; 0 where unknown.
    own
        ``(cells,)`` bool: whether it is the term of the cell's most probable type, so that
        nothing was lost.
    """

    ids: np.ndarray
    names: np.ndarray
    probability: np.ndarray
    own: np.ndarray

    def __repr__(self) -> str:
        unknown = int((self.ids == "").sum())
        wider = len(self.ids) - int(self.own.sum()) - unknown
        return f"<BackOff of {len(self.ids):,} cells: {wider:,} wider, {unknown:,} unknown>"


def back_off(
    probabilities: pd.DataFrame, mapping: LabelMap | Mapping[str, str], level: float = 0.9
) -> BackOff:
    """For each cell the deepest Cell Ontology term whose probability reaches ``level``.

    The probability of a term is the sum over the types whose term is it or lies below it. Of the
    terms that reach the level the deepest is given: the one with the longest path from ``cell``
    (the ontology is no tree, a term may have several parents). Among equally deep ones the most
    probable, then the one with the fewest terms below it, then the smaller id. Classes by build
    or function (``UPPER``: motile cell, secretory cell, ...) are given only if they are a type's
    own term, and ``cell`` or ``eukaryotic cell`` never. Types without a term count for none.

    Parameters
    ----------
    probabilities
        ``(cells, types)`` in [0, 1], rows sum to 1; the columns are labels.
    mapping
        Of :func:`map_labels`, or label to term id ("": no term); it has all columns.
    level
        In (0, 1]: how probable the term has to be.

    Raises
    ------
    DataError
        A column without an entry in ``mapping``, an id that is no term in use, values that are no
        probabilities.
    OptionError
        ``level`` is out of its range.
    """
    check_level(level)
    terms = cell_ontology()
    ids = mapping.ids if isinstance(mapping, LabelMap) else dict(mapping)
    columns = [str(name) for name in probabilities.columns]
    values = _checked(probabilities, columns, ids, terms)
    own = np.array([ids[name] for name in columns], dtype=object)
    offered = _offered(own, terms)
    below = np.array(
        [[bool(t) and (t == o or terms.above(o, t)) for o in offered] for t in own], dtype=float
    ).reshape(len(own), len(offered))
    depth = np.array([terms.depth[one] for one in offered], dtype=float)
    chosen, chance = np.full(len(values), -1), np.zeros(len(values), np.float32)
    for start in range(0, len(values) if len(offered) else 0, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        mass = values[part].astype(np.float64) @ below
        # Depth decides, probability among equals; offered is in the order of what settles the rest.
        rank = np.where(mass >= level - TOLERANCE, depth + np.clip(mass, 0, 1).round(6) / 2, -1.0)
        best = rank.argmax(axis=1)
        rows = np.arange(len(best))
        reached = rank[rows, best] >= 0
        chosen[part] = np.where(reached, best, -1)
        chance[part] = np.where(reached, np.minimum(mass[rows, best], 1), 0)
    table = np.array([*offered, ""], dtype=object)
    names = np.array([*(terms.names[one] for one in offered), ""], dtype=object)
    found = table[chosen]
    first = own[values.argmax(axis=1)] if len(own) and len(values) else found
    return BackOff(found, names[chosen], chance, (found == first) & (found != ""))


def check_level(level: float) -> None:
    """Refuse a level that no probability can reach, or that all do."""
    if not 0 < level <= 1:
        raise OptionError(
            f"level={level:g} is no share; give one above 0 and at most 1, such as 0.9."
        )


def _offered(own: np.ndarray, terms: Terms) -> list[str]:
    """The terms that can be given: those of the types and all above that say something."""
    given = {term for term in own if term}
    above = {upper for term in given for upper in terms.ancestors[term]}
    offered = ((above - UPPER) | given) - SAYS_NOTHING
    return sorted(offered, key=lambda one: (terms.n_below[one], one))


def _checked(
    probabilities: pd.DataFrame, columns: list[str], ids: Mapping[str, str], terms: Terms
) -> np.ndarray:
    """The values, or all that is wrong with them and with the mapping."""
    problems = []
    lacking = [name for name in columns if name not in ids]
    if lacking:
        what = f"{len(lacking)} of {len(columns)} types are not in the mapping: {_some(lacking)}"
        problems.append(Problem(what, "map the labels of the same model"))
    wrong = [ids[n] for n in columns if ids.get(n) and ids[n] not in terms.names]
    if wrong:
        what = f"{len(wrong)} ids are no terms in use of the Cell Ontology: {_some(wrong)}"
        problems.append(Problem(what, "map the labels again"))
    try:
        values = probabilities.to_numpy(dtype=np.float32)
    except (TypeError, ValueError):
        values = np.zeros((0, 0), np.float32)
        problems.append(Problem("the table holds text", "give probabilities, (cells, types)"))
    if values.size and not (np.isfinite(values).all() and values.min() >= 0):
        n = int((~(np.isfinite(values) & (values >= 0))).any(axis=1).sum())
        what = f"{n:,} of {len(values):,} rows have values that are negative or not finite"
        problems.append(Problem(what, "give probabilities, not scores"))
    elif values.size:
        sums = values.sum(axis=1, dtype=np.float64)
        n = int((np.abs(sums - 1) > 1e-3).sum())
        if n:
            what = f"{n:,} of {len(values):,} rows do not sum to 1 (they reach {sums.max():.4g})"
            problems.append(Problem(what, "give probabilities of all types of the model"))
    if problems:
        raise DataError(problems, subject="the probabilities")
    return values


def _some(names: list[str]) -> str:
    return ", ".join(repr(name[:60]) for name in names[:5]) + ", ..." * (len(names) > 5)
