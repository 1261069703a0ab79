"""Clusters against known labels: by hand, and where the answer is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytonym.errors import DataError, OptionError
from cytonym.evaluate import cluster_scores
from cytonym.evaluate.clusters import agreement


def test_nmi_ari_and_purity_are_those_worked_by_hand():
    y, clusters = np.array([0, 0, 0, 1, 1, 1]), np.array([0, 0, 1, 1, 1, 1])
    found = agreement(y, clusters)
    assert found["purity"] == pytest.approx(5 / 6)  # 2 of 2, then 3 of 4
    # Pairs: 15 in all; 6 within types, 7 within clusters, 4 within both.
    assert found["ari"] == pytest.approx((4 - 6 * 7 / 15) / ((6 + 7) / 2 - 6 * 7 / 15))
    third = 1 / 3
    mutual = third * np.log(third / (0.5 * third)) + (1 / 6) * np.log((1 / 6) / (0.5 * 2 / 3))
    mutual += 0.5 * np.log(0.5 / (0.5 * 2 / 3))
    entropies = np.log(2), -third * np.log(third) - (2 / 3) * np.log(2 / 3)
    assert found["nmi"] == pytest.approx(mutual / np.mean(entropies))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=30))
@settings(max_examples=40, deadline=None)
def test_purity_is_1_for_the_labels_themselves_and_never_below_the_largest_type(pairs):
    y, clusters = np.array(pairs).T
    assert agreement(y, y)["purity"] == 1
    assert agreement(y, clusters)["purity"] >= np.bincount(y).max() / len(y)


@pytest.fixture
def blobs():
    """120 cells in 3 far groups, 8 dimensions."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    return 10 * np.eye(3)[y] @ rng.standard_normal((3, 8)) + rng.standard_normal((120, 8)), y


def test_separate_groups_are_found_by_kmeans_and_leiden(blobs):
    x, y = blobs
    labels = [None if i == 5 else f"type {code}" for i, code in enumerate(y)]
    table = cluster_scores(x, labels, predicted=y)
    assert table.index.tolist() == ["kmeans", "leiden", "predicted"]
    assert table.loc["kmeans", "clusters"] == 3
    assert (table["cells"] == 119).all()
    assert table.loc["kmeans", ["nmi", "ari", "purity"]].tolist() == pytest.approx([1, 1, 1])
    assert table.loc["predicted", "ari"] == 1
    assert table.loc["leiden", "purity"] == 1
    assert table.equals(cluster_scores(x, labels, predicted=y))


def test_bad_input_is_refused_with_numbers(blobs, monkeypatch):
    x, y = blobs
    with pytest.raises(DataError, match="lengths differ: 119, 120"):
        cluster_scores(x, y[1:])
    with pytest.raises(DataError, match="1 cells have values that are not finite"):
        cluster_scores(np.where(np.arange(120)[:, None] == 3, np.nan, x), y)
    with pytest.raises(DataError, match="no cell has a known label"):
        cluster_scores(x, [None] * 120)
    monkeypatch.setitem(__import__("sys").modules, "igraph", None)
    with pytest.raises(OptionError, match=r"pip install '\.\[sc\]' in a clone"):
        cluster_scores(x, y)
    assert cluster_scores(x, y, by=("kmeans",)).shape == (1, 5)
