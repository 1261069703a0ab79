"""Regulation from files: a network of factors and genes, and how active motifs are in cells."""

from cytonym.networking.edges import Regulation, network
from cytonym.networking.motifs import MotifActivity, motif_activity

__all__ = ["MotifActivity", "Regulation", "motif_activity", "network"]
