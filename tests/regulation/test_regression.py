import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge

from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    candidates,
    correlation_network,
    network,
)
from cytonym.regulation.regression import PENALTIES

GENES = [*"ABCDEFxyz"]


@pytest.fixture
def cells():
    """100 metacells: x follows A and less B, y follows -C and A, z nothing; A and D are alike."""
    rng = np.random.default_rng(0)
    rna = rng.standard_normal((100, 9))
    rna[:, 3] = rna[:, 0] + 0.5 * rng.standard_normal(100)
    rna[:, 6] += 2 * rna[:, 0] + rna[:, 1]
    rna[:, 7] += 2 * rna[:, 0] - 2 * rna[:, 2]
    rna += 10  # expression is positive
    rows = [(f, g, f"p{f}{g}") for g in "xyz" for f in "ABCDE"]
    return rna, pd.DataFrame(rows, columns=pd.Index(["factor", "gene", "peaks"]))


def by_sklearn(rna, gene, signed, folds=5, seed=0):
    """Coefficients and R² of cross-validation, one scikit-learn model after the other."""
    x, y = rna[:, :5], rna[:, GENES.index(gene)]
    fold = np.random.default_rng(seed).permutation(np.arange(100) % folds)
    errors, total = np.zeros(len(PENALTIES)), 0.0
    for one in range(folds):
        train, test = fold != one, fold == one
        mean, sd = x[train].mean(0), x[train].std(0)
        z, t = (x - mean) / sd, (y - y[train].mean()) / y[train].std()
        for place, penalty in enumerate(PENALTIES):
            model = Ridge(alpha=penalty * train.sum(), positive=not signed, tol=1e-10)
            model.fit(z[train], t[train])
            errors[place] += y[train].var() * ((t - model.predict(z)) ** 2)[test].sum()
        total += ((y - y[train].mean())[test] ** 2).sum()
    z = [(one - one.mean(0)) / one.std(0) for one in (x, y)]
    model = Ridge(alpha=PENALTIES[errors.argmin()] * 100, positive=not signed, tol=1e-10)
    return model.fit(*z).coef_, 1 - errors.min() / total


@pytest.mark.parametrize("signed", [False, True])
def test_coefficients_and_out_of_fold_r2_are_scikit_learn_s(cells, signed):
    rna, pairs = cells
    found = network(rna, GENES, pairs, signed=signed)
    for gene in "xyz":
        wanted, r2 = by_sklearn(rna, gene, signed)
        part = found.edges[found.edges["gene"] == gene].set_index("factor")
        ours = part["coefficient"].reindex([*"ABCDE"], fill_value=0.0)
        np.testing.assert_allclose(ours, wanted, atol=1e-4)
        if len(part):
            assert part["r2"].iloc[0] == pytest.approx(r2, abs=1e-4)


def test_coefficients_are_positive_unless_signed_and_a_repressor_needs_signed(cells):
    rna, pairs = cells
    found = network(csr_matrix(rna), GENES, pairs, type="T").edges
    assert (found["coefficient"] > 0).all()
    assert (found["type"] == "T").all()
    of_x = found[found["gene"] == "x"]
    assert of_x["factor"].iloc[0] == "A"  # the strongest first
    assert of_x["peaks"].iloc[0] == "pAx"
    assert not ((found["gene"] == "y") & (found["factor"] == "C")).any()
    signed = network(rna, GENES, pairs, signed=True).edges.set_index(["factor", "gene"])
    assert signed.loc[("C", "y"), "coefficient"] < -0.3
    assert signed.loc[("A", "x"), "r2"] > 0.7


def test_p_and_q_are_those_of_the_correlation_over_all_candidates(cells):
    rna, pairs = cells
    found = network(rna, GENES, pairs, signed=True).edges  # all 15 candidates are edges
    assert len(found) == 15
    for _, edge in found.iterrows():
        r, p = stats.pearsonr(
            rna[:, GENES.index(edge["factor"])], rna[:, GENES.index(edge["gene"])]
        )
        assert edge["r"] == pytest.approx(r)
        assert edge["p"] == pytest.approx(p)
    np.testing.assert_allclose(found["q"], stats.false_discovery_control(found["p"]))


def test_out_of_fold_r2_of_noise_is_not_above_a_tenth_with_30_factors():
    rng = np.random.default_rng(1)
    rna = rng.standard_normal((60, 31)) + 9
    names = [f"G{i}" for i in range(31)]
    rows = pd.DataFrame({"factor": names[1:], "gene": "G0", "peaks": "p"})
    found = network(rna, names, rows, signed=True)
    assert found.edges["r2"].iloc[0] < 0.1


def test_genes_with_fewer_than_two_expressed_factors_are_left_out_and_told(cells):
    rna, pairs = cells
    rna = rna.copy()
    rna[:, 4] = 0
    rna[:3, 4] = 5  # E is expressed in three metacells only
    pairs = pd.concat([pairs[pairs["gene"] != "z"], pairs[(pairs["gene"] == "z")].iloc[3:]])
    found = network(rna, GENES, pairs, type="T")
    assert found.left_out.to_numpy().tolist() == [["T", "z", "fewer than two candidate factors"]]
    assert found.notes == ("T: 1 of 3 genes have fewer than two factors",)
    assert "E" not in set(found.edges["factor"])
    with pytest.raises(DataError, match="none of 1 genes with linked peaks has two"):
        network(rna, GENES, pairs[pairs["gene"] == "z"])


def test_too_few_metacells_or_folds_are_refused(cells):
    rna, pairs = cells
    with pytest.raises(DataError, match="9 metacells are too few for 5 folds"):
        network(rna[:9], GENES, pairs)
    with pytest.raises(OptionError, match="folds=1"):
        network(rna, GENES, pairs, folds=1)


def test_candidates_are_measured_factors_with_a_motif_in_a_linked_peak_but_the_gene_itself():
    matches = csr_matrix(np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]], dtype=bool))
    links = pd.DataFrame(
        {"gene": ["x", "x", "A", "y"], "peak": ["p0", "p1", "p1", "p2"], "row": [0, 1, 1, 2]}
    )
    found = candidates(links, matches, {"A": [0], "B": [1, 0], "C": []})
    assert found.to_numpy().tolist() == [["B", "A", "p1"], ["A", "x", "p0,p1"], ["B", "x", "p0,p1"]]


def test_correlation_alone_lists_all_pairs_by_the_size_of_r(cells):
    rna, _ = cells
    found = correlation_network(rna, GENES, ["A", "C", "nothing"])
    assert len(found) == 2 * 8
    assert (np.diff(np.abs(found["r"])) <= 1e-12).all()
    one = found[(found["factor"] == "C") & (found["gene"] == "y")].iloc[0]
    r, p = stats.pearsonr(rna[:, 2], rna[:, 7])
    assert (one["r"], one["p"]) == pytest.approx((r, p))
