"""How good the names are: scores against known labels."""

from cytonym.evaluate.clusters import cluster_scores
from cytonym.evaluate.metrics import Scores, scores
from cytonym.evaluate.sets import set_scores

__all__ = ["Scores", "cluster_scores", "scores", "set_scores"]
