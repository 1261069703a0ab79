"""Two cells in one droplet."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from cytonym.trust.doublets import Doublets
from cytonym.trust.said import Said

TYPES = 4


def said(z):
    far = ((z[:, None] - 4 * np.eye(6)[:TYPES][None]) ** 2).sum(2)
    return Said(np.arange(len(z)).astype(str), (-far).astype("f4"), z, np.full(len(z), "rna"))


def single(n, rng):
    return (4 * np.eye(6)[rng.integers(0, TYPES, n)] + rng.standard_normal((n, 6))).astype("f4")


def double(n, rng):
    pairs = np.array([rng.choice(TYPES, 2, replace=False) for _ in range(n)])
    middle = 2 * np.eye(6)[pairs].sum(1)
    return (middle + rng.standard_normal((n, 6)) / np.sqrt(2)).astype("f4")


@pytest.fixture(scope="module")
def doublets():
    rng = np.random.default_rng(0)
    parts = (single(500, rng), double(500, rng), single(300, rng), double(300, rng))
    return Doublets.fit(*(said(one) for one in parts))


def test_they_are_told_from_single_cells(doublets):
    rng = np.random.default_rng(1)
    one, two = (doublets.score(said(z)) for z in (single(400, rng), double(400, rng)))
    assert roc_auc_score(np.arange(800) >= 400, np.r_[one, two]) > 0.9
    limit = doublets.threshold(0.05)
    assert (one > limit).mean() < 0.08
    assert (two > limit).mean() > 0.5


def test_a_cell_whose_odds_are_less_than_even_is_none(doublets):
    assert doublets.threshold(0.99) == 0.0


def test_it_comes_back_from_its_state(doublets):
    cells = said(single(20, np.random.default_rng(2)))
    again = Doublets.restore(doublets.state())
    np.testing.assert_array_equal(again.score(cells), doublets.score(cells))
    assert again.threshold(0.1) == doublets.threshold(0.1)
