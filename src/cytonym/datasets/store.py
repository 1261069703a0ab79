"""Where the files of a data set lie: found, fetched, their checksums remembered and compared."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from cytonym.datasets.record import DataSet, File
from cytonym.disk.files import replacing
from cytonym.errors import DataError, Problem
from cytonym.fetching import NotFetchedError, cache_folder, fetching, offline

log = logging.getLogger("cytonym")

SUMS = "sha256.json"
"""In the cache folder of a data set: the checksum of each file when it was first used."""


def home(data_set: DataSet) -> Path:
    """The folder of a data set in the cache."""
    return cache_folder() / "datasets" / data_set.name


def places(data_set: DataSet, folder: str | Path | None) -> tuple[Path, ...]:
    """Where its files are looked for, in this order."""
    given = () if folder is None else (Path(folder).expanduser(),)
    return (*(one / data_set.name for one in given), *given, home(data_set))


def found(data_set: DataSet, folder: str | Path | None) -> dict[File, Path | None]:
    """Each file and where it lies; packed ones may have been unpacked."""
    where = places(data_set, folder)

    def at(file: File) -> Path | None:
        names = (file.name, *file.also)
        names += tuple(one.removesuffix(".gz") for one in names if one.endswith(".gz"))
        every = (place / name for place in where for name in names)
        return next((path for path in every if path.is_file()), None)

    return {file: at(file) for file in data_set.files}


def gathered(
    data_set: DataSet, folder: str | Path | None, *, progress: bool
) -> tuple[dict[File, Path], dict[str, str]]:
    """All files of a data set, fetched where they have to be, and their checksums by name.

    Raises
    ------
    DataError
        What is not there and cannot be fetched, all at once; or files that have changed.
    """
    paths = found(data_set, folder)
    absent = [file for file, path in paths.items() if path is None and not file.optional]
    extra = [file for file, path in paths.items() if path is None and file.optional and file.url]
    put = Path(folder).expanduser() if folder is not None else home(data_set)
    # Nothing large is fetched for a data set that would still lack a file.
    if absent and (offline() or any(file.url is None for file in absent)):
        raise DataError([_asked(file, put) for file in absent], subject=data_set.name)
    failed = []
    for file in [*absent, *extra]:
        try:
            paths[file] = _fetched(file, home(data_set), progress)
        except NotFetchedError as error:
            if not file.optional or not offline():
                failed.append(_asked(file, put, str(error)))
    if failed:
        raise DataError(failed, subject=data_set.name)
    there = {file: path for file, path in paths.items() if path is not None}
    return there, checked(data_set, there)


def _fetched(file: File, folder: Path, progress: bool) -> Path:
    assert file.url is not None
    known = None if file.sha256 is None else f"sha256:{file.sha256}"
    if progress:
        log.info("fetching %s", file.url)
    with fetching(folder, progress=progress) as retrieve:
        return retrieve(file.url, known, file.name)


def _asked(file: File, put: Path, why: str = "") -> Problem:
    reason = f": {why}" if why else ", and nothing may be fetched (offline)" * offline()
    address = f"{file.url} ({file.where})" if file.url else file.where
    what = f"{file.name} is not there{reason}\n      ({file.layout})"
    return Problem(what, f"get it from {address} and put it into {put}")


def checked(data_set: DataSet, paths: Mapping[File, Path]) -> dict[str, str]:
    """SHA-256 of each file by name, compared with what is known and with the first use.

    Raises
    ------
    DataError
        A file is not the one that it was; both sums are told.
    """
    memory = home(data_set) / SUMS
    known = _remembered(memory)
    now, problems = {}, []
    for file, path in paths.items():
        with path.open("rb") as stream:
            now[path.name] = hashlib.file_digest(stream, "sha256").hexdigest()
        wanted, when = known.get(path.name), f"when it was first used ({memory})"
        remedy = f"if this is the right file, remove its line from {memory}; else get it again"
        if wanted is None and path.name == file.name and file.sha256 is not None:
            wanted, when = file.sha256, "as published"
            remedy = f"get it again: {file.url or file.where}"
        if wanted not in (None, now[path.name]):
            what = f"{path} is not the file that it was: SHA-256 {now[path.name]}, {wanted} {when}"
            problems.append(Problem(what, remedy))
    if problems:
        raise DataError(problems, subject=data_set.name)
    return now


def _remembered(memory: Path) -> dict[str, str]:
    if not memory.is_file():
        return {}
    try:
        kept = json.loads(memory.read_text(encoding="utf-8"))
        return {str(name): str(kept[name]["sha256"]) for name in kept}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"it is damaged ({error}), so that files cannot be compared with their first use"
        raise DataError(Problem(what, "remove it"), subject=str(memory)) from error


def remember(data_set: DataSet, sums: Mapping[str, str]) -> None:
    """Keep the checksums of files that could be read, beside those that are known already."""
    memory = home(data_set) / SUMS
    known = _remembered(memory)
    if sums.keys() <= known.keys():
        return
    every = dict(sums) | known
    kept = {name: {"sha256": every[name]} for name in sorted(every)}
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with replacing(memory) as partial:
            partial.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        log.warning("checksums could not be remembered: %s (%s)", memory, error)


@contextmanager
def together(paths: Mapping[File, Path]) -> Iterator[Path]:
    """A folder that holds all files under the names that the reader expects."""
    folders = {path.parent for path in paths.values()}
    if len(folders) == 1 and all(path.name == file.name for file, path in paths.items()):
        yield folders.pop()
        return
    with tempfile.TemporaryDirectory() as place:
        for file, path in paths.items():
            link = Path(place) / file.name
            try:
                link.symlink_to(path.resolve())
            except OSError:  # a system without links
                shutil.copyfile(path, link)
        yield Path(place)
