"""Numbers to the paths of SVG drawings, in a box of the drawing's own units."""

from __future__ import annotations

import math
from collections.abc import Sequence


def stairs(counts: Sequence[int], width: float, height: float) -> str:
    """A histogram as one closed path; the highest bin fills the height."""
    most, step = max(*counts, 1), width / len(counts)
    places = [f"M0 {height:g}"]
    for number, count in enumerate(counts):
        top = height - height * count / most
        places.append(f"V{top:.2f}H{(number + 1) * step:.2f}")
    return "".join(places) + f"V{height:g}Z"


def paths(
    values: Sequence[float | None], low: float, high: float, width: float, height: float
) -> str:
    """A line over evenly spaced places, broken where a value is missing; ends with a dot's worth
    of length, so that a single value shows.
    """
    step = width / max(len(values) - 1, 1)
    span = high - low or 1.0
    found, pen = [], "M"
    for number, value in enumerate(values):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        x, y = number * step, height - height * (value - low) / span
        found.append(f"{pen}{x:.2f} {y:.2f}")
        if pen == "M":
            found.append("h0.01")
        pen = "L"
    return "".join(found)
