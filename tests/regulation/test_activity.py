import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    background_peaks,
    deviations,
)


def reference(counts, matches, background, least=1.0):
    """Schep et al. 2017 word by word: a loop over cells, motifs and sets of background."""
    cells, (peaks, motifs) = len(counts), matches.shape
    share = counts.sum(0) / counts.sum()
    deviation, z = np.full((2, cells, motifs), np.nan)
    for c in range(cells):
        for m in range(motifs):
            members = [p for p in range(peaks) if matches[p, m]]
            expected = sum(share[p] for p in members) * counts[c].sum()
            if expected < least:
                continue
            own = (sum(counts[c, p] for p in members) - expected) / expected
            theirs = []
            for i in range(background.shape[1]):
                drawn = [background[p, i] for p in members]
                e = sum(share[p] for p in drawn) * counts[c].sum()
                theirs.append((sum(counts[c, p] for p in drawn) - e) / e)
            deviation[c, m] = own - np.mean(theirs)
            z[c, m] = deviation[c, m] / np.std(theirs, ddof=1)
    return deviation, z


@pytest.fixture
def small():
    rng = np.random.default_rng(1)
    counts = rng.poisson(rng.lognormal(-0.5, 0.7, 60) * rng.lognormal(0, 0.5, (30, 1)))
    counts[:, counts.sum(0) == 0] = 1
    matches = csr_matrix(rng.random((60, 5)) < [0.3, 0.2, 0.1, 0.02, 0.5])
    background = background_peaks(counts.sum(0), rng.random(60), n=8, seed=2)
    return csr_matrix(counts, dtype=np.float32), matches, background


def test_deviations_and_z_equal_a_reference_with_loops_and_its_missing_values(small):
    counts, matches, background = small
    found = deviations(counts, matches, background)
    deviation, z = reference(counts.toarray(), matches.toarray(), background)
    assert 0.01 < np.isnan(deviation).mean() < 0.4
    np.testing.assert_allclose(found.deviation, deviation, atol=1e-5)
    np.testing.assert_allclose(found.z, z, rtol=1e-4, atol=1e-4)
    assert found.names == ("0", "1", "2", "3", "4")
    np.testing.assert_allclose(found.variability, np.nanstd(z, axis=0, ddof=1), rtol=1e-4)


def test_blocks_sparse_or_dense_and_of_any_size_give_the_same(small, monkeypatch):
    counts, matches, background = small
    whole = deviations(counts, matches, background)
    dense = counts.toarray()
    blocks = [dense[:7], counts[7:8], dense[8:]]
    monkeypatch.setattr("cytonym.regulation.activity.CELLS", 11)
    for given in (blocks, dense, counts):
        found = deviations(given, matches, background)
        np.testing.assert_allclose(found.z, whole.z, rtol=1e-4, atol=1e-4)


def test_a_planted_group_has_higher_z_of_its_motif_and_the_others_stay_near_0():
    rng = np.random.default_rng(0)
    rate = np.tile(rng.lognormal(-1, 1, 400), (200, 1))
    matches = rng.random((400, 6)) < 0.1
    rate[:60, matches[:, 2]] *= 3
    rate *= rng.lognormal(0, 0.5, (200, 1))  # depth alone must not show
    counts = csr_matrix(rng.poisson(rate), dtype=np.float32)
    reads = np.asarray(counts.sum(0)).ravel()
    found = deviations(
        counts, csr_matrix(matches), background_peaks(reads, rng.random(400)), names=[*"abcdef"]
    )
    group, rest = np.nanmean(found.z[:60], axis=0), np.nanmean(found.z[60:], axis=0)
    assert group[2] - rest[2] > 2
    assert np.abs(np.delete(group - rest, 2)).max() < 1
    assert found.variability.argmax() == 2


def test_background_peaks_are_drawn_as_chromvar_draws_them():
    """Chance of peak j for peak i: normal density of the distance of bins, shared in j's bin."""
    rng = np.random.default_rng(3)
    reads, gc = rng.integers(5, 500, 12), rng.random(12)
    white = np.column_stack([np.log10(reads), gc])
    white = np.linalg.solve(np.linalg.cholesky(np.cov(white.T)), white.T).T
    grid = [np.linspace(column.min(), column.max(), 5) for column in white.T]
    bins = np.array([[np.abs(g - v).argmin() for g, v in zip(grid, row)] for row in white])  # noqa: B905
    where = np.column_stack([grid[0][bins[:, 0]], grid[1][bins[:, 1]]])
    density = np.array([(bins == one).all(1).sum() for one in bins])
    chance = np.exp(-((where[:, None] - where[None]) ** 2).sum(2) / (2 * 0.5**2)) / density
    chance /= chance.sum(1, keepdims=True)
    drawn = background_peaks(reads, gc, n=20_000, width=0.5, bins=5, seed=0)
    seen = np.array([np.bincount(row, minlength=12) for row in drawn]) / 20_000
    assert np.abs(seen - chance).sum(1).max() / 2 < 0.02


def test_background_peaks_are_alike_and_follow_seed_and_choice():
    rng = np.random.default_rng(0)
    reads, gc = rng.lognormal(3, 1, 2000), rng.random(2000)
    drawn = background_peaks(reads, gc, seed=1)
    assert drawn.shape == (2000, 50)
    assert np.median(np.abs(gc[drawn] - gc[:, None])) < 0.05
    assert np.median(np.abs(np.log10(reads[drawn] / reads[:, None]))) < 0.1
    np.testing.assert_array_equal(drawn, background_peaks(reads, gc, seed=1))
    assert (drawn != background_peaks(reads, gc, seed=2)).mean() > 0.5


def test_constant_gc_or_reads_do_not_fail():
    assert background_peaks(np.full(5, 3), np.full(5, 0.4), n=4).shape == (5, 4)
    assert background_peaks(np.arange(1, 6), np.array([0.4, np.nan, 0.5, 0.3, 0.2])).max() < 5
    assert background_peaks(np.array([3]), np.array([0.4]), n=2).tolist() == [[0, 0]]


def test_what_cannot_be_used_is_told(small):
    counts, matches, background = small
    with pytest.raises(DataError, match="2 of 3 peaks have no reads"):
        background_peaks(np.array([0, 0, 1]), np.full(3, 0.5))
    with pytest.raises(DataError, match="2 counts and 3 shares"):
        background_peaks(np.array([1, 1]), np.full(3, 0.5))
    with pytest.raises(DataError, match="GC content of no peak"):
        background_peaks(np.array([1.0, 1.0]), np.full(2, np.nan))
    with pytest.raises(DataError, match="only once"):
        deviations(iter([counts]), matches, background)
    with pytest.raises(DataError, match=r"(?s)2 problems.*59 peaks have background.*1 names"):
        deviations(counts, matches, background[1:], names=["a"])
    with pytest.raises(DataError, match="the cells have 59 peaks, 60"):
        deviations(counts[:, 1:], matches, background)
    with pytest.raises(DataError, match="no reads at all"):
        deviations(counts * 0, matches, background)
    with pytest.raises(OptionError, match="at least 2"):
        deviations(counts, matches, background[:, :1])
