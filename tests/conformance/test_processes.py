"""Fits that are killed, and fits in several processes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from safetensors.torch import load_file

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


def test_two_processes_give_the_weights_of_one_to_5_digits_by_every_method(
    tmp_path, make_kit, all_kits
):
    methods = all_kits
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1"}
    both = [
        run("share", tmp_path, *methods, RANK=rank, LOCAL_RANK=rank, MASTER_PORT=port, **common)
        for rank in (0, 1)
    ]
    said = [one.communicate(timeout=180) for one in both]
    assert [one.returncode for one in both] == [0, 0], "\n".join(error for _, error in said)
    assert "processes 2" in said[0][0]
    apart = {}
    for method in methods:
        theirs = load_file(tmp_path / f"{method}.safetensors")
        for name, mine in make_kit(method).in_double().items():
            apart[f"{method}.{name}"] = (theirs[name].double() - mine.double()).abs().max().item()
    far = {name: value for name, value in apart.items() if not value < 1e-5}
    assert far == {}
