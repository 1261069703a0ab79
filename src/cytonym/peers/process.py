"""One child process, measured as a whole: wall time, peak memory, its last words."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cytonym.errors import CytonymError, Problem

LAUNCH = Path(__file__).with_name("launch.py")
LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process used.

    Attributes
    ----------
    code
        Its exit code; below 0: the signal that ended it.
    seconds
        From its start to its end.
    cpu_seconds
        Of all its threads and of each child that it waited for; unlike ``seconds`` it does not
        depend on what else the machine does.
    peak_mib
        The largest resident memory of it and of each child that it waited for, MiB.
    said
        The last lines of what it wrote to stderr.
    """

    code: int
    seconds: float
    cpu_seconds: float
    peak_mib: float
    said: str


def measured(
    command: Sequence[str],
    folder: Path,
    *,
    name: str,
    env: Mapping[str, str],
    timeout: float | None = None,
) -> Usage:
    """Run ``command`` to its end; what it says goes to ``stdout`` and ``stderr`` in ``folder``.

    It and its children are killed when the time is over, on Ctrl-C, and on any other error here.

    Parameters
    ----------
    command
        The program, with its full path, and its arguments.
    name
        What messages call it.
    env
        Its whole environment.
    timeout
        Seconds; None: as long as it takes.

    Raises
    ------
    CytonymError
        The time is over, the program cannot be started, or this is no Unix.
    """
    if not hasattr(os, "wait4"):
        what = f"the peak memory of a process cannot be had on {sys.platform}"
        raise CytonymError(str(Problem(what, "run it on Linux or macOS")))
    if not os.access(command[0], os.X_OK):
        what = f"there is no program {command[0]} to run {name}"
        raise CytonymError(str(Problem(what, "name another Python (python=)")))
    used = folder / "used.json"
    line = [sys.executable, "-I", "-S", str(LAUNCH), str(used), *command]
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        child = subprocess.Popen(
            line, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            start_new_session=True,
        )  # fmt: skip
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            what = f"{name} was not done after {timeout:g} s and was ended"
            remedy = "give it more time (timeout=), or fewer cells"
            raise CytonymError(str(Problem(what, remedy))) from None
        finally:
            _end(child)
    said = last_lines(folder / "stderr")
    if not used.is_file():
        what = f"the process that starts {name} ended with code {child.returncode}\n{said}"
        raise CytonymError(str(Problem(what, "is there memory left, and may processes be made?")))
    facts = json.loads(used.read_text(encoding="utf-8"))
    return Usage(**facts, said=said)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a process that still runs, with all that it started."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def last_lines(file: Path) -> str:
    """The last lines of a text file that say something, indented."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line.rsplit("\r")[-1] for line in lines if line.strip()]
    return "\n".join(f"    {line}" for line in lines[-LAST_LINES:])
