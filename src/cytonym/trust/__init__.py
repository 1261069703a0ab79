"""How far an answer can be trusted: calibrated chances, prediction sets, and "Unknown"."""

from cytonym.trust.calibrate import calibration_error, reliability, temperature, tempered
from cytonym.trust.conformal import Conformal
from cytonym.trust.doublets import Doublets
from cytonym.trust.quality import Quality
from cytonym.trust.read import RESERVED
from cytonym.trust.unknown import Rejector

__all__ = [
    "RESERVED",
    "Conformal",
    "Doublets",
    "Quality",
    "Rejector",
    "calibration_error",
    "reliability",
    "temperature",
    "tempered",
]
