import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    link,
    log_normalised,
    metacells,
    summed,
)
from cytonym.regulation.links import correlation_p


def test_r_is_pearson_s_and_p_comes_from_the_80_peaks_on_other_chromosomes(planted):
    rna, atac, pairs, genes, chrom, gc = planted
    found = link(rna, atac, pairs, genes=genes, chrom=chrom, gc=gc, n=2000)  # that is, all
    for _, one in found.iterrows():
        gene = rna[:, int(one["gene"][1:])]
        assert one["r"] == pytest.approx(stats.pearsonr(gene, atac[:, one["row"]]).statistic)
        others = np.flatnonzero(chrom != chrom[one["row"]])
        r = np.array([stats.pearsonr(gene, atac[:, row]).statistic for row in others])
        assert one["p"] == pytest.approx(stats.norm.sf((one["r"] - r.mean()) / r.std(ddof=1)))
    np.testing.assert_allclose(found["q"], stats.false_discovery_control(found["p"]))
    assert (found["n"] == 200).all()


def test_all_ten_planted_pairs_are_found_and_at_most_two_of_thirty_others(planted):
    rna, atac, pairs, genes, chrom, gc = planted
    found = link(csr_matrix(rna), csr_matrix(atac), pairs, genes=genes, chrom=chrom, gc=gc)
    true = found["row"] < 10
    assert (found["q"][true] < 0.01).all()
    assert (found["q"][~true] <= 0.05).sum() <= 2
    dense = link(rna, atac, pairs, genes=genes, chrom=chrom, gc=gc)
    np.testing.assert_allclose(found["p"], dense["p"], atol=1e-9)


def test_peaks_to_compare_with_are_the_nearest_in_gc_and_accessibility(planted):
    rna, atac, pairs, genes, chrom, gc = planted
    found = link(rna, atac, pairs, genes=genes, chrom=chrom, gc=gc, n=12)
    both = np.column_stack([np.log10(atac.mean(0)), gc])
    whiten = np.linalg.inv(np.linalg.cholesky(np.cov(both.T)))
    white = both @ whiten.T
    for _, one in found.iterrows():
        away = np.linalg.norm(white - white[one["row"]], axis=1)
        away[chrom == chrom[one["row"]]] = np.inf
        gene = rna[:, int(one["gene"][1:])]
        r = [stats.pearsonr(gene, atac[:, row]).statistic for row in np.argsort(away)[:12]]
        wanted = (one["r"] - np.mean(r)) / np.std(r, ddof=1)
        assert stats.norm.isf(one["p"]) == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_p_of_pairs_without_a_link_is_even(planted):
    """Genes that follow nothing, with peaks that follow nothing."""
    _, _, pairs, genes, chrom, gc = planted
    rng = np.random.default_rng(5)
    rna, atac = rng.standard_normal((2, 400, 120)) + 9
    found = link(rna[:, :20], atac, pairs, genes=genes, chrom=chrom, gc=gc)
    assert stats.kstest(found["p"], "uniform").pvalue > 0.01


def test_the_published_test_sets_r_to_0_unless_significant_in_more_than_two_metacells():
    rng = np.random.default_rng(0)
    rna = rng.poisson(1.0, (50, 2)).astype(float)
    atac = rng.poisson(0.5, (50, 40)).astype(float)
    atac[:, 0] = rna[:, 0] + rng.random(50)
    atac[:, 1] = 0
    atac[[3, 4], 1] = 50 * rna[[3, 4], 0] + 1
    pairs_of = {"gene": ["a", "a", "b"], "peak": ["x", "y", "x"], "row": [0, 1, 0]}
    import pandas as pd

    found = link(
        rna,
        atac,
        pd.DataFrame(pairs_of),
        genes=["a", "b"],
        chrom=np.array(["chr1"] * 40),
        gc=np.full(40, 0.5),
        n=1000,
        published=True,
    )
    r, p = stats.pearsonr(rna[:, 0], atac[:, 0])
    assert p < 0.05
    assert found["r"].tolist() == pytest.approx([r, 0, 0])  # y is open in two metacells only
    # By hand: the gene with every peak, not significant ones set to 0; 1,000 draws of them.
    every = [stats.pearsonr(rna[:, 0], atac[:, k]) for k in range(40)]
    often = (atac > 0).sum(0) > 2
    null = np.array([one.statistic if one.pvalue < 0.05 else 0 for one in every]) * often
    score = (r - null.mean()) / null.std()
    assert stats.norm.isf(found["p"][0]) == pytest.approx(score, rel=0.15)


def test_a_gene_or_peak_that_does_not_vary_has_r_0_and_p_1(planted):
    rna, atac, pairs, genes, chrom, gc = planted
    rna, atac = rna.copy(), atac.copy()
    rna[:, 3], atac[:, 4] = 2.0, 0.0
    found = link(rna, atac, pairs, genes=genes, chrom=chrom, gc=gc)
    flat = (found["gene"] == "G3") | (found["row"] == 4)
    assert flat.sum() == 3
    assert (found["r"][flat] == 0).all()
    assert (found["p"][flat] == 1).all()


def test_what_does_not_fit_is_told_together(planted):
    rna, atac, pairs, genes, chrom, gc = planted
    with pytest.raises(DataError) as caught:
        link(rna[:3], atac, pairs, genes=genes[1:], chrom=chrom[1:], gc=gc)
    assert len(caught.value.problems) == 3
    with pytest.raises(DataError, match="no candidate pair"):
        link(rna, atac, pairs, genes=np.char.lower(genes), chrom=chrom, gc=gc)
    with pytest.raises(DataError, match="0 peaks lie on other chromosomes"):
        link(rna, atac, pairs, genes=genes, chrom=np.full(120, "chr1"), gc=gc)
    with pytest.raises(OptionError, match="n=5"):
        link(rna, atac, pairs, genes=genes, chrom=chrom, gc=gc, n=5)


def test_p_of_a_correlation_is_scipy_s():
    x, y = np.random.default_rng(0).standard_normal((2, 30))
    r, p = stats.pearsonr(x, y)
    assert correlation_p(np.array([r]), 30)[0] == pytest.approx(p)
    assert correlation_p(np.array([1.0]), 30)[0] == 0


def test_metacells_keep_far_groups_apart_and_number_one_for_30_cells():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3000, 4)) + 30 * (np.arange(3000) % 3)[:, None]
    codes = metacells(x)
    assert codes.max() + 1 == 100
    assert np.bincount(codes).min() > 0
    for code in range(100):
        assert len(np.unique(np.flatnonzero(codes == code) % 3)) == 1
    np.testing.assert_array_equal(codes, metacells(x))
    assert metacells(x[:600]).max() + 1 == 50  # no fewer than 50
    assert metacells(x[:90]).max() + 1 == 30  # while each has three cells
    assert metacells(x[:600], size=4).max() + 1 == 150
    assert metacells(x[:50], size=1).tolist() == [*range(50)]
    assert metacells(np.zeros((90, 2))).tolist() == [0] * 90


def test_metacells_refuse_values_that_are_not_finite_and_sizes_below_1():
    with pytest.raises(DataError, match="1 values not finite"):
        metacells(np.array([[np.nan, 0.0]]))
    with pytest.raises(OptionError, match="size=0"):
        metacells(np.zeros((9, 2)), size=0)


def test_sums_of_metacells_and_their_logarithm_are_those_by_hand():
    counts = csr_matrix([[1, 0, 3], [2, 0, 2], [0, 5, 5], [9, 9, 9]], dtype=np.float32)
    sums = summed(counts, np.array([1, 1, 0, -1]))
    np.testing.assert_array_equal(sums.toarray(), [[0, 5, 5], [3, 0, 5]])
    wanted = np.log1p([[0, 5000, 5000], [3750, 0, 6250]])
    np.testing.assert_allclose(log_normalised(sums).toarray(), wanted, rtol=1e-6)
