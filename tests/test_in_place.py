"""An answer is written into the file of the query itself: all or nothing, and nothing else."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import stat
import time
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import h5py
import numpy as np
import pytest
import zarr
from scipy.sparse import csr_matrix

import cytonym
import cytonym.disk.files
from command import FORKS, call, run
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.disk.exchange import exchange
from cytonym.errors import CytonymError, DataError, OptionError

KINDS = ["h5ad", "zarr2", "zarr3"]
KEPT = ("X", "layers/counts", "raw/X", "obsp/near")


@pytest.fixture(scope="module")
def world() -> SimpleNamespace:
    """A model of 3 types, 120 cells with a layer, raw and neighbours, and their answer."""
    reference = simulate(150, 80, 3, seed=1)
    model = cytonym.fit(
        reference, labels="cell_type", method="linear", options={"genes": 40}, progress=False
    )
    query = simulate(120, 80, 3, seed=2)
    query.layers["counts"] = query.X.copy()
    query.raw = query.copy()
    query.obsp["near"] = csr_matrix(query.X @ query.X.T)
    query.obsm["X_mine"] = np.arange(240, dtype=np.float64).reshape(120, 2)
    query.uns["mine"] = {"colours": ["red", "blue"], "n": 3}
    query.obs["score"] = np.arange(120)
    return SimpleNamespace(model=model, query=query, calls=model.annotate(query, progress=False))


@pytest.fixture(params=KINDS)
def path(request, world, tmp_path) -> Path:
    """The query on disk."""
    if request.param == "h5ad":
        world.query.write_h5ad(tmp_path / "query.h5ad")
        return tmp_path / "query.h5ad"
    return stored(world.query, tmp_path / "query.zarr", int(request.param[-1]))


def stored(cells: ad.AnnData, path: Path, form: int = 3) -> Path:
    """As a Zarr store."""
    with ad.settings.override(zarr_write_format=form), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on the format
        cells.write_zarr(path)
    return path


def read(path: Path) -> ad.AnnData:
    return ad.read_zarr(path) if path.is_dir() else ad.read_h5ad(path)


def values(path: Path) -> dict[str, bytes]:
    """The bytes of all matrices that an answer does not touch."""
    root = zarr.open_group(path, mode="r") if path.is_dir() else h5py.File(path, "r")
    found = {
        f"{name}/{part}": root[name][part][:].tobytes() for name in KEPT for part in root[name]
    }
    if not path.is_dir():
        root.close()
    return found


def fingerprint(path: Path) -> dict[str, bytes]:
    """All bytes of a file, or of all files of a store."""
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    return {str(one.relative_to(path)): one.read_bytes() for one in files}


def test_the_answer_comes_into_the_file_and_all_else_stays_as_it_was(world, path, tmp_path):
    before, kept = read(path), values(path)
    world.calls.write(path)
    after = read(path)
    assert after.obs["cell_type_pred"].tolist() == world.calls.labels.tolist()
    np.testing.assert_array_equal(after.obsm["X_linear"], world.calls.embedding)
    assert values(path) == kept
    assert after.obs["score"].tolist() == before.obs["score"].tolist()
    assert [*after.obs][:3] == [*before.obs]
    np.testing.assert_array_equal(after.obsm["X_mine"], before.obsm["X_mine"])
    assert after.uns["mine"]["n"] == 3
    assert [*after.uns["mine"]["colours"]] == ["red", "blue"]
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_second_answer_takes_the_place_of_the_first(world, path):
    world.calls.write(path)
    labels = np.array(["type B"] * 120, dtype=object)
    replace(world.calls, labels=labels, agreement=np.ones(120, np.float32)).write(path)
    assert {*read(path).obs["cell_type_pred"]} == {"type B"}
    assert "cell_type_pred_agreement" in read(path).obs
    world.calls.write(path)
    assert read(path).obs["cell_type_pred"].tolist() == world.calls.labels.tolist()
    assert "cell_type_pred_agreement" not in read(path).obs


def test_four_answers_take_the_room_of_two_but_for_the_names_of_cells(tmp_path):
    """HDF5 forgets what is free in a file when it is closed, so it is used again at once."""
    cells = simulate(5000, 60, 3, seed=0)
    model = cytonym.fit(
        cells[:200].copy(), labels="cell_type", method="linear", validation=0, progress=False
    )
    calls = model.annotate(cells, progress=False)
    calls = replace(calls, embedding=np.zeros((5000, 100), np.float32))
    cells.write_h5ad(tmp_path / "query.h5ad")
    sizes = []
    for _ in range(4):
        calls.write(tmp_path / "query.h5ad")
        sizes.append((tmp_path / "query.h5ad").stat().st_size)
    assert sizes[-1] - sizes[1] < 2 * 40 * 5000  # the embedding alone has 2,000,000 bytes


def write_and_stop(path: str, calls, at: int) -> None:
    """Write in place; stop for good at the ``at``-th call that changes something on disk."""
    count = itertools.count(1)

    def watched(name):
        real = getattr(os, name)

        def one(*args, **kwargs):
            if next(count) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)

        setattr(os, name, one)

    for name in ("fsync", "replace", "link", "rename", "mkdir", "chmod"):
        watched(name)
    calls.write(path)


def test_a_process_that_is_killed_at_any_step_leaves_the_old_file_or_the_new(world, path, tmp_path):
    old = fingerprint(path)
    steps = (1, 2, 3) if path.is_file() else (1, 5, 20, 40, 80)
    for at in steps:
        process = FORKS.Process(target=write_and_stop, args=(str(path), world.calls, at))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL, at
        assert fingerprint(path) == old, at
    world.calls.write(path)
    assert read(path).obs["cell_type_pred"].tolist() == world.calls.labels.tolist()


def write_often(folder: str, path: str, calls) -> None:
    for number in itertools.count():
        calls.write(path, key=f"call_{number % 2}")


@pytest.mark.slow
def test_kills_at_random_moments_leave_a_file_that_is_whole(world, path, tmp_path):
    rng = np.random.default_rng(0)
    kept, whole = values(path), 0
    for _ in range(4):
        process = FORKS.Process(target=write_often, args=(str(tmp_path), str(path), world.calls))
        process.start()
        time.sleep(float(rng.uniform(1.0, 3.0)))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        found = read(path)
        assert values(path) == kept
        for key in {*found.uns} & {"call_0", "call_1"}:
            assert found.obs[key].tolist() == world.calls.labels.tolist()
            assert found.obsm[f"{key}_probabilities"].shape == (120, 3)
            whole += 1
    assert whole


@pytest.mark.parametrize("matrix", [True, False])
def test_memory_does_not_grow_with_the_matrix(matrix, world, tmp_path):
    """A store and a file with 160 MB of values each, in a process that may not take 100 MB more."""
    named = simulate(2000, 80, 3, seed=0)
    calls = world.model.annotate(named, progress=False)
    cells = ad.AnnData(np.ones((2000, 20_000), np.float32), obs=named.obs)
    cells.write_h5ad(tmp_path / "big.h5ad")
    del cells.X
    stored(cells, tmp_path / "big.zarr")
    root = zarr.open_group(tmp_path / "big.zarr", mode="r+", use_consolidated=False)
    made = root.create_array("X", shape=(2000, 20_000), chunks=(200, 20_000), dtype="f4")
    made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    made[:] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(str(tmp_path / "big.zarr"))
    pairs = [("big.zarr", "out.h5ad"), ("big.zarr", "out.zarr"), ("big.h5ad", "out.h5ad")]
    pairs += [("big.zarr", None), ("big.h5ad", None)] * matrix
    for name, out in pairs:
        target = None if out is None else str(tmp_path / out)
        process = FORKS.Process(
            target=in_little, args=(str(tmp_path / name), target, calls, matrix)
        )
        process.start()
        process.join()
        assert process.exitcode == 0, (name, out)
        found = tmp_path / (out or name)
        root = zarr.open_group(found, mode="r") if found.is_dir() else h5py.File(found)
        assert "cell_type_pred" in root["obs"]
        assert ("X" in root) == matrix
        if matrix:
            assert root["X"][-1].sum() == 20_000
        if isinstance(root, h5py.File):
            root.close()


def in_little(path: str, out: str | None, calls, matrix: bool) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    calls.write(path, out, matrix=matrix)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 100_000, f"{grown:,} kB"


def test_owner_and_permissions_stay_and_a_link_leads_to_the_new_file(world, path, tmp_path):
    path.chmod(0o750 if path.is_dir() else 0o640)
    bits = stat.S_IMODE(path.stat().st_mode)
    link = tmp_path / "elsewhere" / f"link{path.suffix}"
    link.parent.mkdir()
    link.symlink_to(path)
    world.calls.write(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == bits
    assert path.stat().st_uid == os.getuid()
    assert "cell_type_pred" in read(path).obs
    assert [*link.parent.iterdir()] == [link]


def test_a_file_that_somebody_changes_meanwhile_is_left_as_they_wrote_it(
    world, path, tmp_path, monkeypatch
):
    from cytonym.additions import Additions

    real = Additions._add
    column = path / "obs" / "zarr.json" if (path / "zarr.json").exists() else path / ".zattrs"
    touched = column if path.is_dir() else path

    def slow(self, root):
        real(self, root)
        os.utime(touched, ns=(1, 1))

    monkeypatch.setattr(Additions, "_add", slow)
    before = fingerprint(path)
    with pytest.raises(CytonymError, match="changed by another program"):
        world.calls.write(path)
    assert fingerprint(path) == before
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_copy_that_does_not_fit_is_told_with_numbers_before_it_begins(
    world, tmp_path, monkeypatch
):
    world.query.write_h5ad(tmp_path / "query.h5ad")
    before = fingerprint(tmp_path / "query.h5ad")
    monkeypatch.setattr(cytonym.disk.files, "_share", lambda *_: False)
    monkeypatch.setattr(
        cytonym.disk.files.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000)
    )
    for out in (None, tmp_path / "out.h5ad"):
        with pytest.raises(CytonymError, match=r"a copy of [\d,]+ (bytes|MB) does not fit"):
            world.calls.write(tmp_path / "query.h5ad", out)
    assert fingerprint(tmp_path / "query.h5ad") == before
    assert [one.name for one in tmp_path.iterdir()] == ["query.h5ad"]


def test_a_system_that_cannot_exchange_folders_is_told_and_the_store_stays(
    world, tmp_path, monkeypatch
):
    store = stored(world.query, tmp_path / "query.zarr")
    before = fingerprint(store)

    def cannot(*_):
        raise OSError("no")

    for module in ("exchange", "stores", "files"):
        monkeypatch.setattr(f"cytonym.disk.{module}.exchange", cannot)
    with pytest.raises(OptionError, match="cannot be changed safely"):
        world.calls.write(store)
    assert fingerprint(store) == before
    for _ in range(2):  # a new store needs no exchange, nor does one that takes its place
        world.calls.write(store, tmp_path / "out.zarr")
    assert "cell_type_pred" in read(tmp_path / "out.zarr").obs


def test_two_folders_are_exchanged_and_one_that_is_missing_is_an_error(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(tmp_path / "one", tmp_path / "other")
    assert (tmp_path / "one" / "other").exists()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "one", tmp_path / "none")


def test_a_file_that_is_no_place_for_an_answer_is_refused(world, tmp_path, monkeypatch):
    with pytest.raises(OptionError, match="Only a single file"):
        world.calls.write(world.query)
    with pytest.raises(OptionError, match="file of its own"):
        world.calls.write(tmp_path / "query.h5ad", matrix=False)
    with h5py.File(tmp_path / "tenx.h5", "w") as file:
        file["matrix"] = 1
    with pytest.raises(OptionError, match=r"no \.h5ad"):
        world.calls.write(tmp_path / "tenx.h5")
    world.query.write_h5ad(tmp_path / "query.h5ad")
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may always
    with pytest.raises(OptionError, match="is read-only"):
        world.calls.write(tmp_path / "query.h5ad")
    monkeypatch.undo()
    world.query[:50].copy().write_h5ad(tmp_path / "few.h5ad")
    before = fingerprint(tmp_path / "few.h5ad")
    with pytest.raises(DataError, match="50 names of its cells are among them"):
        world.calls.write(tmp_path / "few.h5ad")
    assert fingerprint(tmp_path / "few.h5ad") == before


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_a_result_without_the_matrix_has_all_but_it_and_is_small(ending, world, path, tmp_path):
    if ending == ".zarr" and path.is_file():
        with pytest.raises(OptionError, match=r"has to end in \.h5ad"):
            world.calls.write(path, tmp_path / "names.zarr")
        return
    out = tmp_path / f"names{ending}"
    world.calls.write(path, out, matrix=False)
    found = read(out)
    assert found.X is None
    assert found.raw is None
    assert not [*found.layers, *found.obsp]
    assert found.obs["cell_type_pred"].tolist() == world.calls.labels.tolist()
    assert found.var_names.equals(world.query.var_names)
    np.testing.assert_array_equal(found.obsm["X_mine"], world.query.obsm["X_mine"])
    if path.is_file():
        assert out.stat().st_size < path.stat().st_size / 2


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
@pytest.mark.parametrize("form", [2, 3])
def test_a_store_is_written_as_a_file_or_a_store_with_all_that_it_held(
    form, ending, world, tmp_path
):
    store = stored(world.query, tmp_path / "query.zarr", form)
    before = fingerprint(store)
    out = tmp_path / f"named{ending}"
    for _ in range(2):  # an older result is replaced
        world.calls.write(store, out)
    assert fingerprint(store) == before
    found = read(out)
    assert values(out) == values(store)
    assert found.obs["cell_type_pred"].tolist() == world.calls.labels.tolist()
    assert (found.raw.X != world.query.raw.X).nnz == 0
    assert found.raw.var_names.equals(world.query.raw.var_names)
    assert found.uns["mine"]["n"] == 3


def test_a_store_without_a_list_of_contents_gets_none(world, tmp_path):
    store = stored(world.query, tmp_path / "query.zarr", 2)
    (store / ".zmetadata").unlink()
    world.calls.write(store)
    assert not (store / ".zmetadata").exists()
    assert "cell_type_pred" in read(store).obs


def test_a_mudata_file_is_changed_in_place_and_written_without_its_matrices(tmp_path):
    import mudata

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of mudata, on how it will change
        whole = mudata.MuData(simulate_multiome(160, 60, 3, seed=0, n_peaks=80))
        whole.write_h5mu(tmp_path / "both.h5mu")
    model = cytonym.fit(
        tmp_path / "both.h5mu",
        labels="cell_type",
        method="linear",
        validation=0,
        progress=False,
    )
    calls = model.annotate(tmp_path / "both.h5mu", progress=False)
    calls.write(tmp_path / "both.h5mu")
    calls.write(tmp_path / "both.h5mu", tmp_path / "names.h5mu", matrix=False)
    for name, has in (("both", True), ("names", False)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = mudata.read_h5mu(tmp_path / f"{name}.h5mu")
        assert found.obs["cell_type_pred"].tolist() == calls.labels.tolist()
        assert [*found.mod] == ["rna", "atac"]
        assert (found["rna"].X is not None) == has
    assert (tmp_path / "names.h5mu").read_bytes()[:6] == b"MuData"


def test_cells_of_cellranger_are_streamed_into_a_file(world, tmp_path):
    cells = world.query
    with h5py.File(tmp_path / "tenx.h5", "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(cells.obs_names, "S")
        group["shape"] = np.array(cells.shape[::-1])
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(cells.X, name)
        group["features/id"] = np.array(cells.var["gene_ids"], "S")
        group["features/name"] = np.array(cells.var_names, "S")
        group["features/feature_type"] = np.array(["Gene Expression"] * cells.n_vars, "S")
    monkey = pytest.MonkeyPatch()
    monkey.setattr("cytonym.copying.CELLS", 50)
    calls = world.model.annotate(tmp_path / "tenx.h5", progress=False)
    for matrix in (True, False):
        calls.write(tmp_path / "tenx.h5", tmp_path / "named.h5ad", matrix=matrix)
        found = ad.read_h5ad(tmp_path / "named.h5ad")
        assert found.obs["cell_type_pred"].tolist() == world.calls.labels.tolist()
        assert (found.X is None) != matrix
        if matrix:
            assert (found.X != cells.X).nnz == 0
    monkey.undo()


def test_the_command_adds_to_the_query_in_parts_and_replaces_its_earlier_answer(
    world, path, tmp_path
):
    world.model.save(tmp_path / "model.cytonym")
    words = ("annotate", path, "--model", tmp_path / "model.cytonym", "--in-place", "--quiet")
    run(*words, "--shard", "1/2")
    assert "cell_type_pred" not in read(path).obs
    assert (tmp_path / f"{path.name}.parts").is_dir()
    run(*words, "--shard", "2/2")
    said = run(*words, "--shard", "merge").stdout
    assert f"Wrote {path}" in said
    run(*words)
    run("embed", path, "--model", tmp_path / "model.cytonym", "--in-place", "--quiet")
    found = read(path)
    assert found.obs["cell_type_pred"].tolist() == world.calls.labels.tolist()
    assert "X_linear" in found.uns
    assert {one.name for one in tmp_path.iterdir()} == {path.name, "model.cytonym"}


def test_a_page_is_written_about_names_without_the_matrix(world, tmp_path):
    world.query.write_h5ad(tmp_path / "query.h5ad")
    world.model.save(tmp_path / "model.cytonym")
    words = ("--model", tmp_path / "model.cytonym", "--out", tmp_path / "names.h5ad", "--no-matrix")
    run("annotate", tmp_path / "query.h5ad", *words, "--quiet", "--report", tmp_path / "page.html")
    assert "120 cells" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "neither of --out and --in-place"),
        (("--in-place", "--out", "out.h5ad"), "both of --out and --in-place"),
        (("--in-place", "--no-matrix"), "not with --no-matrix"),
        (("--in-place", "--atac", "peaks.h5ad"), "not with --atac"),
        (("--out", "out.zarr"), "does not end in .h5ad"),
    ],
)
def test_the_command_says_what_does_not_go_together_before_any_work(
    words, said, world, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    world.query.write_h5ad("query.h5ad")
    with pytest.raises(CytonymError, match=said):
        call("annotate", "query.h5ad", "--model", "no-model", *words)
    assert [one.name for one in tmp_path.iterdir()] == ["query.h5ad"]
