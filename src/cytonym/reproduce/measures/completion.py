"""How well masked sub-vectors are completed, epoch by epoch (SCTrans, Eq. 3)."""

from __future__ import annotations

from cytonym.reproduce.measures.naming import Rows, learn
from cytonym.reproduce.record import Case, Way


def completion(case: Case, way: Way, seed: int) -> Rows:
    """Mean squared error of the masked sub-vectors in the reference, one row an epoch."""
    history = learn(case, way, seed).report.history
    return [
        {"epoch": int(line["epoch"]), "error": float(line["completion"])}
        for line in history
        if line["stage"] == "joint" and "completion" in line
    ]
