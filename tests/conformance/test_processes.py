"""Fits that are killed, and fits in several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import cytonym

WORKER = Path(__file__).with_name("worker.py")


def run(*words: object, **variables: object) -> subprocess.Popen:
    plain = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    given = {name: str(value) for name, value in variables.items()}
    return subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, words)],
        env={**os.environ, **plain, **given},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_fit_killed_while_it_writes_its_4th_state_goes_on_to_the_same_bits(tmp_path):
    folder = tmp_path / "state"
    first = run("killed", "sctrans", folder, 3)
    _, errors = first.communicate(timeout=120)
    assert first.returncode == -signal.SIGKILL, errors
    second = run("resumed", "sctrans", folder)
    out, errors = second.communicate(timeout=120)
    assert second.returncode == 0, errors
    assert out.splitlines() == ["found fit.safetensors", "differing []", "history True"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory, all_kits):
    """What two processes found for each kit: weights, and the losses of each epoch."""
    folder, names = tmp_path_factory.mktemp("shared"), [*all_kits, *odd()]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    both = [
        run("share", folder, *names, RANK=rank, LOCAL_RANK=rank, MASTER_PORT=port, **common)
        for rank in (0, 1)
    ]
    said = [one.communicate(timeout=300) for one in both]
    assert [one.returncode for one in both] == [0, 0], "\n".join(error for _, error in said)
    assert "processes 2" in said[0][0]

    def found(name: str) -> tuple[dict, list]:
        records = json.loads((folder / f"{name}.json").read_text())
        return load_file(folder / f"{name}.safetensors"), records

    return found


def odd() -> list[str]:
    return [f"{name}:odd" for name in cytonym.methods()]


def apart(one: dict, other: dict) -> dict[str, float]:
    """By weight, the largest difference."""
    return {
        name: (one[name].double() - value.double()).abs().max().item()
        for name, value in other.items()
        if value.numel()
    }


def test_two_processes_give_the_weights_and_losses_of_one_to_5_digits_by_every_method(
    shared, make_kit, all_kits
):
    assert {*cytonym.methods()} < {*all_kits}
    far = {}
    for method in all_kits:
        theirs, records = shared(method)
        mine, history = make_kit(method).in_double()
        found = {f"{method}.{name}": value for name, value in apart(theirs, mine).items()}
        far |= {name: value for name, value in found.items() if not value < 1e-5}
        for one, other in zip(records, history, strict=True):
            assert one == pytest.approx(other, abs=1e-5), method
    assert far == {}


def test_batches_of_47_cells_end_in_two_processes_near_the_weights_and_losses_of_one(
    shared, make_kit
):
    """One of 47 cells comes twice, and the one without a label, so that both have as many."""
    for method in odd():
        theirs, records = shared(method)
        mine, history = make_kit(method).in_double()
        both = [torch.cat([one[n].double().flatten() for n in mine]) for one in (theirs, mine)]
        assert (both[0] - both[1]).norm() < 0.1 * both[1].norm(), method
        totals = [[record["total"] for record in one] for one in (records, history)]
        assert totals[0] == pytest.approx(totals[1], rel=0.05), method
