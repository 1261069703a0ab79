"""Ctrl-C: one line, exit code 130, nothing half-written; what was done is kept for the next run."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing import Process
from pathlib import Path

import anndata as ad
import pytest

import cytonym
from command import run
from cytonym.data.simulate import simulate

SAID = (
    "cytonym: interrupted; nothing half-written is left, and what was done of a fit or of parts "
    "is kept for the same command\n"
)
SET = ("epochs=400", "genes=60", "sub_vector=20", "smooth_k=5", "unit_variance=false", "dim=8")
FIT = ("fit", "reference.h5ad", "--labels", "cell_type", "--method", "sctrans")
FIT = (*FIT, *(word for one in SET for word in ("--set", one)), "--out", "new.cytonym", "--quiet")
NAME = ("annotate", "query.h5ad", "--model", "model.cytonym", "--quiet", "--out", "new.h5ad")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("interrupts")
    cells = simulate(160, 60, 3, seed=0)
    cells[:60].copy().write_h5ad(home / "reference.h5ad")
    cells[60:].copy().write_h5ad(home / "query.h5ad")
    model = cytonym.fit(
        home / "reference.h5ad", labels="cell_type", method="linear", progress=False
    )
    model.save(home / "model.cytonym")
    model.annotate(home / "query.h5ad", progress=False).write(
        home / "query.h5ad", home / "named.h5ad"
    )
    return home


def interrupt(folder: Path, found: str) -> Callable[[Process], None]:
    """Ctrl-C, once a file is there."""

    def act(process: Process) -> None:
        until = time.monotonic() + 120
        while not [*folder.glob(found)]:
            assert process.is_alive(), f"ended before there was {found}"
            assert time.monotonic() < until, f"no {found}"
            time.sleep(0.01)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)

    return act


def test_ctrl_c_ends_a_fit_after_the_epoch_and_keeps_it(home, tmp_path):
    shutil.copy(home / "reference.h5ad", tmp_path)
    done = run(
        *FIT, cwd=tmp_path, meanwhile=interrupt(tmp_path, "new.cytonym.fit/[!.]*.safetensors")
    )
    assert "Ends after this epoch and keeps the best weights" in done.stderr
    assert "Saved new.cytonym: sctrans, 3 types" in done.stdout
    assert len(cytonym.load(tmp_path / "new.cytonym").report.history) < 400
    assert not (tmp_path / "new.cytonym.fit").exists()


def at_the_second_state() -> None:
    """Ctrl-C twice, before the name of the second state is given."""
    import cytonym.disk.files

    settle, calls = cytonym.disk.files.settle, []

    def act(file: Path) -> None:
        calls.append(file)
        settle(file)
        for _ in range(2 * (len(calls) == 2)):
            signal.raise_signal(signal.SIGINT)

    cytonym.disk.files.settle = act


def test_ctrl_c_twice_ends_a_fit_at_once_and_keeps_the_state_before(home, tmp_path):
    shutil.copy(home / "reference.h5ad", tmp_path)
    done = run(*FIT, code=130, cwd=tmp_path, first=at_the_second_state)
    assert done.stderr.splitlines(keepends=True)[-1] == SAID
    assert len(done.stderr.splitlines()) == 3  # Ctrl-C once, where the state is, the end
    kept = sorted(one.name for one in (tmp_path / "new.cytonym.fit").iterdir())
    assert kept == [".lock", "cytonym-fit-state", "trial.safetensors"]
    assert not (tmp_path / "new.cytonym").exists()


def parts_of_one_cell() -> None:
    import cytonym.parts

    cytonym.parts.CELLS = 1


def test_ctrl_c_keeps_the_parts_that_are_named_and_the_next_run_names_the_others(home):
    stop = interrupt(home, "new.h5ad.parts/part-00003-*")
    done = run(*NAME, code=130, cwd=home, first=parts_of_one_cell, meanwhile=stop)
    assert done.stderr == SAID
    kept = {one: one.stat().st_mtime_ns for one in (home / "new.h5ad.parts").glob("[!.]*")}
    assert 4 <= len(kept) <= 100
    assert not [*home.glob("new.h5ad.parts/.*")]
    assert not (home / "new.h5ad").exists()
    run(*NAME, cwd=home)
    named, wanted = (ad.read_h5ad(home / name).obs for name in ("new.h5ad", "named.h5ad"))
    assert (named["cell_type_pred"] == wanted["cell_type_pred"]).all()
    assert not (home / "new.h5ad.parts").exists()


def at_the_last_moment() -> None:
    """Ctrl-C when the file is whole and does not have its name yet."""
    import cytonym.disk.files

    cytonym.disk.files.settle = lambda file: signal.raise_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        NAME,
        ("report", "named.h5ad", "--out", "page.html"),
        ("export", "named.h5ad", "--to", "celltypist", "--out", "export.h5ad"),
        ("embed", *NAME[1:-1], "named.h5ad"),
    ],
    ids=lambda words: words[0],
)
def test_ctrl_c_at_the_last_moment_leaves_everything_as_it_was(words, home):
    before = {one: one.read_bytes() for one in home.rglob("*") if one.is_file()}
    done = run(*words, code=130, cwd=home, first=at_the_last_moment)
    assert done.stderr == SAID
    assert {one: one.read_bytes() for one in home.rglob("*") if one.is_file()} == before
