"""Whether a probability means what it says: accuracy by confidence; scikit-learn bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Accuracy by confidence; bins without cells are left out.

    Attributes
    ----------
    confidence, accuracy
        ``(bins,)`` mean confidence of the cells of a bin, and the share of them named right.
    n
        ``(bins,)`` int: the cells of a bin.
    error
        Expected calibration error: the mean distance of the two over cells.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    n: np.ndarray
    error: float


def reliability(right: Any, confidence: Any, *, bins: int = 10) -> Reliability:
    """Compare confidence with accuracy, in bins of equal width.

    Parameters
    ----------
    right
        ``(cells,)`` bool: named right.
    confidence
        ``(cells,)`` in [0, 1]; all finite.
    bins
        How many.
    """
    from sklearn.calibration import calibration_curve

    right = np.asarray(right, dtype=int)
    confidence = np.clip(np.asarray(confidence, dtype=float), 0, 1)
    positive: Any = 1
    accuracy, mean = calibration_curve(right, confidence, n_bins=bins, pos_label=positive)
    inner = np.linspace(0, 1, bins + 1)[1:-1]
    n = np.bincount(np.searchsorted(inner, confidence), minlength=bins)
    n = n[n > 0]
    return Reliability(mean, accuracy, n, float(np.average(np.abs(accuracy - mean), weights=n)))


def calibration_error(right: Any, confidence: Any, *, bins: int = 15) -> float:
    """Expected calibration error (Naeini et al., AAAI 2015), the arguments as above."""
    return reliability(right, confidence, bins=bins).error
