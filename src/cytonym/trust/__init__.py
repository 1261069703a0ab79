"""How far names can be trusted: Cell Ontology terms, back-off to a wider term, export."""

from cytonym.trust.agreement import OntologyScores, label_scores, ontology_scores
from cytonym.trust.backoff import BackOff, back_off
from cytonym.trust.changes import Changes
from cytonym.trust.exporting import export
from cytonym.trust.ontology import Candidate, LabelMap, Match, map_labels

__all__ = [
    "BackOff",
    "Candidate",
    "Changes",
    "LabelMap",
    "Match",
    "OntologyScores",
    "back_off",
    "export",
    "label_scores",
    "map_labels",
    "ontology_scores",
]
