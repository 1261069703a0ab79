"""Where results may be written: checked before any work, so that none of it is lost."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from cytonym.bundle import foreign_files, is_model
from cytonym.disk.files import check_copy
from cytonym.disk.stores import is_store
from cytonym.errors import CytonymError

log = logging.getLogger("cytonym")

STATE_MARK = "cytonym-fit-state"
"""A file of this name marks a folder of training state, which alone may be deleted again."""

LOCK = ".lock"


def check_result(
    query: Path, out: Path | None, *others: Path | None, in_place: bool, matrix: bool, joined: bool
) -> Path:
    """Where the result goes: ``out``, or with ``in_place`` the query itself.

    ``joined`` files become one ``.h5mu``.
    """
    if (out is None) != in_place:
        raise CytonymError(
            f"{'neither' if out is None else 'both'} of --out and --in-place is given\n"
            "    → write --out OUT, or --in-place to add to QUERY itself"
        )
    if out is not None and out.resolve() == query.resolve():
        raise CytonymError(
            f"--out {out} is read too\n    → write --in-place to add to it, or give another name"
        )
    if out is not None:
        check_h5ad(out, query, *others, joined=joined)
        if matrix and query.suffix.lower() == out.suffix and query.exists():  # it is copied
            check_copy(query, out.absolute().parent)
        return out
    if joined or not matrix:
        raise CytonymError(
            f"--in-place is for one file and all that is in it, not with "
            f"{'--atac' if joined else '--no-matrix'}\n    → write --out OUT"
        )
    from cytonym.copying import check_change  # slow to import

    _check_parent(query, "--in-place")
    _check_parent(query.resolve(), "--in-place")
    check_change(query)
    return query


def check_h5ad(out: Path, query: Path, *others: Path | None, joined: bool = False) -> None:
    """A file or store of the query's kind in a folder that exists, and none of what is read.

    ``joined`` files become one ``.h5mu``.
    """
    from cytonym.copying import endings  # slow to import

    known = (".h5mu",) if joined else endings(query)
    if out.suffix not in known:
        ending = known[0]
        better = f"{out.stem}{ending}" if out.suffix else f"{out.name or 'named'}{ending}"
        raise CytonymError(
            f"--out {out} does not end in {' or '.join(known)}\n    → write --out {better}"
        )
    _check_parent(out)
    if out.is_dir() != (out.suffix == ".zarr" and is_store(out)) and out.exists():
        kind = "a folder" if out.is_dir() else "a file"
        raise CytonymError(f"--out {out} is {kind} of another kind\n    → give another name")
    check_unread(out, query, *others)


def check_unread(out: Path, *read: Path | None) -> None:
    """The result does not take the place of what it is made from."""
    if any(one is not None and out.resolve() == one.resolve() for one in read):
        raise CytonymError(f"--out {out} is read too\n    → give the result another name")


def check_table(out: Path, ending: str, *read: Path | None, option: str = "--out") -> None:
    """A file with this ending in a folder that exists, and none of what is read or written."""
    if out.suffix != ending:
        better = f"{out.stem or 'result'}{ending}"
        raise CytonymError(
            f"{option} {out} does not end in {ending}\n    → write {option} {better}"
        )
    _check_parent(out, option)
    if out.is_dir():
        raise CytonymError(f"{option} {out} is a folder\n    → name a file")
    if any(one is not None and out.resolve() == one.resolve() for one in read):
        raise CytonymError(
            f"{option} {out} is read, or written by another option\n    → give it another name"
        )


def check_model(out: Path, *read: Path | None) -> None:
    """A new folder, an empty one, or a model, which is replaced."""
    _check_parent(out)
    check_unread(out, *read)
    replaced = is_model(out)
    foreign = foreign_files(out) if replaced else []
    if foreign:
        raise CytonymError(
            f"--out {out} is a model, which would be replaced, but it also holds "
            f"{', '.join(foreign[:5])}\n    → move them, or name another folder"
        )
    if out.exists() and not replaced and not _is_empty(out):
        kind = "a folder that holds no model" if out.is_dir() else "a file"
        raise CytonymError(
            f"--out {out} is {kind}, which is not overwritten\n    → name another folder"
        )


def check_folder(out: Path) -> None:
    """A folder, or the place for one."""
    _check_parent(out)
    if out.exists() and not out.is_dir():
        raise CytonymError(f"--out {out} is a file\n    → name a folder")


@contextmanager
def state_folder(model: Path) -> Iterator[Path]:
    """``MODEL.fit`` beside the model, where a killed fit goes on.

    Gone once the block has ended well, or without a state to go on from; kept otherwise.
    """
    model = model.absolute()
    state = model.with_name(f"{model.name}.fit")
    mark = state / STATE_MARK
    if state.exists() and not mark.exists() and not _is_empty(state):
        raise CytonymError(
            f"{state} is in the way: training state goes there\n    → move it, or change --out"
        )
    state.mkdir(exist_ok=True)
    mark.touch()
    with _alone(state):
        try:
            yield state
        except BaseException:
            if {*state.iterdir()} <= {mark, state / LOCK}:
                shutil.rmtree(state)
            else:
                log.warning(
                    "What was learned is kept in %s: the same command goes on from there", state
                )
            raise
        shutil.rmtree(state)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Inside, no other process is; a CytonymError where one is there."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CytonymError(
            f"another fit is under way in {folder}\n    → wait for its end, or give another --out"
        ) from None
    except (OSError, NotImplementedError) as error:  # some file systems of clusters have no locks
        log.debug("%s cannot be locked: %s", folder, error)
    try:
        yield
    finally:
        lock.release()


def _check_parent(out: Path, option: str = "--out") -> None:
    folder = out.absolute().parent
    if not folder.is_dir():
        raise CytonymError(f"{option} {out}: there is no folder {folder}\n    → create it first")
    try:  # permission bits alone do not tell: file systems can be read-only
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CytonymError(
            f"{option} {out}: nothing can be written to {folder} ({error.strerror})\n"
            "    → choose another folder"
        ) from error


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())
