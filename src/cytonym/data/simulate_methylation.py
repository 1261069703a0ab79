"""Paired RNA and DNA methylation: a gene is the lower the more its sites are methylated."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.data.simulate import typed_cells
from cytonym.data.simulate_counts import batch_shift, draw_counts, wrong_sizes
from cytonym.errors import OptionError


def simulate_methylation(
    n_cells: int = 400,
    n_genes: int = 300,
    n_types: int = 4,
    *,
    seed: int,
    n_sites: int = 400,
    missing: float = 0.5,
    batches: int = 1,
) -> dict[str, AnnData]:
    """RNA counts and methylation rates of the same cells.

    The genes of a type are higher in it, and all vary with two programmes within types. The
    logit of a site's methylation falls with the log mean of its gene. A rate is the share of
    methylated reads, one to about five of them, so that 0 and 1 are common.

    Parameters
    ----------
    n_cells, n_genes, n_types
        The size; types are of equal size, and a quarter of the genes differ between them.
    seed
        The same seed gives the same cells.
    n_sites
        Sites; their genes are drawn by chance, those that differ between types first.
    missing
        The share of entries without a read; cells differ in it.
    batches
        Batches of equal size; each changes every gene, and the odds of every site, by about 20 %.

    Returns
    -------
    dict
        ``"rna"``: csr float32 raw counts. ``"methylation"``: dense float32 rates in [0, 1], NaN
        where no read was seen; ``var`` has ``gene`` and ``chr``, ``start``, ``end`` (bp, 0-based,
        half-open). ``obs`` of both: ``cell_type``, ``batch``.

    Raises
    ------
    OptionError
        Sizes or shares that do not go together, all at once.
    """
    wrong = wrong_sizes(n_cells, n_types, batches, {"missing": missing})
    if n_genes < 4 * n_types or n_sites < 1 or missing == 1:
        wrong.append(
            f"n_genes is {n_genes}, n_sites {n_sites}, missing {missing}: give four genes per "
            f"type ({4 * n_types}), one site or more, and a share below 1"
        )
    if wrong:
        raise OptionError("nothing was simulated: " + "; ".join(wrong))
    rng = np.random.default_rng(seed)
    obs = typed_cells(n_cells, n_types, batches, rng)
    expression = _expression(obs["cell_type"].cat.codes.to_numpy(), n_types, n_genes, rng)
    genes = pd.Index([f"SIM{number:04d}" for number in range(n_genes)])
    counts = draw_counts(expression, obs, depth=2_000.0, rng=rng)
    shuffled = [
        rng.permutation(n_genes // 4),
        n_genes // 4 + rng.permutation(n_genes - n_genes // 4),
    ]
    gene = np.resize(np.concatenate(shuffled), n_sites)
    rates = _rates(expression[:, gene], obs, missing, rng)
    starts = 1_000 * np.arange(1, n_sites + 1)
    var = pd.DataFrame({"gene": genes[gene], "chr": "chr1", "start": starts, "end": starts + 200})
    var.index = pd.Index([f"chr1:{start}-{start + 200}" for start in starts])
    rna = AnnData(counts, obs, pd.DataFrame(index=genes))
    return {"rna": rna, "methylation": AnnData(rates, obs.copy(), var)}


def _expression(
    types: np.ndarray, n_types: int, n_genes: int, rng: np.random.Generator
) -> np.ndarray:
    """``(cells, genes)`` float64 changes of the log mean, mean 0 over cells."""
    marked = n_genes // 4
    pattern = np.zeros((n_types, n_genes))
    pattern[np.arange(marked) % n_types, np.arange(marked)] = 1.5
    programmes = rng.standard_normal((len(types), 2)) @ rng.normal(0, 0.3, (2, n_genes))
    raised = pattern[types] + programmes
    return raised - raised.mean(axis=0)


def _rates(
    expression: np.ndarray, obs: pd.DataFrame, missing: float, rng: np.random.Generator
) -> np.ndarray:
    """``(cells, sites)`` float32; NaN: no read."""
    cells, sites = expression.shape
    odds = batch_shift(obs, sites, rng) * np.exp(rng.normal(0, 0.7, sites) - 2 * expression)
    reads = 1 + rng.poisson(1.0, (cells, sites))
    rates = (rng.binomial(reads, odds / (1 + odds)) / reads).astype(np.float32)
    if missing > 0:
        share = rng.beta(20 * missing, 20 * (1 - missing), (cells, 1))
        rates[rng.random((cells, sites)) < share] = np.nan
    return rates
