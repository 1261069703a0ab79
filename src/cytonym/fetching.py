"""What is fetched once and kept: the cache folder, whether a network may be asked, the asking."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from cytonym.disk.files import writing
from cytonym.errors import WriteError, install

Retrieve: TypeAlias = Callable[[str, str | None, str], Path]
"""Address, checksum (``md5:...`` or ``sha256:...``; None: not known) and file name to the file."""


class NotFetchedError(Exception):
    """Why a file could not be had, in words that follow "it"; callers add what to do."""


def cache_folder() -> Path:
    """``CYTONYM_CACHE``, else ``cytonym`` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CYTONYM_CACHE") or Path(base) / "cytonym")


def offline() -> bool:
    """Whether no network may be asked: ``CYTONYM_OFFLINE`` is set (``--offline``)."""
    return os.environ.get("CYTONYM_OFFLINE", "") not in ("", "0")


@contextmanager
def fetching(folder: Path, *, progress: bool = True) -> Iterator[Retrieve]:
    """A function that puts what is at an address into ``folder``, whole and checked, or not at all.

    What fails in the block (the network, a checksum, the disk, a damaged archive) is told in the
    same way.

    Raises
    ------
    NotFetchedError
        Nothing may be fetched, pooch is not installed, or something failed.
    WriteError
        The disk is full, or ``folder`` may not be written to.
    """
    if offline():
        raise NotFetchedError(f"it is not in {folder}, and nothing may be fetched (offline)")
    try:
        import pooch
        from requests.exceptions import RequestException
    except ModuleNotFoundError as error:
        raise NotFetchedError(
            f"pooch, which fetches files, is not installed: {install('data')}"
        ) from error
    pooch.get_logger().setLevel("WARNING")
    loader: Any = pooch.HTTPDownloader(progressbar=progress, timeout=60)

    def retrieve(url: str, known: str | None, name: str) -> Path:
        return Path(pooch.retrieve(url, known, name, folder, downloader=loader))

    try:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            yield retrieve
    except WriteError:
        raise
    except (RequestException, OSError, EOFError, ValueError) as error:
        raise NotFetchedError(f"it could not be fetched ({error})") from error
