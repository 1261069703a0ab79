"""Text files wherever they lie: plain, gzip, or inside a tar or zip archive."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any, TypeAlias

from pandas.errors import EmptyDataError, ParserError

from cytonym.errors import DataError, Problem

Opener: TypeAlias = "Callable[[], Any]"

DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    KeyError,
    zlib.error,
    ParserError,
    EmptyDataError,
    tarfile.TarError,
    zipfile.BadZipFile,
)
"""What readers raise where a file is cut short or is not what its name says."""

AGAIN = "download it again, or compare it with the layout that `cytonym datasets` tells"


def wrong(name: str, what: str) -> DataError:
    """The error for a file that is not laid out as it should be."""
    return DataError(Problem(what, AGAIN), subject=name)


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn what readers raise into an error that names the file."""
    try:
        yield
    except DataError:
        raise
    except DAMAGED as error:
        said = str(error) or type(error).__name__
        raise wrong(name, f"it is damaged, or laid out otherwise ({said})") from error


@dataclass(frozen=True, slots=True)
class Text:
    """A text file that can be read from its start as often as wanted."""

    name: str
    _open: Opener

    @contextmanager
    def unpacked(self) -> Iterator[IO[bytes]]:
        """Its bytes, whatever it is packed with."""
        with reading(self.name), self._open() as raw:
            buffered = io.BufferedReader(raw)
            packed = buffered.peek(2)[:2] == b"\x1f\x8b"
            plain: Any = gzip.GzipFile(fileobj=buffered) if packed else buffered
            with plain:
                yield plain

    @contextmanager
    def opened(self) -> Iterator[IO[str]]:
        """Its lines."""
        with (
            self.unpacked() as plain,
            io.TextIOWrapper(plain, encoding="utf-8-sig", newline="") as lines,
        ):
            yield lines


def text(path: Path) -> Text:
    """A file of its own."""
    return Text(path.name, lambda: path.open("rb", buffering=0))


def zipped(path: Path, pattern: str) -> Text:
    """The one file of a zip archive whose name fits a pattern of the shell."""
    with reading(path.name), zipfile.ZipFile(path) as archive:
        held = [one for one in archive.namelist() if not one.endswith("/")]
    (member,) = _one(path.name, held, pattern, few=1)

    @contextmanager
    def opened() -> Iterator[Any]:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            yield stream

    return Text(f"{path.name}/{member}", opened)


def tarred(path: Path, pattern: str, *, count: int) -> list[Text]:
    """The ``count`` files of a tar archive whose names fit a pattern of the shell, in order."""
    with reading(path.name), tarfile.open(path) as archive:
        held = sorted(one.name for one in archive.getmembers() if one.isfile())

    def opener(member: str) -> Opener:
        @contextmanager
        def opened() -> Iterator[Any]:
            with tarfile.open(path) as archive:
                stream = archive.extractfile(member)
                assert stream is not None, "regular files only"
                with stream:
                    yield stream

        return opened

    members = _one(path.name, held, pattern, few=count)
    return [Text(f"{path.name}/{member}", opener(member)) for member in members]


def _one(name: str, held: list[str], pattern: str, *, few: int) -> list[str]:
    found = [one for one in held if fnmatch(one.rsplit("/", 1)[-1], pattern)]
    if len(found) != few:
        some = ", ".join(held[:6]) + (", ..." if len(held) > 6 else "") if held else "nothing"
        raise wrong(name, f"{len(found)} of its files fit {pattern}, not {few}; it holds {some}")
    return found
