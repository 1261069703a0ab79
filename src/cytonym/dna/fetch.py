"""Genomes by name: fetched once, checked by the checksum beside them, unpacked and kept."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

from cytonym.errors import DataError, Problem
from cytonym.files import replacing

GENOMES = ("hg19", "hg38", "mm10", "mm39")
"""What UCSC calls the genomes that can be had by name."""

SERVER = "https://hgdownload.soe.ucsc.edu/goldenPath"


def cache_folder() -> Path:
    """``CYTONYM_CACHE``, else ``cytonym`` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("CYTONYM_CACHE") or Path(base) / "cytonym")


def offline() -> bool:
    """Whether no network may be asked: ``CYTONYM_OFFLINE`` is set (``--offline``)."""
    return os.environ.get("CYTONYM_OFFLINE", "") not in ("", "0")


def genome_file(genome: str | Path) -> Path:
    """The FASTA file of a genome, given as a path or as one of ``GENOMES``.

    A genome by name is fetched from UCSC once (about 1 GB, 3 GB unpacked) into the cache, and
    checked by the MD5 that the server gives for it.

    Raises
    ------
    DataError
        A genome by name that is not in the cache, and cannot be fetched or is damaged.
    """
    path, name = Path(genome).expanduser(), str(genome)
    if path.exists() or name not in GENOMES:
        return path
    kept = cache_folder() / "genomes" / f"{name}.fa"
    if not kept.is_file():
        _fetch(name, kept)
    return kept


def _fetch(name: str, out: Path) -> None:
    url = f"{SERVER}/{name}/bigZips/{name}.fa.gz"
    remedy = f"download {url}, unpack it, and give its path (--genome {name}.fa)"
    if offline():
        what = f"it is not in {out.parent}, and nothing may be fetched (offline)"
        raise DataError(Problem(what, remedy), subject=f"the genome {name}")
    try:
        import pooch
        from requests.exceptions import RequestException
    except ModuleNotFoundError as error:
        problem = Problem("pooch, which fetches files, is not installed", remedy)
        raise DataError(problem, subject=f"the genome {name}") from error
    pooch.get_logger().setLevel("WARNING")
    loader: Any = pooch.HTTPDownloader(progressbar=True, timeout=60)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        packed = out.with_suffix(".fa.gz")
        wanted = _checksum(f"{url.rpartition('/')[0]}/md5sum.txt", packed.name, out.parent)
        pooch.retrieve(url, f"md5:{wanted}", packed.name, out.parent, downloader=loader)
        with replacing(out) as partial, gzip.open(packed) as source, partial.open("wb") as file:
            shutil.copyfileobj(source, file, 2**24)
        packed.unlink()
    except (RequestException, OSError, EOFError, ValueError) as error:
        problem = Problem(f"it could not be fetched ({error})", remedy)
        raise DataError(problem, subject=f"the genome {name}") from error


def _checksum(url: str, name: str, folder: Path) -> str:
    """What ``md5sum`` gave for a file of the server."""
    import pooch

    listed = Path(pooch.retrieve(url, None, f"{name}.md5", folder))
    lines = (line.split() for line in listed.read_text().splitlines())
    found = [line[0] for line in lines if len(line) == 2 and line[1].lstrip("*./") == name]
    listed.unlink()
    if not found:
        raise ValueError(f"{url} lists no {name}")
    return found[0]
