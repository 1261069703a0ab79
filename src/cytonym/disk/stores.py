"""A Zarr store, a folder of many files, appears under its name, or changes, in one step."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from cytonym.disk.exchange import exchange
from cytonym.disk.files import Mark, changed_meanwhile, copy, mark, settle_all


def is_store(path: Path) -> bool:
    """Whether a folder is a Zarr store (format 2 or 3)."""
    return any((path / name).is_file() for name in (".zgroup", ".zattrs", "zarr.json"))


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
        settle_all(partial)
        if _marks(store) != before:
            raise changed_meanwhile(store)
        exchange(partial, store)


def copy_store(store: Path, to: Path, *, without: Collection[str] = ()) -> None:
    """A store in the folder ``to``, but for the groups ``without`` at its top."""

    def ignored(folder: str, names: list[str]) -> Collection[str]:
        return {*names} & {*without} if Path(folder) == store else ()

    def held(source: str, target: str) -> str:
        copy(Path(source), Path(target))
        return target

    shutil.copytree(store, to, copy_function=held, ignore=ignored, dirs_exist_ok=True)


@contextmanager
def _beside(out: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.absolute().parent))
    try:
        yield folder / out.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _marks(folder: Path) -> dict[str, Mark]:
    """Of the folder and all files in it."""
    files = [folder, *(one for one in folder.rglob("*") if not one.is_dir())]
    return {str(one): mark(one.lstat()) for one in files}
