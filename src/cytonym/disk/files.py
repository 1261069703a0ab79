"""A file or folder appears under its name, or changes, only when it is complete."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cytonym.disk.exchange import exchange
from cytonym.disk.refusals import refusal
from cytonym.errors import CytonymError, WriteError
from cytonym.memory import words

Mark = tuple[int, int, int]
"""Size in bytes, time of the last change in nanoseconds, and number on the disk."""

LESS = (
    "free some (killed runs leave hidden files, .NAME.*), write to another disk (--out), or leave "
    "the matrix out (--no-matrix)"
)
"""What to do where a copy does not fit."""

FICLONE = 0x40049409
"""Of ``linux/fs.h``: let a file share the blocks of another one."""


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A temporary name beside ``out``, which takes its place once the block ends well.

    The ending is that of ``out``, by which some libraries go. The file gets the owner and
    permissions of what it replaces, or those of any new file.

    Raises
    ------
    WriteError
        The system refuses it, as where the disk is full; what was there before is unchanged.
    """
    with writing(out):
        like = out.stat() if out.exists() else None
        partial = _hidden(out, out.suffix.lower())
        # The umask says what others may do with a new file.
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL, 0o666 if like is None else 0o600))
        try:
            yield partial
            if like is not None:
                with suppress(PermissionError):  # a file of somebody else becomes one's own
                    os.chown(partial, like.st_uid, like.st_gid)
                partial.chmod(stat.S_IMODE(like.st_mode))
            settle(partial)
            os.replace(partial, out)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def replacing_folder(out: Path) -> Iterator[Path]:
    """As :func:`replacing`, for a folder: the temporary one is there and empty."""
    out = out.resolve()  # of a link, what it leads to
    with writing(out):
        bits = stat.S_IMODE(out.stat().st_mode) if out.exists() else None
        partial = _hidden(out, out.suffix)
        partial.mkdir(0o777 if bits is None else 0o700)
        try:
            yield partial
            if bits is not None:
                partial.chmod(bits)
            settle_all(partial)
            _swap(partial, out)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _hidden(out: Path, ending: str) -> Path:
    """A name beside ``out`` that nobody has."""
    return out.with_name(f".{out.name}.{secrets.token_hex(4)}{ending}")


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Inside, what the system refuses is a :class:`WriteError` that names ``out``."""
    try:
        yield
    except CytonymError:
        raise
    except Exception as error:  # HDF5 tells of a full disk by three kinds of errors
        problem = refusal(error, out.parent)
        named = getattr(error, "filename", None)
        elsewhere = named and out.absolute().parent not in Path(str(named)).absolute().parents
        if problem is None or elsewhere:
            raise  # it may be a file that is read
        raise WriteError(out, problem) from error


@contextmanager
def changing_file(file: Path) -> Iterator[Path]:
    """A copy of ``file`` beside it, which takes its place once the block ends well.

    Where the file system can, the copy shares the blocks of the file and takes no time. A link is
    followed: what it leads to is replaced.

    Raises
    ------
    CytonymError
        There is no room for a copy, or the file was changed by somebody else meanwhile.
    """
    file = file.resolve()
    before = file.stat()
    with replacing(file) as partial:
        copy(file, partial)
        yield partial
        settle(partial)  # may take long, so it goes before the last look at the file
        if mark(file.stat()) != mark(before):
            raise changed_meanwhile(file)


def mark(of: os.stat_result) -> Mark:
    """What differs once a file was changed or replaced."""
    return of.st_size, of.st_mtime_ns, of.st_ino


def changed_meanwhile(path: Path) -> CytonymError:
    """Somebody else wrote into what was to be replaced."""
    return CytonymError(
        f"{path} was changed by another program while its copy was added to; it was left as that "
        "program wrote it\n    → run the same command again, one at a time"
    )


def settle(path: Path) -> None:
    """A name must not outlive its contents when power fails."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def settle_all(folder: Path) -> None:
    """Files that are new, and all names."""
    settle(folder)
    for one in folder.rglob("*"):
        if not one.is_symlink() and (one.is_dir() or one.stat().st_nlink == 1):
            settle(one)


def _swap(partial: Path, out: Path) -> None:
    """Put the folder ``partial`` in the place of ``out``, in one step where the system can."""
    if not out.exists():
        os.replace(partial, out)
        return
    with suppress(OSError):
        exchange(partial, out)
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


def copy(file: Path, to: Path) -> None:
    """The same bytes under another name; they share their blocks where the file system can.

    Raises
    ------
    CytonymError
        There is no room.
    """
    if not _share(file, to):
        check_room("a copy", file.stat().st_size, to.absolute().parent, LESS)
        shutil.copyfile(file, to)


def check_copy(path: Path, folder: Path) -> None:
    """Whether ``folder`` has room for a copy of a file, or of all files in ``path``.

    Raises
    ------
    CytonymError
        With what is needed and what is free.
    """
    files = [one for one in path.rglob("*") if one.is_file()] if path.is_dir() else [path]
    if not files:
        return
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        if _share(max(files, key=lambda one: one.stat().st_size), Path(probe.name)):
            return
    check_room("a copy", sum(one.stat().st_size for one in files), folder, LESS)


def _share(file: Path, to: Path) -> bool:
    """Whether ``to`` became a copy of ``file`` that shares its blocks (btrfs, XFS, NFS 4.2)."""
    if sys.platform != "linux":
        return False
    import fcntl

    with file.open("rb") as source, to.open("wb") as target:
        try:
            fcntl.ioctl(target.fileno(), FICLONE, source.fileno())
        except OSError:
            return False
    return True


def check_room(what: str, needed: int, folder: Path, remedy: str) -> None:
    """Whether ``what`` of so many bytes fits into ``folder``.

    Raises
    ------
    CytonymError
        With what is needed and what is free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CytonymError(
            f"{what} of {words(needed)} does not fit into {folder}, where {words(free)} are free\n"
            f"    → {remedy}"
        )
