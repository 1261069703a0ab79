"""What the operating system refuses (a full disk, a lost permission), in words, with a remedy."""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path

from cytonym.errors import Problem

_ASK = "ask its owner for the permission (ls -ld shows who has it), or name another place"
_CLOSE = "close other programs, or raise the limit (ulimit -n)"

REFUSALS = {
    errno.ENOSPC: ("the disk is full", "free some space, or name a place on another disk"),
    errno.EDQUOT: ("your share of the disk is used up", "delete something, or name another disk"),
    errno.EFBIG: (
        "the file would be larger than the system allows",
        "raise the limit (ulimit -f), or name a place on another disk",
    ),
    errno.EACCES: ("permission denied", _ASK),
    errno.EPERM: ("permission denied", _ASK),
    errno.EROFS: ("the file system is read-only", "name a place on another disk"),
    errno.EMFILE: ("too many files are open", _CLOSE),
    errno.ENFILE: ("too many files are open", _CLOSE),
    errno.EIO: ("the disk fails", "look at the system's log, and copy what is there elsewhere"),
}
"""By number of the system's error: what it means, and what to do."""


def refusal(error: Exception, place: Path | None = None) -> Problem | None:
    """What the system refused; None where ``error`` tells of something else.

    HDF5 tells it by several kinds of errors, in whose text the number stands.

    Parameters
    ----------
    place
        A file or folder on the disk that is written to, whose free space is told.
    """
    number = getattr(error, "errno", None)
    if number is None and (told := re.search(r"\berrno = (\d+)", str(error))):
        number = int(told[1])
    if number not in REFUSALS:
        return None
    what, remedy = REFUSALS[number]
    if number == errno.ENOSPC and place is not None:
        what += f" ({shutil.disk_usage(place).free:,} bytes are free)"
    return Problem(what, remedy)
