from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytonym.dna import (
    Motif,
    jaspar_motifs,
    scan,
)
from cytonym.dna.matching import PSEUDOCOUNT, log_odds, threshold
from cytonym.errors import DataError, OptionError

EVEN = np.full(4, 0.25)


def random_motif(width, seed, sites=50.0):
    columns = np.random.default_rng(seed).dirichlet(np.full(4, 0.4), width).T
    return Motif(f"M{seed}", f"{seed}", columns, sites)


def words(n, low, high, seed=0):
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice([*"ACGT"], rng.integers(low, high))) for _ in range(n)]


def test_scores_of_100_jaspar_motifs_on_1000_sequences_are_biopython_s_to_a_ten_thousandth():
    pytest.importorskip("pyjaspar")
    bio = pytest.importorskip("Bio.motifs")
    motifs, sequences = jaspar_motifs()[::9][-90:] + jaspar_motifs()[:10], words(1000, 40, 70)
    base = np.array([0.3, 0.2, 0.2, 0.3])
    found = scan(sequences, motifs, p=1e-3, background=base, best=True)
    matrices = []
    for motif in motifs:
        counts = motif.sites * motif.frequencies + PSEUDOCOUNT * base[:, None]
        one = bio.Motif(counts={b: row.tolist() for b, row in zip("ACGT", counts, strict=True)})
        one.background = dict(zip("ACGT", base, strict=True))
        matrices.append((one.pssm, one.pssm.reverse_complement()))
    lengths = [len(one) for one in sequences]
    starts, left = (
        np.cumsum([0, *lengths[:-1]]),
        np.concatenate([np.arange(n, 0, -1) for n in lengths]),
    )
    theirs = np.empty((1000, 100))
    for column, strands in enumerate(matrices):  # all windows of the joined sequences at once
        at = np.max([one.calculate("".join(sequences)) for one in strands], axis=0)
        at = np.append(at, np.full(len(left) - len(at), -np.inf))
        inside = np.where(left >= len(motifs[column]), at, -np.inf)
        theirs[:, column] = np.maximum.reduceat(inside, starts)
    np.testing.assert_allclose(found.best, theirs, atol=1e-4)
    clear = np.abs(theirs - found.thresholds) > 1e-4
    assert clear.mean() > 0.999
    ours = found.matches.toarray()
    np.testing.assert_array_equal(ours[clear], (theirs >= found.thresholds)[clear])
    assert 0.05 < ours.mean() < 0.2  # about 1 - (1 - 0.001) ** 84


@pytest.mark.parametrize("p", [1e-4, 1e-3, 0.02])
@pytest.mark.parametrize("width", [4, 6, 7])
def test_thresholds_are_those_of_counting_all_words(width, p):
    base = np.array([0.31, 0.19, 0.19, 0.31])
    every = np.array([*product(range(4), repeat=width)])
    chance = base[every].prod(axis=1)
    for seed in range(5):
        table = log_odds(random_motif(width, seed), base)
        scores = table[every, np.arange(width)].sum(axis=1)
        cut = threshold(table, base, p)
        if np.isinf(cut):
            assert chance[scores.argmax()] > p
            continue
        slack = 1e-3 * width / 2  # the grid
        assert chance[scores >= cut + slack].sum() <= p * (1 + 1e-6)
        below = scores[scores < cut - slack].max(initial=-np.inf)  # the next word would be too many
        assert chance[scores >= below - slack].sum() > p


def test_thresholds_of_long_motifs_agree_with_biopython_to_a_twentieth_bit():
    bio = pytest.importorskip("Bio.motifs")
    for seed, width in enumerate((10, 12)):
        motif = random_motif(width, seed)
        counts = motif.sites * motif.frequencies + PSEUDOCOUNT * EVEN[:, None]
        one = bio.Motif(counts={b: row.tolist() for b, row in zip("ACGT", counts, strict=True)})
        theirs = one.pssm.distribution(background=None, precision=10**3).threshold_fpr(5e-5)
        assert threshold(log_odds(motif, EVEN), EVEN, 5e-5) == pytest.approx(theirs, abs=0.05)


def test_a_motif_of_six_bases_never_matches_at_5e_5_since_its_best_word_is_too_common():
    sharp = Motif("Arnt", "x", np.eye(4)[:, [1, 0, 1, 2, 3, 2]], 20.0)
    found = scan(["AAACACGTGAAA"], [sharp, random_motif(12, 0)], background=EVEN)
    assert np.isinf(found.thresholds[0])
    assert not found.matches[0, 0]
    assert scan(["AAACACGTGAAA"], [sharp], p=3e-4, background=EVEN).matches[0, 0]


def test_windows_with_n_never_match_and_case_does_not_matter():
    sharp = Motif("a", "x", np.eye(4)[:, [0, 1, 2, 3, 0, 0, 2, 2]], 100.0)
    sequences = [
        "ttACGTAAGGtt",
        "ttacgtaaggtt",
        "ttACGNAAGGtt",
        "aaCCTTACGTaa",
        "ACGTAAG",
        "",
        "NNNN",
    ]
    found = scan(sequences, [sharp], p=1e-4, background=EVEN, best=True)
    assert found.matches.toarray().ravel().tolist() == [
        True,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert found.best is not None
    np.testing.assert_allclose(found.best[[0, 1, 3], 0], found.best[0, 0])
    assert np.isneginf(found.best[[2, 4, 5, 6], 0]).all()


def test_the_background_is_counted_on_both_strands():
    found = scan(["AAAAAACC", "nnAA"], [random_motif(4, 0)])
    np.testing.assert_allclose(found.background, np.array([10, 4, 4, 10]) / 28)  # one more of each


def test_matches_do_not_depend_on_blocks_or_on_order(monkeypatch):
    motifs, sequences = [random_motif(w, w) for w in (5, 9, 9, 14)], words(60, 5, 90, seed=3)
    whole = scan(sequences, motifs, p=1e-3, background=EVEN, best=True)
    monkeypatch.setattr("cytonym.dna.matching.BLOCK", 30_000)
    parts = scan(sequences[::-1], motifs, p=1e-3, background=EVEN, best=True)
    assert whole.best is not None
    np.testing.assert_allclose(parts.best, whole.best[::-1], rtol=1e-6, atol=1e-5)
    assert (parts.matches[::-1] != whole.matches).nnz == 0


@settings(deadline=None, max_examples=30)
@given(st.text("ACGTN", min_size=1, max_size=40), st.integers(0, 10**6))
def test_a_sequence_and_its_reverse_complement_score_the_same(sequence, seed):
    turned = sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
    found = scan([sequence, turned], [random_motif(6, seed)], background=EVEN, best=True)
    assert found.best is not None
    np.testing.assert_allclose(found.best[0], found.best[1], atol=1e-4)


def test_what_cannot_be_scanned_is_refused():
    with pytest.raises(OptionError, match="p=5"):
        scan(["ACGT"], [random_motif(4, 0)], p=5)
    with pytest.raises(OptionError, match="not four frequencies"):
        scan(["ACGT"], [random_motif(4, 0)], background=np.array([0.5, 0.5, 0, 0]))
    with pytest.raises(DataError, match="0 sequences and 1 motifs"):
        scan([], [random_motif(4, 0)])
