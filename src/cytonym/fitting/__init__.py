"""From a labelled reference to a fitted model."""

from cytonym.fitting.fit import fit

__all__ = ["fit"]
