import json
import os

import numpy as np
import pytest
import torch

from cytonym.bundle import Bundle, check_target, read_bundle, read_manifest, write_bundle
from cytonym.errors import ModelError

FILES = ["features.npz", "manifest.json", "weights.safetensors"]


@pytest.fixture
def bundle() -> Bundle:
    weights = {"a": torch.arange(12.0).reshape(3, 4).T, "n": torch.tensor(3)}
    arrays = {"space/rna/names": np.array(["CD3D", "α"]), "0.profile": np.ones(3)}
    return Bundle({"method": "linear", "version": "0.1"}, weights, arrays)


@pytest.fixture
def folder(bundle, tmp_path):
    write_bundle(tmp_path / "model", bundle)
    return tmp_path / "model"


def test_a_model_comes_back_as_it_was_written(bundle, folder):
    back = read_bundle(folder)
    assert sorted(os.listdir(folder)) == FILES
    assert os.listdir(folder.parent) == ["model"]
    assert {"method": "linear", "version": "0.1", "schema": 1}.items() <= back.facts.items()
    assert all(torch.equal(back.weights[name], value) for name, value in bundle.weights.items())
    for name, array in bundle.arrays.items():
        np.testing.assert_array_equal(back.arrays[name], array)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.98])
def test_one_flipped_byte_in_any_file_is_found(name, share, folder):
    data = bytearray((folder / name).read_bytes())
    data[int(share * len(data))] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ModelError, match=name):
        read_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_shorter_file_is_named(name, folder):
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-3])
    with pytest.raises(ModelError, match=name):
        read_bundle(folder)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=name):
        read_bundle(folder)


@pytest.mark.parametrize("text", ["", "[]", "3", "null", '{"schema": 1}', "\x00"])
def test_a_manifest_of_another_shape_is_a_model_error(text, folder):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.json"):
        read_manifest(folder)


def test_a_newer_format_asks_for_a_newer_version(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("cytonym.bundle.SCHEMA", 7)
    write_bundle(tmp_path / "model", bundle)
    monkeypatch.undo()
    with pytest.raises(ModelError, match=r"format 7; this version reads up to 1\. Install a newer"):
        read_bundle(tmp_path / "model")


def test_a_folder_or_file_that_is_no_model_is_left_alone(bundle, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    (tmp_path / "file").write_text("more years")
    for name in ("work", "file"):
        with pytest.raises(ModelError, match="exists and is no model folder"):
            write_bundle(tmp_path / name, bundle)
        with pytest.raises(ModelError):
            check_target(tmp_path / name)
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"
    assert (tmp_path / "file").read_text() == "more years"
    assert sorted(os.listdir(tmp_path)) == ["file", "work"]


def test_an_older_model_is_replaced_and_nothing_is_left_beside_it(bundle, folder):
    write_bundle(folder, Bundle({"method": "sctrans", "version": "0.1"}, bundle.weights, {}))
    assert read_manifest(folder)["method"] == "sctrans"
    assert os.listdir(folder.parent) == ["model"]


def cannot(*_):
    raise OSError("cannot")


@pytest.mark.parametrize("call", [1, 2])
def test_a_rename_that_fails_leaves_the_old_model(call, bundle, folder, monkeypatch):
    before = json.loads((folder / "manifest.json").read_text())
    """Where the system does not exchange two folders in one step."""
    rename, calls = os.replace, []
    monkeypatch.setattr("cytonym.disk.files.exchange", cannot)

    def fail(source, target):
        calls.append(source)
        if len(calls) == call:
            raise OSError("no space")
        rename(source, target)

    monkeypatch.setattr("cytonym.disk.files.os.replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_bundle(folder, Bundle({"method": "sctrans", "version": "0.1"}, bundle.weights, {}))
    monkeypatch.undo()
    assert read_bundle(folder).facts == before


def test_a_crash_while_the_files_are_written_leaves_the_old_model(bundle, folder, monkeypatch):
    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr("cytonym.disk.files.settle", fail)
    with pytest.raises(OSError, match="no space"):
        write_bundle(folder, bundle)
    monkeypatch.undo()
    assert read_bundle(folder).facts["method"] == "linear"
    assert os.listdir(folder.parent) == ["model"]
