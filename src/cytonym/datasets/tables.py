"""Matrices in text tables, and tables about cells: read in blocks, to sparse rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.io import mmread
from scipy.sparse import csr_matrix, vstack

from cytonym.datasets.texts import Text, wrong

BLOCK = 1 << 24
"""Values of a dense table that are held at once (64 MB)."""


def number_table(
    table: Text, sep: str, *, names: Sequence[str], last: int | None = None
) -> tuple[pd.DataFrame, csr_matrix, list[str]]:
    """A text table of numbers whose first columns are names.

    Parameters
    ----------
    table, sep
        The file, and what stands between its fields.
    names
        What its first columns are called here; the header may call them otherwise, or, as R
        writes it, leave the only one out.
    last
        Read only this many columns, from the right; the header must then name as many.

    Returns
    -------
    tuple
        The first columns (str), the numbers as csr float32 ``(rows, columns)``, and what the
        header calls the columns of numbers.

    Raises
    ------
    DataError
        The header does not fit the lines, a line is short, or something is not a number.
    """
    head, width = _shape(table, sep)
    lead = len(names)
    extra = len(head) if last is not None or len(head) == width - lead else len(head) - lead
    columns = head[-last:] if last is not None else head[len(head) - extra :]
    if width <= lead or len(columns) != (last if last is not None else width - lead):
        what = f"its header has {len(head):,} fields and its first line {width:,}"
        raise wrong(table.name, what)
    first = width - len(columns)
    used = [*range(lead), *range(first, width)]
    kinds = {at: str if at < lead else np.float32 for at in used}
    blocks, texts = [], []
    with table.opened() as lines:
        chunks: Any = pd.read_csv(  # pyright: ignore[reportCallIssue]
            lines,
            sep=sep,
            header=None,
            names=list(range(width)),
            index_col=False,
            skiprows=1,
            usecols=used,  # pyright: ignore[reportArgumentType]
            dtype=kinds,  # pyright: ignore[reportArgumentType]
            keep_default_na=False,
            na_values={at: [""] for at in used[lead:]},
            chunksize=max(1, BLOCK // width),
            low_memory=False,
        )
        for chunk in chunks:
            values = chunk.iloc[:, lead:].to_numpy(np.float32)
            _finite(table.name, values, chunk.iloc[:, 0].to_numpy(), columns)
            texts.append(chunk.iloc[:, :lead])
            blocks.append(csr_matrix(values))
    if not blocks:
        raise wrong(table.name, "it has a header and no lines")
    rows = pd.concat(texts, ignore_index=True)
    rows.columns = list(names)
    return rows, csr_matrix(vstack(blocks), dtype=np.float32), columns


def _shape(table: Text, sep: str) -> tuple[list[str], int]:
    """What the header holds, and how many fields the first line has."""
    with table.opened() as lines:
        rows = csv.reader(lines, delimiter=sep)
        try:
            head, first = next(rows), next(rows)
        except StopIteration:
            raise wrong(table.name, "it has fewer than two lines") from None
        except csv.Error as error:
            raise wrong(table.name, f"it is no table of text ({error})") from error
    return head, len(first)


def _finite(name: str, values: np.ndarray, rows: np.ndarray, columns: Sequence[str]) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row, column = (int(one) for one in np.argwhere(bad)[0])
        what = (
            f"{int(bad.sum()):,} values are missing or infinite; first: "
            f"line {rows[row]}, column {columns[column]}"
        )
        raise wrong(name, what)


def fact_table(table: Text, sep: str, *, need: Sequence[str] = ()) -> pd.DataFrame:
    """A table of text, all of it as str ("" where empty), its columns by their plain names.

    Plain: small letters and digits alone, so that ``Cell.type``, ``cell_type`` and ``Cell type``
    are ``celltype``. An index that R wrote without a name is called ``index``.

    Raises
    ------
    DataError
        It lacks a column that is needed.
    """
    head, width = _shape(table, sep)
    if len(head) == width - 1:
        head = ["index", *head]
    with table.opened() as lines:
        found = pd.read_csv(
            lines,
            sep=sep,
            header=None,
            skiprows=1,
            names=list(range(len(head))),
            index_col=False,
            dtype=str,
            keep_default_na=False,
        )
    plain = [re.sub(r"[^a-z0-9]", "", one.lower()) or "index" for one in head]
    found = found.loc[:, [at for at, one in enumerate(plain) if one not in plain[:at]]]
    found.columns = [*dict.fromkeys(plain)]
    if lacking := [one for one in need if one not in found]:
        what = f"it has no column {', '.join(lacking)}; it has {', '.join(head[:12])}"
        raise wrong(table.name, what)
    return found


def lines_of(table: Text) -> list[str]:
    """The first field of every line."""
    with table.opened() as lines:
        return [line.rstrip("\r\n").split("\t")[0].strip('"') for line in lines if line.strip()]


def triplets(matrix: Text, features: Any, cells: Any) -> csr_matrix:
    """A Matrix Market file, features × cells, as csr float32 cells × features.

    ``features`` and ``cells`` are their names, of which only the number counts here.

    Raises
    ------
    DataError
        It does not have the shape that the other two files say.
    """
    with matrix.unpacked() as lines:
        stored: Any = mmread(lines)
        values: Any = csr_matrix(stored.T, dtype=np.float32)
    if values.shape != (len(cells), len(features)):
        what = (
            f"it is {values.shape[1]:,} features × {values.shape[0]:,} cells, but the files beside "
            f"it name {len(features):,} features and {len(cells):,} cells"
        )
        raise wrong(matrix.name, what)
    return values
