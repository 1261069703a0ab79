"""Experiments that the four papers report, each by its name, on their data or on other data."""

from cytonym.reproduce.given import Beside, of_paper, on_files
from cytonym.reproduce.papers import EXPERIMENTS
from cytonym.reproduce.record import Experiment
from cytonym.reproduce.run import Results, run

__all__ = ["EXPERIMENTS", "Beside", "Experiment", "Results", "of_paper", "on_files", "run"]
