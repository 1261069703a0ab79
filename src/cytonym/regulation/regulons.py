"""A factor and its targets together: activity in each cell, and agreement with known targets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats
from scipy.sparse import csr_matrix

from cytonym.disk.numbers import numbers
from cytonym.errors import DataError, OptionError, Problem
from cytonym.regulation.matrices import dense, moments, product, size
from cytonym.types import Matrix

How = Literal["mean", "entropy"]

SOURCE = ("source", "tf", "factor", "regulator")
TARGET = ("target", "gene", "tg")
SIGN = ("weight", "mor", "mode")
"""What the columns of known edges are called, in any case."""

_TRRUST = {"activation": 1.0, "repression": -1.0, "unknown": 0.0}


def regulons(
    rna: Matrix,
    genes: Sequence[str] | np.ndarray,
    edges: pd.DataFrame,
    *,
    how: How = "mean",
) -> pd.DataFrame:
    """Activity of each factor in each cell, from the expression of its targets.

    ``mean``: the mean over targets of their z-scores over cells, those with a negative
    coefficient counted negatively. ``entropy``: as in DCCA's code, with T_i a target, F the
    factor and K targets, ``q_i = T_i F / (Σ T_j)²`` and activity ``-Σ q_i log q_i / log K``,
    then scaled to 0..1 over cells. q does not sum to 1, so this is no entropy proper; it is NaN
    for a factor with one target or that is not measured.

    Parameters
    ----------
    rna
        ``(cells, genes)`` log1p CP10k.
    genes
        ``(genes,)`` str.
    edges
        ``factor``, ``gene`` and, if there is one, ``coefficient``; repeats (by type) count once,
        with the sign of their sum. Targets that are not in ``genes`` are left out.

    Returns
    -------
    DataFrame
        Cells × factors, float32.

    Raises
    ------
    OptionError
        Another ``how``.
    DataError
        No edge whose target is measured.
    """
    if how not in get_args(How):
        raise OptionError(f"how={how!r} is no activity; there are mean and entropy.")
    place = {str(gene): number for number, gene in reversed([*enumerate(genes)])}
    signs = edges["coefficient"] if "coefficient" in edges else pd.Series(1.0, index=edges.index)
    table: Any = edges[["factor", "gene"]].assign(sign=signs.to_numpy())
    table = table.groupby(["factor", "gene"], sort=True)["sign"].sum().reset_index()
    table = table[table["gene"].isin(place)]
    if not len(table):
        what = f"none of {len(edges):,} edges has a target among {len(place):,} genes"
        raise DataError(Problem(what, "check that both name genes alike"), subject="the edges")
    factor, names = pd.factorize(table["factor"])
    target = table["gene"].map(place).to_numpy(np.int64)
    if how == "mean":
        weights = np.where(table["sign"] < 0, -1.0, 1.0) / np.bincount(factor)[factor]
        out = _mean(rna, target, factor, weights, len(names))
    else:
        columns = [place.get(str(name)) for name in names]
        out = np.column_stack(
            [_entropy(rna, target[factor == n], own) for n, own in enumerate(columns)]
        )
    return pd.DataFrame(out.astype(np.float32), columns=names.astype(str))


def _mean(
    rna: Matrix, target: np.ndarray, factor: np.ndarray, weights: np.ndarray, n: int
) -> np.ndarray:
    """Weighted sums of z-scores, without a dense copy of the cells."""
    mean, sd = moments(rna)
    sd = np.where(sd > 0, sd, np.inf)  # a constant gene adds 0
    scaled = csr_matrix((weights / sd[target], (target, factor)), shape=(size(rna)[1], n))
    return product(rna, scaled) - mean @ scaled


def _entropy(rna: Matrix, target: np.ndarray, factor: int | None) -> np.ndarray:
    if factor is None or len(target) < 2:
        return np.full(size(rna)[0], np.nan)
    values = dense(rna[:, np.append(target, factor)])
    targets, own = values[:, :-1], values[:, [-1]]
    sums = targets.sum(axis=1, keepdims=True) ** 2
    q = np.divide(targets * own, sums, out=np.zeros_like(targets), where=sums > 0)
    terms = q * np.log(q, out=np.zeros_like(q), where=q > 0)
    activity = -terms.sum(axis=1) / np.log(len(target))
    span = np.ptp(activity)
    return (activity - activity.min()) / span if span > 0 else np.zeros_like(activity)


def read_edges(path: str | Path) -> pd.DataFrame:
    """Known edges from a tab-separated table, as DoRothEA, CollecTRI or TRRUST give them.

    Returns
    -------
    DataFrame
        ``factor``, ``gene``, ``sign`` (float64: above 0 activates, below 0 represses, 0 or NaN
        is not known); each pair of factor and gene once, the first.

    Raises
    ------
    DataError
        No such file, or no columns of factors and targets.
    """
    path = Path(path)
    try:
        table = pd.read_csv(
            path, sep="\t", comment="#", dtype=str, header=None, keep_default_na=False
        )
    except (OSError, ValueError) as error:
        problem = Problem(f"it cannot be read ({error})", "give a tab-separated table")
        raise DataError(problem, subject=str(path)) from error
    head = [str(value).strip().lower() for value in table.iloc[0]]
    at = [next((head.index(n) for n in names if n in head), None) for names in (SOURCE, TARGET)]
    if None not in at:
        found = table.iloc[1:, at].set_axis(pd.Index(["factor", "gene"]), axis=1)
        signed = next((head.index(name) for name in SIGN if name in head), None)
        sign = np.nan if signed is None else numbers(table.iloc[1:, signed])
    elif len(head) > 2 and {*table.iloc[:, 2].str.lower()} <= {*_TRRUST}:  # has no header
        found = table.iloc[:, :2].set_axis(pd.Index(["factor", "gene"]), axis=1)
        sign = table.iloc[:, 2].str.lower().map(_TRRUST)
    else:
        what = f"its first line is {', '.join(map(repr, head[:6]))}"
        remedy = f"name a column {' or '.join(SOURCE)}, and one {' or '.join(TARGET)}"
        raise DataError(Problem(what, remedy), subject=path.name)
    found = found.assign(sign=sign).drop_duplicates(["factor", "gene"])
    return found.reset_index(drop=True)


def enrichment(
    edges: pd.DataFrame, known: pd.DataFrame, genes: Sequence[str] | np.ndarray
) -> pd.DataFrame:
    """Whether predicted targets are known ones more often than by chance (hypergeometric test).

    For a factor, chance draws its predicted number of targets from all ``genes`` but itself.
    Names are compared without regard to case. Factors are those with predicted and with known
    targets; row ``(all)`` has the table of all pairs of these factors with genes (Fisher's
    exact test, one-sided as the others).

    Parameters
    ----------
    edges, known
        ``factor``, ``gene``.
    genes
        All genes that could have been predicted.

    Returns
    -------
    DataFrame
        Index: factor, ``(all)`` first, then by p. Columns ``predicted, known, overlap,
        expected, odds_ratio, p, q``; q (Benjamini and Hochberg) over the factors, NaN for
        ``(all)``.

    Raises
    ------
    DataError
        No factor is in both tables.
    """
    universe = {str(gene).upper() for gene in genes}
    sides = [_targets(table, universe) for table in (edges, known)]
    shared = sorted({*sides[0]} & {*sides[1]})
    if not shared:
        what = f"{len(sides[0]):,} factors have predicted targets, {len(sides[1]):,} known ones"
        remedy = "none is in both: check the species, and that names are symbols in both"
        raise DataError(Problem(what, remedy), subject="the known edges")
    rows = {}
    for name in shared:
        ours, theirs = (side[name] for side in sides)
        n = len(universe - {name})
        rows[name] = _table(len(ours & theirs), len(ours), len(theirs), n) | {"total": n}
    out: Any = pd.DataFrame.from_dict(rows, orient="index")
    out["q"] = stats.false_discovery_control(out["p"])
    sums = {column: int(out[column].sum()) for column in ("overlap", "predicted", "known", "total")}
    whole = _table(*sums.values()) | {"expected": float(out["expected"].sum()), "q": np.nan}
    first = pd.DataFrame.from_dict({"(all)": whole}, orient="index")
    out = pd.concat([first, out.sort_values("p", kind="stable")])
    columns = ["predicted", "known", "overlap", "expected", "odds_ratio", "p", "q"]
    return out[columns].rename_axis("factor")


def _targets(table: pd.DataFrame, universe: set[str]) -> dict[str, set[str]]:
    """The targets of each factor among ``universe``, in capitals, without itself."""
    factor, gene = (table[side].astype(str).str.upper() for side in ("factor", "gene"))
    kept = gene.isin(universe) & (gene != factor)
    return {str(name): {*part} for name, part in gene[kept].groupby(factor[kept])}


def _table(overlap: int, predicted: int, known: int, total: int) -> dict[str, float]:
    """One two by two table: chance of so large an overlap, and the odds ratio."""
    only, missed = predicted - overlap, known - overlap
    rest = total - overlap - only - missed
    odds = overlap * rest / (only * missed) if only * missed else np.inf if overlap else np.nan
    return {
        "predicted": predicted,
        "known": known,
        "overlap": overlap,
        "expected": predicted * known / total,
        "odds_ratio": odds,
        "p": float(stats.hypergeom.sf(overlap - 1, total, known, predicted)),
    }
