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


def line(
    values: Sequence[float | None],
    breaks: Sequence[int],
    low: float,
    high: float,
    *,
    width: float,
    height: float,
) -> str:
    """A line over evenly spaced places, from the bottom (``low``) to the top (``high``).

    It is broken before the places in ``breaks`` and where a value is missing; a value that stands
    alone is a dot.
    """
    step = width / max(len(values) - 1, 1)
    span = high - low or 1.0
    found, pen = [], "M"
    for number, value in enumerate(values):
        pen = "M" if number in breaks else pen
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        x, y = number * step, height - height * (value - low) / span
        found.append(f"{pen}{x:.2f} {y:.2f}" + "h0.01" * (pen == "M"))
        pen = "L"
    return "".join(found)
