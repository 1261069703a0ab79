"""Whether files are still those that were opened: no other program changed them meanwhile."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cytonym.disk.files import Mark, mark
from cytonym.errors import DataError, Problem

OURS: dict[tuple[Path, Mark], Mark] = {}
"""What this process itself made of a file, by what it was before."""


@dataclass(frozen=True)
class Stamp:
    """What files were when they were opened.

    Attributes
    ----------
    marks
        By absolute path.
    """

    marks: Mapping[Path, Mark] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Of a file, or of what lies in a folder (as of a Zarr store); taken before it is opened.

        Raises
        ------
        OSError
            There is no such file, or it may not be looked at.
        """
        path = path.absolute()
        return cls({one: mark(one.stat()) for one in (path.iterdir() if path.is_dir() else [path])})

    def __or__(self, later: Stamp) -> Stamp:
        """Of the files of both; what was opened twice is what it was the first time."""
        return Stamp({**later.marks, **self.marks})

    def only(self, paths: Iterable[Path]) -> Stamp:
        """Of these files and folders, where they were opened."""
        wanted = [one.absolute() for one in paths]
        return Stamp(
            {
                path: before
                for path, before in self.marks.items()
                if any(one in (path, path.parent) for one in wanted)
            }
        )

    def check(self) -> None:
        """Raise a :class:`DataError` where a file is not what it was."""
        for path, before in self.marks.items():
            try:
                now = mark(path.stat())
            except OSError:
                now = None
            while before != now and (path, before) in OURS:
                before = OURS[path, before]
            if now != before:
                raise DataError(_changed(before, now), subject=str(path))

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Check after the block, also where it fails: a change is then the reason."""
        try:
            yield
        finally:
            self.check()

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the contents of all files; read once."""
        digest = hashlib.sha256()
        for path in sorted(self.marks):
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file():
                    with file.open("rb") as stream:
                        digest.update(hashlib.file_digest(stream, "sha256").digest())
        self.check()
        return digest.hexdigest()


@contextmanager
def our_own(path: Path) -> Iterator[None]:
    """What the block makes of a file, or of what lies in a folder, is no other program's doing."""
    before = Stamp.of(path).marks
    yield
    after = Stamp.of(path).marks
    OURS.update(
        {(one, was): after[one] for one, was in before.items() if after.get(one, was) != was}
    )


def _changed(before: Mark, now: Mark | None) -> Problem:
    if now is None:
        seen = "it is gone"
    elif now[0] != before[0]:
        seen = f"it had {before[0]:,} bytes and has {now[0]:,}"
    elif now[2] != before[2]:
        seen = f"another file of {now[0]:,} bytes has taken its place"
    else:
        seen = f"it was written to {(now[1] - before[1]) / 1e9:,.1f} s after the last change before"
    return Problem(
        f"it has changed while it was read: {seen}",
        "let no other program write to it, and do the same again",
    )
