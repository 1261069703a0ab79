"""What a model knows of its own answers, through a whole fit."""

import numpy as np
import pytest

import cytonym
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError
from cytonym.trust.trust import patterns

N = 900


@pytest.fixture(scope="module")
def cells():
    return simulate(N, 120, 5, seed=1, markers_per_type=6, depth=150)


@pytest.fixture(scope="module")
def model(cells):
    some = cells[:600].copy()
    return cytonym.fit(
        some,
        labels="cell_type",
        method="linear",
        validation=0.3,
        progress=False,
        options={"genes": 100},
    )


def test_probabilities_are_calibrated_and_sets_hold_the_type_as_often_as_asked(model, cells):
    new = cells[600:].copy()
    calls = model.annotate(new, progress=False, reject=0)
    truth = new.obs["cell_type"].astype(str).to_numpy()
    np.testing.assert_allclose(calls.probabilities.sum(1), 1, atol=1e-5)
    held = np.mean([one in some for one, some in zip(truth, calls.sets, strict=True)])
    assert held > 0.84
    larger = model.annotate(new, progress=False, coverage=0.99).sets
    assert sum(map(len, larger)) > sum(map(len, calls.sets))
    assert all(some[0] == label for some, label in zip(calls.sets, calls.labels, strict=True))


def test_a_type_that_the_reference_lacks_is_called_unknown_more_often(cells):
    types = cells.obs["cell_type"].astype(str)
    known = cells[(types != types.iloc[0]).to_numpy()]
    model = cytonym.fit(
        known[:500].copy(), labels="cell_type", method="linear", validation=0.3, progress=False
    )
    calls = model.annotate(cells, progress=False)
    new = (types == types.iloc[0]).to_numpy()
    assert (calls.labels[new] == "Unknown").mean() > 5 * (calls.labels[~new] == "Unknown").mean()
    none = model.annotate(cells, progress=False, reject=0)
    assert "Unknown" not in none.labels
    assert none.strange is None
    many = model.annotate(cells, progress=False, reject=0.3)
    assert (many.labels == "Unknown").sum() > (calls.labels == "Unknown").sum()


def test_columns_are_written_and_facts_with_them(model, cells):
    new = cells[600:].copy()
    calls = model.annotate(new, progress=False)
    out = calls.to(new)
    first = out.obs["cell_type_pred_set"].astype(str).iloc[0]
    assert first.split("|") == [*calls.sets[0]]
    facts = out.uns["cell_type_pred"]
    assert facts["asked"] == {"coverage": 0.9, "reject": 0.05}
    assert facts["calibration"]["n"] == 180


def test_a_saved_model_says_the_same(model, cells, tmp_path):
    model.save(tmp_path / "m.cytonym")
    again = cytonym.load(tmp_path / "m.cytonym")
    one, other = (each.annotate(cells[600:], progress=False) for each in (model, again))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert [*one.sets] == [*other.sets]


def test_without_held_out_cells_nothing_is_claimed(cells):
    model = cytonym.fit(cells, labels="cell_type", method="linear", validation=0, progress=False)
    calls = model.annotate(cells, progress=False)
    assert calls.sets is None
    assert any("not calibrated" in note for note in calls.notes)


def test_shares_that_are_none_are_refused(model, cells):
    for wrong in ({"coverage": 0}, {"coverage": 1.0}, {"reject": -0.1}, {"reject": 1}):
        with pytest.raises(OptionError, match="is a share"):
            model.annotate(cells, progress=False, **wrong)


def test_patterns_of_modalities():
    present = np.array([[True, True], [True, False], [False, True], [True, True]])
    assert patterns(present, ["rna", "atac"]).tolist() == ["rna+atac", "rna", "atac", "rna+atac"]
