"""Numbers in text, read by Python: pandas's own reading of ``1e2147483650`` ends the process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

BY_PYTHON: Any = "round_trip"
"""The ``float_precision`` of ``pandas.read_csv`` for columns that are not text."""


def numbers(values: Iterable[Any]) -> np.ndarray:
    """``(values,)`` float64 of text or numbers; NaN where it is none."""
    return np.fromiter(map(_number, values), dtype=np.float64)


def _number(value: Any) -> float:
    try:
        return np.nan if isinstance(value, str) and "_" in value else float(value)
    except (TypeError, ValueError, OverflowError):
        return np.nan
