"""``torch.compile``: where it is refused, and that answers stay the same."""

import numpy as np
import pytest
import torch
from torch._dynamo.utils import counters

import cytonym
import releases
from command import run
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError
from cytonym.methods import get
from cytonym.nn.compiled import parts

SMALL = {"epochs": 2, "genes": 60, "sub_vector": 20, "dim": 8, "heads": 1, "scales": (1,)}
SMALL |= {"blocks": 1, "decoder_blocks": 1}
HOW = {"labels": "cell_type", "progress": False}


def kept(name):
    """The model of a method that is kept as a test file."""
    return next(cytonym.load(one.model) for one in releases.kept() if one.model.stem == name)


pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's own


def test_what_has_nothing_to_compile_is_refused_before_any_data_are_read():
    for name in ("linear", "seqalign"):
        with pytest.raises(OptionError, match=f"{name} has no part that is worth compiling"):
            cytonym.fit("nowhere.h5ad", method=name, compile=True, **HOW)
        with pytest.raises(OptionError, match=f"{name} has no part that is worth compiling"):
            kept(name).compiled()


@pytest.mark.parametrize("name", cytonym.methods())
def test_a_method_compiles_where_its_network_has_parts_of_its_own(name):
    assert bool([*parts(kept(name).net)]) == get(name).compiles


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
@pytest.mark.parametrize("name", [n for n, one in cytonym.methods().items() if one.compiles])
def test_a_compiled_model_answers_alike(name):
    model, asked = kept(name), releases.cells(get(name))[1]
    plain = model.annotate(asked, device="cpu", progress=False)
    compiled = model.compiled("cpu")
    before = counters["stats"]["unique_graphs"]
    again = compiled.annotate(asked, device="cpu", progress=False)
    assert counters["stats"]["unique_graphs"] > before
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
    assert found.report.notes == plain.report.notes
    assert not any(one._compiled_call_impl for one in found.net.modules())
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
