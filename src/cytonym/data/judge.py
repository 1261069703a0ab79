"""What the numbers in a matrix are, judged by evidence: counts, a logarithm, or neither."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from cytonym.errors import Problem

SAMPLE_ROWS = 2_000
SAMPLE_VALUES = 20_000_000
LARGEST_LOG = 25.0
"""No logarithm of an expression value is larger (exp(25) = 7e10); fractional counts are."""
LARGEST_DOUBLE_LOG = 2.7
"""log1p(log1p(1e6)) = 2.7."""

LOGS = {"log1p": 1.0, "log2p": float(np.log(2)), "log10p": float(np.log(10))}
"""By kind, the natural logarithm of the base."""

COUNTS = ("counts", "non-integer counts")
RELATIVE = ("log1p(CP10k)", "log1p", "log2p", "log10p", "normalised")


@dataclass(frozen=True, slots=True)
class Finding:
    """What the numbers in one place are.

    Attributes
    ----------
    where
        ``"layers['counts']"``, ``"raw.X"`` or ``"X"``.
    kind
        ``"counts"``, ``"non-integer counts"``, ``"log1p(CP10k)"``, ``"log1p"``, ``"log2p"``,
        ``"log10p"``, ``"normalised"`` (never logged), or one that cannot be used:
        ``"double-logged"``, ``"scaled"``, ``"negative counts"``, ``"non-finite"``, ``"empty"``.
        Of methylation ``"rates"``, or what :func:`cytonym.data.rates.judge_rates` finds wrong.
    evidence
        One sentence with numbers.
    proven
        Whether the numbers leave no doubt; else the kind is the most likely one.
    """

    where: str
    kind: str
    evidence: str
    proven: bool = True

    @property
    def is_logged(self) -> bool:
        """Whether the numbers are logarithms beyond doubt."""
        return self.proven and self.kind in (*LOGS, "log1p(CP10k)", "double-logged")

    @property
    def values(self) -> str | None:
        """``"counts"``, ``"relative"``, ``"rates"``; None where the numbers cannot be used."""
        if self.kind in COUNTS:
            return "counts"
        if self.kind == "rates":
            return "rates"
        return "relative" if self.kind in RELATIVE else None

    def problem(self) -> Problem | None:
        """What is wrong and what to do, or None."""
        remedies = {
            "double-logged": "the logarithm was taken twice: undo one with numpy.expm1, or give "
            "the counts in layers['counts']",
            "scaled": "scaled values cannot be turned back: give the counts in layers['counts'] "
            "or raw.X, or name the layer that holds them",
            "negative counts": "counts cannot be negative: find the step that subtracted "
            "(background removal?) and give the counts from before it",
            "non-finite": "drop the cells or genes with NaN or infinite values, or fill them "
            "with 0 where nothing was counted",
            "empty": "give a matrix with counts, or name the layer that holds them",
            "negative rates": "if they mark what was not measured, set them to NaN; if they are "
            "M-values, give 2^M / (1 + 2^M)",
            "infinite rates": "set to NaN what was not measured",
            "rates of 2": "2 looks like a code for missing: set it to NaN",
            "percentages": "divide by 100 if these are percentages; else give methylated reads "
            "over all reads",
            "rates above 1": "give methylated reads over all reads, which lie in [0, 1]",
            "no rates": "give a matrix of rates in which NaN is missing and 0 is unmethylated",
        }
        found = [remedies[kind] for kind in self.kind.split(" and ") if kind in remedies]
        return Problem(f"{self.where}: {self.evidence}", "; ".join(found)) if found else None


def unlog(values: np.ndarray, kind: str) -> np.ndarray:
    """Relative expression from logged values; counts and plain values are given back unchanged.

    Parameters
    ----------
    values
        Stored values, any shape.
    kind
        As in :class:`Finding`.
    """
    base = LOGS.get("log1p" if kind.startswith("log1p") else kind)
    if base is None:
        return values
    with np.errstate(over="ignore"):  # the reader refuses what is not finite, with a message
        return np.expm1(values * np.asarray(base, values.dtype))


def sample_rows(n_cells: int, n_values: int, *, runs: int = 40) -> np.ndarray:
    """Up to 2,000 row numbers in runs spread evenly from the first row to the last.

    Runs, because a file gives neighbours cheaply; fewer rows where they are very full.
    """
    wanted = int(np.clip(SAMPLE_VALUES * n_cells / max(1, n_values), 50, SAMPLE_ROWS))
    if n_cells <= wanted:
        return np.arange(n_cells)
    length = max(1, wanted // runs)
    starts = np.linspace(0, n_cells - length, wanted // length).astype(np.int64)
    return np.unique(starts[:, None] + np.arange(length))


def judge(
    block: csr_matrix, where: str, *, cells: np.ndarray, features: np.ndarray, whole: bool
) -> Finding:
    """Say what the numbers of a sample of rows are.

    Parameters
    ----------
    block
        ``(cells, features)``: the sampled rows as they are stored.
    where
        The name of the place, for messages.
    cells, features
        The names of the rows and columns of ``block``.
    whole
        Whether the sample is all there is.
    """
    n_cells = len(cells)
    values = block.data.astype(np.float64)
    seen = f"{n_cells:,} {'' if whole else 'sampled '}cells"
    bad = ~np.isfinite(values)
    if bad.any():
        rows = np.repeat(np.arange(n_cells), np.diff(block.indptr))[bad][:3]
        spots = (
            f"cell {cells[row]!s}, feature {features[column]!s}"
            for row, column in zip(rows, block.indices[bad][:3], strict=True)
        )
        nan = int(np.isnan(values).sum())
        what = f"{nan:,} NaN and {int(bad.sum()) - nan:,} infinite values in {seen}"
        return Finding(where, "non-finite", f"{what}; first: {'; '.join(spots)}")
    if not values.any():
        return Finding(where, "empty", f"all values of {seen} are zero")
    values = values[values != 0]
    low, high = values.min(), values.max()
    whole_numbers = values == np.round(values)
    if low < 0:
        below = f"{(values < 0).sum():,} negative values in {seen}, lowest {low:.4g}"
        if whole_numbers.all():
            return Finding(where, "negative counts", f"{below}, all values whole numbers")
        return Finding(where, "scaled", f"{below}, highest {high:.4g}: centred or scaled")
    if whole_numbers.all():
        return Finding(where, "counts", f"whole numbers up to {high:,.0f} in {seen}")
    return _not_whole(block, where, seen, float(high), float(whole_numbers.mean()))


def _not_whole(block: csr_matrix, where: str, seen: str, high: float, whole: float) -> Finding:
    """Non-negative values that are not whole: logged, normalised, or fractional counts."""
    trials = {"normalised": lambda x: x}
    if high < LARGEST_LOG:
        trials |= {name: lambda x, b=base: np.expm1(x * b) for name, base in LOGS.items()}
    if high < LARGEST_DOUBLE_LOG:
        trials["double-logged"] = lambda x: np.expm1(np.expm1(x))
    scored = {kind: _proof(block, undo) for kind, undo in trials.items()}
    kind = max(scored, key=lambda name: scored[name][0])
    score, proof, total = scored[kind]
    if score > 0.8:
        if kind == "log1p" and abs(total - 1e4) < 50:
            kind = "log1p(CP10k)"
        undone = {"normalised": "", "double-logged": "undoing log1p twice, "}
        return Finding(
            where, kind, f"highest {high:.4g}; {undone.get(kind, 'undoing the log, ')}{proof}"
        )
    if high >= LARGEST_LOG:
        evidence = (
            f"{1 - whole:.0%} of the non-zero values in {seen} are not whole numbers (highest "
            f"{high:,.4g}): expected counts, as Smart-seq pipelines give"
        )
        return Finding(where, "non-integer counts", evidence)
    evidence = f"highest {high:.4g} in {seen}; taken for log1p, though the base cannot be proven"
    return Finding(where, "log1p", evidence, proven=False)


def _proof(block: csr_matrix, undo) -> tuple[float, str, float]:
    """How well undone values look like normalised counts: ``(score in 0..1, sentence, total)``.

    Two marks: all cells have the same total; or, within a cell, values are whole multiples of
    the smallest one, which was a single count. The second survives the loss of genes.
    """
    values = (undo(block.data.astype(np.float64)), block.indices, block.indptr)
    plain = csr_matrix(values, shape=block.shape, copy=True)
    plain.eliminate_zeros()
    totals = np.asarray(plain.sum(axis=1)).ravel()
    totals = totals[totals > 0]
    middle = float(np.median(totals))
    same = float((abs(totals - middle) < 0.005 * middle).mean()) if len(totals) > 2 else 0.0
    if same > 0.95:
        return same, f"{same:.0%} of the cells sum to {middle:,.6g}", middle
    full = np.flatnonzero(np.diff(plain.indptr))
    smallest = np.minimum.reduceat(plain.data, plain.indptr[full])
    ratio = plain.data / np.repeat(smallest, np.diff(plain.indptr)[full])
    owner = np.repeat(np.arange(len(full)), np.diff(plain.indptr)[full])
    # Near 1 every value is near a whole number; far above, rounding of float32 blurs them.
    telling = (ratio > 1.05) & (ratio < 50)
    near = abs(ratio - np.round(ratio)) < 0.02
    n_telling = np.bincount(owner[telling], minlength=len(full))
    n_near = np.bincount(owner[telling & near], minlength=len(full))
    cells = n_telling >= 5
    if cells.sum() < 3:
        return 0.0, "too few values to tell", middle
    share = float((n_near[cells] / n_telling[cells] > 0.9).mean())
    return share, f"{share:.0%} of the cells hold whole multiples of their smallest value", middle
