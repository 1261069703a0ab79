"""Several models of one reference name cells together."""

import numpy as np
import pytest

import cytonym
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError


@pytest.fixture(scope="module")
def cells():
    return simulate(900, 120, 5, seed=2, markers_per_type=6, depth=150)


@pytest.fixture(scope="module")
def models(cells):
    more = {"labels": "cell_type", "method": "linear", "validation": 0.3, "progress": False}
    some = cells[:600].copy()
    return [
        cytonym.fit(some, options={"genes": 100}, **more),
        cytonym.fit(some, options={"components": 10}, **more),
    ]


def test_the_mixture_is_what_the_weights_say_and_tempered(models, cells):
    both = cytonym.consensus(models)
    new = cells[600:].copy()
    calls = both.annotate(new, progress=False, reject=0)
    single = [one.annotate(new, progress=False, reject=0) for one in models]
    w, t = both.jury.weights, both.jury.temperature
    want = sum(k * one.probabilities.to_numpy() for k, one in zip(w, single, strict=True))
    want = want ** (1 / t)
    want /= want.sum(1, keepdims=True)
    np.testing.assert_allclose(calls.probabilities, want, atol=1e-4)
    assert [*calls.answers] == ["linear", "linear_2"]
    assert (calls.answers["linear_2"] == single[1].labels).all()
    agree = sum(k * (one.labels == calls.labels) for k, one in zip(w, single, strict=True))
    np.testing.assert_allclose(calls.agreement, agree, atol=1e-6)


def test_it_is_no_worse_than_the_worst_and_known_cells_are_seldom_lost(models, cells):
    new = cells[600:].copy()
    truth = new.obs["cell_type"].astype(str).to_numpy()
    calls = cytonym.consensus(models).annotate(new, progress=False)
    named = calls.probabilities.columns.to_numpy()[calls.probabilities.to_numpy().argmax(1)]
    single = [one.annotate(new, progress=False, reject=0).labels for one in models]
    assert (named == truth).mean() > min((one == truth).mean() for one in single) - 0.02
    assert np.isin(calls.labels, ["Unknown", "doublets", "junk"]).mean() < 0.12
    held = np.mean([one in some for one, some in zip(truth, calls.sets, strict=True)])
    assert held > 0.84


def test_single_answers_stand_beside_it(models, cells):
    new = cells[600:].copy()
    out = cytonym.consensus(models).annotate(new, progress=False).to(new)
    assert {"cell_type_pred_linear", "cell_type_pred_linear_2", "cell_type_pred_agreement"} <= {
        *out.obs.columns
    }
    facts = out.uns["cell_type_pred"]
    assert facts["method"] == "consensus"
    assert sum(facts["weights"].values()) == pytest.approx(1)


def test_models_that_cannot_answer_together_are_refused(models, cells):
    other = cells[:600].copy()
    with pytest.raises(OptionError, match="two models or more"):
        cytonym.consensus(models[:1])
    more = {"labels": "cell_type", "method": "linear", "progress": False}
    with pytest.raises(OptionError, match="did not hold out the same cells"):
        cytonym.consensus([models[0], cytonym.fit(other, seed=1, validation=0.3, **more)])
    with pytest.raises(OptionError, match="too few cells were held out"):
        cytonym.consensus([models[0], cytonym.fit(other, validation=0, **more)])
    some = other[(other.obs["cell_type"] != other.obs["cell_type"].iloc[0]).to_numpy()].copy()
    with pytest.raises(OptionError, match="knows other types"):
        cytonym.consensus([models[0], cytonym.fit(some, validation=0.3, **more)])


def test_an_answer_replaces_an_earlier_one_and_can_be_written(models, cells, tmp_path):
    both = cytonym.consensus(models)
    new = cells[600:650].copy()
    out = both.annotate(new, progress=False).to(new)
    again = both.annotate(new, progress=False).to(out)
    again.write_h5ad(tmp_path / "named.h5ad")
    assert cytonym.read(tmp_path / "named.h5ad").obs["cell_type_pred_agreement"].max() <= 1
