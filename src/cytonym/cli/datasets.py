"""The command about published data sets: list them, tell about one, write it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytonym.cli.options import Json, Offline, Quiet
from cytonym.cli.shown import talk
from cytonym.errors import CytonymError
from cytonym.places import check_table

if TYPE_CHECKING:
    from cytonym.datasets import DataSet


def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One data set.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="Write it: .h5ad, or .h5mu of several modalities."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where its files lie; else the cache.")
    ] = None,
    offline: Offline = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """List published data sets, tell about one, or read it from its original files."""
    from cytonym.datasets import DATA_SETS, get
    from cytonym.view.text import json_text, table

    if name is None:
        if out is not None:
            raise CytonymError("--out without a data set\n    → name one: cytonym datasets NAME")
        every = [_record(one, folder) for one in DATA_SETS.values()]
        print(json_text(every) if as_json else table(HEADS, [_row(one) for one in every]))
        return
    data_set = get(name)
    if out is not None and as_json:
        raise CytonymError("--json and --out were both given\n    → give one of them")
    if out is not None:
        check_table(out, ".h5ad" if len(data_set.modalities) == 1 else ".h5mu")
        talk(quiet)
        print(_written(data_set, out, folder, progress=not quiet))
        return
    record = _record(data_set, folder)
    print(json_text(record) if as_json else _page(record))


HEADS = ("name", "cells", "types", "modalities", "organism", "here")


def _record(data_set: DataSet, folder: Path | None) -> dict[str, Any]:
    """All that is known of a data set, and what of it is not there."""
    from cytonym.datasets import missing

    absent = {file.name for file in missing(data_set.name, folder)}
    names = ("name", "title", "organism", "modalities", "genome", "n_cells", "n_types")
    facts = {name: getattr(data_set, name) for name in (*names, "source", "licence", "notes")}
    parts = ("name", "url", "where", "layout", "sha256", "optional")
    files = [{part: getattr(file, part) for part in parts} for file in data_set.files]
    return facts | {"files": files, "missing": [one for one in files if one["name"] in absent]}


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    sizes = ("?" if record[n] is None else f"{record[n]:,}" for n in ("n_cells", "n_types"))
    if not record["missing"]:
        here = "yes"
    elif any(file["url"] is None for file in record["missing"]):
        here = "no, by hand"
    else:
        here = "no, can be fetched"
    return (record["name"], *sizes, ", ".join(record["modalities"]), record["organism"], here)


def _page(record: dict[str, Any]) -> str:
    from cytonym.view.text import wrap

    name, cells, types, modalities, organism, here = _row(record)
    genome = f", {record['genome']}" if record["genome"] else ""
    lines = [
        f"{name}: {record['title']}",
        f"  {cells} cells, {types} types; {modalities}; {organism}{genome}",
        wrap(record["source"], first="  paper    ", then="           "),
        wrap(record["licence"], first="  licence  ", then="           "),
        f"  here     {here}",
        "",
        "Files",
    ]
    absent = [file["name"] for file in record["missing"]]
    for file in record["files"]:
        there = " (not there)" * (file["name"] in absent) + " (optional)" * file["optional"]
        lines.append(f"  {file['name']}{there}")
        said = [file["layout"], file["where"], *([file["url"]] if file["url"] else ["by hand"])]
        lines += [wrap(one, first="      ", then="      ") for one in said]
    notes = [wrap(one, first="  - ", then="    ") for one in record["notes"]]
    return "\n".join([*lines, *(["", "Notes"] * bool(notes)), *notes])


def _written(data_set: DataSet, out: Path, folder: Path | None, *, progress: bool) -> str:
    from cytonym.datasets import load
    from cytonym.disk.files import replacing
    from cytonym.disk.hdf5 import write_anndata, write_mudata

    cells = load(data_set.name, folder=folder, progress=progress)
    with replacing(out) as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MuData tells of its next version
        if isinstance(cells, dict):
            from mudata import MuData

            write_mudata(MuData(cells), partial)
        else:
            write_anndata(cells, partial)
    parts = cells if isinstance(cells, dict) else {data_set.modalities[0]: cells}
    first = next(iter(parts.values()))
    sizes = " + ".join(f"{one.n_vars:,} {kind}" for kind, one in parts.items())
    said = [f"Wrote {out}: {first.n_obs:,} cells × {sizes} features"]
    said += [f"{kind}: {one.uns['values']}" for kind, one in parts.items()]
    if first.uns["left_out"]:
        said.append(f"Left out: {first.uns['left_out']}")
    return "\n".join(said)
