"""Motifs are planted where the table says, and the files are read by independent software."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytonym.data.simulate_dna import (
    motif_matrices,
    plant,
    random_genome,
    text,
    write_fasta,
    write_motifs,
)
from cytonym.data.simulate_layout import UPSTREAM, chromosome_lengths, lay_genes, lay_peaks
from cytonym.errors import DataError


def sites(strand: str, n: int = 1) -> pd.DataFrame:
    starts = 20 * np.arange(n)
    return pd.DataFrame({"chr": "chr1", "start": starts, "strand": strand, "factor": "Tf"})


def test_the_consensus_aacg_is_written_forward_on_plus_and_as_cgtt_on_minus():
    motif = {"Tf": np.eye(4)[:, [0, 0, 1, 2]]}
    for strand, expected in (("+", "AACG"), ("-", "CGTT")):
        genome = {"chr1": np.full(10, 3, np.uint8)}
        at = sites(strand).assign(start=3)
        planted = plant(genome, at, motif, consensus=1.0, rng=np.random.default_rng(0))
        assert text(genome["chr1"]) == "TTT" + expected + "TTT"
        assert planted.loc[0, ["start", "end", "sequence"]].tolist() == [3, 7, "AACG"]


def test_drawn_instances_have_the_frequencies_of_the_columns_to_2_percent():
    frequencies = np.array([[0.1, 0.7], [0.2, 0.1], [0.3, 0.1], [0.4, 0.1]])
    genome = {"chr1": np.zeros(20 * 10_000, np.uint8)}
    rng = np.random.default_rng(0)
    planted = plant(genome, sites("+", 10_000), {"Tf": frequencies}, consensus=0.0, rng=rng)
    letters = np.array([list(one) for one in planted["sequence"]])
    seen = np.stack([(letters == base).mean(axis=0) for base in "ACGT"])
    np.testing.assert_allclose(seen, frequencies, atol=0.02)


def test_bases_have_the_gc_share_of_their_peak_and_42_percent_elsewhere():
    peaks = pd.DataFrame({"chr": "chr1", "start": [0, 50_000], "end": [50_000, 100_000]})
    rng = np.random.default_rng(0)
    codes = random_genome({"chr1": 150_000}, peaks, gc=np.array([0.2, 0.7]), rng=rng)["chr1"]
    shares = [np.isin(codes[at : at + 50_000], [1, 2]).mean() for at in (0, 50_000, 100_000)]
    np.testing.assert_allclose(shares, [0.2, 0.7, 0.42], atol=0.01)
    assert abs((codes == 0).mean() - (codes == 3).mean()) < 0.01


def test_counts_become_frequencies():
    made = motif_matrices({"Tf": np.array([[8, 1], [0, 1], [0, 1], [8, 1]])})
    np.testing.assert_array_equal(made["Tf"], [[0.5, 0.25], [0, 0.25], [0, 0.25], [0.5, 0.25]])


def test_every_motif_that_cannot_be_planted_is_named_at_once():
    good = np.full((4, 8), 0.25)
    wrong = {"A::B": good, "Turned": good.T, "Long": np.ones((4, 101)), "Nan": good * np.nan}
    with pytest.raises(DataError) as error:
        motif_matrices({"Fine": good, **wrong, "Empty": good * 0})
    assert len(error.value.problems) == 5
    assert all(name in str(error.value) for name in (*wrong, "Empty"))
    assert "has the shape (8, 4)" in str(error.value)
    with pytest.raises(DataError, match="there is no motif"):
        motif_matrices({})


def test_pyfaidx_reads_the_fasta_with_60_bases_on_a_line(tmp_path):
    pyfaidx = pytest.importorskip("pyfaidx")
    genome = {"chr1": np.tile(np.arange(4, dtype=np.uint8), 40), "chr2": np.zeros(60, np.uint8)}
    path = write_fasta(tmp_path / "genome.fa", genome)
    assert [len(line) for line in path.read_text().splitlines()] == [5, 60, 60, 40, 5, 60]
    with pyfaidx.Fasta(str(path)) as read:
        assert {name: str(read[name][:]) for name in genome} == {
            "chr1": "ACGT" * 40,
            "chr2": "A" * 60,
        }
    assert sorted(one.name for one in tmp_path.iterdir()) == ["genome.fa", "genome.fa.fai"]


def test_the_motif_file_has_6_decimals_and_biopython_reads_it_as_counts_of_1000(tmp_path):
    bio = pytest.importorskip("Bio.motifs")
    drawn = np.random.default_rng(0).dirichlet(np.ones(4), (2, 9))
    motifs = {"Neurod1": drawn[0].T, "GATA2": drawn[1].T}
    path = write_motifs(tmp_path / "motifs.meme", motifs)
    lines = [line.split() for line in path.read_text().splitlines()]
    rows = np.array([line for line in lines if len(line) == 4 and line[0][0] in "01"], float)
    np.testing.assert_allclose(rows, np.concatenate(drawn), atol=6e-7)
    with path.open() as file:
        read = bio.parse(file, "minimal")
    for one, (name, matrix) in zip(read, motifs.items(), strict=True):
        assert ["MOTIF", one.name, name] in lines
        seen = np.array([one.pwm[base] for base in "ACGT"])
        np.testing.assert_allclose(seen, matrix, atol=1.5e-3)  # it keeps whole counts


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n_genes=st.integers(8, 60))
def test_peaks_do_not_overlap_lie_on_chromosomes_and_in_the_stretch_of_their_gene(seed, n_genes):
    rng = np.random.default_rng(seed)
    genes = lay_genes(["A", "B"], n_genes, rng)
    peaks, lengths = lay_peaks(genes, rng), chromosome_lengths(genes)
    assert set(lengths) == {"chr1", "chr2", "chr3", "chr4"}
    for chrom, here in peaks.groupby("chr"):
        ends = np.r_[0, here["end"].to_numpy()]
        assert (here["start"].to_numpy() >= ends[:-1]).all()
        assert ends[-1] <= lengths[chrom]
    forward = genes["strand"] == "+"
    low = genes["start"] - UPSTREAM * forward
    high = genes["end"] + UPSTREAM * ~forward
    assert (high.to_numpy() <= genes["chr"].map(lengths)).all()
    for _, peak in peaks.iterrows():
        inside = (genes["chr"] == peak["chr"]) & (low < peak["end"]) & (high > peak["start"])
        assert np.flatnonzero(inside).tolist() == ([peak["gene"]] if peak["gene"] >= 0 else [])
