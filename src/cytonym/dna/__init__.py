"""DNA: genomes, motifs, and what the sequence of a peak says as numbers."""

from cytonym.dna.genome import gc_content, peak_sequences
from cytonym.dna.matching import Scan, scan
from cytonym.dna.motifs import Motif, factor_genes, factors, jaspar_motifs, read_motifs

__all__ = [
    "Motif",
    "Scan",
    "factor_genes",
    "factors",
    "gc_content",
    "jaspar_motifs",
    "peak_sequences",
    "read_motifs",
    "scan",
]
