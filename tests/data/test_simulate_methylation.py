"""Simulated methylation has missing entries, zeros and ones, and falls where genes rise."""

import numpy as np
import pytest

from cytonym.data.simulate_methylation import simulate_methylation
from cytonym.errors import OptionError


def observed_correlations(parts) -> np.ndarray:
    """Of each site with the log count of its gene, over the cells where it is observed."""
    rates, counts = parts["methylation"].X, np.log1p(parts["rna"].X.toarray())
    column = parts["rna"].var_names.get_indexer(parts["methylation"].var["gene"])
    seen = ~np.isnan(rates)
    return np.array(
        [
            np.corrcoef(rates[ok, site], counts[ok, column[site]])[0, 1]
            for site, ok in enumerate(seen.T)
        ]
    )


def test_half_the_entries_are_missing_and_0_and_1_are_a_third_or_more_each_of_the_others():
    site = simulate_methylation(seed=0)["methylation"]
    assert site.shape == (400, 400)
    assert isinstance(site.X, np.ndarray)
    assert site.X.dtype == np.float32
    missing = np.isnan(site.X)
    assert 0.48 < missing.mean() < 0.52
    assert missing.mean(axis=1).std() > 0.05
    values = site.X[~missing]
    assert values.min() == 0
    assert values.max() == 1
    assert (values == 0).mean() > 0.3
    assert (values == 1).mean() > 0.3
    assert ((values > 0) & (values < 1)).mean() > 0.2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.8])
def test_the_missing_share_is_as_asked_to_2_percent(share):
    site = simulate_methylation(seed=1, missing=share)["methylation"]
    assert abs(np.isnan(site.X).mean() - share) < 0.02


def test_a_site_falls_where_its_gene_rises():
    found = observed_correlations(simulate_methylation(seed=0))
    assert (found < 0).mean() > 0.85
    assert found[:75].mean() < -0.25  # the genes that differ between types


def test_both_parts_are_of_the_same_cells_and_sites_are_half_open_intervals():
    parts = simulate_methylation(60, 40, 3, seed=0, n_sites=50, batches=2)
    assert parts["rna"].obs.equals(parts["methylation"].obs)
    assert parts["rna"].obs["cell_type"].value_counts().tolist() == [20] * 3
    assert parts["rna"].obs["batch"].nunique() == 2
    assert parts["rna"].shape == (60, 40)
    var = parts["methylation"].var
    assert list(var.index) == [f"{r.chr}:{r.start}-{r.end}" for r in var.itertuples()]
    assert set(var["gene"]) == set(parts["rna"].var_names)


def test_the_same_seed_gives_the_same_cells_and_another_seed_others():
    one, again, other = (simulate_methylation(50, 40, seed=s) for s in (1, 1, 2))
    assert (one["rna"].X != again["rna"].X).nnz == 0
    np.testing.assert_array_equal(one["methylation"].X, again["methylation"].X)
    assert (one["rna"].X != other["rna"].X).nnz > 0


def test_sizes_that_do_not_go_together_are_refused_all_at_once():
    with pytest.raises(OptionError) as error:
        simulate_methylation(3, 10, 4, seed=0, missing=1.5)
    for part in (
        "n_types is 4",
        "missing is 1.5",
        "four genes per type (16)",
    ):
        assert part in str(error.value)
    with pytest.raises(OptionError, match="a share below 1"):
        simulate_methylation(seed=0, missing=1)
