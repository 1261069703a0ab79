"""Clusters vote: by hand, and what holds for all cells and clusters."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytonym.errors import DataError, OptionError
from cytonym.groups import vote

CELLS = st.lists(
    st.tuples(st.sampled_from(["B", "T", "Unknown", "a|b"]), st.integers(0, 3), st.floats(0, 1)),
    min_size=1,
    max_size=40,
)


def parts(cells):
    names, clusters, sure = zip(*cells, strict=True)
    return np.array(names, dtype=object), np.array(clusters), np.array(sure, dtype=np.float32)


def test_seven_cells_in_two_clusters_vote_as_worked_by_hand():
    names = ["B", "B", "T", "B", "T", "T", "NK"]
    found = vote(names, [1, 1, 1, 1, 2, 2, 2])
    assert found.labels.tolist() == ["B"] * 4 + ["T"] * 3
    assert found.table.values.tolist() == [
        ["1", 4, "B", 3 / 4, "T", 1 / 4],
        ["2", 3, "T", 2 / 3, "NK", 1 / 3],
    ]
    mixed = vote(names, [1, 1, 1, 1, 2, 2, 2], min_prop=0.7)
    assert mixed.labels.tolist() == ["B"] * 4 + ["Heterogeneous"] * 3
    assert mixed.table["agreement"].tolist() == [3 / 4, 2 / 3]
    assert vote(names, [1, 1, 1, 1, 2, 2, 2], min_prop=0.75).labels[0] == "B"


def test_a_tie_goes_to_the_surer_name_and_without_confidence_to_the_first_in_the_alphabet():
    names, clusters = ["T", "B", "T", "B"], ["x"] * 4
    assert set(vote(names, clusters).labels) == {"B"}
    sure = np.array([0.9, 0.5, 0.8, 0.6])
    found = vote(names, clusters, confidence=sure)
    assert set(found.labels) == {"T"}
    assert found.table.loc[0, ["agreement", "second", "second_share"]].tolist() == [0.5, "B", 0.5]
    assert set(vote(names, clusters, confidence=np.full(4, 0.5)).labels) == {"B"}


@given(CELLS, st.randoms(use_true_random=False), st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_the_order_of_the_cells_changes_nothing(cells, random, least):
    turn = [*range(len(cells))]
    random.shuffle(turn)
    names, clusters, sure = parts(cells)
    one = vote(names, clusters, confidence=sure, min_prop=least)
    other = vote(names[turn], clusters[turn], confidence=sure[turn], min_prop=least)
    assert one.labels[turn].tolist() == other.labels.tolist()
    assert one.table.equals(other.table)


@given(CELLS, st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_a_voted_name_is_in_its_cluster_and_its_agreement_is_its_share(cells, least):
    names, clusters, sure = parts(cells)
    found = vote(names, clusters, confidence=sure, min_prop=least)
    assert found.table["cells"].sum() == len(cells)
    for row in found.table.itertuples():
        mine = clusters == int(row.cluster)
        shares = [(names[mine] == one).mean() for one in set(names[mine])]
        assert row.agreement == pytest.approx(max(shares))
        assert (row.label == "Heterogeneous") == (row.agreement < least)
        if row.label != "Heterogeneous":
            assert (names[mine] == row.label).mean() == row.agreement
        assert set(found.labels[mine]) == {row.label}


def test_hostile_names_pass_through_as_they_are():
    names = ["<script>", "a|b", "x" * 10_000, "Heterogeneous"]
    found = vote(names, names)
    assert found.labels.tolist() == names
    assert sorted(found.table["cluster"]) == sorted(names)


def test_bad_input_is_refused_with_numbers():
    with pytest.raises(DataError, match="3 clusters for 2 cells"):
        vote(["B", "T"], [1, 2, 3])
    with pytest.raises(DataError, match=r"obs\['leiden'\] .*\n.* 1 of 2 cells have no cluster"):
        vote(["B", "T"], [1, None], column="leiden")
    with pytest.raises(OptionError, match=r"from 0 to 1; it is 1\.5"):
        vote(["B"], [1], min_prop=1.5)
    assert len(vote([], []).table) == 0
