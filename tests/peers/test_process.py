import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from cytonym.errors import CytonymError
from cytonym.peers.process import measured

PYTHON = sys.executable


def code(text, folder, **more):
    command = [PYTHON, "-I", "-S", "-c", text]
    return measured(command, folder, name="a peer", env=dict(os.environ), **more)


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_300_mib_and_half_a_second_of_a_process_are_measured_within_100_mib_and_3_seconds(tmp_path):
    used = code("import time; x = b'1' * (300 * 2**20); time.sleep(0.5)", tmp_path)
    assert used.code == 0
    assert 300 < used.peak_mib < 400
    assert 0.5 <= used.seconds < 3.5
    assert 0 < used.cpu_seconds < used.seconds


def test_a_small_process_started_from_a_large_one_is_measured_as_small(tmp_path):
    large = np.ones(400 * 2**20 // 8)
    used = code("pass", tmp_path)
    assert large.sum() == large.size
    assert 2 < used.peak_mib < 100


def test_memory_of_a_child_that_the_process_waits_for_counts(tmp_path):
    own = f"import subprocess; subprocess.run([{PYTHON!r}, '-I', '-S', '-c', 'x = b\"1\" * 2**28'])"
    assert 256 < code(own, tmp_path).peak_mib < 356


def test_exit_code_signal_and_the_last_12_lines_of_stderr_are_told(tmp_path):
    text = "import sys\nfor i in range(40): print(f'line {i}', file=sys.stderr)\nsys.exit(3)"
    used = code(text, tmp_path)
    assert used.code == 3
    assert used.said.splitlines()[0].strip() == "line 28"
    assert used.said.splitlines()[-1].strip() == "line 39"
    assert code("import os; os.kill(os.getpid(), 9)", tmp_path).code == -9


WAITS = (
    "import os, subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    "open(sys.argv[1] + '.part', 'w').write(f'{os.getpid()} {child.pid}')\n"
    "os.rename(sys.argv[1] + '.part', sys.argv[1])\n"
    "time.sleep(60)\n"
)


def waits(folder, **more):
    command = [PYTHON, "-I", "-S", "-c", WAITS, str(folder / "pids")]
    return measured(command, folder, name="a peer", env=dict(os.environ), **more)


def assert_both_gone(folder):
    first, second = map(int, (folder / "pids").read_text().split())
    for _ in range(100):  # until whoever inherited them has taken note
        if gone(first) and gone(second):
            return
        time.sleep(0.05)
    # A zombie still has a number; it must be one, not a process that runs.
    for pid in (first, second):
        assert gone(pid) or "State:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_a_process_that_takes_longer_than_1_second_is_ended_with_its_child(tmp_path):
    start = time.monotonic()
    with pytest.raises(CytonymError, match=r"a peer was not done after 1 s(.|\n)*timeout="):
        waits(tmp_path, timeout=1)
    assert time.monotonic() - start < 10
    assert_both_gone(tmp_path)


def test_ctrl_c_ends_the_process_and_its_child_and_goes_on_up(tmp_path):
    def press():
        while not (tmp_path / "pids").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job may ignore it
    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            waits(tmp_path, timeout=30)
    finally:
        signal.signal(signal.SIGINT, before)
    thread.join()
    assert_both_gone(tmp_path)


def test_a_program_that_is_not_there_is_an_error_with_its_path(tmp_path):
    with pytest.raises(CytonymError, match=r"there is no program .*nowhere"):
        measured([str(tmp_path / "nowhere")], tmp_path, name="a peer", env={})
