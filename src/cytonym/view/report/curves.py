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
    alone is a short dash.
    """
    step = width / max(len(values) - 1, 1)
    span = high - low or 1.0
    pieces: list[list[str]] = [[]]
    for number, value in enumerate(values):
        missing = value is None or not math.isfinite(value)
        if missing or number in breaks:
            pieces.append([])
        if value is not None and not missing:
            y = height - height * (value - low) / span
            pieces[-1].append(f"{number * step:.2f} {y:.2f}")
    alone = (f"M{one[0]}m-4 0h8" for one in pieces if len(one) == 1)
    longer = ("M" + "L".join(one) for one in pieces if len(one) > 1)
    return "".join([*alone, *longer])
