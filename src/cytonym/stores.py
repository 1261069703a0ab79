"""A Zarr store, a folder of many files, appears under its name, or changes, in one step."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cytonym.files import changed_meanwhile, copy, mark, settle

HERE = -100  # AT_FDCWD: paths are those of the process
SWAP = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def is_store(path: Path) -> bool:
    """Whether a folder is a Zarr store (format 2 or 3)."""
    return any((path / name).is_file() for name in (".zgroup", ".zattrs", "zarr.json"))


@contextmanager
def replacing_store(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out``, which takes its place once the block ends well."""
    with _beside(out) as partial:
        yield partial
        _settle_all(partial)
        put(partial, out)


@contextmanager
def changing_store(store: Path, own: Collection[str]) -> Iterator[Path]:
    """A second ``store`` beside it, which takes its place, in one step, once the block ends well.

    Both share every file (hard links) but those at the top and in the folders ``own``, which are
    copies: nothing else may be written to.

    Raises
    ------
    CytonymError
        The store was changed by somebody else meanwhile.
    OSError
        The file system cannot exchange two folders.
    """
    store = store.resolve()
    before = _marks(store)

    def held(source: str, target: str) -> str:
        first, *below = Path(source).relative_to(store).parts
        if not below or first in own:
            return shutil.copy2(source, target)
        try:
            os.link(source, target)
        except OSError:  # a file system without hard links
            shutil.copy2(source, target)
        return target

    with _beside(store) as partial:
        shutil.copytree(store, partial, copy_function=held, symlinks=True)
        yield partial
        _settle_all(partial)
        if _marks(store) != before:
            raise changed_meanwhile(store)
        exchange(partial, store)


def copy_store(store: Path, to: Path, *, without: Collection[str] = ()) -> None:
    """A store under another name, but for the groups ``without`` at its top."""

    def ignored(folder: str, names: list[str]) -> Collection[str]:
        return {*names} & {*without} if Path(folder) == store else ()

    def held(source: str, target: str) -> str:
        copy(Path(source), Path(target))
        return target

    shutil.copytree(store, to, copy_function=held, ignore=ignored)


def put(partial: Path, out: Path) -> None:
    """Give a result the name ``out``; an older folder of that name lies where it was."""
    if not out.is_dir():
        partial.replace(out)
        return
    try:
        exchange(partial, out)
    except OSError:
        before = partial.with_name("before")
        out.rename(before)
        try:
            partial.rename(out)
        except OSError:
            before.rename(out)
            raise


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


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.absolute().parent))
    try:
        yield folder / out.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _settle_all(folder: Path) -> None:
    """Files that are new, and all names."""
    settle(folder)
    for one in folder.rglob("*"):
        if not one.is_symlink() and (one.is_dir() or one.stat().st_nlink == 1):
            settle(one)


def _marks(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Of the folder and all files in it."""
    files = [folder, *(one for one in folder.rglob("*") if not one.is_dir())]
    return {str(one): mark(one.lstat()) for one in files}
