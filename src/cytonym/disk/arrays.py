"""Arrays of an ``.npz`` from anybody: sizes are looked at before anything is unpacked."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection
from lzma import LZMAError
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy

MOST_VALUES = 4 << 30
"""Bytes of all arrays of a file, unpacked: one that asks for more is refused."""

SENSELESS = (
    *(BadZipFile, zlib.error, LZMAError, EOFError, NotImplementedError, RuntimeError),
    *(SyntaxError, TokenError, TypeError, LookupError, OverflowError),
)
"""What zipfile and numpy raise over a file that makes no sense to them, beside a ValueError."""


def read_arrays(
    file: Path | IO[bytes], *, most: int, only: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` by name, which may not claim more bytes than it holds.

    Parameters
    ----------
    file
        A path, or what can be read and sought.
    most
        Bytes that all arrays may have together.
    only
        The names of those to read; None: all.

    Raises
    ------
    ValueError
        No ``.npz``, larger than ``most``, or an array of objects or of another size than its own.
    OSError
        The file cannot be read.
    """
    try:
        with ZipFile(file) as held:
            wanted = [one for one in held.infolist() if only is None or _name(one) in only]
            if (whole := sum(one.file_size for one in wanted)) > most:
                raise ValueError(f"its arrays hold {whole:,} bytes, of {most:,} at most")
            return {_name(one): _array(held, one) for one in wanted}
    except SENSELESS as error:
        raise ValueError(str(error) or repr(error)) from error


def _array(held: ZipFile, one: ZipInfo) -> np.ndarray:
    """An array whose head promises no more than what follows."""
    with held.open(one) as member:
        first = npy.read_magic(member) == (1, 0)
        header = npy.read_array_header_1_0 if first else npy.read_array_header_2_0
        shape, _, dtype = header(member)
    claimed = math.prod(shape) * max(dtype.itemsize, 1)
    if dtype.hasobject or min(shape, default=0) < 0 or claimed > one.file_size:
        raise ValueError(f"{one.filename} claims {claimed:,} bytes of {dtype}")
    with held.open(one) as member:
        return npy.read_array(member, allow_pickle=False)


def _name(member: ZipInfo) -> str:
    return member.filename.removesuffix(".npy")
