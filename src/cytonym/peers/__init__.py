"""Other methods and ours by the same door: same cells in, names, time and memory out."""

from cytonym.peers.competitors import COMPETITORS, Competitor
from cytonym.peers.running import Answer, interpreter, run

__all__ = ["COMPETITORS", "Answer", "Competitor", "interpreter", "run"]
