"""A full disk, a folder that may not be written to: said in words, with nothing half-written and
what was there before unchanged.

A limit on the size of files (``ulimit -f``) breaks a write off in the middle, as a full disk does,
and needs no rights. Where a small disk can be mounted, that is filled too.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData

import cytonym
from command import FORKS, run
from cytonym.bundle import Bundle, write_bundle
from cytonym.data.simulate import simulate
from cytonym.dense import write_blocks
from cytonym.disk.files import replacing, replacing_folder
from cytonym.disk.refusals import REFUSALS, refusal
from cytonym.dna.embed import Kmers
from cytonym.dna.peaks import kept
from cytonym.errors import DataError, WriteError
from cytonym.reproduce.lines import Lines
from cytonym.train.state import Snapshot, write_snapshot


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A reference, a query, a model of the one, and the other named by it."""
    home = tmp_path_factory.mktemp("disk")
    cells = simulate(260, 60, 3, seed=0)
    cells[:60].copy().write_h5ad(home / "reference.h5ad")
    cells[160:].copy().write_h5ad(home / "query.h5ad")
    model = cytonym.fit(cells[:160].copy(), labels="cell_type", method="linear", progress=False)
    model.save(home / "model.cytonym")
    calls = model.annotate(home / "query.h5ad", progress=False)
    calls.write(home / "query.h5ad", home / "named.h5ad")
    return home


@pytest.fixture
def home(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home"))


def contents(folder: Path) -> dict[str, bytes]:
    files = (one for one in sorted(folder.rglob("*")) if one.is_file())
    return {str(one.relative_to(folder)): one.read_bytes() for one in files}


def limited(most: int) -> None:
    """No file of this process may be larger; what is written beyond fails, as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


SMALL = ("epochs=3", "genes=60", "sub_vector=20", "smooth_k=5", "unit_variance=false", "dim=8")
MODEL = ("--model", "model.cytonym")
QUERY = 84_000
"""Bytes; the copy of the query is whole, and what is added to it does not fit."""

FIT = ("fit", "reference.h5ad", "--labels", "cell_type", "--method", "linear", "--quiet", "--out")
NAME = ("annotate", "query.h5ad", *MODEL, "--quiet", "--out")
COMMANDS = {
    "a training state": (700, *FIT, "new.cytonym"),
    "a model": (1_500, *FIT, "model.cytonym"),
    "a copy": (20_000, *NAME, "named.h5ad"),
    "what is added to a copy": (QUERY, *NAME, "named.h5ad"),
    "a part": (2_000, *NAME, "new.h5ad", "--shard", "1/2"),
    "an embedding": (QUERY, "embed", "query.h5ad", *MODEL, "--quiet", "--out", "named.h5ad"),
    "a page": (20_000, "report", "named.h5ad", "--out", "page.html"),
    "an export": (20_000, "export", "named.h5ad", "--to", "celltypist", "--out", "query.h5ad"),
}
"""What is written, the largest size of a file, and the command."""


@pytest.mark.parametrize("case", COMMANDS)
def test_what_does_not_fit_is_told_and_leaves_everything_as_it_was(case, home):
    most, *words = COMMANDS[case]
    assert (home / "query.h5ad").stat().st_size < QUERY
    before = contents(home)
    done = run(*words, code=2, cwd=home, first=partial(limited, most))
    assert "could not be written: the file would be larger than the system allows" in done.stderr
    assert "nothing of it is left, and what was there before is unchanged\n    → " in done.stderr
    told = [one for one in done.stderr.splitlines() if "What was learned is kept" not in one]
    assert len(told) == 2
    done_so_far = ("new.h5ad.parts/job.json", "model.cytonym.fit/")
    after = {n: one for n, one in contents(home).items() if not n.startswith(done_so_far)}
    assert after == before


def whole_library(folder: str) -> None:
    """All kinds of files, each of which is broken off; the process goes on after every one."""
    home = Path(folder)
    cells = AnnData(np.ones((200, 30), np.float32), obs=pd.DataFrame(index=map(str, range(200))))
    values = np.ones((200, 3_000), np.float32)
    table = AnnData(shape=(200, 3_000), obs=cells.obs.copy())
    blocks = [(np.arange(200), np.random.default_rng(0).random((200, 3_000), np.float32))]
    weights = {"w": torch.ones(20_000)}
    lines = Lines(home / "lines.jsonl")
    lines.add({"a": 1}, [{"b": 2}])
    limited(10_000)

    def folder_of_three(out: Path) -> None:
        with replacing_folder(out) as partial_:
            for name in "abc":
                (partial_ / name).write_bytes(values[: ord(name) - 96, :1_000].tobytes())

    def text(out: Path) -> None:
        with replacing(out) as partial_:
            pd.DataFrame(values).to_csv(partial_)

    attempts = {
        "decoded.h5ad": lambda out: write_blocks(out, {"rna": table}, {"rna": blocks}),
        "decoded.zarr": lambda out: write_blocks(out, {"rna": table}, {"rna": blocks}),
        "both.h5mu": lambda out: write_blocks(
            out, {"rna": table, "atac": table.copy()}, {"rna": blocks, "atac": blocks}
        ),
        "model": lambda out: write_bundle(out, Bundle({"method": "m"}, weights, {})),
        "state.safetensors": lambda out: write_snapshot(out, Snapshot(weights, {})),
        "three": folder_of_three,
        "table.csv": text,
        "lines.jsonl": lambda _: lines.add({"a": 2}, [{"b": "c" * 10_000}]),
    }
    before = contents(home)
    for name, attempt in attempts.items():
        with pytest.raises(WriteError, match=name):
            attempt(home / name)
        assert contents(home) == before, name
        assert sorted(one.name for one in home.iterdir()) == ["lines.jsonl"], name
    os.environ["CYTONYM_CACHE"] = str(home / "cache")
    sequences = ["ACGT" * 10] * 500
    found = kept(Kmers(k=4, window=40), sequences)  # a cache that is full is no reason to stop
    assert len(found) == 500
    assert not [*home.rglob("*.npy")]
    assert not [one for one in map(opened, Path("/proc/self/fd").iterdir()) if folder in one]


def opened(link: Path) -> str:
    return os.readlink(link) if link.is_symlink() else ""


def test_every_writer_breaks_off_without_a_trace_and_the_process_goes_on(tmp_path):
    process = FORKS.Process(target=whole_library, args=(str(tmp_path),))
    process.start()
    process.join(120)
    assert process.exitcode == 0  # HDF5 by itself ends it by a segmentation fault


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_on_a_disk_that_is_full_a_fit_stops_and_goes_on_when_there_is_room(made, small_disk):
    cells = simulate(160, 60, 3, seed=0)
    fit = partial(cytonym.fit, cells, labels="cell_type", method="sctrans", progress=False)
    fit = partial(fit, options=SMALL, validation=0)
    wanted = fit().net.state_dict()
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(room(small_disk) - 4096))
    with pytest.raises(WriteError, match=r"the disk is full \([\d,]+ bytes are free\)"):
        fit(state=small_disk / "state")
    assert contents(small_disk / "state") == {}
    ballast.unlink()
    found = fit(state=small_disk / "state").net.state_dict()
    assert all(torch.equal(found[name], one) for name, one in wanted.items())
    state = next((small_disk / "state").iterdir())
    ballast.write_bytes(bytes(room(small_disk) - state.stat().st_size // 2))
    before = state.read_bytes()
    with pytest.raises(WriteError, match="the disk is full"):
        write_snapshot(state, Snapshot({"w": torch.ones(state.stat().st_size // 4)}, {}))
    assert state.read_bytes() == before
    named = small_disk / "named.h5ad"
    ballast.unlink()
    named.write_bytes(b"older")
    ballast.write_bytes(bytes(room(small_disk) - 50_000))
    done = run(*NAME, named, code=2, cwd=made)
    assert "does not fit into" in done.stderr
    assert named.read_bytes() == b"older"


def room(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def printing_onto_a_full_disk() -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), sys.stdout.fileno())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("words", [("--version",), ("methods", "--json")])
def test_what_is_printed_onto_a_full_disk_is_told(words):
    done = run(*words, code=2, first=printing_onto_a_full_disk)
    assert done.stderr.startswith("cytonym: the disk is full\n    → free some space")


def plain() -> None:
    """Root without its powers: permissions hold for it as for anybody."""
    if os.geteuid() == 0:
        third_version, this_process = 0x20080522, 0
        header = struct.pack("Ii", third_version, this_process)
        assert ctypes.CDLL(None, use_errno=True).capset(header, bytes(24)) == 0


def tried(folder: str) -> None:
    plain()
    with pytest.raises(PermissionError):
        Path(folder, "new").touch()


@pytest.fixture
def closed(home) -> Iterator[Path]:
    """A folder in which nothing may be written."""
    folder = home / "closed"
    folder.mkdir()
    folder.chmod(0o555)
    process = FORKS.Process(target=tried, args=(str(folder),))
    process.start()
    process.join()
    if process.exitcode:
        pytest.skip("permissions do not hold for this user")
    yield folder
    folder.chmod(0o755)


@pytest.mark.parametrize("words", [FIT, NAME, ("report", "named.h5ad", "--out")])
def test_a_folder_that_may_not_be_written_to_is_told_before_any_work(words, home, closed):
    name = "new.cytonym" if words is FIT else "new.html" if words[0] == "report" else "new.h5ad"
    done = run(*words, closed / name, code=2, cwd=home, first=plain)
    assert f"nothing can be written to {closed} (Permission denied)\n    → choose" in done.stderr
    assert [*closed.iterdir()] == []


def test_a_file_or_model_that_may_not_be_read_is_not_called_damaged(home, closed):
    for name, said in (
        ("query.h5ad", "'query.h5ad' is not readable"),
        ("model.cytonym/weights.safetensors", "model.cytonym/weights.safetensors: permission den"),
    ):
        (home / name).chmod(0)
        done = run(*NAME, "new.h5ad", code=2, cwd=home, first=plain)
        (home / name).chmod(0o644)
        assert said in done.stderr
        assert "damaged" not in done.stderr
    assert not (home / "new.h5ad").exists()


def unreadable(path: str) -> None:
    plain()
    with pytest.raises(DataError, match=r"permission denied\n    → ask its owner"):
        cytonym.read(path)


def test_in_python_too(home, closed):
    (home / "query.h5ad").chmod(0)
    process = FORKS.Process(target=unreadable, args=(str(home / "query.h5ad"),))
    process.start()
    process.join()
    assert process.exitcode == 0


def test_errors_of_the_system_are_known_by_number_also_in_the_text_of_hdf5():
    text = "Can't decrement id ref count (file write failed: errno = 28, error message = 'No space"
    for error in (OSError(28, "No space left on device"), RuntimeError(text), ValueError(text)):
        assert str(refusal(error)).startswith("the disk is full\n    → free some space")
    assert refusal(OSError("HTTP 404")) is None
    assert refusal(ConnectionResetError(errno.ECONNRESET, "reset")) is None
    assert {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EMFILE} <= {*REFUSALS}


def test_new_files_take_the_umask_and_replaced_ones_keep_their_permissions(tmp_path):
    file, folder = tmp_path / "table.csv", tmp_path / "model"

    def write() -> list[int]:
        with replacing(file) as made:
            made.write_text("a")
        with replacing_folder(folder) as made:
            (made / "b").write_text("b")
        return [stat.S_IMODE(one.stat().st_mode) for one in (file, folder, folder / "b")]

    before = os.umask(0o027)
    try:
        assert write() == [0o640, 0o750, 0o640]
        file.chmod(0o604)
        folder.chmod(0o701)
        assert write() == [0o604, 0o701, 0o640]
    finally:
        os.umask(before)
