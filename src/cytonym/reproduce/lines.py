"""Results as JSON lines that resume: what is in the file is not run again."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from cytonym.disk.files import writing
from cytonym.errors import DataError, Problem


class Lines:
    """The lines of a file, each with a key that tells it from the others.

    A last line that a kill cut short is dropped when the file is opened.

    Raises
    ------
    DataError
        A line is not JSON, or none of an experiment.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = read_lines(path)
        for number, line in enumerate(self.found, 1):
            if not (isinstance(line, dict) and {"key", "rows"} <= {*line}):
                what = f"line {number} is no result (a result has a key and rows)"
                remedy = "remove this line, or give another folder"
                raise DataError(Problem(what, remedy), subject=str(path))

    def get(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """The line with this key."""
        wanted = plain(key)
        return next((line for line in self.found if line["key"] == wanted), None)

    def add(
        self, key: Mapping[str, Any], rows: list[dict[str, Any]], **facts: Any
    ) -> dict[str, Any]:
        """Append a line and give it back; it is on the disk when this returns.

        Raises
        ------
        WriteError
            The disk is full, or nothing may be written there; the lines of before are kept.
        """
        line = {"key": plain(key), "rows": plain(rows), **plain(facts)}
        with writing(self.path), self._whole(), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.found.append(line)
        return line

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Takes back a half line where the block fails."""
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            yield
        except BaseException:
            if self.path.exists():
                os.truncate(self.path, size)
            raise


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a file of JSON lines, none where there is no file; a half last one is removed.

    Raises
    ------
    DataError
        Another line is not JSON.
    """
    if not path.exists():
        return []
    text = path.read_bytes()
    complete = text[: text.rfind(b"\n") + 1]
    found = []
    for number, line in enumerate(complete.splitlines(), 1):
        try:
            found.append(json.loads(line))
        except json.JSONDecodeError as error:
            remedy = "repair or remove this line; what it holds is then run again"
            problem = Problem(f"line {number} is not JSON ({error})", remedy)
            raise DataError(problem, subject=str(path)) from error
    if complete != text:
        with path.open("rb+") as file:
            file.truncate(len(complete))
    return found


def plain(value: Any) -> Any:
    """As JSON gives it back; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
