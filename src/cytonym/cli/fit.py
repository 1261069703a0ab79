"""The command that learns: fit."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from cytonym.cli.options import (
    Atac,
    Compile,
    Device,
    Genes,
    Genome,
    Layer,
    Modality,
    Offline,
    Quiet,
    modality_names,
    one_or_both,
)
from cytonym.cli.shown import talk
from cytonym.places import check_model, state_folder


def fit(
    reference: Annotated[Path, typer.Argument(metavar="REF", help="Cells to learn from.")],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="Model folder to write.")],
    labels: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of obs: the labels; dcca can do without."),
    ] = None,
    method: Annotated[
        str, typer.Option(help="See: cytonym methods; auto picks by the modalities.")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same model.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option of the method; repeatable."),
    ] = None,
    query: Annotated[
        Path | None, typer.Option(help="Learn for these cells: only features that they have.")
    ] = None,
    batch: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Batches or donors: hold out whole ones."),
    ] = None,
    genome: Genome = None,
    offline: Offline = False,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What may be taken; features beyond it are made anew."),
    ] = None,
    device: Device = "auto",
    compile: Compile = False,
    quiet: Quiet = False,
) -> None:
    """Learn to name cells from a labelled reference (or, with dcca, what cells are like).

    A fit that was killed goes on where it was when the same command is run again. Started by
    torchrun or accelerate launch, several processes share it.
    """
    check_model(out, reference, atac)
    import cytonym
    from cytonym.fitting.fit import check_labelled
    from cytonym.methods import get
    from cytonym.options import parse
    from cytonym.train.processes import from_first, processes, together

    named = modality_names(modality)
    if method != "auto":
        recipe = get(method)
        parse(recipe.Options, settings, presets=recipe.presets)
        check_labelled(recipe, labels)
    us = processes()
    first = us.is_main_process
    talk(quiet or not first)
    with together(), state_folder(out) if first else nullcontext() as state:
        model = cytonym.fit(
            one_or_both(reference, atac),
            labels=labels,
            method=method,
            seed=seed,
            batch=batch,
            options=settings,
            query=query,
            genome=genome,
            genes=genes,
            layer=layer,
            modalities=named,
            state=state,
            max_memory=max_memory,
            device=device,
            compile=compile,
            progress=not quiet,
        )
        from_first(lambda: model.save(out))  # the others wait for it
    us.destroy_process_group()
    if not first:
        return
    print(model.report)
    types = f"{len(model.label_names)} types" if model.label_names else "no labels"
    print(f"\nSaved {out}: {model.method.name}, {types}")
