"""How genes are regulated: motifs, their activity, links of peaks to genes, and networks."""

from cytonym.regulation.activity import Activity, background_peaks, deviations
from cytonym.regulation.genes import peaks_of_genes, read_genes
from cytonym.regulation.inference import infer
from cytonym.regulation.links import link
from cytonym.regulation.metacells import log_normalised, metacells, summed
from cytonym.regulation.regression import Network, candidates, correlation_network, network
from cytonym.regulation.regulons import enrichment, read_edges, regulons

__all__ = [
    "Activity",
    "Network",
    "background_peaks",
    "candidates",
    "correlation_network",
    "deviations",
    "enrichment",
    "infer",
    "link",
    "log_normalised",
    "metacells",
    "network",
    "peaks_of_genes",
    "read_edges",
    "read_genes",
    "regulons",
    "summed",
]
