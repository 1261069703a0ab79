"""A file or folder appears under its name only when it is complete."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cytonym.errors import CytonymError, WriteError
from cytonym.refusals import refusal


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A temporary name beside ``out``, which takes its place once the block ends well.

    The ending is that of ``out``, by which some libraries go.

    Raises
    ------
    WriteError
        The system refuses it, as where the disk is full; what was there before is unchanged.
    """
    with writing(out):
        handle, name = tempfile.mkstemp(
            prefix=f".{out.name}.", suffix=out.suffix.lower(), dir=out.parent
        )
        os.close(handle)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o644)
            _settle(partial)
            os.replace(partial, out)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """As :func:`replacing`, for a folder: the temporary one is there and empty."""
    with writing(out):
        name = tempfile.mkdtemp(prefix=f".{out.name}.", suffix=out.suffix, dir=out.parent)
        partial = Path(name)
        try:
            yield partial
            partial.chmod(0o755)
            for file in partial.rglob("*"):
                if file.is_file():
                    _settle(file)
            _swap(partial, out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Inside, what the system refuses is a :class:`WriteError` that names ``out``."""
    try:
        yield
    except CytonymError:
        raise
    except Exception as error:  # HDF5 tells of a full disk by three kinds of errors
        problem = refusal(error, out.parent)
        if problem is None:
            raise
        raise WriteError(out, problem) from error


def _settle(file: Path) -> None:
    """To the disk: a name must not outlive its contents when power fails."""
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _swap(partial: Path, out: Path) -> None:
    """Put the folder ``partial`` in the place of ``out``; the old one goes last."""
    if not out.exists():
        os.replace(partial, out)
        return
    aside = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    try:
        os.replace(out, aside / out.name)
        os.replace(partial, out)
    except BaseException:
        if not out.exists():
            os.replace(aside / out.name, out)
        raise
    finally:
        if out.exists():  # else the old one is kept where it is
            shutil.rmtree(aside, ignore_errors=True)
