"""Plots of what was learned and named: each takes and returns a matplotlib ``Axes``."""

from cytonym.view.plots import confusion, embedding, genes, loss

__all__ = ["confusion", "embedding", "genes", "loss"]
