"""Commands that write what a model makes of cells: embed, denoise, generate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cytonym.cli.options import (
    Atac,
    BatchSize,
    Decoded,
    DecodedMemory,
    Device,
    Genes,
    Genome,
    InPlace,
    Layer,
    Modality,
    Model,
    NoMatrix,
    Offline,
    Quiet,
    Result,
    modality_names,
    one_or_both,
)
from cytonym.cli.shown import print_notes, talk
from cytonym.places import check_result, check_unread


def embed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cells to embed.")],
    model: Model,
    out: Result = None,
    in_place: InPlace = False,
    no_matrix: NoMatrix = False,
    genome: Genome = None,
    offline: Offline = False,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    batch_size: BatchSize = 512,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Place cells in the space of a model.

    Writes a copy, or with --in-place FILE itself, with obsm[X_METHOD], and obsm[X_METHOD_MODALITY]
    where the method has them.
    """
    how_written = {"in_place": in_place, "matrix": not no_matrix, "joined": atac is not None}
    place = check_result(file, out, atac, **how_written)
    named = modality_names(modality)
    talk(quiet)
    import cytonym

    annotator = cytonym.load(model)
    cells = one_or_both(file, atac)
    found = annotator.embed(
        cells,
        genes=genes,
        layer=layer,
        modalities=named,
        genome=genome,
        batch_size=batch_size,
        device=device,
        progress=not quiet,
    )
    found.write(cells, out, matrix=not no_matrix)
    print_notes(found.notes)
    names = ", ".join(f"obsm[{name!r}]" for name in found.additions().matrices)
    print(f"\nWrote {place}: {names} of {len(found.cells):,} cells")


def denoise(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cells to denoise.")],
    model: Model,
    out: Decoded,
    of: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this modality: rna, atac, ...")
    ] = None,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    device: Device = "auto",
    max_memory: DecodedMemory = None,
    quiet: Quiet = False,
) -> None:
    """Write what cells look like without noise, block by block.

    RNA as expected counts per 10,000 of the model's genes, ATAC as probabilities of being open.
    """
    named = modality_names(modality)
    check_unread(out, file, atac, model)
    talk(quiet)
    import cytonym
    from cytonym.decoding import measured, write_decoded

    annotator = cytonym.load(model)
    cells = one_or_both(file, atac)
    how: dict[str, Any] = {"genes": genes, "layer": layer, "modalities": named}
    wanted = [of] if of else measured(annotator, cells, **how)
    work: dict[str, Any] = {"device": device, "max_memory": max_memory}
    parts = [annotator.denoise(cells, modality=name, **work, **how) for name in wanted]
    write_decoded(parts, out, progress=not quiet)
    print_notes(parts[0].notes)
    sizes = ", ".join(f"{one.modality} {one.shape[0]:,} × {one.shape[1]:,}" for one in parts)
    print(f"\nWrote {out}: {sizes}")


def generate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cells with one modality.")],
    model: Model,
    to: Annotated[str, typer.Option(metavar="NAME", help="The modality to make: atac, rna, ...")],
    out: Decoded,
    source: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="From this one, if there are more.")
    ] = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    device: Device = "auto",
    max_memory: DecodedMemory = None,
    quiet: Quiet = False,
) -> None:
    """Make a modality that was not measured, block by block; in the units of denoise."""
    named = modality_names(modality)
    check_unread(out, file, model)
    talk(quiet)
    import cytonym

    annotator = cytonym.load(model)
    how: dict[str, Any] = {"genes": genes, "layer": layer, "modalities": named}
    work: dict[str, Any] = {"device": device, "max_memory": max_memory}
    made = annotator.generate(file, to, source=source, **work, **how)
    made.write(out, progress=not quiet)
    print_notes(made.notes)
    print(f"\nWrote {out}: {to} from {made.source}, {made.shape[0]:,} × {made.shape[1]:,}")
