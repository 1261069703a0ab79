"""Text for people and for programs: tables, wrapped lines, strict JSON, pages about methods."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cytonym.methods import Explains, Method

WIDTH = 98


def wrap(text: str, *, first: str = "", then: str = "") -> str:
    """Lines of at most 98 characters, the first and the others with what stands before them."""
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns as wide as they need; a column of numbers stands to the right, and the last one
    goes on in further lines.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    columns = [list(column) for column in zip(*cells, strict=True)] or [[] for _ in heads]
    widths = [max(map(len, [head, *c])) for head, c in zip(heads, columns, strict=True)]
    right = [bool(c) and all(cell[:1].isdigit() for cell in c) for c in columns]
    indent = sum(widths[:-1]) + 2 * len(widths[:-1])

    def line(row: Sequence[str]) -> str:
        places = list(zip(row, widths, right, strict=True))
        start = [f"{c:>{width}}" if at_right else f"{c:<{width}}" for c, width, at_right in places]
        if right[-1] or indent + len(row[-1]) <= WIDTH:
            return "  ".join(start).rstrip()
        room = max(WIDTH - indent, 30)
        last = textwrap.wrap(row[-1], room, break_on_hyphens=False)
        return "  ".join([*start[:-1], f"\n{' ' * indent}".join(last)])

    return "\n".join(line(row) for row in [list(heads), *cells])


def json_text(value: Any) -> str:
    """Strict JSON; arrays become lists, NaN and infinities become null."""
    return json.dumps(_plain(value), indent=2, allow_nan=False, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def method_record(method: Method, *, whole: bool = False) -> dict[str, Any]:
    """The facts of a method; ``whole`` adds its options with defaults, and its presets."""
    record: dict[str, Any] = {
        "name": method.name,
        "summary": method.summary,
        "paper": method.paper,
        "needs": {
            "modalities": dict(method.needs.modalities),
            "optional": method.needs.optional,
            "counts": method.needs.counts,
            "labels": method.needs.labels,
        },
        "explains": isinstance(method, Explains),
    }
    if whole:
        defaults = method.Options().model_dump(mode="json")
        record["options"] = {
            name: {"default": defaults[name], "description": field.description or ""}
            for name, field in method.Options.model_fields.items()
        }
        record["presets"] = {name: dict(values) for name, values in method.presets.items()}
    return record


def methods_table(methods: Iterable[Method]) -> str:
    """One line for each method."""
    rows = [(m.name, _needs(m), f"{m.summary} ({m.paper})") for m in methods]
    return table(("name", "needs", "what it does"), rows)


def method_page(method: Method) -> str:
    """All about one method: its options as they are typed, and its presets."""
    record = method_record(method, whole=True)
    rows = [
        (name, _word(facts["default"]), facts["description"])
        for name, facts in record["options"].items()
    ]
    lines = [f"{method.name}: {method.summary}", method.paper, f"needs {_needs(method)}", ""]
    lines.append(table(("--set", "default", "meaning"), rows))
    for name, values in record["presets"].items():
        words = " ".join(f"{key}={_word(value)}" for key, value in values.items())
        lines += ["", f"--set preset={name} stands for", wrap(words, first="  ", then="  ")]
    return "\n".join(lines)


def _needs(method: Method) -> str:
    words = " and/or " if method.needs.optional else " and "
    parts = [words.join(method.needs.modalities)]
    if method.needs.together:
        parts = [" and ".join(" or ".join(group) for group in method.needs.together)]
    parts += ["raw counts"] if method.needs.counts else []
    parts += ["labels"] if method.needs.labels else []
    return ", ".join(parts)


def _word(value: Any) -> str:
    """A value as it is typed after ``--set key=``."""
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "(empty)"
    return "none" if value is None else str(value)
