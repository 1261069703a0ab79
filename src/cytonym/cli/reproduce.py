"""The command that runs published experiments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cytonym.cli.options import Genome, Json, Offline, Quiet
from cytonym.cli.shown import print_notes, talk
from cytonym.errors import OptionError, suggest
from cytonym.places import check_folder

HOME = Path("reproduce")
"""Where results go by default, each experiment into a folder."""


def reproduce(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="An experiment; without: list them.")
    ] = None,
    on: Annotated[
        list[Path] | None,
        typer.Option("--on", metavar="FILE", help="Run it on these data instead; repeatable."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --on: column of types; default: cell_type."),
    ] = None,
    batch: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="With --on: batches, donors or data sets.")
    ] = None,
    genome: Genome = None,
    offline: Offline = False,
    genes: Annotated[
        Path | None,
        typer.Option(metavar="FILE.bed", help="Where genes lie, for experiments with links."),
    ] = None,
    known: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", help="Known factors and targets.")
    ] = None,
    motifs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Motifs (MEME); default: JASPAR.")
    ] = None,
    markers: Annotated[
        Path | None, typer.Option(metavar="FILE.tsv", help="Known markers: columns type, gene.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the paper's own files lie.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Default: reproduce/NAME.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="0-4", help="Seeds; default: as declared.")
    ] = None,
    ways: Annotated[
        list[str] | None, typer.Option("--way", metavar="NAME", help="Only this way; repeatable.")
    ] = None,
    peers: Annotated[
        list[str] | None, typer.Option("--peer", metavar="NAME", help="A peer too; repeatable.")
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="An option for every way; repeatable."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Run an experiment of one of the four papers; published numbers stand in a table of their own.

    A run that was stopped goes on where it was. Without the paper's files it says which are
    missing and where they come from; --on runs the same protocol on other data.
    """
    from cytonym.options import as_dict, as_seeds
    from cytonym.reproduce import EXPERIMENTS
    from cytonym.view.text import json_text

    if name is None:
        print(json_text(_listed()) if as_json else _list())
        return
    if name not in EXPERIMENTS:
        near = suggest(name, [*EXPERIMENTS])
        raise OptionError(f"There is no experiment {name!r}.\n    → {near}")
    if not on and (labels or batch):
        given = " and ".join(f"--{k} {v}" for k, v in [("labels", labels), ("batch", batch)] if v)
        raise OptionError(
            f"{given} speaks of a file of yours, and none was given\n"
            "    → add --on FILE; the paper's own data have their columns declared"
        )
    if on and folder:
        raise OptionError(
            f"--folder {folder} is for the paper's own files, and --on was given\n    → give one"
        )
    check_folder(out or HOME)
    experiment, out = EXPERIMENTS[name], out or HOME / name
    wanted = as_seeds(seeds) if seeds is not None else None
    talk(quiet=True)  # a bar says how far it is; what each fit says is not for here
    from cytonym.dna.fetch import genome_file
    from cytonym.reproduce import Beside, of_paper, on_files, run
    from cytonym.reproduce.record import LABEL

    fasta = genome_file(genome) if genome else None
    beside = Beside(labels or LABEL, batch, fasta, genes, known, motifs, markers)
    if on:
        data, missing = on_files(experiment, on, beside), []
    else:
        data, missing = of_paper(experiment, folder, beside)
    if out.parent == HOME:
        HOME.mkdir(exist_ok=True)
    found = run(
        experiment,
        data,
        out,
        seeds=wanted,
        ways=ways,
        peers=peers or [],
        options=as_dict(words or []),
        missing=missing,
        progress=not quiet,
    )
    if as_json:
        print(json_text(found.numbers))
        return
    print(f"{experiment.name}: {experiment.what} ({experiment.paper}, {experiment.shows})\n")
    print(found.table.to_string(index=False))
    print_notes([f"{one.name}: {note}" for one in data for note in one.notes])
    if missing:
        print(f"\nNot run, because their files are not here: {', '.join(missing)}")
    print(f"\nWrote {out}/table.md, table.csv, rows.csv, figure.png; lines in lines.jsonl")


def _listed() -> list[dict[str, str]]:
    from cytonym.reproduce import EXPERIMENTS

    return [
        {
            "name": one.name,
            "paper": one.paper,
            "shows": one.shows,
            "what": one.what,
            "data": ", ".join(one.data),
        }
        for one in EXPERIMENTS.values()
    ]


def _list() -> str:
    rows, lines, paper = _listed(), [], None
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        if row["paper"] != paper:
            paper = row["paper"]
            lines += ["", paper]
        lines.append(f"  {row['name']:{width}}  {row['what']}")
    tail = "cytonym reproduce NAME runs one; with --on FILE on other data."
    return "\n".join([*lines[1:], "", tail])
