"""The peaks of a data set as numbers, by their DNA; kept on disk, for the same peaks come again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from cytonym.disk.files import replacing
from cytonym.dna.cnn import SHORTEST
from cytonym.dna.embed import Change, Kmers, Letters, Motifs, SequenceEmbedder, changed
from cytonym.dna.genome import windows
from cytonym.dna.given import Given, proof_of
from cytonym.dna.intervals import intervals, parse_intervals
from cytonym.dna.motifs import jaspar_motifs, read_motifs
from cytonym.dna.transformer import NucleotideTransformer
from cytonym.errors import DataError, Problem
from cytonym.fetching import cache_folder
from cytonym.types import FeatureSpace

log = logging.getLogger("cytonym")

Embedder = Literal["kmer", "motif", "transformer", "cnn", "precomputed", "lsi"]
"""What reads the DNA of peaks; ``lsi``: nothing does."""


SOME = 2000
"""Peaks whose DNA is looked at before any work."""


@dataclass(frozen=True, slots=True)
class PeakReader:
    """From the peaks of a data set to the embeddings of their sequences.

    Attributes
    ----------
    kind
        The embedder.
    window, k, motifs
        What it reads, and how.
    checkpoint, layer, both_strands, half
        Of the Nucleotide Transformer.
    embeddings
        Of ``precomputed``: an ``.npz`` with ``peaks`` (names) and ``embeddings``.
    change, mutated
        How the sequences are spoilt first; see :func:`cytonym.dna.embed.changed`.
    """

    kind: Embedder
    window: int = 1000
    k: int = 6
    motifs: Path | None = None
    checkpoint: str | None = None
    layer: int = -1
    both_strands: bool = False
    half: bool = False
    embeddings: Path | None = None
    change: Change = "none"
    mutated: float = 0.3

    @property
    def name(self) -> str:
        """The embedder with all that changes its numbers, as its weights, and how DNA is spoilt."""
        spoilt = "" if self.change == "none" else f", {self.change}"
        if self.kind == "precomputed":
            return "embeddings that were given" + spoilt
        return self.embedder().name + spoilt

    def __call__(self, space: FeatureSpace, *, progress: bool = False) -> np.ndarray:
        """``(peaks, d)``; errors are those of :meth:`check`."""
        if self.kind == "precomputed":
            return Given.read(self.embeddings).of(space.names.tolist())
        genome, places = self._found(space)
        sequences = [*windows(genome, places, self.window)]
        self._readable(sequences, genome.name)
        spoilt = changed(sequences, self.change, share=self.mutated, seed=0)
        return kept(self.embedder(), spoilt, progress=progress)

    def proof(self, space: FeatureSpace, embedded: np.ndarray) -> dict[str, np.ndarray]:
        """What a model keeps to know a file of embeddings again by; :attr:`name` tells the rest."""
        return proof_of(space.names, embedded) if self.kind == "precomputed" else {}

    def check(self, space: FeatureSpace, learned: Mapping[str, np.ndarray]) -> None:
        """Whether the DNA can be read; ``learned`` holds the :meth:`proof` of a model's fit.

        Raises
        ------
        DataError
            Peaks without coordinates, no genome, peaks that do not lie on it, or a file of
            embeddings that is not that of the fit.
        """
        if self.kind == "precomputed":
            given = Given.read(self.embeddings)
            if learned:
                given.check(learned)
            given.of(space.names.tolist())
            return
        genome, places = self._found(space)
        windows(genome, places, self.window)  # whether all peaks lie on it
        step = max(len(places) // SOME, 1)
        self._readable([*windows(genome, places.iloc[::step], self.window)], genome.name)
        least = {"kmer": self.k, "cnn": SHORTEST}.get(self.kind, 1)
        if self.window < least:
            what = f"a window of {self.window} bases is too short for embedder={self.kind}"
            problem = Problem(what, f"take {least} or more (--set window={least})")
            raise DataError(problem, subject="the peaks")
        embedder = self.embedder()
        if isinstance(embedder, NucleotideTransformer):
            embedder.check()

    def _readable(self, sequences: list[str], genome: str) -> None:
        """A DataError where most of the DNA is N; a warning where some is."""
        unread = sum(one.count("N") > len(one) / 2 for one in sequences)
        what = f"half of the DNA or more is N in {unread:,} of {len(sequences):,} peaks"
        if unread > len(sequences) / 2:
            problem = Problem(what, "give the genome with its bases, not a masked one")
            raise DataError(problem, subject=genome)
        if unread > len(sequences) / 100:
            log.warning("%s: %s; is it masked?", genome, what)

    def _found(self, space: FeatureSpace) -> tuple[Path, Any]:
        """The genome, and where the peaks lie."""
        found = intervals(space)
        places = parse_intervals(space.names) if found is None else found
        unknown = (places["chrom"] == "").to_numpy()
        if unknown.any():
            problem = Problem(
                f"{int(unknown.sum()):,} of {len(space):,} peaks have no coordinates, so their DNA "
                f"is not known; the first is {str(space.names[unknown][0])!r}",
                "name them chr1:100-600, give columns chrom, start and end in var, or leave them "
                "out; or fit without DNA (--set embedder=lsi)",
            )
            raise DataError(problem, subject="the peaks")
        if space.genome is None:
            problem = Problem(
                "there is no genome in which the DNA of the peaks could be read",
                "give the FASTA that the reads were aligned to (genome=, --genome); or fit "
                "without DNA (--set embedder=lsi)",
            )
            raise DataError(problem, subject="the peaks")
        return space.genome, places

    def embedder(self) -> SequenceEmbedder:
        """What reads the sequences."""
        if self.kind == "transformer":
            if self.checkpoint is None:
                what = "there is no checkpoint of the Nucleotide Transformer"
                problem = Problem(what, "name a folder or a repository: --set checkpoint=...")
                raise DataError(problem, subject="the peaks")
            return NucleotideTransformer(
                self.checkpoint,
                self.window,
                layer=self.layer,
                both_strands=self.both_strands,
                half=self.half,
            )
        if self.kind == "motif":
            found = jaspar_motifs() if self.motifs is None else read_motifs(self.motifs)
            return Motifs(found, self.window)
        return Letters(self.window) if self.kind == "cnn" else Kmers(self.k, self.window)


def kept(embedder: SequenceEmbedder, sequences: list[str], *, progress: bool = False) -> np.ndarray:
    """Embeddings from disk, where the same sequences were read before in the same way.

    The name of the file is a checksum of the embedder's name and of the DNA itself, so that no
    other genome, window or model can be taken for it. Where nothing can be written, nothing is
    kept.
    """
    digest = hashlib.sha256(f"1 {embedder.name}\n".encode())
    for one in sequences:
        digest.update(one.encode() + b"\n")
    path = cache_folder() / "embeddings" / f"{digest.hexdigest()[:32]}.npy"
    if path.is_file():
        try:
            return np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError):
            log.warning("%s is damaged: the peaks are read anew", path)
    found = embedder.embed(sequences, progress=progress)
    if wrong := int((~np.isfinite(found).all(axis=1)).sum()):
        what = f"the embeddings of {wrong:,} of {len(found):,} peaks are not finite"
        raise DataError(Problem(what, "with half=True leave that out"), subject="the peaks")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial, partial.open("wb") as file:
            np.save(file, found)
    except OSError:
        return found
    return found
