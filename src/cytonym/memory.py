"""How much memory work may take, and how much it takes."""

from __future__ import annotations

import re

import psutil
from pydantic import ByteSize, TypeAdapter, ValidationError

from cytonym.errors import OptionError

Memory = int | str
"""Bytes, or words like ``"4GB"`` and ``"500 MiB"``."""

FEATURES = 2 * 1024**3
"""Bytes of features that a fit keeps at most where nothing is said."""

WORK = 1024**3
"""What a fit takes beside its libraries and the features that it keeps (``docs/scale.md``)."""


FACTS = 350
"""Bytes of a cell's name, label, set and the like (``docs/scale.md``)."""


def in_bytes(memory: Memory) -> int:
    """Bytes of words like ``"4GB"``.

    Raises
    ------
    OptionError
        These are no such words.
    """
    try:
        found = int(TypeAdapter(ByteSize).validate_python(memory))
    except ValidationError:
        found = None
    words_of = r"\s*\d*\.?\d+\s*[A-Za-z]+\s*"  # "4" would be four bytes
    if found is None or (isinstance(memory, str) and not re.fullmatch(words_of, memory)):
        raise OptionError(f"{memory!r} is no amount of memory; write 4GB or 500MiB.")
    if found <= 0:
        raise OptionError(
            f"Memory is more than nothing, and it is {memory!r}; write 4GB or 500MiB."
        )
    return found


def resident() -> int:
    """Bytes that this process holds now."""
    return psutil.Process().memory_info().rss


def room(memory: Memory | None) -> int:
    """Bytes that a fit may keep features in: what is left beside the libraries and its work;
    where nothing is said, ``FEATURES``.

    Raises
    ------
    OptionError
        Not even the work fits.
    """
    if memory is None:
        return FEATURES
    least = resident() + WORK
    left = in_bytes(memory) - least
    if left < 0:
        raise OptionError(
            f"A fit takes {words(least)} beside the features that it keeps, and max_memory is "
            f"{words(in_bytes(memory))}; give at least {words(least + 1e8)}."
        )
    return left


def check_fits(what: str, needed: float, limit: Memory | None, remedy: str) -> None:
    """Raise an :class:`OptionError` where ``what`` takes more than ``limit``, if there is one."""
    if limit is not None and needed > in_bytes(limit):
        takes, may = words(1.005 * needed), words(in_bytes(limit))  # rounded, it is enough
        raise OptionError(f"{what} takes about {takes}, and max_memory is {may}: {remedy}.")


def words(size: float) -> str:
    """Bytes as people write them: ``3.21 GB``."""
    if size < 1e6:
        return f"{size:,.0f} bytes"
    if size < 999.5e6:
        return f"{size / 1e6:.0f} MB"
    return f"{size / 1e9:.3g} GB" if size < 1e11 else f"{size / 1e9:,.0f} GB"
