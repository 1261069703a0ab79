"""What a model knows of its own answers, through a whole fit."""

from dataclasses import replace

import anndata as ad
import numpy as np
import pytest

import cytonym
from cytonym.data.altered import pairs_of
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError
from cytonym.trust.said import patterns
from cytonym.trust.trust import Temperatures

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
    unseen = cells[~cells.obs_names.isin(known.obs_names[:500])]
    calls = model.annotate(unseen, progress=False)
    new = (types[unseen.obs_names] == types.iloc[0]).to_numpy()
    assert (calls.labels[new] == "Unknown").mean() > 2 * (calls.labels[~new] == "Unknown").mean()
    none = model.annotate(unseen, progress=False, reject=0)
    assert "Unknown" not in none.labels
    assert none.strange is None
    assert not {"doublets", "junk"} & {*none.labels}
    many = model.annotate(unseen, progress=False, reject=0.3)
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


def test_an_answer_with_a_temperature_for_each_pattern_can_be_written(model, cells, tmp_path):
    by = Temperatures({"": 1.0, "rna": 1.2, "rna+atac": 2.0})
    several = replace(model, trust=replace(model.trust, temperatures=by))
    new = cells[600:650].copy()
    several.annotate(new, progress=False).write(new, tmp_path / "named.h5ad")
    facts = ad.read_h5ad(tmp_path / "named.h5ad").uns["cell_type_pred"]["calibration"]
    assert facts["temperatures"] == {"all": 1.0, "rna": 1.2, "rna+atac": 2.0}


def test_cells_of_a_pattern_that_was_not_held_out_are_not_rejected(model, cells):
    other = replace(model, trust=replace(model.trust, patterns={"atac": 200, "rna": 49}))
    far = cells[600:].copy()
    far.X = np.random.default_rng(0).poisson(3, far.shape).astype("f4")
    calls = other.annotate(far, progress=False)
    assert not {"Unknown", "doublets"} & {*calls.labels}
    assert any("other modalities than those held out" in note for note in calls.notes)


def test_without_held_out_cells_nothing_is_claimed(cells):
    model = cytonym.fit(cells, labels="cell_type", method="linear", validation=0, progress=False)
    calls = model.annotate(cells, progress=False)
    assert calls.sets is None
    assert any("not calibrated" in note for note in calls.notes)


def test_shares_that_are_none_are_refused(model, cells):
    for wrong in ({"coverage": 0}, {"coverage": 1.0}, {"reject": -0.1}, {"reject": 1}):
        with pytest.raises(OptionError, match="is a share"):
            model.annotate(cells, progress=False, **wrong)


def test_doublets_and_empty_droplets_have_names_of_their_own(model, cells):
    new = cells[600:].copy()
    y = new.obs["cell_type"].cat.codes.to_numpy()
    pairs = pairs_of(y, np.zeros(len(y)), 150, seed=0)
    two = ad.AnnData(new.X[pairs[:, 0]] + new.X[pairs[:, 1]], var=new.var)
    empty = ad.AnnData(new.X[:5] * 0, var=new.var)
    calls = model.annotate(ad.concat([two, new, empty], index_unique="-"), progress=False)
    doubled = calls.labels == "doublets"
    assert doubled[:150].mean() > 3 * doubled[150:-5].mean()
    assert set(calls.labels[-5:]) == {"junk"}
    assert (calls.labels[150:-5] == "junk").mean() < 0.02


def test_known_cells_are_seldom_rejected(model, cells):
    calls = model.annotate(cells[600:], progress=False)
    assert np.isin(calls.labels, ["Unknown", "doublets", "junk"]).mean() < 0.12


def test_a_query_unlike_the_reference_is_told(model, cells):
    far = cells[600:].copy()
    far.X = np.random.default_rng(0).poisson(3, far.shape).astype("f4")
    calls = model.annotate(far, progress=False)
    assert any("differ from it as a whole" in note for note in calls.notes)
    assert not any("as a whole" in n for n in model.annotate(cells[600:], progress=False).notes)


def test_patterns_of_modalities():
    present = np.array([[True, True], [True, False], [False, True], [True, True]])
    assert patterns(present, ["rna", "atac"]).tolist() == ["rna+atac", "rna", "atac", "rna+atac"]
