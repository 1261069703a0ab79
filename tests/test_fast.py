"""Naming with less work: the light encoder, its agreement with the full one, its calibration."""

import json

import anndata as ad
import numpy as np
import pytest
import torch

import cytonym
from command import run
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError

SMALL = {"epochs": 4, "genes": 60, "sub_vector": 20, "smooth_k": 5, "smooth_alpha": 0.5}
SMALL |= {"unit_variance": False, "dim": 8}


@pytest.fixture(scope="module")
def model():
    cells = simulate(600, 80, 3, seed=0)
    return cytonym.fit(
        cells,
        labels="cell_type",
        method="sctrans",
        options=SMALL,
        validation=0.2,
        progress=False,
    )


def test_the_light_encoder_names_and_says_how_often_it_agrees(model):
    asked = simulate(300, 80, 3, seed=1)
    quick, full = model.fast(), model.annotate(asked, progress=False)
    calls = quick.annotate(asked, progress=False)
    assert quick.options.encoder == "light"
    assert not np.allclose(calls.embedding, full.embedding)
    assert model.quick is not None
    assert model.quick.cells == model.report.n_held_out
    assert f"{model.quick.same:.1%} of {model.quick.cells:,} held-out cells" in " ".join(
        calls.notes
    )
    assert not any("--fast" in note for note in full.notes)
    assert (calls.labels == full.labels).mean() > model.quick.same - 0.1


def test_its_agreement_is_a_share_of_the_held_out_cells():
    """Labels drawn by lot cannot be learned, so that the two encoders differ."""
    cells = simulate(600, 80, 3, seed=2)
    cells.obs["cell_type"] = np.random.default_rng(0).permutation(cells.obs["cell_type"])
    options = {**SMALL, "linear_path": False}
    model = cytonym.fit(
        cells,
        labels="cell_type",
        method="sctrans",
        options=options,
        validation=0.3,
        progress=False,
    )
    assert model.quick is not None
    agree = model.quick.same * model.quick.cells
    assert model.quick.cells == 180
    assert 0.2 < model.quick.same < 1
    assert agree == pytest.approx(round(agree), abs=0.01)


def test_both_have_the_same_weights(model):
    for name, value in model.net.state_dict().items():
        assert torch.equal(model.fast().net.state_dict()[name], value)


def test_it_is_calibrated_by_itself(model):
    quick = model.fast()
    assert quick.trust is not model.trust
    assert quick.trust.facts["n"] == model.trust.facts["n"]
    assert quick.trust.rejector.reference is not model.trust.rejector.reference


def test_it_is_saved_with_the_model(model, tmp_path):
    model.save(tmp_path / "model")
    asked = simulate(100, 80, 3, seed=3)
    before = model.fast().annotate(asked, progress=False)
    after = cytonym.load(tmp_path / "model").fast().annotate(asked, progress=False)
    assert (before.labels == after.labels).all()
    assert (before.probabilities.to_numpy() == after.probabilities.to_numpy()).all()
    assert before.notes == after.notes


def test_a_method_without_such_a_way_says_so():
    cells = simulate(200, 80, 3, seed=0)
    linear = cytonym.fit(cells, labels="cell_type", method="linear", progress=False)
    with pytest.raises(OptionError, match="linear with these options has no faster way"):
        linear.fast()


def test_a_model_whose_quick_answers_were_not_compared_says_so():
    cells = simulate(120, 80, 3, seed=0)
    model = cytonym.fit(
        cells, labels="cell_type", method="sctrans", options=SMALL, validation=0, progress=False
    )
    with pytest.raises(OptionError, match="never compared"):
        model.fast()


def test_the_command_names_fast(model, tmp_path):
    model.save(tmp_path / "model")
    simulate(100, 80, 3, seed=3).write_h5ad(tmp_path / "query.h5ad")
    out = run(
        "annotate", "query.h5ad", "--model", "model", "--out", "out.h5ad", "--fast", cwd=tmp_path
    )
    assert "held-out cells get the name that they get without --fast" in out.stdout
    facts = ad.read_h5ad(tmp_path / "out.h5ad").uns["cell_type_pred"]
    assert json.loads(facts["options"])["encoder"] == "light"
