"""How far names can be trusted: Cell Ontology terms, back-off to a wider term."""

from cytonym.trust.agreement import OntologyScores, ontology_scores
from cytonym.trust.backoff import BackOff, back_off
from cytonym.trust.ontology import Candidate, LabelMap, Match, map_labels

__all__ = [
    "BackOff",
    "Candidate",
    "LabelMap",
    "Match",
    "OntologyScores",
    "back_off",
    "map_labels",
    "ontology_scores",
]
