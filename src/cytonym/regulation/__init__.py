"""How genes are regulated: motifs, their activity, links of peaks to genes, and networks."""

from cytonym.regulation.activity import Activity, background_peaks, deviations
from cytonym.regulation.genes import peaks_of_genes, read_genes
from cytonym.regulation.inference import infer
from cytonym.regulation.links import link
from cytonym.regulation.matching import Scan, scan
from cytonym.regulation.metacells import log_normalised, metacells, summed
from cytonym.regulation.motifs import Motif, factor_genes, factors, jaspar_motifs, read_motifs
from cytonym.regulation.regression import Network, candidates, correlation_network, network
from cytonym.regulation.regulons import enrichment, read_edges, regulons
from cytonym.regulation.sequences import gc_content, peak_sequences

__all__ = [
    "Activity",
    "Motif",
    "Network",
    "Scan",
    "background_peaks",
    "candidates",
    "correlation_network",
    "deviations",
    "enrichment",
    "factor_genes",
    "factors",
    "gc_content",
    "infer",
    "jaspar_motifs",
    "link",
    "log_normalised",
    "metacells",
    "network",
    "peak_sequences",
    "peaks_of_genes",
    "read_edges",
    "read_genes",
    "read_motifs",
    "regulons",
    "scan",
    "summed",
]
