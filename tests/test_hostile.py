"""A model folder made by an enemy, every checksum right: refused, and nothing is run or read."""

import hashlib
import io
import json
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import cytonym
from cytonym.bundle import Bundle, _digest, read_bundle, write_bundle
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.errors import DataError, ModelError

FEATURES, MANIFEST = "features.npz", "manifest.json"


@pytest.fixture
def folder(tmp_path) -> Path:
    facts = {"method": "linear", "version": "0.1"}
    arrays = {"space/rna/names": np.array(["CD3D"])}
    write_bundle(tmp_path / "model", Bundle(facts, {"w": torch.ones(3)}, arrays))
    return tmp_path / "model"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    reference = simulate(120, n_genes=60, n_types=3, seed=0)
    out = tmp_path_factory.mktemp("model") / "model"
    how = {"epochs": 1, "genes": 40, "sub_vector": 10, "smooth_k": 5, "unit_variance": False}
    fitted = cytonym.fit(
        reference, labels="cell_type", method="sctrans", options=how, validation=0, progress=False
    )
    fitted.save(out)
    return out


def signed(folder: Path, **changes) -> Path:
    """The manifest with ``changes``, its digest right again."""
    manifest = json.loads((folder / MANIFEST).read_text())
    for name in (FEATURES, "weights.safetensors"):
        data = (folder / name).read_bytes()
        sums = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        manifest["files"][name] = sums
    manifest |= changes
    manifest["digest"] = _digest(manifest)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    return folder


def copied(model: Path, out: Path, **options) -> Path:
    """The model with other options, its checksums right."""
    out.mkdir()
    for file in model.iterdir():
        (out / file.name).write_bytes(file.read_bytes())
    facts = json.loads((out / MANIFEST).read_text())
    return signed(out, options=facts["options"] | options)


@pytest.mark.parametrize("name", [FEATURES, MANIFEST, "weights.safetensors"])
def test_a_link_to_another_place_is_not_followed(name, folder, tmp_path):
    (folder / name).rename(tmp_path / "elsewhere")
    (folder / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ModelError, match="a link to another place"):
        read_bundle(folder)


def test_arrays_that_grow_beyond_the_limit_when_unpacked_are_refused(folder, monkeypatch):
    packed = io.BytesIO()
    np.savez_compressed(packed, big=np.zeros(1_000_000))
    (folder / FEATURES).write_bytes(packed.getvalue())
    assert len(packed.getvalue()) < 20_000
    signed(folder)
    read_bundle(folder)  # eight million bytes are no harm
    monkeypatch.setattr("cytonym.bundle.MOST_VALUES", 100_000)
    with pytest.raises(ModelError, match=r"8,000,\d+ bytes, of 100,000 at most"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("shape", "kind"), [("(1000000000000,)", "<f8"), ("(-1, -9)", "<f8"), ("(1,)", "|O")]
)
def test_an_array_that_claims_more_than_it_holds_is_refused(shape, kind, folder):
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    array = b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + b"\0" * 8
    with zipfile.ZipFile(folder / FEATURES, "w") as made:
        made.writestr("lie.npy", array)
    with pytest.raises(ModelError, match=r"lie\.npy claims"):
        read_bundle(signed(folder))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": "1"}, "schema: Input should be a valid integer"),
        ({"schema": -1}, "schema: Input should be greater"),
        ({"files": {}}, r"says nothing of features\.npz and weights\.safetensors"),
        ({"files": {FEATURES: {"bytes": -1, "sha256": ""}}}, "greater than or equal to 0"),
        ({"method": ["linear"]}, "method: Input should be a valid string"),
        ({"format": "another"}, "format: Input should be 'cytonym model'"),
    ],
)
def test_a_manifest_that_is_signed_and_makes_no_sense_is_refused(changes, said, folder):
    with pytest.raises(ModelError, match=said):
        read_bundle(signed(folder, **changes))


def test_a_manifest_nested_a_million_times_is_refused(folder):
    (folder / MANIFEST).write_text('{"a":' + "[" * 1_000_000)
    with pytest.raises(ModelError, match="damaged"):
        read_bundle(folder)


def test_no_number_among_the_options_makes_a_model_take_memory_or_time(model, tmp_path):
    options = json.loads((model / MANIFEST).read_text())["options"]
    numbers = [name for name, value in options.items() if type(value) is int]
    assert len(numbers) >= 10
    refused = 0
    for name in numbers:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            cytonym.load(copied(model, tmp_path / name, **{name: 10**9}))
        except ModelError:
            refused += 1
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, name
    assert refused >= 6  # dim, blocks, heads, ...: the others say only how it was trained


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["a", "b"]}, "where the options want"),
        ({"labels": 7}, "does not hold together"),
        ({"modalities": ["rna", "proteins"]}, "does not hold together: KeyError"),
        ({"method": "os.system"}, "No method 'os.system'"),
        ({"options": []}, "does not hold together"),
        ({"report": {"held_out": 3, "unknown": 1}}, "does not hold together"),
        ({"trust": {"temperatures": 3}}, "does not hold together"),
    ],
)
def test_parts_that_are_not_of_one_piece_are_a_model_error(changes, said, model, tmp_path):
    with pytest.raises(ModelError, match=said):
        cytonym.load(signed(copied(model, tmp_path / "other"), **changes))


@pytest.fixture(scope="module")
def by_file(tmp_path_factory):
    """A model that reads embeddings from a file, its cells, and the file."""
    folder = tmp_path_factory.mktemp("by_file")
    cells = simulate_multiome(120, 60, 3, seed=0, n_peaks=80)["atac"]
    values = np.random.default_rng(0).standard_normal((80, 6))
    np.savez(folder / "made.npz", peaks=cells.var_names.to_numpy(str), embeddings=values)
    options = {
        "embedder": "precomputed",
        "embeddings": folder / "made.npz",
        **{"dim": 4, "trunk_hidden": 8, "trunk_epochs": 2, "epochs": 1, "hidden": 8},
    }
    how = {"method": "seqalign", "labels": "cell_type", "validation": 0, "progress": False}
    cytonym.fit(cells, options=options, **how).save(folder / "model")
    return folder / "model", cells, folder / "made.npz"


def test_a_model_reads_no_other_file_of_embeddings_than_that_of_its_fit(by_file, tmp_path):
    model, cells, made = by_file
    assert len(cytonym.load(model).annotate(cells, progress=False)) == 120
    with np.load(made) as held:
        np.savez(tmp_path / "mine.npz", peaks=held["peaks"], embeddings=held["embeddings"] + 1)
    (tmp_path / "secret").write_text("of nobody's business")
    for number, (path, said) in enumerate(
        (
            (tmp_path / "mine.npz", "of 64 peaks that the model knows it has 64, and 0 as they we"),
            (tmp_path / "secret", "it cannot be read"),
            (Path("/dev/zero"), "there is no such file"),
            (Path("/proc/self/environ"), "it has 0 bytes"),
            (tmp_path, "there is no such file"),
        )
    ):
        other = cytonym.load(copied(model, tmp_path / f"m{number}", embeddings=str(path)))
        with pytest.raises(DataError, match=said) as told:
            other.annotate(cells, progress=False)
        assert "business" not in str(told.value)


def test_a_model_that_keeps_nothing_of_its_embeddings_cannot_have_any_file_read(by_file, tmp_path):
    model, cells, _ = by_file
    bare = copied(model, tmp_path / "bare")
    with np.load(bare / FEATURES) as held:
        kept = {name: held[name] for name in held.files if "proof" not in name}
    np.savez(bare / FEATURES, **kept)
    with pytest.raises(DataError, match="does not say what the embeddings of its own peaks are"):
        cytonym.load(signed(bare)).annotate(cells, progress=False)
