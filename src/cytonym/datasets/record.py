"""What is known of a data set: its files, where they come from, their layout, who reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from anndata import AnnData

Cells: TypeAlias = "AnnData | dict[str, AnnData]"
"""One modality, or several of the same cells by name (``rna``, ``atac``, ``methylation``)."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a data set, as its authors deposited it.

    Parameters
    ----------
    name
        What it is called.
    url
        Where it can be fetched without an account; None: it is asked for by hand.
    where
        How to get it by hand: accession, page, and what could not be verified.
    layout
        How it is laid out, in a line.
    sha256
        Its checksum, where that is known before the first use.
    also
        Other names under which it is recognised.
    optional
        The data set can be read without it.
    """

    name: str
    url: str | None
    where: str
    layout: str
    sha256: str | None = None
    also: tuple[str, ...] = ()
    optional: bool = False


@dataclass(frozen=True, slots=True)
class DataSet:
    """A published data set.

    Parameters
    ----------
    name, title
        For programs, and for people.
    organism
        ``human`` or ``mouse``.
    modalities
        What was measured: ``rna``, ``atac``, ``methylation``.
    n_cells, n_types
        Of what ``read`` returns, as its authors report it; None where they do not, or where the
        reader was not run against the original files and nobody else counted.
    source
        The paper.
    licence
        What the page that offers the files says, as far as it could be found out.
    files
        All of them.
    read
        From the folder with these files, under their names, to the cells.
    genome
        The assembly on which peaks lie; None without peaks, or where it is not known.
    notes
        What differs from other files of the same name, or from what papers report.
    """

    name: str
    title: str
    organism: str
    modalities: tuple[str, ...]
    n_cells: int | None
    n_types: int | None
    source: str
    licence: str
    files: tuple[File, ...]
    read: Callable[[Path], Cells]
    genome: str | None = None
    notes: tuple[str, ...] = ()
