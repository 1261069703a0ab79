"""Options that several commands share, and what they mean."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from cytonym.errors import CytonymError


def _stay_offline(value: bool) -> bool:
    if value:
        os.environ["CYTONYM_OFFLINE"] = "1"
    return value


Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Genes = Annotated[str | None, typer.Option(metavar="COLUMN", help="Column of var with gene names.")]
Layer = Annotated[str | None, typer.Option(metavar="L", help="Read X, raw or this layer only.")]
Atac = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Peaks of the same cells, in a file of its own.")
]
Modality = Annotated[
    list[str] | None,
    typer.Option(metavar="rna=NAME", help="What a MuData calls a modality; repeatable."),
]
Genome = Annotated[
    Path | None,
    typer.Option(metavar="FASTA", help="The genome of the peaks: a file, or hg38, mm10, ..."),
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Fetch nothing from a network.", callback=_stay_offline)
]
Key = Annotated[str, typer.Option(metavar="NAME", help="Name of the predicted column.")]
Device = Annotated[
    str, typer.Option(metavar="NAME", help="Where it computes: auto, cpu, cuda or cuda:1.")
]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile the network first, for long work on a GPU.")
]
BatchSize = Annotated[int, typer.Option(min=1, help="Cells at a time.")]
MaxMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="What the process may take, such as 4GB; more is refused."),
]
DecodedMemory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="What the process may take, such as 4GB: fewer at once."),
]
Result = Annotated[
    Path | None,
    typer.Option("--out", metavar="OUT", help="The same cells with it: .h5ad, .h5mu or .zarr."),
]
InPlace = Annotated[
    bool, typer.Option("--in-place", help="Add to QUERY itself instead of writing OUT.")
]
NoMatrix = Annotated[bool, typer.Option("--no-matrix", help="Leave X, layers and raw out of OUT.")]
Decoded = Annotated[
    Path, typer.Option(metavar="OUT", help="A .zarr (float16), or .h5ad / .h5mu (float32).")
]
Model = Annotated[Path, typer.Option(help="Model folder from cytonym fit.")]
Review = Annotated[
    Path | None, typer.Option(metavar="TSV", help="A review file with the terms of labels.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, only warnings.")]


def one_or_both(file: Path, atac: Path | None) -> Path | dict[str, Path]:
    """One file, or one for each modality."""
    return file if atac is None else {"rna": file, "atac": atac}


def modality_names(words: Sequence[str] | None) -> dict[str, str] | None:
    """``rna=GEX`` as a dict."""
    pairs = [word.partition("=") for word in words or ()]
    wrong = [name + equals + value for name, equals, value in pairs if not (name and value)]
    if wrong:
        raise CytonymError(f"--modality {wrong[0]} names nothing\n    → write --modality rna=NAME")
    return {name: value for name, _, value in pairs} or None
