"""Random DNA with motifs planted at known places, and the files that tools read it from.

DNA is held as codes, ``0 1 2 3`` for ``A C G T``; positions are 0-based and half-open (bp).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from cytonym.disk.files import replacing
from cytonym.errors import DataError, Problem

PEAK = 500
"""The width of a simulated peak (bp)."""

LONGEST = 100
"""The longest motif that is planted (bp)."""

_BASES = np.frombuffer(b"ACGT", np.uint8)
_BETWEEN = 0.42
"""The GC share outside of peaks, as in mammals."""


def motif_matrices(motifs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Check matrices and divide each column by its sum.

    Parameters
    ----------
    motifs
        Name of the factor → ``(4, length)`` counts or frequencies of A, C, G, T.

    Returns
    -------
    dict
        ``(4, length)`` float64 of the same names; columns sum to 1.

    Raises
    ------
    DataError
        With all names and matrices that cannot be planted.
    """
    problems = [] if motifs else [Problem("there is no motif", "give at least one")]
    for name, matrix in motifs.items():
        if wrong := _wrong(name, np.asarray(matrix)):
            problems.append(Problem(f"{name!r} {wrong[0]}", wrong[1]))
    if problems:
        raise DataError(problems, subject="the motifs")
    matrices = {name: np.asarray(matrix, np.float64) for name, matrix in motifs.items()}
    return {name: matrix / matrix.sum(axis=0) for name, matrix in matrices.items()}


def _wrong(name: str, matrix: np.ndarray) -> tuple[str, str] | None:
    if not name or "::" in name or any(letter.isspace() for letter in name):
        return "is not the name of one gene", "leave motifs of pairs (A::B) out, rename others"
    if matrix.ndim != 2 or matrix.shape[0] != 4 or not 1 <= matrix.shape[1] <= LONGEST:
        remedy = f"rows are A, C, G, T; columns, at most {LONGEST}, are positions"
        return f"has the shape {matrix.shape}", remedy
    values = matrix.astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any() or (values.sum(axis=0) <= 0).any():
        return "has a negative, infinite or missing value or an empty column", "give frequencies"
    return None


def random_genome(
    sizes: Mapping[str, int], peaks: pd.DataFrame, *, gc: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Independent bases; the chance of G or C is that of the peak, or 42 % between peaks.

    Parameters
    ----------
    sizes
        Chromosome → its length (bp).
    peaks
        ``chr``, ``start``, ``end``; where two overlap the later one counts.
    gc
        ``(peaks,)`` float in [0, 1].
    rng
        Where the bases come from.

    Returns
    -------
    dict
        Chromosome → ``(length,)`` uint8 codes.
    """
    shares = {chrom: np.full(size, _BETWEEN) for chrom, size in sizes.items()}
    for chrom, start, end, share in zip(*_columns(peaks), gc, strict=True):
        shares[chrom][start:end] = share
    genome = {}
    for chrom, share in shares.items():
        strong = rng.random(len(share)) < share  # C (1) or G (2), else A (0) or T (3)
        second = rng.random(len(share)) < 0.5
        genome[chrom] = np.where(strong, 1 + second, 3 * second).astype(np.uint8)
    return genome


def plant(
    genome: Mapping[str, np.ndarray],
    sites: pd.DataFrame,
    motifs: Mapping[str, np.ndarray],
    *,
    consensus: float,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Write one instance of its motif into the genome at every site.

    Parameters
    ----------
    genome
        Chromosome → ``(length,)`` uint8 codes; **changed in place**.
    sites
        ``chr``, ``start``, ``strand`` (``+`` or ``-``), ``factor`` (a name in ``motifs``); sites
        must not overlap.
    motifs
        Name → ``(4, length)`` frequencies, columns of sum 1.
    consensus
        The share of instances that have the most frequent base everywhere; in the others each
        base is drawn with the frequencies of its column.
    rng
        Where the instances come from.

    Returns
    -------
    DataFrame
        ``sites`` with ``end`` and ``sequence``, which is read in the direction of the motif: on
        the strand ``-`` the genome holds its reverse complement.
    """
    ends, sequences = [], []
    columns = (sites[name].to_numpy() for name in ("chr", "start", "strand", "factor"))
    for chrom, start, strand, factor in zip(*columns, strict=True):
        codes = _instance(motifs[factor], rng.random() < consensus, rng)
        genome[chrom][start : start + len(codes)] = codes if strand == "+" else 3 - codes[::-1]
        ends.append(start + len(codes))
        sequences.append(text(codes))
    return sites.assign(end=np.array(ends, np.int64), sequence=np.array(sequences, object))


def _instance(frequencies: np.ndarray, best: bool, rng: np.random.Generator) -> np.ndarray:
    """``(length,)`` uint8 codes."""
    if best:
        return frequencies.argmax(axis=0).astype(np.uint8)
    drawn = rng.random(frequencies.shape[1])
    return np.minimum((frequencies.cumsum(axis=0) <= drawn).sum(axis=0), 3).astype(np.uint8)


def text(codes: np.ndarray) -> str:
    """Codes as letters."""
    return _BASES[codes].tobytes().decode()


def gc_share(genome: Mapping[str, np.ndarray], peaks: pd.DataFrame) -> np.ndarray:
    """``(peaks,)`` float64: the share of C and G between ``start`` and ``end``."""
    within = (genome[chrom][start:end] for chrom, start, end in zip(*_columns(peaks), strict=True))
    return np.array([((codes == 1) | (codes == 2)).mean() for codes in within])


def peak_names(peaks: pd.DataFrame) -> pd.Index:
    """``chr1:100-600`` of ``chr``, ``start``, ``end``."""
    rows = zip(*_columns(peaks), strict=True)
    return pd.Index([f"{chrom}:{start}-{end}" for chrom, start, end in rows])


def _columns(peaks: pd.DataFrame) -> tuple[np.ndarray, ...]:
    return tuple(peaks[name].to_numpy() for name in ("chr", "start", "end"))


def write_fasta(path: Path, genome: Mapping[str, np.ndarray]) -> Path:
    """Write chromosomes with 60 bases on a line."""
    lines = []
    for chrom, codes in genome.items():
        letters = text(codes)
        lines += [f">{chrom}", *(letters[at : at + 60] for at in range(0, len(letters), 60))]
    return _write(path, lines)


def write_motifs(path: Path, motifs: Mapping[str, np.ndarray]) -> Path:
    """Write the minimal MEME format: ``MOTIF SIM001.1 <factor>`` and a matrix by positions."""
    lines = ["MEME version 4", "", "ALPHABET= ACGT", "", "strands: + -", ""]
    lines += ["Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25", ""]
    for number, (name, matrix) in enumerate(motifs.items(), 1):
        lines += [
            f"MOTIF SIM{number:03d}.1 {name}",
            f"letter-probability matrix: alength= 4 w= {matrix.shape[1]} nsites= 1000 E= 0",
            *(" ".join(f"{value:.6f}" for value in row) for row in matrix.T),
            "",
        ]
    return _write(path, lines)


def write_genes(path: Path, genes: pd.DataFrame) -> Path:
    """Write BED6 of ``chr``, ``start``, ``end``, ``strand``; the index has the names."""
    columns = zip(*_columns(genes), genes.index, genes["strand"], strict=True)
    return _write(path, ["\t".join(map(str, (*row[:4], 0, row[4]))) for row in columns])


def _write(path: Path, lines: list[str]) -> Path:
    with replacing(path) as partial:
        partial.write_bytes(("\n".join(lines) + "\n").encode())
    return path
