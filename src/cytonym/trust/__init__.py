"""How far an answer can be trusted: calibrated chances, prediction sets, and "Unknown"."""

from cytonym.trust.calibrate import temperature, tempered
from cytonym.trust.conformal import Conformal
from cytonym.trust.doublets import Doublets
from cytonym.trust.quality import Quality
from cytonym.trust.unknown import Rejector

__all__ = [
    "Conformal",
    "Doublets",
    "Quality",
    "Rejector",
    "temperature",
    "tempered",
]
