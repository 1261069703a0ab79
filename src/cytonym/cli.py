"""The command line: checks the arguments, calls the Python API, prints; nothing else prints.

What is slow to import is imported inside the commands, after the arguments have been checked.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytonym.errors import CytonymError, DataError, Problem, suggest
from cytonym.places import (
    check_folder,
    check_h5ad,
    check_model,
    check_table,
    check_unread,
    state_folder,
)

if TYPE_CHECKING:
    import pandas as pd

    from cytonym import Annotation
    from cytonym.data.labels import Labels
    from cytonym.ontology import LabelMap

app = typer.Typer(
    help="Names cells: learns cell types from labelled single-cell data and annotates the rest.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


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
BatchSize = Annotated[int, typer.Option(min=1, help="Cells at a time.")]
Decoded = Annotated[
    Path, typer.Option(metavar="OUT", help="A .zarr (float16), or .h5ad / .h5mu (float32).")
]
Model = Annotated[Path, typer.Option(help="Model folder from cytonym fit.")]
Review = Annotated[
    Path | None, typer.Option(metavar="TSV", help="A review file with the terms of labels.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress, only warnings.")]


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"cytonym {installed_version('cytonym')}")
        raise typer.Exit


@app.command()
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
        _whole(file, atac),
        model=model,
        reference=reference,
        labels=labels,
        genes=genes,
        layer=layer,
        modalities=_named(modality),
        genome=genome,
    )
    print(json_text(page.to_dict()) if as_json else page)
    raise typer.Exit(0 if page.usable else 2)


@app.command()
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
    genome: Genome = None,
    offline: Offline = False,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    quiet: Quiet = False,
) -> None:
    """Learn to name cells from a labelled reference (or, with dcca, what cells are like).

    A fit that was killed goes on where it was when the same command is run again.
    """
    check_model(out, reference, atac)
    import cytonym
    from cytonym.fitting.fit import check_labelled
    from cytonym.methods import get
    from cytonym.options import parse

    named = _named(modality)
    if method != "auto":
        recipe = get(method)
        parse(recipe.Options, settings, presets=recipe.presets)
        check_labelled(recipe, labels)
    _talk(quiet)
    with state_folder(out) as state:
        model = cytonym.fit(
            _whole(reference, atac),
            labels=labels,
            method=method,
            seed=seed,
            options=settings,
            query=query,
            genome=genome,
            genes=genes,
            layer=layer,
            modalities=named,
            state=state,
            progress=not quiet,
        )
        model.save(out)
    print(model.report)
    types = f"{len(model.label_names)} types" if model.label_names else "no labels"
    print(f"\nSaved {out}: {model.method.name}, {types}")


@app.command()
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
    from cytonym.files import replacing

    cells = cytonym.count(
        fragments,
        peaks,
        barcodes=barcodes,
        min_fragments=min_fragments,
        what="fragments" if once else "insertions",
        progress=not quiet,
    )
    with replacing(out) as partial:
        cells.write_h5ad(partial)
    print(f"Wrote {out}: {cells.n_obs:,} cells × {cells.n_vars:,} peaks")
    if left := cells.uns["fragments"]["left_out"]:
        print(f"Left out: {left:,} barcodes with fewer than {min_fragments:,} fragments")
    if absent := cells.uns["fragments"]["without"]:
        print(f"Not in the file: {absent:,} of {cells.n_obs:,} barcodes")


@app.command()
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
    majority_voting: Annotated[
        bool, typer.Option("--majority-voting", help="Let clusters of cells vote on their name.")
    ] = False,
    over_clustering: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Column of obs: the clusters that vote.")
    ] = None,
    min_prop: Annotated[
        float | None, typer.Option(help="Share of a cluster that a name needs; default 0.")
    ] = None,
    no_populations: Annotated[
        bool, typer.Option("--no-populations", help="Look for no groups of Unknown cells.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Name the cells of a query.

    Writes a copy with obs[KEY], obs[KEY_confidence] and obsm[KEY_probabilities].
    """
    check_h5ad(out, query, atac, joined=atac is not None)
    if report is not None:
        check_table(report, ".html", query, atac, out, option="--report")
        from cytonym.view.report import check_extra

        check_extra()
    _check_voting(majority_voting, over_clustering, min_prop)
    named = _named(modality)
    _talk(quiet)
    import numpy as np

    import cytonym
    from cytonym.additions import check_free
    from cytonym.result import added_names, group_names
    from cytonym.view.text import table

    annotator = cytonym.load(model)
    cells = _whole(query, atac)
    how = {"genes": genes, "layer": layer, "modalities": named}
    clusters = None if over_clustering is None else _clusters(cells, over_clustering, how)
    for file in (query, atac):
        if file is not None:
            columns, matrices = added_names(key, annotator.method.name)
            columns += group_names(key, over_clustering) if majority_voting else ()
            columns += () if no_populations else (f"{key}_population",)
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
    if majority_voting:
        calls = calls.voted(clusters, min_prop=min_prop or 0.0, column=over_clustering)
    if not no_populations:
        calls = calls.with_populations(cells, **how)
    calls.write(cells, out, key=key)
    names, counts = np.unique(calls.labels, return_counts=True)
    rows = [
        (names[i], f"{counts[i]:,}", f"{calls.confidence[calls.labels == names[i]].mean():.2f}")
        for i in np.argsort(-counts, kind="stable")
    ]
    print(table(("type", "cells", "mean confidence"), rows))
    _groups(calls)
    _notes(calls.notes)
    print(f"\nWrote {out}: obs[{key!r}] and obs['{key}_confidence'] of {len(calls.labels):,} cells")
    if report is not None:
        cytonym.report(out, report, model=annotator, key=key)
        print(f"Wrote {report}: a page about them")


@app.command()
def embed(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Cells to embed.")],
    model: Model,
    out: Annotated[
        Path, typer.Option(metavar="OUT", help="The same cells, embedded: .h5ad or .h5mu.")
    ],
    genome: Genome = None,
    offline: Offline = False,
    atac: Atac = None,
    genes: Genes = None,
    layer: Layer = None,
    modality: Modality = None,
    batch_size: BatchSize = 512,
    quiet: Quiet = False,
) -> None:
    """Place cells in the space of a model.

    Writes a copy with obsm[X_METHOD], and obsm[X_METHOD_MODALITY] where the method has them.
    """
    check_h5ad(out, file, atac, joined=atac is not None)
    named = _named(modality)
    _talk(quiet)
    import cytonym

    annotator = cytonym.load(model)
    cells = _whole(file, atac)
    found = annotator.embed(
        cells,
        genes=genes,
        layer=layer,
        modalities=named,
        genome=genome,
        batch_size=batch_size,
        progress=not quiet,
    )
    found.write(cells, out)
    _notes(found.notes)
    names = ", ".join(f"obsm[{name!r}]" for name in found.additions().matrices)
    print(f"\nWrote {out}: {names} of {len(found.cells):,} cells")


@app.command()
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
    quiet: Quiet = False,
) -> None:
    """Write what cells look like without noise, block by block.

    RNA as expected counts per 10,000 of the model's genes, ATAC as probabilities of being open.
    """
    named = _named(modality)
    check_unread(out, file, atac, model)
    _talk(quiet)
    import cytonym
    from cytonym.decoding import measured, write_decoded

    annotator = cytonym.load(model)
    cells = _whole(file, atac)
    how = {"genes": genes, "layer": layer, "modalities": named}
    wanted = [of] if of else measured(annotator, cells, **how)
    parts = [annotator.denoise(cells, modality=name, **how) for name in wanted]
    write_decoded(parts, out, progress=not quiet)
    _notes(parts[0].notes)
    sizes = ", ".join(f"{one.modality} {one.shape[0]:,} × {one.shape[1]:,}" for one in parts)
    print(f"\nWrote {out}: {sizes}")


@app.command()
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
    quiet: Quiet = False,
) -> None:
    """Make a modality that was not measured, block by block; in the units of denoise."""
    named = _named(modality)
    check_unread(out, file, model)
    _talk(quiet)
    import cytonym

    annotator = cytonym.load(model)
    made = annotator.generate(file, to, source=source, genes=genes, layer=layer, modalities=named)
    made.write(out, progress=not quiet)
    _notes(made.notes)
    print(f"\nWrote {out}: {to} from {made.source}, {made.shape[0]:,} × {made.shape[1]:,}")


@app.command()
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
    named = _named(modality)
    _talk(quiet)
    import cytonym
    from cytonym.files import replacing
    from cytonym.view.text import json_text

    cells = _whole(file, atac)
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
            table.write_h5ad(partial)
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
            table.write_h5ad(partial)
        wrote.append(f"Wrote {deviations}: {table.n_obs:,} cells × {table.n_vars:,} motifs")
    if as_json:
        print(json_text(found.to_dict()))
        return
    _regulation(found.to_dict(top=5))
    _notes(found.notes)
    print("\n" + "\n".join(wrote))


@app.command()
def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Annotated cells.")],
    truth: Annotated[str, typer.Option(metavar="COLUMN", help="Column of obs: known labels.")],
    key: Key = "cell_type_pred",
    embedding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Cluster obsm[NAME] too, such as X_scmoanno.")
    ] = None,
    by_term: Annotated[
        bool, typer.Option("--ontology", help="Score by Cell Ontology terms too.")
    ] = False,
    review: Review = None,
    as_json: Json = False,
) -> None:
    """Score predicted labels against known ones, and an embedding by its clusters."""
    if review is not None and not by_term:
        raise CytonymError("--review is for --ontology\n    → give both")
    from cytonym.data.labels import check_labels
    from cytonym.data.read import read_obs
    from cytonym.evaluate import scores
    from cytonym.view.text import json_text

    if truth == key:
        raise CytonymError(f"--truth and --key are both {key!r}\n    → name two columns")
    obs = read_obs(file)
    named = (
        embedding is None or by_term or key in obs
    )  # an embedding learned without labels has no names
    unknown = [column for column in (truth, key)[: 1 + named] if column not in obs]
    if unknown:
        columns = [str(column) for column in obs.columns]
        remedy = {name: suggest(name, columns) if columns else "obs is empty" for name in unknown}
        problems = [
            Problem(f"there is no column {name!r} in obs", remedy[name]) for name in unknown
        ]
        raise DataError(problems, subject=file.name)
    labels, problems = check_labels(obs, truth)  # as training reads them: "Unknown" is no label
    if not len(labels.names):
        raise DataError(problems, subject=file.name)
    known, said, found, record = _texts(labels), None, None, {}
    if named:
        predicted, _ = check_labels(obs, key)
        alike = bool({*labels.names} & {*predicted.names})
        if not alike and not by_term:
            what = (
                f"no label is in both obs[{truth!r}] ({', '.join(labels.names[:4])}, ...) and "
                f"obs[{key!r}] ({', '.join(predicted.names[:4]) or 'no labels'}, ...)"
            )
            remedy = (
                "name the columns that hold the same types in the same spelling, or compare "
                "them by their terms with --ontology"
            )
            raise DataError(Problem(what, remedy), subject=file.name)
        said = _texts(predicted)
        found = scores(known, said, known=_known_labels(file, key)) if alike else None
        record = found.to_dict() if found is not None else {}
    terms = None
    if by_term and said is not None:
        from cytonym.ontology import label_scores

        ids = obs.get(f"{key}_ontology_term_id")
        terms, mapping = label_scores(known, said, review=review, predicted_ids=ids)
        record["ontology"] = terms.to_dict() | {"open": [one.label for one in mapping.open]}
    clusters = None
    if embedding is not None:
        from cytonym.data.read import read_obsm
        from cytonym.evaluate.clusters import Clustering, cluster_scores

        by: list[Clustering] = ["kmeans"]
        if find_spec("igraph"):
            by.append("leiden")
        else:
            print("Leiden is left out: it needs igraph (the extra [sc])", file=sys.stderr)
        clusters = cluster_scores(read_obsm(file, embedding), known, predicted=said, by=by)
        record["clusters"] = clusters.to_dict(orient="index")
    if as_json:
        print(json_text(record))
        return
    parts = [str(part) for part in (found, terms) if part is not None]
    if terms is not None and record["ontology"]["open"]:
        parts.append(_open_labels(record["ontology"]["open"]))
    if parts:
        print("\n\n".join(parts) + "\n" * (clusters is not None))
    if clusters is not None:
        print(f"Clusters of {embedding} against {truth}")
        print(clusters.to_string(float_format=lambda value: f"{value:.3f}"))


@app.command()
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


@app.command()
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
    _notes(changes.notes)
    print(f"\nWrote {out}: {len(changes.cells):,} cells")


@app.command()
def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What cytonym annotate wrote.")],
    out: Annotated[Path, typer.Option(metavar="OUT.html", help="The page to write.")],
    model: Annotated[
        Path | None, typer.Option(help="The model that named the cells: adds why, and its fit.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Known labels: adds scores.")
    ] = None,
    key: Key = "cell_type_pred",
    embedding: Annotated[
        str | None, typer.Option(metavar="NAME", help="What of obsm to draw, such as X_sctrans.")
    ] = None,
) -> None:
    """Write one HTML page about annotated cells; it needs no network."""
    check_table(out, ".html", file, model)
    import cytonym

    cytonym.report(file, out, model=model, truth=truth, key=key, embedding=embedding)
    print(f"Wrote {out}: {out.stat().st_size / 1e6:.1f} MB")


def _texts(labels: Labels) -> list[str | None]:
    """The label of each cell; None without one."""
    return [str(labels.names[code]) if code >= 0 else None for code in labels.codes]


@app.command()
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


@app.command()
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


@app.command()
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

    _talk(quiet)
    print("\n".join(run(out, progress=not quiet)))


def main() -> None:
    """Entry point: errors that a user can mend end with exit code 2 and no traceback."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is half-written is cleared
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        app()
    except CytonymError as error:
        print(f"cytonym: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a lost permission
        print(f"cytonym: {error}\n    → check the disk and its permissions", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("cytonym: interrupted", file=sys.stderr)
        sys.exit(130)


# --- what is given -----------------------------------------------------------------------------


def _whole(file: Path, atac: Path | None) -> Path | dict[str, Path]:
    """One file, or one for each modality."""
    return file if atac is None else {"rna": file, "atac": atac}


def _named(words: Sequence[str] | None) -> dict[str, str] | None:
    """``rna=GEX`` as a dict."""
    pairs = [word.partition("=") for word in words or ()]
    wrong = [name + equals + value for name, equals, value in pairs if not (name and value)]
    if wrong:
        raise CytonymError(f"--modality {wrong[0]} names nothing\n    → write --modality rna=NAME")
    return {name: value for name, _, value in pairs} or None


def _check_voting(voting: bool, column: str | None, min_prop: float | None) -> None:
    """Options of the vote are for a vote; what it needs is there before any work."""
    for option, given in (("--over-clustering", column), ("--min-prop", min_prop)):
        if given is not None and not voting:
            raise CytonymError(f"{option} is for --majority-voting\n    → give both")
    if min_prop is not None and not 0 <= min_prop <= 1:
        raise CytonymError(f"--min-prop is a share from 0 to 1; it is {min_prop}")
    if voting and column is None and not find_spec("igraph"):
        raise CytonymError(
            "--majority-voting clusters by Leiden, which needs igraph\n"
            "    → pip install 'cytonym[sc]', or name clusters: --over-clustering COLUMN"
        )


def _clusters(cells: Path | dict[str, Path], column: str, how: Mapping[str, Any]) -> pd.Series:
    """A column of ``obs``."""
    from cytonym.data.read import open_cells

    source = open_cells(cells, **how)
    if column not in source.obs:
        what = f"obs has no column {column!r}"
        known = [str(name) for name in source.obs.columns]
        raise DataError(Problem(what, suggest(column, known)), subject=source.name)
    found: Any = source.obs[column]
    return found


# --- what is shown -----------------------------------------------------------------------------


def _talk(quiet: bool) -> None:
    """The package's log goes to stderr, line by line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("cytonym")
    log.handlers = [handler]
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _notes(notes: Sequence[str]) -> None:
    from cytonym.view.text import wrap

    if notes:
        print("\nNotes")
    for note in notes:
        print(wrap(note, first="  - ", then="    "))


def _groups(calls: Annotation) -> None:
    """What the clusters voted in one line, and the new populations as a table."""
    from cytonym.view.text import table

    if calls.votes is not None:
        found = calls.votes
        moved = int((found.labels != calls.labels).sum())
        mean = (found.table["agreement"] * found.table["cells"]).sum() / max(len(calls), 1)
        print(
            f"\nMajority voting: {len(found.table):,} clusters, mean agreement {mean:.2f}; "
            f"{moved:,} of {len(calls):,} cells get another name"
        )
    if calls.populations is not None:
        found = calls.populations
        scattered = int((found.names == "scattered").sum())
        rows = [
            (
                one["population"],
                f"{one['cells']:,}",
                f"{one['share']:.1%}",
                f"{_plain(one['nearest'])} {one['nearest_probability']:.2f}",
                ", ".join(map(_plain, one["markers"].split(", ")[:5])) or "(none)",
            )
            for one in found.table.to_dict(orient="records")
        ]
        if rows:
            print("\n" + table(("population", "cells", "share", "nearest", "markers"), rows))
        if scattered:
            print(f"{scattered:,} Unknown cells are scattered")


def _terms(mapping: LabelMap) -> None:
    """Labels with their terms, then those that wait with what they could be."""
    from cytonym.view.text import table

    if sure := [one for one in mapping.matches if one.sure]:
        rows = [(_plain(one.label), one.id, one.name, one.how) for one in sure]
        print(table(("label", "term", "name", "how"), rows))
    if mapping.open:
        could = [[f"{c.name} ({c.id})" for c in one.candidates[:3]] for one in mapping.open]
        pairs = zip(mapping.open, could, strict=True)
        rows = [(_plain(one.label), one.how, ", ".join(names)) for one, names in pairs]
        print("\n" * bool(sure) + table(("open", "how", "could be"), rows))


def _open_labels(names: Sequence[str]) -> str:
    listed = ", ".join(repr(_plain(name)) for name in names[:6]) + ", ..." * (len(names) > 6)
    return (
        f"{len(names)} labels have no sure term: {listed}\n"
        "    → settle them in a review file: cytonym ontology FILE --labels COLUMN --out TSV"
    )


def _plain(text: str) -> str:
    """A label on one line: it may hold line breaks, or be very long."""
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:40]}..."


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


def _known_labels(file: Path, key: str) -> list[str] | None:
    """The labels that the model could give, which annotated files say in ``uns``."""
    import h5py

    if not file.is_file() or not h5py.is_hdf5(file):
        return None
    with h5py.File(file, "r") as content:
        types = content.get(f"uns/{key}/types")
        return list(types.asstr()[:]) if isinstance(types, h5py.Dataset) else None
