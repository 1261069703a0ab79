"""Commands about terms and other tools: ontology, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cytonym.cli.options import Json, Key, Review
from cytonym.cli.shown import one_line, print_notes
from cytonym.errors import DataError
from cytonym.places import check_h5ad, check_table

if TYPE_CHECKING:
    from cytonym.ontology import LabelMap


def ontology(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cells with labels.")],
    labels: Annotated[str, typer.Option(metavar="COLUMN", help="Column of obs: the labels.")],
    out: Annotated[Path, typer.Option(metavar="REVIEW.tsv", help="The review file to write.")],
    review: Review = None,
    as_json: Json = False,
) -> None:
    """Find the Cell Ontology terms of labels; what is not sure is written for you to settle."""
    check_table(out, ".tsv", file, review)
    from cytonym.data.labels import check_labels
    from cytonym.data.read import read_obs
    from cytonym.ontology import map_labels
    from cytonym.view.text import json_text

    found, problems = check_labels(read_obs(file), labels)
    if not len(found.names):
        raise DataError(problems, subject=file.name)
    mapping = map_labels(found.names, review=review)
    mapping.write_review(out)
    if as_json:
        sizes = dict(zip(map(str, found.names), found.sizes.tolist(), strict=True))
        rows = mapping.table().to_dict(orient="records")
        rows = [row | {"cells": sizes[str(row["label"])]} for row in rows]
        print(json_text({"version": mapping.version, "labels": rows}))
        return
    _terms(mapping)
    print(f"\n{mapping}\nWrote {out}")
    if mapping.open:
        print(f"Fill its column accepted_id, then give it back with --review {out}")


def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Annotated cells, an .h5ad.")],
    to: Annotated[
        str, typer.Option(metavar="NAME", help="cellxgene, cap, celltypist, seurat, openproblems.")
    ],
    out: Annotated[Path, typer.Option(metavar="OUT.h5ad", help="The file to write.")],
    key: Key = "cell_type_pred",
    review: Review = None,
    publish: Annotated[
        bool, typer.Option("--publish", help="Write the curated columns of CELLxGENE themselves.")
    ] = False,
) -> None:
    """Write annotated cells as another tool or portal wants them, and say what is missing."""
    check_h5ad(out, file, review)
    from typing import cast

    from cytonym.publishing import export as exported
    from cytonym.publishing.exporting import Target

    changes = exported(file, cast(Target, to), key=key, review=review, publish=publish)
    changes.write(file, out)
    for old, new in changes.renamed.items():
        print(f"obs[{old!r}] is now obs[{new!r}]")
    print(
        "\n".join(
            [f"obs[{name!r}]" for name in changes.columns]
            + [f"uns[{name!r}]" for name in changes.uns]
        )
    )
    if changes.missing:
        print(f"\nMissing for {to} ({len(changes.missing)})")
        print("\n".join(f"  - {problem}" for problem in changes.missing))
    print_notes(changes.notes)
    print(f"\nWrote {out}: {len(changes.cells):,} cells")


def _terms(mapping: LabelMap) -> None:
    """Labels with their terms, then those that wait with what they could be."""
    from cytonym.view.text import table

    if sure := [one for one in mapping.matches if one.sure]:
        rows = [(one_line(one.label), one.id, one.name, one.how) for one in sure]
        print(table(("label", "term", "name", "how"), rows))
    if mapping.open:
        could = [[f"{c.name} ({c.id})" for c in one.candidates[:3]] for one in mapping.open]
        pairs = zip(mapping.open, could, strict=True)
        rows = [(one_line(one.label), one.how, ", ".join(names)) for one, names in pairs]
        print("\n" * bool(sure) + table(("open", "how", "could be"), rows))
