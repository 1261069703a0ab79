"""Commands that look: inspect, count, explain, methods, demo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cytonym.cli.options import (
    Atac,
    Genes,
    Genome,
    Json,
    Layer,
    Modality,
    Offline,
    Quiet,
    modality_names,
    one_or_both,
)
from cytonym.cli.shown import talk
from cytonym.errors import CytonymError
from cytonym.places import check_folder, check_h5ad


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The data set.")],
    model: Annotated[Path | None, typer.Option(help="Does it fit this model?")] = None,
    reference: Annotated[Path | None, typer.Option(help="Does it fit this reference?")] = None,
    labels: Annotated[str | None, typer.Option(metavar="COLUMN", help="Label column.")] = None,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    genome: Genome = None,
    offline: Offline = False,
    as_json: Json = False,
) -> None:
    """Say what a file is and what is wrong with it.

    The exit code is 0 if it can be used (with the model or reference, if given), else 2.
    """
    if model and reference:
        raise CytonymError("--model and --reference were both given\n    → give one of them")
    import cytonym
    from cytonym.view.text import json_text

    page = cytonym.inspect(
        one_or_both(file, atac),
        model=model,
        reference=reference,
        labels=labels,
        genes=genes,
        layer=layer,
        modalities=modality_names(modality),
        genome=genome,
    )
    print(json_text(page.to_dict()) if as_json else page)
    raise typer.Exit(0 if page.usable else 2)


def count(
    fragments: Annotated[Path, typer.Argument(metavar="FRAGMENTS", help="fragments.tsv.gz")],
    peaks: Annotated[Path, typer.Option(help="A model, a data set with peaks, or a BED file.")],
    out: Annotated[Path, typer.Option(metavar="OUT.h5ad", help="The counts, cells × peaks.")],
    barcodes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Cells to count: one a line, or a data set.")
    ] = None,
    min_fragments: Annotated[
        int, typer.Option(min=1, help="Without --barcodes: least fragments of a cell.")
    ] = 200,
    once: Annotated[
        bool, typer.Option("--fragments", help="Count fragments, not their two ends.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Count ATAC fragments on the peaks of a model, so that it can name their cells."""
    check_h5ad(out, fragments, peaks, barcodes)
    import cytonym
    from cytonym.disk.files import replacing
    from cytonym.disk.hdf5 import write_anndata

    cells = cytonym.count(
        fragments,
        peaks,
        barcodes=barcodes,
        min_fragments=min_fragments,
        what="fragments" if once else "insertions",
        progress=not quiet,
    )
    with replacing(out) as partial:
        write_anndata(cells, partial)
    print(f"Wrote {out}: {cells.n_obs:,} cells × {cells.n_vars:,} peaks")
    if left := cells.uns["fragments"]["left_out"]:
        print(f"Left out: {left:,} barcodes with fewer than {min_fragments:,} fragments")
    if absent := cells.uns["fragments"]["without"]:
        print(f"Not in the file: {absent:,} of {cells.n_obs:,} barcodes")


def explain(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model folder.")],
    top: Annotated[int, typer.Option(min=1, help="Genes of each type.")] = 10,
    as_json: Json = False,
) -> None:
    """Which genes decide for each type."""
    import cytonym
    from cytonym.view.text import json_text, wrap

    annotator = cytonym.load(model)
    genes = annotator.explain(top=top)
    types = {
        str(name): rows.drop(columns="type").to_dict(orient="records")
        for name, rows in genes.groupby("type", sort=False, observed=True)
    }
    if as_json:
        print(json_text({"method": annotator.method.name, "types": types}))
        return
    print(
        f"{annotator.method.name}: genes that speak for each type, and their share of its score; "
        "(low): by being low there"
    )
    for name, rows in types.items():
        words = ", ".join(
            f"{row['gene']}{' (low)' * (row.get('expression') == 'low')} {row['score']:.3g}"
            for row in rows
        )
        print(f"\n{name}")
        print(wrap(words, first="  ", then="  "))


def methods(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One method.")] = None,
    as_json: Json = False,
) -> None:
    """List the methods, or the options of one."""
    from cytonym.methods import get, registry
    from cytonym.view.text import json_text, method_page, method_record, methods_table

    if name is not None:
        method = get(name)
        whole = method_record(method, whole=True)
        print(json_text(whole) if as_json else method_page(method))
    else:
        every = {each.name: method_record(each) for each in registry().values()}
        print(json_text(every) if as_json else methods_table(registry().values()))


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path(
        "demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Learn from 350 real blood cells, name 350 others.

    Needs no download: the cells come with scanpy.
    """
    check_folder(out)
    from cytonym.demo import demo as run

    talk(quiet)
    print("\n".join(run(out, progress=not quiet)))
