"""Many small clusters of an embedding."""

import sys

import numpy as np
import pytest

from cytonym.errors import DataError, OptionError
from cytonym.groups import over_cluster, resolution


def test_the_resolution_grows_with_the_number_of_cells():
    sizes = (0, 4_999, 5_000, 19_999, 20_000, 40_000, 100_000, 199_999, 200_000, 10**7)
    assert [resolution(n) for n in sizes] == [5, 5, 10, 10, 15, 20, 25, 25, 30, 30]


def test_clusters_are_small_within_one_group_the_same_again_and_numbered_by_size():
    pytest.importorskip("igraph")
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = 20 * np.eye(8)[y] + rng.standard_normal((300, 8))
    clusters = over_cluster(x)
    names, counts = np.unique(clusters.astype(int), return_counts=True)
    assert len(names) > 9  # far more than the three groups
    assert (np.diff(counts) <= 0).all()
    assert names.tolist() == [*range(len(names))]
    for one in np.unique(clusters.astype(str)):
        assert len(np.unique(y[clusters == one])) == 1
    assert over_cluster(x).tolist() == clusters.tolist()


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_few_cells_are_clustered_too(n):
    pytest.importorskip("igraph")
    assert over_cluster(np.eye(8)[:n]).shape == (n,)


def test_without_igraph_or_with_values_that_are_not_finite_the_error_says_what_to_do(monkeypatch):
    with pytest.raises(DataError, match="1 of 4 cells have no finite place"):
        over_cluster(np.array([[0.0], [1.0], [np.nan], [2.0]]))
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(OptionError, match=r"pip install '\.\[sc\]' in a clone, or give clusters"):
        over_cluster(np.eye(4))
