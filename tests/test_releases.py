"""Models of earlier releases still load, and say what they said."""

import json
import shutil
import tomllib

import numpy as np
import pytest
import torch

import cytonym
import releases
from cytonym.bundle import MANIFEST, _digest
from cytonym.errors import ModelError
from pages import ROOT
from releases import Kept, cells, kept, said

ALIKE = 1e-4
"""What numbers may differ by between machines and versions of torch."""

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


def changed(one: Kept, out, **facts) -> None:
    """The model with other facts, its checksum right."""
    shutil.copytree(one.model, out)
    found = json.loads((out / MANIFEST).read_text()) | facts
    found["digest"] = _digest(found)
    (out / MANIFEST).write_text(json.dumps(found))


def options(one: Kept) -> dict:
    return json.loads((one.model / MANIFEST).read_text())["options"]


def test_this_version_has_a_model_of_every_method():
    names = {one.model.stem for one in kept() if one.model.parent.name == VERSION}
    assert names == {*cytonym.methods()}, "python tests/releases.py"


@pytest.mark.parametrize("one", kept(), ids=str)
def test_a_model_of_a_release_loads_and_answers_as_it_did(one):
    model = cytonym.load(one.model)
    assert model.method.name == one.model.stem
    now = said(model.annotate(cells(model.method)[1], device="cpu", progress=False))
    with np.load(one.answer) as before:
        assert {*before.files} == {*now}
        for name in ("cells", "types", "labels", "sets"):
            assert now[name].tolist() == before[name].tolist(), name
        for name in ("confidence", "probabilities", "embedding", "strange"):
            near = ALIKE * np.nanmax(np.abs(before[name]))
            np.testing.assert_allclose(now[name], before[name], ALIKE, near, err_msg=name)
        assert {*before["labels"]} - {"Unknown"} == {"type A", "type B", "type C"}
        assert "Unknown" in before["labels"] or model.trust.moved  # the 10 cells of type D


@pytest.mark.parametrize("one", kept(), ids=str)
def test_a_model_that_is_kept_is_small_holds_every_option_and_no_place_of_a_machine(one):
    assert one.size() <= releases.MOST
    facts = json.loads((one.model / MANIFEST).read_text())
    assert facts["version"] == one.model.parent.name
    if facts["version"] == VERSION:
        assert {*facts["options"]} == {*cytonym.methods()[one.model.stem].Options.model_fields}
    assert not any(isinstance(value, str) and "/" in value for value in facts["options"].values())


def test_a_release_is_never_made_anew(tmp_path):
    (tmp_path / "0.0.1").mkdir()
    with pytest.raises(SystemExit, match="what a release said is never made anew"):
        releases.make(tmp_path / "0.0.1")
    assert [*(tmp_path / "0.0.1").iterdir()] == []


@pytest.mark.parametrize("one", kept(), ids=str)
def test_an_option_that_came_after_a_model_is_at_its_default(one, tmp_path):
    fields = cytonym.methods()[one.model.stem].Options.model_fields
    at = {name: value for name, value in options(one).items() if value == fields[name].default}
    assert at
    for name in at:
        rest = {key: value for key, value in options(one).items() if key != name}
        changed(one, tmp_path / name, options=rest, version="0.0.1")
        model = cytonym.load(tmp_path / name)
        assert getattr(model.options, name) == at[name]
    first = cytonym.load(one.model).net.state_dict()
    assert all(torch.equal(first[key], value) for key, value in model.net.state_dict().items())


@pytest.mark.parametrize("one", kept(), ids=str)
def test_an_option_that_is_no_more_says_which_version_knew_it(one, tmp_path):
    changed(one, tmp_path / "old", options=options(one) | {"penalti": 2.0}, version="0.0.1")
    with pytest.raises(ModelError) as told:
        cytonym.load(tmp_path / "old")
    assert "No option 'penalti'." in str(told.value)
    last = str(told.value).splitlines()[-1]
    ours = cytonym.__version__
    assert last == (
        f"    → cytonym 0.0.1 made it, and this is {ours}: install that one, or fit again"
    )


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"method": "scbert"}, "No method 'scbert'"),
        ({"options": {"genes": "many"}}, "Option 'genes' cannot be 'many'"),
        ({"modalities": ["rna", "atac"]}, "KeyError"),
    ],
)
def test_what_else_this_version_does_not_know_names_the_one_that_did(facts, said, tmp_path):
    one = next(one for one in kept() if one.model.stem == "linear")
    changed(one, tmp_path / "old", **facts, version="0.0.1")
    with pytest.raises(ModelError, match=f"(?s){said}.*cytonym 0.0.1 made it"):
        cytonym.load(tmp_path / "old")
    changed(one, tmp_path / "own", **facts)  # ours: another version would not help
    with pytest.raises(ModelError) as told:
        cytonym.load(tmp_path / "own")
    assert "made it" not in str(told.value)
