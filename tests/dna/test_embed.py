"""Sequence embedders: numbers worked by hand, and that a row depends on its sequence alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cytonym.dna.embed import Kmers, Letters, Motifs, canonical, changed, encode
from cytonym.dna.motifs import Motif
from cytonym.errors import DataError, OptionError

DNA = st.text("ACGTN", min_size=12, max_size=40)
_SWAP = str.maketrans("ACGT", "TGCA")


def test_there_are_2080_words_of_six_bases_and_32_of_three():
    assert len(np.unique(canonical(6))) == 2080
    assert len(np.unique(canonical(3))) == 32
    with pytest.raises(OptionError, match="k=9"):
        canonical(9)


def test_words_of_two_bases_by_hand():
    one = canonical(2)
    found = Kmers(2, window=6).embed(["ACACNG"])[0]
    # AC CA AC stand there; CN and NG do not count. AC is also GT, CA is also TG.
    want = np.zeros(11)
    want[one[1]], want[one[4]] = 2 / 3, 1 / 3
    want[-1] = 3 / 5
    np.testing.assert_allclose(found, want, rtol=1e-6)


@given(DNA)
def test_a_sequence_and_its_reverse_complement_have_the_same_words(text):
    other = text.translate(_SWAP)[::-1]
    found = Kmers(3, window=len(text)).embed([text, other])
    np.testing.assert_allclose(found[0], found[1], atol=1e-7)


def test_rows_do_not_depend_on_the_others_and_lower_case_is_the_same():
    rng = np.random.default_rng(0)
    some = ["".join(rng.choice([*"ACGT"], 50)) for _ in range(5)]
    motif = Motif("M", "M1", np.eye(4)[:, [0, 1, 2]] * 0.97 + 0.01)
    for embedder in (Kmers(4, window=50), Motifs((motif,), 50), Letters(50)):
        whole = embedder.embed(some)
        assert len(whole) == 5
        np.testing.assert_array_equal(embedder.embed(some[3:4])[0], whole[3])
        np.testing.assert_array_equal(embedder.embed([some[0].lower()])[0], whole[0])


def test_names_tell_what_changes_the_numbers():
    motif = Motif("M", "M1", np.full((4, 3), 0.25))
    embedders = [Kmers(4), Kmers(5), Kmers(5, 500), Motifs((motif,)), Letters(), Letters(500)]
    assert len({one.name for one in embedders}) == 6


def test_sequences_of_two_widths_are_refused():
    with pytest.raises(DataError, match="3 to 4 bases"):
        encode(["ACG", "ACGT"])


@given(st.lists(DNA.map(lambda one: one[:12]), min_size=1, max_size=4), st.integers(0, 9))
def test_shuffled_dna_has_the_same_bases_and_n_where_it_was(some, seed):
    for old, new in zip(some, changed(some, "shuffled", share=0.3, seed=seed), strict=True):
        assert sorted(old) == sorted(new)
        assert [at for at, one in enumerate(old) if one == "N"] == [
            at for at, one in enumerate(new) if one == "N"
        ]


def test_three_of_ten_bases_are_mutated_and_random_dna_keeps_the_composition():
    text = ["A" * 3000 + "G" * 7000]
    mutated = encode(changed(text, "mutated", share=0.3, seed=1))
    assert (mutated != encode(text)).mean() == pytest.approx(0.3, abs=0.02)
    random = encode(changed(text, "random", share=0.3, seed=1))
    assert (random == 2).mean() == pytest.approx(0.7, abs=0.02)
    assert changed(text, "none", share=0.3, seed=1) == text
