"""What other tools call the columns that an annotation writes, and the ids that one asks for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

from cytonym.errors import OptionError, suggest

Tool: TypeAlias = Literal["celltypist", "seurat", "openproblems"]

COMPAT: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "celltypist": {
            "": "predicted_labels",
            "_confidence": "conf_score",
            "_majority_voting": "majority_voting",
        },
        "seurat": {"": "predicted.id", "_confidence": "prediction.score.max"},
        "openproblems": {"": "label_pred"},
    }
)
"""By tool: what follows the key in our columns to the name there; other columns keep ours."""


def check_tool(tool: str | None) -> None:
    """Refuse a tool whose names are not known; None is none."""
    if tool is not None and tool not in COMPAT:
        raise OptionError(f"There are no names of a tool {tool!r}. {suggest(tool, [*COMPAT])}")


def called(key: str, tool: str | None) -> dict[str, str]:
    """Our columns under ``key`` to their names in ``tool``, where it has such."""
    check_tool(tool)
    return {f"{key}{end}": name for end, name in COMPAT[tool].items()} if tool else {}


def method_id(method: str) -> str:
    """What openproblems is told in ``uns["method_id"]``."""
    plain = re.sub(r"\W+", "_", method).strip("_")
    return f"cytonym_{plain}" if plain else "cytonym"


def data_ids(dataset: str) -> dict[str, str]:
    """What openproblems finds in ``uns`` of its data, for data that lack it.

    ``dataset`` is the name of the file; "" in memory.
    """
    return {"dataset_id": dataset or "unknown", "normalization_id": "log_cp10k"}
