"""How good the names are: scores against known labels."""

from cytonym.evaluate.metrics import Scores, scores

__all__ = ["Scores", "scores"]
