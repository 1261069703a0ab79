"""How far an answer can be trusted: calibrated chances, prediction sets, and "Unknown"."""

from cytonym.trust.calibrate import calibration_error, reliability, temperature, tempered
from cytonym.trust.conformal import Conformal
from cytonym.trust.unknown import Rejector

__all__ = [
    "Conformal",
    "Rejector",
    "calibration_error",
    "reliability",
    "temperature",
    "tempered",
]
