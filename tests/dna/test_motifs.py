import numpy as np
import pytest

from cytonym.dna import (
    Motif,
    factor_genes,
    factors,
    jaspar_motifs,
    read_motifs,
)
from cytonym.errors import DataError, OptionError

MEME = """MEME version 4

ALPHABET= ACGT

strands: + -

Background letter frequencies
A 0.25 C 0.25 G 0.25 T 0.25

MOTIF MA0001.1 Sox2
letter-probability matrix: alength= 4 w= 2 nsites= 50 E= 0
0.500000 0.500000 0.000000 0.000000
0.100000 0.200000 0.300000 0.400000
URL http://example.org

MOTIF MA0002.1 MA0002.1.Ahr::Arnt
letter-probability matrix: alength= 4 w= 1

0.25 0.25 0.25 0.25
MOTIF lonely
letter-probability matrix:
1 0 0 0
0 1 0 0
0 0 1 0
"""


def written(tmp_path, text):
    path = tmp_path / "motifs.meme"
    path.write_text(text)
    return path


def test_a_meme_file_gives_names_ids_frequencies_and_sites(tmp_path):
    first, second, third = read_motifs(written(tmp_path, MEME))
    assert (first.name, first.id, first.sites, len(first)) == ("Sox2", "MA0001.1", 50.0, 2)
    np.testing.assert_allclose(first.frequencies.T, [[0.5, 0.5, 0, 0], [0.1, 0.2, 0.3, 0.4]])
    assert (second.name, second.sites, len(second)) == ("Ahr::Arnt", 20.0, 1)
    assert (third.name, third.id) == ("lonely", "lonely")
    np.testing.assert_array_equal(third.frequencies, np.eye(4)[:, :3])


def test_all_wrong_lines_of_a_meme_file_are_told_with_their_numbers(tmp_path):
    text = (
        MEME.replace("0.1000", "0.9000").replace("w= 1\n", "w= 2\n").replace("1 0 0 0", "1 x 0 0")
    )
    with pytest.raises(DataError) as caught:
        read_motifs(written(tmp_path, text + "MOTIF empty\n"))
    told = [problem.what for problem in caught.value.problems]
    assert told == [
        "line 13: four numbers that sum to 1.8, not 1",
        "line 16: motif 'MA0002.1' has 1 rows, not 2",
        "line 22: not four probabilities: '1 x 0 0'",
        "line 25: motif 'empty' has no letter-probability matrix",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("chr1\t1\t2\n", "no line says 'MEME version'; the first is 'chr1"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\nMOTIF a\n", "alphabet is not ACGT"),
        ("MEME version 4\n", "names no MOTIF"),
        (MEME.replace("1 0 0 0", "bad").replace("0 1 0 0", "worse"), "line 23"),
    ],
)
def test_what_is_no_file_of_dna_motifs_is_refused(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_motifs(written(tmp_path, text))


def test_a_missing_file_is_told():
    with pytest.raises(DataError, match="No such file"):
        read_motifs("nowhere.meme")


def test_of_a_hundred_wrong_lines_eight_are_shown_and_the_rest_counted(tmp_path):
    text = "MEME version 4\nMOTIF a\nletter-probability matrix: w= 100\n" + "1 1 1 1\n" * 100
    with pytest.raises(DataError) as caught:
        read_motifs(written(tmp_path, text))
    assert [p.what for p in caught.value.problems][-1] == "92 more lines are wrong"


def test_dimers_have_two_factors_and_variants_one():
    made = [Motif(name, "", np.full((4, 3), 0.25)) for name in ("AHR::ARNT", "JUN(var.2)", "Sox2")]
    assert [factors(one) for one in made] == [("AHR", "ARNT"), ("JUN",), ("Sox2",)]
    genes = ["Sox2", "Gapdh", "Arnt", "sox2", "Jun"]
    assert factor_genes(made, genes) == {"Arnt": [0], "Jun": [1], "Sox2": [2]}


def test_jaspar_2024_has_879_vertebrate_motifs_without_a_file_or_a_network():
    pytest.importorskip("pyjaspar")
    found = jaspar_motifs()
    assert len(found) == 879
    for motif in found:
        np.testing.assert_allclose(motif.frequencies.sum(axis=0), 1, atol=1e-9)
    assert found[0].name == "Arnt"
    assert found[0].sites == 20
    with pytest.raises(OptionError, match="Did you mean 'JASPAR20"):
        jaspar_motifs("JASPAR2023x")
    with pytest.raises(OptionError, match="taxa: dragons"):
        jaspar_motifs(taxa=("dragons",))


def test_the_844_motifs_of_jaspar_2022_read_as_biopython_reads_their_matrices(data_dir):
    bio = pytest.importorskip("Bio.motifs")
    path = data_dir / "ref" / "JASPAR2022_CORE_vertebrates_latest.meme"
    ours = read_motifs(path)
    with path.open() as file:
        theirs = [*bio.parse(file, "minimal")]
    assert len(ours) == len(theirs) == 844
    assert ours[0].name == "Runx1"
    for own, other in zip(ours, theirs, strict=True):
        assert own.id == other.name
        counts = np.array([other.counts[base] for base in "ACGT"])
        rounding = 2.0 / counts.sum(axis=0).min() + 1e-5
        np.testing.assert_allclose(own.frequencies, counts / counts.sum(axis=0), atol=rounding)
