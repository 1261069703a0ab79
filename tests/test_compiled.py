"""``torch.compile``: where it is refused, and that answers stay the same."""

import numpy as np
import pytest
import torch

import cytonym
import releases
from command import run
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError
from cytonym.methods import get

SMALL = {"epochs": 2, "genes": 60, "sub_vector": 20, "dim": 8, "heads": 1, "scales": (1,)}
SMALL |= {"blocks": 1, "decoder_blocks": 1}
HOW = {"labels": "cell_type", "progress": False}

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's own


def test_a_network_of_single_layers_has_nothing_to_compile():
    cells = simulate(90, 60, 3, seed=0)
    with pytest.raises(OptionError, match="LinearNet has no part of more than one layer"):
        cytonym.fit(cells, method="linear", **HOW).compiled()


def test_without_a_compiler_it_is_refused_before_any_data_are_read(monkeypatch):
    def none(function):
        raise FileNotFoundError("no c++")

    monkeypatch.setattr(torch, "compile", none)
    with pytest.raises(OptionError, match=r"cannot compile for cpu: .*no c\+\+\n .*leave out"):
        cytonym.fit("nowhere.h5ad", compile=True, **HOW)


def test_several_models_are_not_compiled(tmp_path):
    (tmp_path / "q.h5ad").touch()
    models = ("--model", "one", "--model", "two", "--compile")
    done = run("annotate", "q.h5ad", *models, "--out", "o.h5ad", code=2, cwd=tmp_path)
    assert "--compile is for one --model" in done.stderr


@pytest.mark.slow  # each compiles for half a minute
@pytest.mark.parametrize("name", [n for n in cytonym.methods() if n != "linear"])
def test_a_compiled_model_answers_alike(name):
    model = next(cytonym.load(one.model) for one in releases.kept() if one.model.stem == name)
    asked = releases.cells(get(name))[1]
    plain = model.annotate(asked, device="cpu", progress=False)
    again = model.compiled("cpu").annotate(asked, device="cpu", progress=False)
    assert (plain.labels == again.labels).all()
    np.testing.assert_allclose(plain.probabilities, again.probabilities, atol=1e-5)
    np.testing.assert_allclose(plain.embedding, again.embedding, atol=1e-4)


@pytest.mark.slow
def test_a_compiled_fit_is_the_same_and_leaves_a_plain_network(tmp_path):
    cells = simulate(300, 80, 3, seed=0)
    how = {"method": "sctrans", "options": SMALL, "device": "cpu", **HOW}
    plain, found = (cytonym.fit(cells, compile=one, **how) for one in (False, True))
    for name, weight in plain.net.state_dict().items():
        torch.testing.assert_close(found.net.state_dict()[name], weight, atol=1e-4, rtol=1e-3)
    found.save(tmp_path / "model")
    same = cytonym.load(tmp_path / "model").annotate(cells, device="cpu", progress=False)
    assert (same.labels == found.annotate(cells, device="cpu", progress=False).labels).all()


@pytest.mark.slow
def test_the_command_names_with_a_compiled_model(tmp_path):
    cells = simulate(150, 80, 3, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cytonym.fit(cells, method="sctrans", options=SMALL, **HOW).save(tmp_path / "model")
    words = ("annotate", "cells.h5ad", "--model", "model", "--device", "cpu", "--out")
    run(*words, "plain.h5ad", cwd=tmp_path)
    run(*words, "compiled.h5ad", "--compile", cwd=tmp_path)
    plain, found = (cytonym.read(tmp_path / f"{one}.h5ad").obs for one in ("plain", "compiled"))
    assert (plain["cell_type_pred"] == found["cell_type_pred"]).all()
