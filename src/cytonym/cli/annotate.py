"""The command that names cells: annotate."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytonym.cli.options import (
    Atac,
    BatchSize,
    Compile,
    Device,
    Genes,
    Genome,
    InPlace,
    Key,
    Layer,
    MaxMemory,
    Modality,
    NoMatrix,
    Offline,
    Quiet,
    Result,
    Review,
    modality_names,
    one_or_both,
)
from cytonym.cli.shown import one_line, print_notes, talk
from cytonym.errors import CytonymError, DataError, Problem, install, suggest
from cytonym.places import check_result, check_table

if TYPE_CHECKING:
    import pandas as pd

    from cytonym import Annotation
    from cytonym.compat import Tool
    from cytonym.ontology.cell_terms import CellTerms


MERGE = "merge"
"""In the place of a shard: name nothing, put all parts together."""


def annotate(
    query: Annotated[Path, typer.Argument(metavar="QUERY", help="Cells to name.")],
    model: Annotated[
        list[Path],
        typer.Option(help="Model folder from cytonym fit; several answer together."),
    ],
    out: Result = None,
    in_place: InPlace = False,
    no_matrix: NoMatrix = False,
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
    coverage: Annotated[
        float, typer.Option(help="How often a cell's type is to be in its prediction set.")
    ] = 0.9,
    reject: Annotated[
        float, typer.Option(help="Share of known cells that may be lost to Unknown; 0: no Unknown.")
    ] = 0.05,
    batch_size: BatchSize = 512,
    max_memory: MaxMemory = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Name with less work (sctrans), nearly alike.")
    ] = False,
    device: Device = "auto",
    compile: Compile = False,
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
    compat: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name columns as celltypist, seurat, openproblems do."),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Name this share of the cells into OUT.parts, or merge: put all parts together.",
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Name parts on a Dask cluster: local, local:4, tcp://..."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Name the cells of a query.

    Writes a copy, or with --in-place QUERY itself, with obs[KEY], obs[KEY_confidence], obs[KEY_set]
    and obsm[KEY_probabilities]. Many cells are named in parts that are kept in OUT.parts until OUT
    is written: the same command goes on where it was stopped.
    """
    how_written = {"in_place": in_place, "matrix": not no_matrix, "joined": atac is not None}
    place = check_result(query, out, atac, review, **how_written)
    tool = _tool(compat, report)
    _check_voting(majority_voting, over_clustering, min_prop)
    share = _shard(shard)
    _check_one_model(
        len(model),
        {
            "--shard": shard,
            "--dask": dask,
            "--generate-missing": generate_missing,
            "--max-memory": max_memory,
            "--fast": fast or None,
            "--compile": compile or None,
        },
    )
    wanted = _term_level(by_term, review, level)
    if report is not None:
        check_table(report, ".html", query, atac, place, review, option="--report")
        from cytonym.view.report import check_extra

        check_extra()
    named = modality_names(modality)
    talk(quiet)
    import numpy as np

    import cytonym
    from cytonym.data.read import Reading
    from cytonym.device import pick
    from cytonym.forecast import foretell
    from cytonym.parts import CELLS, Parts
    from cytonym.result import added_names, group_names
    from cytonym.taken import check_free
    from cytonym.trust.read import check_shares
    from cytonym.view.text import table

    check_shares(coverage, reject)
    if dask is None:  # else it is looked for where the parts are named
        pick(device)
    namer = cytonym.load(model[0]) if len(model) == 1 else cytonym.consensus(model)
    if isinstance(namer, cytonym.Annotator):
        namer = namer.fast() if fast else namer
        namer = namer.compiled(device) if compile and dask is None else namer
    if wanted is not None and namer.label_names:
        cytonym.map_labels(namer.label_names, review=review)  # a bad file is told first
    cells = one_or_both(query, atac)
    how: dict[str, Any] = {"genes": genes, "layer": layer, "modalities": named}
    clusters = None if over_clustering is None else _clusters(cells, over_clustering, how)
    columns, matrices = added_names(
        key, str(namer.facts()["method"]), terms=wanted is not None, compat=tool
    )
    columns += group_names(key, over_clustering) if majority_voting else ()
    columns += () if no_populations else (f"{key}_population",)
    if isinstance(namer, cytonym.Consensus):
        columns += (*(f"{key}_{name}" for name in namer.models), f"{key}_agreement")
    for file in (query, atac):
        if file is not None:
            check_free(file, key, columns=columns, matrices=matrices)
    shares = {"coverage": coverage, "reject": reject}
    speed: dict[str, Any] = {"batch_size": batch_size, "device": device}
    parts = None
    if isinstance(namer, cytonym.Consensus):
        calls = namer.annotate(cells, genome=genome, progress=not quiet, **shares, **speed, **how)
    else:
        reading = Reading(genes, layer, named, genome)
        work: dict[str, Any] = {"device": device, "progress": not quiet}
        opened = namer.opened_to_name(cells, reading, generate_missing, **work)
        if shard is None and dask is None:
            foretell(namer, opened, part=CELLS, max_memory=max_memory, **speed)
        folder = place.with_name(f"{place.name}.parts")
        if shard == MERGE and not Parts.begun(folder):
            raise CytonymError(
                f"{folder} holds no parts\n    → name them first: --shard 1/N and so on"
            )
        if dask is None and shard is None and not Parts.pay(folder, opened):
            calls = namer.answer(opened, progress=not quiet, **shares, **speed)
        else:
            with _client(dask) as client:  # before anything is written
                parts = Parts.begin(folder, namer, opened, shards=share and share[1], **shares)
                if client is not None:
                    from cytonym.spread import name_on

                    files: dict[str, Any] = {"model": model[0], "data": cells, "how": reading}
                    files |= {"fast": fast, "compile": compile, "batch_size": batch_size}
                    name_on(client, parts, parts.missing(), **files, **work)
                elif shard != MERGE:
                    parts.name(parts.missing(share), progress=not quiet, **speed)
            if share is not None:
                left = len(parts.missing())
                print(f"Named shard {shard}; {left} of {parts.count} parts in {folder} are missing")
                return
            calls = parts.whole()
    if majority_voting:
        calls = calls.voted(clusters, min_prop=min_prop or 0.0, column=over_clustering)
    if not no_populations:
        calls = calls.with_populations(cells, **how)
    if wanted is not None:
        calls = calls.with_terms(review, wanted)
    calls.write(cells, out, key=key, compat=tool, matrix=not no_matrix)
    if parts is not None:
        parts.remove()
    names, counts = np.unique(calls.labels, return_counts=True)
    rows = [
        (names[i], f"{counts[i]:,}", f"{calls.confidence[calls.labels == names[i]].mean():.2f}")
        for i in np.argsort(-counts, kind="stable")
    ]
    print(table(("type", "cells", "mean confidence"), rows))
    if calls.sets is not None:
        print(_set_sizes(calls, coverage))
    _disagreement(calls)
    _groups(calls)
    if calls.terms is not None:
        _cell_terms(calls.terms)
    print_notes(calls.notes)
    print(f"\nWrote {place}: obs[{columns[0]!r}] and obs[{columns[1]!r}] of {len(calls):,} cells")
    if report is not None:
        single = None if isinstance(namer, cytonym.Consensus) else namer
        cytonym.report(place, report, model=single, key=key, max_memory=max_memory)
        print(f"Wrote {report}: a page about them")


def _shard(text: str | None) -> tuple[int, int] | None:
    """``3/10`` as numbers; None where all cells are meant."""
    if text in (None, MERGE):
        return None
    first, _, count = text.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise CytonymError(f"--shard {text} is no share\n    → write 1/10 to 10/10, or merge")
    return int(first), int(count)


def _check_one_model(models: int, given: Mapping[str, Any]) -> None:
    """Options that several models, or Dask, do not take."""
    there = [option for option, value in given.items() if value is not None]
    if models > 1 and there:
        raise CytonymError(f"{there[0]} is for one --model\n    → give one of them")
    for one, others in (
        ("--dask", ("--shard", "--generate-missing", "--max-memory")),
        ("--shard", ("--max-memory",)),
    ):
        if given[one] is not None and (apart := [name for name in others if name in there]):
            raise CytonymError(f"{one} goes without {apart[0]}\n    → leave one out")


def _client(address: str | None) -> AbstractContextManager[Any]:
    """A client of the cluster at ``address``, which is left afterwards; None without one."""
    if address is None:
        return nullcontext()
    from cytonym.spread import cluster

    return cluster(address)


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
            f"    → {install('sc')}, or name clusters: --over-clustering COLUMN"
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


def _set_sizes(calls: Annotation, coverage: float) -> str:
    """How many types the prediction sets hold."""
    assert calls.sets is not None
    sizes = [len(one) for one in calls.sets]
    one = sum(size == 1 for size in sizes) / max(len(sizes), 1)
    mean = sum(sizes) / max(len(sizes), 1)
    said = f"{mean:.2f} types on average; {one:.0%} of them are one type"
    return f"\nPrediction sets ({coverage:.0%}): {said}"


def _disagreement(calls: Annotation) -> None:
    """Which names the models of a consensus give to the same cells, most common first."""
    import pandas as pd

    from cytonym.view.text import table

    if calls.agreement is None:
        return
    frame = pd.DataFrame(dict(calls.answers))
    apart = frame[frame.nunique(axis=1) > 1]
    print(f"\nThe models disagree on {len(apart):,} of {len(calls):,} cells")
    if len(apart):
        rows = apart.value_counts().head(5).reset_index()
        cells = [[one_line(str(one)) for one in row] for row in rows.itertuples(index=False)]
        print(table((*frame.columns, "cells"), cells))


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
                f"{one_line(one['nearest'])} {one['nearest_probability']:.2f}",
                ", ".join(map(one_line, one["markers"].split(", ")[:5])) or "(none)",
            )
            for one in found.table.to_dict(orient="records")
        ]
        if rows:
            print("\n" + table(("population", "cells", "share", "nearest", "markers"), rows))
        if scattered:
            print(f"{scattered:,} Unknown cells are scattered")
