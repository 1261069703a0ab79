"""Agreement of generated values with measured ones, against scipy and scikit-learn."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from cytonym.errors import DataError
from cytonym.evaluate.generation import (
    aurocs,
    cluster_kappa,
    correlations,
    generation_scores,
    pair_consistency,
)


@pytest.fixture
def values():
    rng = np.random.default_rng(0)
    made = rng.random((30, 12)).astype("f4")
    truth = (rng.random((30, 12)) < made).astype("f4")
    return truth, made, np.repeat(["a", "b", "c"], 10)


def test_correlations_and_aurocs_are_those_of_scipy_and_scikit_learn_and_constants_have_none(
    values,
):
    truth, made, _ = values
    truth[3] = 0
    found, areas = correlations(truth, made), aurocs(truth > 0, made, block=7)
    for row in range(30):
        if row == 3:
            assert np.isnan(found[row])
            assert np.isnan(areas[row])
            continue
        assert found[row] == pytest.approx(pearsonr(truth[row], made[row]).statistic, abs=1e-5)
        assert areas[row] == pytest.approx(roc_auc_score(truth[row], made[row]))


def test_scores_are_means_over_cells_features_and_types(values):
    truth, made, types = values
    found = generation_scores(truth, made, types)
    means = [np.stack([x[types == k].mean(0) for k in "abc"]) for x in (truth, made)]
    by_type = [pearsonr(a, b).statistic for a, b in zip(*means, strict=True)]
    above = [x - x.mean(0) for x in means]
    contrast = [pearsonr(a, b).statistic for a, b in zip(*above, strict=True)]
    assert found["type"] == pytest.approx(np.mean(by_type), abs=1e-5)
    assert found["contrast"] == pytest.approx(np.mean(contrast), abs=1e-5)
    assert found["feature"] == pytest.approx(np.nanmean(correlations(truth.T, made.T)))
    perfect = generation_scores(truth, truth, types)
    assert [*perfect.values()] == pytest.approx([1.0] * 6)


def test_the_mean_profile_of_a_type_has_no_contrast_left_when_all_types_get_the_same(values):
    truth, _, types = values
    same = np.tile(truth.mean(0), (30, 1))
    found = generation_scores(truth, same, types)
    assert found["type"] > 0.3
    assert np.isnan(found["contrast"])
    assert np.isnan(found["feature"])


def test_kappa_matches_clusters_whatever_they_are_called():
    one = np.repeat([0, 1, 2], 10)
    assert cluster_kappa(one, np.repeat(["x", "z", "y"], 10)) == 1
    other = one.copy()
    other[:3] = 2
    swapped = np.array([5, 3, 4])[other]
    assert cluster_kappa(one, swapped) == pytest.approx(cohen_kappa_score(one, other))
    rng = np.random.default_rng(0)
    assert abs(cluster_kappa(rng.integers(0, 4, 4000), rng.integers(0, 4, 4000))) < 0.05


def test_planted_pairs_are_more_consistent_than_random_ones():
    rng = np.random.default_rng(0)
    rna = rng.standard_normal((200, 40))
    atac = rna + 0.5 * rng.standard_normal((200, 40))
    places = np.arange(40)
    own, random = pair_consistency(rna, atac, places, places, seed=0)
    assert own == pytest.approx(1 / np.sqrt(1.25), abs=0.02)
    assert abs(random) < 0.1


def test_other_shapes_and_values_that_are_not_finite_are_refused(values):
    truth, made, types = values
    with pytest.raises(DataError, match=r"\(30, 12\), generated \(29, 12\)"):
        generation_scores(truth, made[1:], types)
    made[0, 0] = np.nan
    with pytest.raises(DataError, match="not finite"):
        generation_scores(truth, made, types)


def test_cells_without_a_cluster_are_left_out_of_the_agreement():
    assert cluster_kappa(["a", "a", "b", "b", None], ["x", "x", "y", "y", None]) == 1
