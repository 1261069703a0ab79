"""Genomes by name: fetched once, checked by the checksum beside them, unpacked and kept."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from cytonym.disk.files import replacing
from cytonym.errors import DataError, Problem
from cytonym.fetching import NotFetchedError, Retrieve, cache_folder, fetching

GENOMES = ("hg19", "hg38", "mm10", "mm39")
"""What UCSC calls the genomes that can be had by name."""

SERVER = "https://hgdownload.soe.ucsc.edu/goldenPath"


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
    packed = out.with_suffix(".fa.gz")
    try:
        with fetching(out.parent) as retrieve:
            wanted = _checksum(retrieve, f"{url.rpartition('/')[0]}/md5sum.txt", packed.name)
            retrieve(url, f"md5:{wanted}", packed.name)
            with replacing(out) as partial, gzip.open(packed) as source, partial.open("wb") as file:
                shutil.copyfileobj(source, file, 2**24)
            packed.unlink()
    except NotFetchedError as error:
        remedy = f"download {url}, unpack it, and give its path (--genome {name}.fa)"
        raise DataError(Problem(str(error), remedy), subject=f"the genome {name}") from error


def _checksum(retrieve: Retrieve, url: str, name: str) -> str:
    """What ``md5sum`` gave for a file of the server."""
    listed = retrieve(url, None, f"{name}.md5")
    lines = (line.split() for line in listed.read_text().splitlines())
    found = [line[0] for line in lines if len(line) == 2 and line[1].lstrip("*./") == name]
    listed.unlink()
    if not found:
        raise ValueError(f"{url} lists no {name}")
    return found[0]
