"""Cells of a type that the reference lacks are told from the others."""

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score

from cytonym.trust.axes import Axes
from cytonym.trust.reference import Reference
from cytonym.trust.said import Said
from cytonym.trust.unknown import Rejector, joined, signs

TYPES = 5


def told(z, axes, rng):
    """What a network would say that sees the first ``TYPES`` directions only."""
    scores = -((z[:, None] - 4 * np.eye(8)[:TYPES][None]) ** 2)[:, :, :TYPES].sum(2) / 2
    cells = np.array([f"cell {number}" for number in rng.integers(0, 10**9, len(z))])
    seen = np.ascontiguousarray(z[:, :TYPES])
    rna = np.full(len(z), "rna")
    return Said(cells, scores.astype("f4"), seen, rna, {"rna": axes.project(z)})


def points(n, rng, types):
    """Types at the corners of a cross; only the inputs see the last corner."""
    y = rng.choice(types, n)
    return (4 * np.eye(8)[y] + rng.standard_normal((n, 8))).astype("f4"), y


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    z, y = points(1500, rng, np.arange(TYPES))
    axes = Axes.of(z)
    reference = Reference.of({"rna": axes}, told(z, axes, rng), y, TYPES)
    held, _ = points(400, rng, np.arange(TYPES))
    return axes, reference, Rejector.fit(told(held, axes, rng), reference)


def test_a_new_type_is_told_from_known_ones_though_the_embedding_cannot(world):
    axes, reference, rejector = world
    rng = np.random.default_rng(2)
    known, _ = points(1000, rng, np.arange(TYPES))
    new, _ = points(300, rng, [TYPES])
    said = told(np.concatenate([known, new]), axes, rng)
    truth = np.arange(1300) >= 1000
    assert roc_auc_score(truth, rejector.score(said)) > 0.95
    assert roc_auc_score(truth, reference.near.distance(said.z)) < 0.95


@pytest.mark.parametrize("reject", [0.01, 0.05, 0.2])
def test_about_as_many_known_cells_are_lost_as_was_allowed(world, reject):
    axes, _, rejector = world
    rng = np.random.default_rng(3)
    known, _ = points(4000, rng, np.arange(TYPES))
    lost = (rejector.score(told(known, axes, rng)) > rejector.threshold(reject)).mean()
    assert lost == pytest.approx(reject, abs=0.03)


def test_none_is_lost_where_none_may_be(world):
    rejector = world[2]
    assert rejector.threshold(0.0) == np.inf
    with pytest.raises(ValueError, match=r"it is 1\.0"):
        rejector.threshold(1.0)


def test_the_signs_by_hand(world):
    axes, reference, _ = world
    rng = np.random.default_rng(4)
    said = told(points(5, rng, np.arange(TYPES))[0], axes, rng)
    found = signs(said, reference)
    np.testing.assert_allclose(found["energy"], -logsumexp(said.scores, axis=1), rtol=1e-5)
    both = (reference.near.distance(said.z) + reference.cloud.distance(said.z)) / 2
    np.testing.assert_allclose(found["embedding"], both)
    assert [*found] == ["energy", "embedding", "input rna"]


def test_the_signs_are_joined_by_their_soft_maximum():
    units = np.array([[0.0, 0.0], [3.0, -50.0], [2.0, np.nan], [1.0, 1.0]])
    np.testing.assert_allclose(joined(units), [0.0, 3 - np.log(2), 2.0, 1.0])


def test_a_cell_without_a_modality_is_judged_by_the_others(world):
    axes, _, rejector = world
    rng = np.random.default_rng(6)
    said = told(points(20, rng, np.arange(TYPES))[0], axes, rng)
    said.inputs["rna"][:10] = np.nan
    assert np.isfinite(rejector.score(said)).all()


def test_it_comes_back_from_its_state(world):
    axes, _, rejector = world
    rng = np.random.default_rng(7)
    said = told(points(50, rng, np.arange(TYPES))[0], axes, rng)
    again = Rejector.restore(rejector.state())
    np.testing.assert_array_equal(again.score(said), rejector.score(said))
    assert again.threshold(0.1) == rejector.threshold(0.1)


def test_cells_that_differ_as_a_whole_are_judged_by_their_own_majority(world):
    from dataclasses import replace

    axes, _, rejector = world
    rng = np.random.default_rng(8)
    known, _ = points(900, rng, np.arange(TYPES))
    new, _ = points(100, rng, [TYPES])
    said = told(np.concatenate([known, new]), axes, rng)
    far = replace(
        said, z=said.z + 3, scores=said.scores / 2, inputs={"rna": said.inputs["rna"] + 2}
    )
    limit = rejector.threshold(0.05)
    as_they_are, settled = rejector.score(far), rejector.score(far, moved=True)
    assert (as_they_are[:900] > limit).mean() > 0.9
    assert (settled[:900] > limit).mean() < 0.1
    assert (rejector.score(said, moved=True)[:900] > limit).mean() < 0.1
    assert (rejector.score(said, moved=True)[900:] > limit).mean() > 0.5
