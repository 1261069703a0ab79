"""Files as data sets come in: packed text and Matrix Market."""

from __future__ import annotations

import gzip
from pathlib import Path


def put(path: Path, text: str) -> Path:
    """Text, packed where the name says so."""
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def mtx(rows: list[list[int]]) -> str:
    """A Matrix Market file of whole numbers."""
    entries = [
        f"{i} {j} {value}"
        for i, row in enumerate(rows, 1)
        for j, value in enumerate(row, 1)
        if value
    ]
    head = "%%MatrixMarket matrix coordinate integer general"
    sizes = f"{len(rows)} {len(rows[0])} {len(entries)}"
    return "\n".join([head, "%", sizes, *entries]) + "\n"
