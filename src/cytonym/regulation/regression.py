"""Which factors a gene follows: ridge regression on those with a motif in one of its peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls
from scipy.sparse import csr_matrix
from tqdm.auto import tqdm

from cytonym.errors import DataError, OptionError, Problem
from cytonym.regulation.links import correlation_p, standardised
from cytonym.regulation.matrices import above_zero, dense, size
from cytonym.types import Matrix

PENALTIES = np.logspace(-3, 2, 11)
"""λ of ridge regression that are tried: of ``|y - Xb|² / n + λ |b|²``, with X and y scaled."""

EDGES = ("type", "factor", "gene", "coefficient", "peaks", "r", "p", "q", "r2")
LEFT_OUT = ("type", "gene", "reason")

FEW = 3
"""A factor takes part if it is expressed in more metacells than so many."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Factors and the genes that they may regulate.

    Attributes
    ----------
    edges
        ``type``; ``factor``; ``gene``; ``coefficient`` (standard deviations of the gene for one
        of the factor); ``peaks`` (those with a motif, joined by commas); ``r, p, q`` of factor
        and gene over metacells, two-sided, q over all candidates of a type; ``r2`` of the gene:
        the share of variance explained in the folds that were left out, not in training. The
        penalty was chosen in the same folds.
    left_out
        ``type, gene, reason``: genes with a linked peak that have no regression.
    notes
        What was left out, in sentences with numbers.
    """

    edges: pd.DataFrame
    left_out: pd.DataFrame
    notes: tuple[str, ...] = ()


def candidates(
    links: pd.DataFrame, matches: csr_matrix, factors: Mapping[str, Sequence[int]]
) -> pd.DataFrame:
    """Factors with a motif in a linked peak of a gene, without the gene itself.

    Parameters
    ----------
    links
        ``gene, peak, row`` of the pairs that are kept.
    matches
        ``(peaks, motifs)`` bool.
    factors
        The motifs (columns of ``matches``) of each factor that is measured.

    Returns
    -------
    DataFrame
        ``factor, gene, peaks`` (joined by commas), sorted by gene, then factor.
    """
    names = np.array([*factors], dtype=object)
    owner = [place for place, name in enumerate(names) for _ in factors[name]]
    motif = [number for name in names for number in factors[name]]
    shape = size(matches)[1], len(names)
    incidence = csr_matrix((np.ones(len(motif), np.float32), (motif, owner)), shape=shape)
    rows = links["row"].to_numpy(np.int64)
    which, factor = (csr_matrix(matches[rows], dtype=np.float32) @ incidence).nonzero()
    found: Any = pd.DataFrame(
        {
            "factor": names[factor],
            "gene": links["gene"].to_numpy(dtype=object)[which],
            "peaks": links["peak"].to_numpy(dtype=object)[which],
        }
    )
    found = found[found["factor"] != found["gene"]]
    grouped = found.groupby(["gene", "factor"], sort=True)["peaks"].agg(",".join).reset_index()
    return grouped[["factor", "gene", "peaks"]]


def network(
    rna: Matrix,
    genes: Sequence[str] | np.ndarray,
    pairs: Any,
    *,
    linked: Sequence[str] | np.ndarray | None = None,
    signed: bool = False,
    folds: int = 5,
    type: str = "all",
    seed: int = 0,
    progress: bool = False,
) -> Network:
    """Regress every gene on its candidate factors over metacells.

    Ridge regression with coefficients that are not negative (``signed``: any); the penalty is
    the one with the least squared error in cross-validation. A factor must be expressed in more
    than three metacells, and a gene needs two such factors. Edges are those with a coefficient
    other than 0.

    Metacells are not independent cells: p says how strong a correlation is among these, not
    that it would be found in other donors.

    Parameters
    ----------
    rna
        ``(metacells, genes)`` log1p CP10k.
    genes
        ``(genes,)`` str.
    pairs
        ``factor, gene, peaks`` of ``candidates``.
    linked
        ``(genes,)`` str: all genes with a linked peak, so that those without a candidate are told
        too; default: those of ``pairs``.
    type
        What the column ``type`` says.

    Raises
    ------
    DataError
        Fewer than two metacells a fold, or no gene with two factors.
    OptionError
        Fewer than two folds.
    """
    if folds < 2:
        raise OptionError(f"folds={folds} cannot be left out in turn; give 2 or more.")
    if size(rna)[0] < 2 * folds:
        what = f"{size(rna)[0]:,} metacells are too few for {folds} folds"
        raise DataError(Problem(what, f"give {2 * folds} or more"), subject=f"the cells of {type}")
    column: Any = {str(gene): place for place, gene in reversed([*enumerate(genes)])}
    pairs = pairs[pairs["factor"].isin(column) & pairs["gene"].isin(column)]
    expressed = above_zero(rna)
    often = pairs["factor"].map(column).map(lambda place: expressed[place] > FEW)
    wanted = pairs["gene"] if linked is None else linked
    asked = pd.Index([name for name in dict.fromkeys(wanted) if name in column])
    pairs = pairs[often.astype(bool)].reset_index(drop=True)
    per_gene: Any = pairs.groupby("gene")["factor"].size().reindex(asked, fill_value=0)
    pairs = pairs[pairs["gene"].isin(per_gene.index[per_gene >= 2])].reset_index(drop=True)
    few = [str(gene) for gene in per_gene.index[per_gene < 2]]
    left_out = pd.DataFrame(
        {"type": type, "gene": few, "reason": "fewer than two candidate factors"},
        columns=pd.Index(LEFT_OUT),
    )
    if not len(pairs):
        what = f"none of {len(asked):,} genes with linked peaks has two measured factors in them"
        remedy = "measure more factors, allow more links (level), or a higher p of a motif"
        raise DataError(Problem(what, remedy), subject=f"the candidates of {type}")
    used = np.unique([*pairs["factor"].map(column), *pairs["gene"].map(column)])
    x = dense(rna[:, used])
    factor, gene = (
        np.searchsorted(used, pairs[side].map(column).to_numpy()) for side in ("factor", "gene")
    )
    fit = _Folds(x, folds, seed)
    coefficient, r2 = np.zeros(len(pairs)), np.zeros(len(pairs))
    groups = [*pairs.groupby("gene", sort=False).indices.values()]
    for rows in tqdm(groups, desc="network", unit="gene", leave=False, disable=not progress):
        coefficient[rows], r2[rows] = fit.ridge(factor[rows], int(gene[rows[0]]), signed)
    z = standardised(x)
    r = (z[:, factor] * z[:, gene]).mean(axis=0)
    p = correlation_p(r, len(z))
    table = pairs.assign(type=type, coefficient=coefficient, r=r, p=p, r2=r2)
    edges: Any = table.assign(q=stats.false_discovery_control(p))[coefficient != 0]
    edges = edges.sort_values(["r2", "gene", "coefficient"], ascending=[False, True, False])
    notes = ()
    if few:
        notes = (f"{type}: {len(few):,} of {len(asked):,} genes have fewer than two factors",)
    return Network(edges[[*EDGES]].reset_index(drop=True), left_out, notes)


class _Folds:
    """Inner products of all scaled columns, once for each training part of the data."""

    def __init__(self, x: np.ndarray, folds: int, seed: int) -> None:
        fold = np.random.default_rng(seed).permutation(np.arange(len(x)) % folds)
        parts = [np.flatnonzero(fold != one) for one in range(folds)]
        self.all = _scaled(x, x)
        self.train = [_scaled(x[part], x[part]) for part in parts]
        self.test = [_scaled(x[fold == n], x[part]) for n, part in enumerate(parts)]
        self.spread = [x[part].std(axis=0) for part in parts]
        self.grams = [z.T @ z / len(z) for z in (*self.train, self.all)]

    def ridge(self, factors: np.ndarray, gene: int, signed: bool) -> tuple[np.ndarray, float]:
        """Coefficients with the best penalty, and R² in the parts left out."""
        errors, total = np.zeros(len(PENALTIES)), 0.0
        for gram, test, spread in zip(self.grams, self.test, self.spread, strict=False):
            b = _solved(gram, factors, gene, PENALTIES, signed)  # penalties × factors
            unit = spread[gene] ** 2  # folds are summed in the units of the gene
            left = test[:, [gene]] - test[:, factors] @ b.T
            errors += unit * (left**2).sum(axis=0)
            total += unit * (test[:, gene] ** 2).sum()
        best = int(errors.argmin())
        b = _solved(self.grams[-1], factors, gene, PENALTIES[[best]], signed)[0]
        return b, 1 - errors[best] / total if total > 0 else np.nan


def _scaled(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """X less the means, over the standard deviations, of ``by``; constant columns become 0."""
    sd = by.std(axis=0)
    return np.divide(x - by.mean(axis=0), sd, out=np.zeros_like(x), where=sd > 1e-12)


def _solved(
    gram: np.ndarray, factors: np.ndarray, gene: int, penalties: np.ndarray, signed: bool
) -> np.ndarray:
    """``(penalties, factors)``: the least of ``bᵀ(G + λ)b / 2 - cᵀb``, over b ≥ 0 unless signed.

    With ``G + λ = L Lᵀ`` this is least squares of ``Lᵀ b`` against ``L⁻¹ c``.
    """
    inner, outer = gram[np.ix_(factors, factors)], gram[factors, gene]
    out = np.empty((len(penalties), len(factors)))
    for place, penalty in enumerate(penalties):
        lower = cholesky(inner + penalty * np.eye(len(factors)), lower=True)
        target = solve_triangular(lower, outer, lower=True)
        if signed:
            out[place] = solve_triangular(lower.T, target)
        else:
            out[place] = nnls(lower.T, target, maxiter=30 * len(factors))[0]
    return out


def correlation_network(
    rna: Matrix, genes: Sequence[str] | np.ndarray, factors: Sequence[str]
) -> pd.DataFrame:
    """All pairs of factor and gene by how strongly they correlate: what motifs have to beat.

    Parameters
    ----------
    rna
        ``(metacells, genes)`` log1p CP10k.
    factors
        Genes that are factors; others are left out.

    Returns
    -------
    DataFrame
        ``factor, gene, r, p, q``, the greatest ``|r|`` first; no gene with itself.
    """
    names = np.asarray(genes).astype(object)
    place = {name: number for number, name in reversed([*enumerate(names)])}
    rows = np.array([place[one] for one in dict.fromkeys(factors) if one in place], dtype=np.int64)
    z = standardised(rna)
    r = z[:, rows].T @ z / len(z)
    factor, gene = np.nonzero(names[rows][:, None] != names[None])
    r = r[factor, gene]
    p = correlation_p(r, len(z))
    q = stats.false_discovery_control(p) if len(p) else p
    table = pd.DataFrame(
        {"factor": names[rows][factor], "gene": names[gene], "r": r, "p": p, "q": q}
    )
    return table.iloc[np.argsort(-np.abs(r), kind="stable")].reset_index(drop=True)
