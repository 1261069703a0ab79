import gzip

import numpy as np
import pandas as pd
import pytest

from cytonym.dna import (
    gc_content,
    peak_sequences,
)
from cytonym.errors import DataError

pytest.importorskip("pyfaidx")


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(">1 first\nACGTACGTAC\nGTNNacgtAA\nCC\n>chrX\nGGGGCCCC\n>scaffold_7\nAATT\n")
    return path


def peaks(*rows):
    return pd.DataFrame(rows, columns=pd.Index(["chrom", "start", "end"]))


def test_sequences_are_half_open_keep_case_and_take_1_for_chr1(fasta):
    asked = peaks(("chr1", 0, 4), ("1", 8, 16), ("chrX", 4, 8), ("scaffold_7", 1, 3), ("X", 0, 2))
    assert [*peak_sequences(fasta, asked)] == ["ACGT", "ACGTNNac", "CCCC", "AT", "GG"]
    index = fasta.parent / "genome.fa.fai"
    assert index.read_text().splitlines()[1].startswith("chrX\t8\t")
    before = index.stat().st_mtime_ns
    assert [*peak_sequences(fasta, peaks(("X", 0, 2)))] == ["GG"]
    assert index.stat().st_mtime_ns == before


def test_an_index_goes_elsewhere_where_it_cannot_be_written_beside(fasta, monkeypatch):
    (fasta.parent / "genome.fa.fai").mkdir()
    assert [*peak_sequences(fasta, peaks(("chr1", 20, 22)))] == ["CC"]
    assert sorted(path.name for path in fasta.parent.iterdir()) == ["genome.fa", "genome.fa.fai"]
    assert [*(fasta.parent / "genome.fa.fai").iterdir()] == []


def test_missing_chromosomes_and_peaks_beyond_ends_are_told_at_once_before_reading(fasta):
    asked = peaks(("chr1", 0, 23), ("chr2", 0, 5), ("chr2", 3, 5), ("chr9", 0, 1), ("chrX", 5, 8))
    with pytest.raises(DataError) as caught:
        peak_sequences(fasta, asked)
    lacks, beyond = (problem.what for problem in caught.value.problems)
    assert lacks == "it has no chr2 (2 peaks), chr9 (1 peaks); it has chr1, chrX, scaffold_7"
    assert beyond.startswith("1 of 5 peaks do not lie within their chromosomes; first: chr1:0-23")


def test_files_that_are_no_indexable_fasta_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        peak_sequences(tmp_path / "none.fa", peaks(("chr1", 0, 1)))
    text = tmp_path / "text.fa"
    text.write_text("hello\n")
    with pytest.raises(DataError, match=r"holds no sequence|cannot be indexed"):
        peak_sequences(text, peaks(("chr1", 0, 1)))
    packed = tmp_path / "genome.fa.gz"
    packed.write_bytes(gzip.compress(b">chr1\nACGT\n"))
    with pytest.raises(DataError, match="bgzip"):
        peak_sequences(packed, peaks(("chr1", 0, 1)))


def test_gc_counts_known_bases_only():
    np.testing.assert_allclose(
        gc_content(["ACGT", "GGcc", "gNNNA", "NN"]), [0.5, 1.0, 0.5, np.nan], equal_nan=True
    )
    assert gc_content([]).shape == (0,)
