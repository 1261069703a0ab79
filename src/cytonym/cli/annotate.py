"""The command that names cells: annotate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytonym.cli.options import (
    Atac,
    BatchSize,
    Genes,
    Genome,
    Key,
    Layer,
    Modality,
    Model,
    Offline,
    Quiet,
    Review,
    modality_names,
    one_or_both,
)
from cytonym.cli.shown import print_notes, talk
from cytonym.errors import CytonymError
from cytonym.places import check_h5ad, check_table

if TYPE_CHECKING:
    from cytonym.compat import Tool
    from cytonym.ontology.cell_terms import CellTerms


def annotate(
    query: Annotated[Path, typer.Argument(metavar="QUERY", help="Cells to name.")],
    model: Model,
    out: Annotated[
        Path, typer.Option(metavar="OUT", help="The same cells with names: .h5ad or .h5mu.")
    ],
    key: Key = "cell_type_pred",
    genome: Genome = None,
    offline: Offline = False,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    generate_missing: Annotated[
        Path | None,
        typer.Option(metavar="MODEL", help="Make modalities that QUERY lacks with this model."),
    ] = None,
    batch_size: BatchSize = 512,
    report: Annotated[
        Path | None, typer.Option(metavar="OUT.html", help="Also write a page about the names.")
    ] = None,
    by_term: Annotated[
        bool, typer.Option("--ontology", help="Add the Cell Ontology term of each cell.")
    ] = False,
    review: Review = None,
    level: Annotated[
        float | None, typer.Option(help="With --ontology: how probable a term is; default 0.9.")
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name columns as celltypist, seurat, openproblems do."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Name the cells of a query.

    Writes a copy with obs[KEY], obs[KEY_confidence] and obsm[KEY_probabilities].
    """
    check_h5ad(out, query, atac, review, joined=atac is not None)
    tool = _tool(compat, report)
    wanted = _term_level(by_term, review, level)
    if report is not None:
        check_table(report, ".html", query, atac, out, review, option="--report")
        from cytonym.view.report import check_extra

        check_extra()
    named = modality_names(modality)
    talk(quiet)
    import numpy as np

    import cytonym
    from cytonym.additions import check_free
    from cytonym.result import added_names
    from cytonym.view.text import table

    annotator = cytonym.load(model)
    if wanted is not None and annotator.label_names:
        cytonym.map_labels(annotator.label_names, review=review)  # a bad file is told first
    cells = one_or_both(query, atac)
    columns, matrices = added_names(
        key, annotator.method.name, terms=wanted is not None, compat=tool
    )
    for file in (query, atac):
        if file is not None:
            check_free(file, key, columns=columns, matrices=matrices)
    calls = annotator.annotate(
        cells,
        genes=genes,
        layer=layer,
        modalities=named,
        genome=genome,
        generate_missing=generate_missing,
        batch_size=batch_size,
        progress=not quiet,
    )
    if wanted is not None:
        calls = calls.with_terms(review, wanted)
    calls.write(cells, out, key=key, compat=tool)
    names, counts = np.unique(calls.labels, return_counts=True)
    rows = [
        (names[i], f"{counts[i]:,}", f"{calls.confidence[calls.labels == names[i]].mean():.2f}")
        for i in np.argsort(-counts, kind="stable")
    ]
    print(table(("type", "cells", "mean confidence"), rows))
    if calls.terms is not None:
        _cell_terms(calls.terms)
    print_notes(calls.notes)
    print(f"\nWrote {out}: obs[{columns[0]!r}] and obs[{columns[1]!r}] of {len(calls):,} cells")
    if report is not None:
        cytonym.report(out, report, model=annotator, key=key)
        print(f"Wrote {report}: a page about them")


def _tool(compat: str | None, report: Path | None) -> Tool | None:
    """Whose names the columns get."""
    from typing import cast

    from cytonym.compat import check_tool

    check_tool(compat)
    if compat is not None and report is not None:
        raise CytonymError(
            "--report reads the columns under our own names, which --compat changes\n"
            "    → leave out --compat, and rename them afterwards: cytonym export OUT --to NAME"
        )
    return cast("Tool | None", compat)


def _term_level(by_term: bool, review: Path | None, level: float | None) -> float | None:
    """How probable a term has to be; None where none is asked for."""
    if not by_term:
        for option, given in (("--review", review), ("--level", level)):
            if given is not None:
                raise CytonymError(f"{option} is for --ontology\n    → give both")
        return None
    from cytonym.ontology.backoff import check_level
    from cytonym.ontology.terms import cell_ontology

    wanted = 0.9 if level is None else level
    check_level(wanted)
    cell_ontology()  # without the extra nothing is begun
    return wanted


def _cell_terms(terms: CellTerms) -> None:
    """How many cells have which term."""
    import pandas as pd

    from cytonym.view.text import table

    counts = pd.Series(terms.names).where(terms.ids != "", "(none)").value_counts()
    ids = dict(zip(terms.names, terms.ids, strict=True)) | {"(none)": ""}
    rows = [(str(name), ids[str(name)], f"{n:,}") for name, n in counts.items()]
    print("\n" + table(("term", "id", "cells"), rows))
