"""A small process between us and a peer: starts it, waits, and says what it used.

    python -I -S launch.py OUT.json PROGRAM ARGUMENT...

A process that is started from a large one inherits the mark of its peak memory, so a peer that was
started from here directly would seem as large as we are. Standard library only.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(out: str, command: list[str]) -> None:
    """Run ``command`` to its end and write its exit code, seconds and peak memory (MiB)."""
    start = time.monotonic()
    pid = os.posix_spawn(command[0], command, os.environ)
    _, status, used = os.wait4(pid, 0)
    seconds = time.monotonic() - start
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
    facts = {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": round(seconds, 3),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
        "peak_mib": round(used.ru_maxrss * unit / 2**20, 1),
    }
    with open(f"{out}.part", "w") as file:
        json.dump(facts, file)
    os.replace(f"{out}.part", out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
