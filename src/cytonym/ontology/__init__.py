"""Names of cells as terms of the Cell Ontology: mapping, back-off to a wider term, scoring."""

from cytonym.ontology.agreement import OntologyScores, label_scores, ontology_scores
from cytonym.ontology.backoff import BackOff, back_off
from cytonym.ontology.mapping import LabelMap, map_labels
from cytonym.ontology.match import Candidate, Match

__all__ = [
    "BackOff",
    "Candidate",
    "LabelMap",
    "Match",
    "OntologyScores",
    "back_off",
    "label_scores",
    "map_labels",
    "ontology_scores",
]
