"""The command about regulation: network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from cytonym.cli.options import (
    Atac,
    Json,
    Layer,
    Modality,
    Offline,
    Quiet,
    modality_names,
    one_or_both,
)
from cytonym.cli.shown import print_notes, talk
from cytonym.places import check_table


def network(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cells with RNA and ATAC.")],
    genome: Annotated[Path, typer.Option(metavar="FASTA", help="The genome: a file or a name.")],
    genes: Annotated[Path, typer.Option(metavar="BED", help="Where genes lie: six columns.")],
    out: Annotated[Path, typer.Option(metavar="EDGES.tsv", help="The edges, a table.")],
    motifs: Annotated[
        Path | None, typer.Option(metavar="MEME", help="Motifs; default: JASPAR, vertebrates.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of obs: a network for each type.")
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="Model folder, by whose embedding cells are joined.")
    ] = None,
    known: Annotated[
        Path | None, typer.Option(metavar="TSV", help="Known factors and targets to compare with.")
    ] = None,
    signed: Annotated[bool, typer.Option("--signed", help="Let factors repress too.")] = False,
    offline: Offline = False,
    activity: Annotated[
        Path | None, typer.Option(metavar="OUT.h5ad", help="Also write cells × factors.")
    ] = None,
    deviations: Annotated[
        Path | None, typer.Option(metavar="OUT.h5ad", help="Also write cells × motifs (chromVAR).")
    ] = None,
    atac: Atac = None,
    gene_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of var with gene names.")
    ] = None,
    layer: Layer = None,
    modality: Modality = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Infer which transcription factors regulate which genes, through which peaks."""
    read = (file, atac, genome, genes, motifs, known)
    outs = {"--out": out, "--activity": activity, "--deviations": deviations}
    for option, target in outs.items():
        if target is not None:
            others = [one for name, one in outs.items() if name != option]
            ending = ".tsv" if option == "--out" else ".h5ad"
            check_table(target, ending, *read, *others, option=option)
    named = modality_names(modality)
    talk(quiet)
    import cytonym
    from cytonym.disk.files import replacing
    from cytonym.disk.hdf5 import write_anndata
    from cytonym.view.text import json_text

    cells = one_or_both(file, atac)
    found = cytonym.network(
        cells,
        genome=genome,
        genes=genes,
        motifs=motifs,
        labels=labels,
        model=model,
        signed=signed,
        known=known,
        gene_column=gene_column,
        layer=layer,
        modalities=named,
        progress=not quiet,
    )
    with replacing(out) as partial:
        found.network.edges.to_csv(partial, sep="\t", index=False)
    wrote = [f"Wrote {out}: {len(found.network.edges):,} edges"]
    if activity is not None:
        table = found.to_anndata()
        with replacing(activity) as partial:
            write_anndata(table, partial)
        wrote.append(f"Wrote {activity}: {table.n_obs:,} cells × {table.n_vars:,} factors")
    if deviations is not None:
        chromvar = cytonym.motif_activity(
            cells,
            genome=genome,
            motifs=motifs,
            layer=layer,
            modalities=named,
            progress=not quiet,
        )
        table = chromvar.to_anndata()
        with replacing(deviations) as partial:
            write_anndata(table, partial)
        wrote.append(f"Wrote {deviations}: {table.n_obs:,} cells × {table.n_vars:,} motifs")
    if as_json:
        print(json_text(found.to_dict()))
        return
    _regulation(found.to_dict(top=5))
    print_notes(found.notes)
    print("\n" + "\n".join(wrote))


def _regulation(record: Mapping[str, Any]) -> None:
    """Sizes of a network, its factors with the most genes, and how it agrees with known edges."""
    from cytonym.view.text import table

    print(
        f"{record['edges']:,} edges of {record['factors']:,} factors and {record['genes']:,} genes"
    )
    for name, factors in record["top"].items():
        rows = [
            (one["factor"], one["genes"], f"{one['coefficient']:.2f}", f"{one['r2']:.2f}")
            for one in factors
        ]
        print(f"\n{name}")
        print(table(("factor", "genes", "mean coefficient", "mean R2"), rows))
    if record["enrichment"] is not None:
        rows = [
            (
                name,
                *(one[column] for column in ("predicted", "known", "overlap")),
                f"{one['expected']:.1f}",
                f"{one['odds_ratio']:.2g}",
                f"{one['p']:.2g}",
            )
            for name, one in [*record["enrichment"].items()][:6]
        ]
        print("\nKnown edges")
        heads = ("factor", "predicted", "known", "both", "expected", "odds ratio", "p")
        print(table(heads, rows))
