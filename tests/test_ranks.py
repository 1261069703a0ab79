"""Fits in two processes by gloo: what they agree on, and how they end together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

import cytonym
from command import FORKS, _inside, call
from cytonym.bundle import read_bundle
from cytonym.data.simulate import simulate
from cytonym.errors import TrainingError
from cytonym.train import processes as ours
from cytonym.train.loop import History, train
from cytonym.types import Batch, Optim, Stage, Step

CPU = {"ACCELERATE_USE_CPU": "true"} if torch.cuda.is_available() else {}
"""Without a GPU the processes find out by themselves."""


class Cells:
    """Batches of 16 of 64 cells in the plane, shared by the ranks."""

    def __init__(self, bad: int | None = None) -> None:
        self.y = torch.arange(64) % 2
        noise = np.random.default_rng(0).standard_normal((64, 2))
        self.x = torch.tensor(noise, dtype=torch.float32) + 2.0 * self.y[:, None]
        if bad is not None:
            self.x[bad] = torch.nan

    def steps(self, stage: Stage) -> int:
        return 4

    def whole(self, stage: Stage) -> Iterator[Batch]:
        return iter(())

    def epoch(self, stage: Stage, *, seed: tuple[int, ...], rank: int, world: int):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(64))
        for rows in order.reshape(4, 16):
            own = rows[rank::world]
            here, domain = torch.ones(len(own), dtype=torch.bool), torch.zeros_like(own)
            yield Batch({"rna": self.x[own]}, {}, {"rna": here}, self.y[own], domain, own)


def loss(net, batch, clock):
    total = torch.nn.functional.cross_entropy(net(batch.x["rna"]), batch.y)
    return {"total": total, "names": total.detach()}


def toy() -> torch.nn.Module:
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def stage(epochs: int, patience: int | None = None) -> Stage:
    return Stage("one", (Step(loss, lambda net: net, Optim(1e-2)),), epochs, 16, patience)


def watched(scores: Sequence[float]) -> tuple[torch.nn.Module, History]:
    """A fit with a patience of 2 epochs, and these scores."""
    net, given = toy(), iter(scores)
    stages = [stage(9, patience=2)]
    history = train(net, stages, Cells(), seed=0, monitor=lambda net, stage: {"score": next(given)})
    return net, history


SCORES = (0.1, 0.5, 0.4, 0.3, 0.9)


def patient(rank: int, folder: Path) -> dict:
    """The scores of the second process would stop at another epoch."""
    net, history = watched(SCORES if rank == 0 else (0.9, 0.1, 0.1, 0.1, 0.1))
    save_file(net.state_dict(), folder / f"{rank}.safetensors")
    return {"records": history.records, "best": history.best_epochs}


def pressed(rank: int, folder: Path) -> dict:
    """Ctrl-C reaches the second process alone."""

    def press(done, facts):
        if rank == 1 and done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    history = train(toy(), [stage(9)], Cells(), seed=0, on_epoch=press)
    return {"epochs": len(history.records), "interrupted": history.interrupted}


def not_finite(rank: int, folder: Path) -> dict:
    """One cell, so one process, has a value that is NaN; a state is there from before."""
    state = folder / "state.safetensors"
    train(toy(), [stage(2)], Cells(), seed=0, state=state)
    train(toy(), [stage(4)], Cells(bad=5), seed=0, state=state)
    return {}


def other(rank: int, folder: Path) -> dict:
    train(toy(), [stage(2)], Cells(), seed=0, fingerprint=f"data {rank}")
    return {}


def resumed(rank: int, folder: Path) -> dict:
    """The second process, as on a machine of its own, sees no state."""
    state = folder / ("state.safetensors" if rank == 0 else "elsewhere.safetensors")

    class Stopped(Exception):  # noqa: N818
        pass

    def stop(done, facts):
        if done == 3:
            raise Stopped

    whole, net = toy(), toy()
    train(whole, [stage(6)], Cells(), seed=0)
    with pytest.raises(Stopped):
        train(toy(), [stage(6)], Cells(), seed=0, state=state, on_epoch=stop)
    history = train(net, [stage(6)], Cells(), seed=0, state=state)
    mine, theirs = net.state_dict(), whole.state_dict()
    return {
        "same": [bool(torch.equal(mine[name], theirs[name])) for name in mine],
        "epochs": len(history.records),
        "files": sorted(path.name for path in folder.glob("*.safetensors")),
    }


def damaged(rank: int, folder: Path) -> dict:
    """Only the first process reads the state."""
    state = folder / f"{rank}.safetensors"
    state.write_text("no state")
    train(toy(), [stage(2)], Cells(), seed=0, state=state)
    return {}


def lost(rank: int, folder: Path) -> dict:
    """The second process dies in the third epoch."""
    state = folder / "state.safetensors"

    def die(done, facts):
        if rank == 1 and done == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    train(toy(), [stage(9)], Cells(), seed=0, state=state, on_epoch=die)
    return {}


def frozen(rank: int, folder: Path) -> dict:
    """The second process sleeps for longer than the first one waits."""
    ours.WAIT = timedelta(seconds=2)

    def sleep(done, facts):
        if rank == 1 and done == 2:
            time.sleep(60)

    train(toy(), [stage(9)], Cells(), seed=0, on_epoch=sleep)
    return {}


def variables(rank: int, port: int) -> dict[str, str]:
    """What ``torchrun`` sets for one of two processes."""
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2}
    given = ranks | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, **CPU}
    return {name: str(value) for name, value in given.items()}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def rank_of(rank: int, port: int, folder: str, what: Callable[[int, Path], dict]) -> None:
    """One process: its result, or its error, in a file."""
    os.environ.update(variables(rank, port))
    try:
        said = what(rank, Path(folder))
    except TrainingError as error:
        said = {"error": str(error)}
    Path(folder, f"{rank}.json").write_text(json.dumps(said))


def both(folder: Path, what: Callable[[int, Path], dict], *, seconds: float = 120) -> list[dict]:
    """What two processes say; {} where one did not come to it."""
    port = free_port()
    ranks = [FORKS.Process(target=rank_of, args=(i, port, str(folder), what)) for i in (0, 1)]
    for one in ranks:
        one.start()
    ranks[0].join(seconds)
    ended = ranks[0].exitcode is not None
    ranks[1].join(0 if what is frozen else seconds)
    for one in ranks:
        one.kill()
        one.join()
    assert ended, "the first process hangs"
    files = [folder / f"{rank}.json" for rank in (0, 1)]
    return [json.loads(file.read_text()) if file.exists() else {} for file in files]


def test_two_processes_stop_at_the_epoch_that_the_first_one_s_scores_say(tmp_path):
    first, second = both(tmp_path, patient)
    assert first == second
    assert [record["score"] for record in first["records"]] == [0.1, 0.5, 0.4, 0.3]
    assert first["best"] == {"one": 2}
    net, alone = watched(SCORES)
    for rank in (0, 1):
        for name, found in load_file(tmp_path / f"{rank}.safetensors").items():
            torch.testing.assert_close(found, net.state_dict()[name], atol=1e-5, rtol=0)
    # the losses of the report are those of all cells, not of one process's share
    for found, wanted in zip(first["records"], alone.records, strict=True):
        assert found == pytest.approx(wanted, abs=1e-5)


def test_ctrl_c_in_one_of_two_processes_ends_both_after_the_same_epoch(tmp_path):
    assert both(tmp_path, pressed) == [{"epochs": 2, "interrupted": True}] * 2


def test_a_loss_that_is_nan_in_one_of_two_processes_is_told_by_both_and_leaves_no_state(tmp_path):
    first, second = both(tmp_path, not_finite)
    assert first == second
    assert "not finite in stage 'one', epoch 3, batch" in first["error"]
    assert not (tmp_path / "state.safetensors").exists()


def test_processes_that_fit_different_things_are_refused(tmp_path):
    said = both(tmp_path, other)
    for rank, found in enumerate(said):
        assert f"do not fit the same: this one data {rank}, the first data 0." in found["error"]


def test_a_state_is_read_by_the_first_process_for_both(tmp_path):
    wanted = {"same": [True] * 4, "epochs": 6, "files": ["state.safetensors"]}
    assert both(tmp_path, resumed) == [wanted, wanted]


def test_a_damaged_state_is_told_by_both_processes(tmp_path):
    for found in both(tmp_path, damaged):
        assert "0.safetensors is damaged" in found["error"]


def test_a_process_whose_partner_was_killed_ends_at_once_and_says_so(tmp_path):
    begin = time.monotonic()
    first, second = both(tmp_path, lost)
    assert time.monotonic() - begin < 30
    assert second == {}
    assert (
        "Another process of this fit ended or cannot be reached; this is number 0 of 2"
        in (first["error"])
    )
    assert "→ see what the others said, then run the same command again" in first["error"]
    assert (tmp_path / "state.safetensors").exists()


def test_a_process_whose_partner_is_frozen_waits_for_2_seconds_then_says_so(tmp_path):
    first, second = both(tmp_path, frozen)
    assert second == {}
    assert "ended or cannot be reached" in first["error"]
    assert "imed out" in first["error"]


@pytest.fixture
def joined(monkeypatch):
    """What the processes would join by, on a machine with ``gpus`` GPUs."""

    def join(gpus: int, **env: str) -> dict:
        asked: dict = {}
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.accelerator, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(ours, "PartialState", lambda **given: asked.update(given))
        ours.processes()
        return asked

    return join


def test_processes_join_on_cpus_where_there_is_no_gpu_and_on_gpus_where_each_has_one(joined):
    two = {"LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    assert joined(0, **two)["cpu"]
    assert not joined(2, **two)["cpu"]
    with pytest.raises(
        TrainingError, match="2 processes were started on this machine, which has 1"
    ):
        joined(1, **two)
    assert joined(1, ACCELERATE_USE_CPU="true", **two)["cpu"]


def test_a_fit_alone_asks_for_no_device(joined):
    assert not joined(0)["cpu"]
    assert not joined(0, WORLD_SIZE="4")["cpu"]  # of a job that did not start this process


# --- the command ---------------------------------------------------------------------------------

SMALL = ("epochs=8", "genes=60", "sub_vector=20", "smooth_alpha=0", "unit_variance=false", "dim=8")
FIT = ("fit", "reference.h5ad", "--labels", "cell_type", "--method", "sctrans", "--quiet")
WORDS = (*FIT, *(word for one in SMALL for word in ("--set", one)))


def command(rank: int, port: int, folder: str, words: Sequence[str]) -> None:
    files = [f"{folder}/{name}{rank}.txt" for name in ("out", "err")]
    _inside(["cytonym", *words], {**os.environ, **variables(rank, port)}, folder, *files)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Cells, and ``whole.cytonym``, fitted on them in two processes that nobody killed."""
    home = tmp_path_factory.mktemp("ranks")
    cells = simulate(300, 60, 3, seed=0)
    cells[:200].copy().write_h5ad(home / "reference.h5ad")
    cells[200:].copy().write_h5ad(home / "query.h5ad")
    port, words = free_port(), (*WORDS, "--out", "whole.cytonym")
    ranks = [FORKS.Process(target=command, args=(i, port, str(home), words)) for i in (0, 1)]
    for one in ranks:
        one.start()
    for rank, one in enumerate(ranks):
        one.join(120)
        one.kill()
        assert one.exitcode == 0, (home / f"err{rank}.txt").read_text()
    return home


def test_the_command_in_two_processes_writes_and_says_once_what_it_does_in_one(folder, monkeypatch):
    monkeypatch.chdir(folder)
    said = call(*WORDS, "--out", "one.cytonym").splitlines()
    first, second = ((folder / f"out{rank}.txt").read_text() for rank in (0, 1))
    assert second == ""
    assert first.splitlines()[1:-1] == said[1:-1]  # the table of held-out cells, and the notes
    assert first.splitlines()[-1] == "Saved whole.cytonym: sctrans, 3 types"
    assert not (folder / "whole.cytonym.fit").exists()
    one, two = (cytonym.load(folder / f"{name}.cytonym") for name in ("one", "whole"))
    alone, shared = (m.annotate(folder / "query.h5ad", progress=False) for m in (one, two))
    np.testing.assert_array_equal(alone.labels, shared.labels)
    np.testing.assert_allclose(alone.probabilities, shared.probabilities, atol=1e-3)
    assert len(one.report.history) == len(two.report.history) == 9
    for mine, theirs in zip(one.report.history, two.report.history, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-3)


def torchrun(folder: Path) -> subprocess.Popen:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    return subprocess.Popen(
        [sys.executable, *launcher, "-m", "cytonym", *WORDS, "--out", "killed.cytonym"],
        cwd=folder,
        env={**os.environ, **CPU},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def epoch(state: Path) -> int:
    """Which epoch a state was written after; 0 where there is none."""
    try:
        with safe_open(state, "pt") as file:
            return json.loads(file.metadata()["facts"])["epoch"]
    except (FileNotFoundError, SafetensorError):
        return 0


@pytest.mark.slow
def test_torchrun_ends_when_a_rank_is_killed_and_the_same_command_goes_on_to_the_same_bits(folder):
    job = torchrun(folder)
    state = folder / "killed.cytonym.fit" / "trial.safetensors"
    while job.poll() is None and epoch(state) < 3:
        time.sleep(0.02)
    ranks = {one.environ()["RANK"]: one for one in psutil.Process(job.pid).children()}
    ranks["1"].kill()
    out, said = job.communicate(timeout=60)
    assert (job.returncode, out) == (1, "")
    assert "What was learned is kept in" in said
    assert "the same command goes on from there" in said
    assert "Signal 9 (SIGKILL)" in said  # by torchrun, which asks the other one to end, if need be
    assert not (folder / "killed.cytonym").exists()
    assert 3 <= epoch(state) < 8
    job = torchrun(folder)
    out, said = job.communicate(timeout=120)
    assert job.returncode == 0, said
    assert out.count("Saved killed.cytonym") == 1
    wanted, found = (read_bundle(folder / f"{name}.cytonym") for name in ("whole", "killed"))
    assert found.weights.keys() == wanted.weights.keys()
    assert [n for n, one in wanted.weights.items() if not torch.equal(found.weights[n], one)] == []
    assert not (folder / "killed.cytonym.fit").exists()
