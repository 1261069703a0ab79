"""Two folders exchange their names in one step."""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from pathlib import Path

HERE = -100  # AT_FDCWD: paths are those of the process
SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def exchange(one: Path, other: Path) -> None:
    """Exchange the names of two folders: at every moment both are there.

    Raises
    ------
    OSError
        The system or the file system cannot.
    """
    paths = os.fsencode(one), os.fsencode(other)
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = libc.renamex_np(*paths, SWAP)
        else:
            failed = libc.renameat2(HERE, paths[0], HERE, paths[1], SWAP)
    except (AttributeError, TypeError) as error:
        raise OSError("this system cannot exchange two folders in one step") from error
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(other))


def can_exchange(folder: Path) -> bool:
    """Whether folders in ``folder`` can be exchanged in one step."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pair = Path(scratch, "one"), Path(scratch, "other")
        for one in pair:
            one.mkdir()
        try:
            exchange(*pair)
        except OSError:
            return False
    return True
