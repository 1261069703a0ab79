"""Stage 1: cells by the DNA of their peaks, on a trunk that does not change."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from sklearn.metrics import roc_auc_score

from cytonym.errors import DataError, ModelError
from cytonym.prep.trunk import SequenceCells, Solver, auroc, drawn
from cytonym.types import FeatureSpace


def world(n_peaks=600, n_cells=80, seed=0):
    """Peaks with five numbers for their DNA; a cell opens those that go its way."""
    rng = np.random.default_rng(seed)
    embedded = rng.standard_normal((n_peaks, 5)).astype("f4")
    ways = np.random.default_rng(99).standard_normal((3, 5)) * 2
    kinds = rng.integers(0, 3, n_cells)
    chance = 1 / (1 + np.exp(3 - ways[kinds] @ embedded.T))
    return embedded, csr_matrix((rng.random(chance.shape) < chance).astype("f4")), kinds


class Blocks:
    def __init__(self, x):
        names = np.array([f"p{i}" for i in range(x.shape[1])])
        self.x, self.space = x, FeatureSpace("atac", names, np.ones(len(names), bool))

    def __len__(self):
        return self.x.shape[0]

    def __iter__(self):
        yield self.x[:50]
        yield self.x[50:]


class Given:
    """Embeddings that are there already, by the number in a peak's name."""

    def __init__(self, embedded):
        self.embedded = embedded

    name = "given"

    def __call__(self, space, *, progress=False):
        return self.embedded[[int(name[1:]) for name in space.names]]

    def proof(self, space, embedded):
        return {}

    def check(self, space, learned):
        pass


def small(embedded, **more):
    return SequenceCells(Given(embedded), dim=6, hidden=32, epochs=40, batch_size=128, **more)


@pytest.fixture(scope="module")
def learned():
    embedded, x, kinds = world()
    return embedded, x, kinds, small(embedded, lr=1e-2).fit(Blocks(x))


def test_the_solution_is_the_least_of_the_penalised_loss_of_each_cell():
    rng = np.random.default_rng(0)
    h = torch.from_numpy(rng.standard_normal((200, 4)).astype("f4"))
    x = csr_matrix((rng.random((6, 200)) < 0.1).astype("f4"))
    found = Solver(h, 2.0, np.arange(200))(x).numpy()
    design = np.c_[h.numpy(), np.ones(200)].astype(float)
    penalty = np.array([2.0] * 4 + [1e-3])

    def loss(w, y):
        z = design @ w
        return np.logaddexp(0, z).sum() - y @ z + (penalty * w**2).sum() / 2

    for row, y in zip(found, x.toarray(), strict=True):
        best = minimize(loss, np.zeros(5), args=(y,), method="BFGS", tol=1e-8)
        np.testing.assert_allclose(row, best.x, atol=2e-3)


def test_a_sample_of_closed_peaks_gives_nearly_the_same_place():
    embedded, x, _ = world(6000)
    h = torch.from_numpy(embedded)
    exact = Solver(h, 1.0, np.arange(6000))(x)[:, :-1]
    some = Solver(h, 1.0, drawn(np.array([f"p{i}" for i in range(6000)]), 2000))(x)[:, :-1]
    assert torch.cosine_similarity(exact, some).min() > 0.98


def test_two_samples_of_closed_peaks_put_cells_at_the_same_place():
    embedded, x, _ = world(6000)
    h = torch.from_numpy(embedded)
    exact = Solver(h, 1.0, np.arange(6000))(x)[:, :-1]
    found = [Solver(h, 1.0, np.arange(start, 6000, 4))(x)[:, :-1] for start in (0, 1)]
    apart = (found[0] - found[1]).mean(0).norm()
    assert apart < 0.3 * exact.std(0).norm()
    bare = []
    for start in (0, 1):
        solver = Solver(h, 1.0, np.arange(start, 6000, 4))
        solver.left = 0 * solver.left
        bare.append(solver(x)[:, :-1])
    assert apart < 0.5 * (bare[0] - bare[1]).mean(0).norm()


def test_embeddings_that_are_no_numbers_are_refused_not_waited_for():
    h = torch.randn(50, 3)
    h[7] = torch.nan
    with pytest.raises(DataError, match="no place"):
        Solver(h, 1.0, np.arange(50))(csr_matrix(np.ones((2, 50), dtype="f4")))


def test_peaks_that_stand_for_all_are_the_same_in_any_order():
    names = np.array([f"chr1:{i}00-{i}50" for i in range(500)])
    order = np.random.default_rng(0).permutation(500)
    some, turned = drawn(names, 90), drawn(names[order], 90)
    assert len({*some}) == 90
    assert {*names[some]} == {*names[order][turned]}
    np.testing.assert_array_equal(drawn(names, 500), np.arange(500))


def test_a_cell_without_a_peak_and_one_with_all_get_finite_places():
    embedded, _, _ = world()
    x = csr_matrix(np.stack([np.zeros(600), np.ones(600)]).astype("f4"))
    assert torch.isfinite(Solver(torch.from_numpy(embedded), 1.0, np.arange(300))(x)).all()


def test_held_out_dna_is_told_and_cells_of_one_type_lie_together(learned):
    _, x, kinds, cells = learned
    assert cells.learned["auroc"] > 0.75
    assert f"AUROC {cells.learned['auroc']:.3f}" in cells.note
    z = cells.bind(Blocks(x).space).apply(x)
    assert z.shape == (80, 6)
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    alike = unit @ unit.T
    same = kinds[:, None] == kinds[None]
    assert alike[same].mean() > alike[~same].mean() + 0.5


def test_the_place_does_not_depend_on_the_other_cells_or_on_the_order_of_the_peaks(learned):
    _, x, _, cells = learned
    space = Blocks(x).space
    whole = cells.bind(space).apply(x)
    np.testing.assert_allclose(cells.bind(space).apply(x[7:8])[0], whole[7], atol=1e-4)
    order = np.random.default_rng(1).permutation(600)
    turned = cells.bind(space.take(order)).apply(csr_matrix(x[:, order]))
    np.testing.assert_allclose(turned, whole, atol=1e-3)


def test_other_peaks_of_the_same_cells_lead_to_the_same_neighbourhood(learned):
    embedded, x, kinds, cells = learned
    other, opened, theirs = world(700, 60, seed=5)
    again = SequenceCells(Given(np.r_[embedded, other]), dim=6, hidden=32).restore(cells.state())
    space = FeatureSpace("atac", np.array([f"p{i + 600}" for i in range(700)]), np.ones(700, bool))
    z, own = again.bind(space).apply(opened), cells.bind(Blocks(x).space).apply(x)
    nearest = ((z[:, None] - own[None]) ** 2).sum(2).argmin(1)
    assert z.shape == (60, 6)
    assert (kinds[nearest] == theirs).mean() > 0.9


def test_a_state_that_is_not_whole_is_refused(learned):
    embedded, x, _, cells = learned
    again = SequenceCells(Given(embedded), dim=6, hidden=32)
    state = cells.state()
    with pytest.raises(ValueError, match="lacks penalty"):
        again.restore({name: one for name, one in state.items() if name != "penalty"})
    with pytest.raises(ValueError, match="not placed by 6 numbers"):
        again.restore(state | {"center": np.zeros(5)})
    gone = {name: one for name, one in state.items() if not name.startswith("trunk.")}
    with pytest.raises(ModelError, match="What the model learned of DNA is not whole"):
        again.restore(gone).bind(Blocks(x).space).apply(x)


def test_columns_learned_with_the_trunk_and_those_of_the_solver_point_the_same_way(learned):
    embedded, x, _, cells = learned
    h = cells._trunk_of(embedded)
    solver = Solver(h, 0.1, np.arange(len(h)))
    w = torch.zeros(80, 7, requires_grad=True)
    design = torch.cat([h, torch.ones(len(h), 1)], 1)
    y = torch.from_numpy(x.toarray())
    steps = torch.optim.LBFGS([w], max_iter=300, line_search_fn="strong_wolfe")

    def closure():
        steps.zero_grad()
        z = w @ design.T
        bce = torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction="sum")
        loss = bce + 0.05 * w[:, :-1].square().sum() + 5e-4 * w[:, -1].square().sum()
        loss.backward()
        return loss

    steps.step(closure)
    found = solver(x)[:, :-1]
    assert torch.cosine_similarity(found, w.detach()[:, :-1]).min() > 0.95


def test_auroc_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores, truth = rng.random((20, 7)), rng.random((20, 7)) < 0.2
    truth[:, 3] = False  # a cell without any of the peaks says nothing
    want = np.mean(
        [roc_auc_score(truth[:, i], scores[:, i]) for i in range(7) if truth[:, i].any()]
    )
    found = auroc(torch.from_numpy(scores), torch.from_numpy(truth))
    assert found == pytest.approx(want)


def test_letters_are_read_by_a_convolution():
    rng = np.random.default_rng(0)
    letters = rng.integers(0, 5, (60, 300)).astype(np.uint8)
    x = csr_matrix((rng.random((30, 60)) < 0.3).astype("f4"))
    cells = SequenceCells(Given(letters), dim=4, channels=4, epochs=2, batch_size=16)
    z = cells.fit(Blocks(x)).bind(Blocks(x).space).apply(x)
    assert z.shape == (30, 4)
    assert np.isfinite(z).all()


def test_a_model_refuses_dna_that_is_read_by_other_weights(learned):
    embedded, x, _, cells = learned
    other = Given(embedded)
    other.name = "other weights"
    space = Blocks(x).space
    again = SequenceCells(other, dim=6, hidden=32).restore(cells.state())
    with pytest.raises(DataError, match="as read by given, not other weights"):
        again.check(space)
    SequenceCells(Given(embedded), dim=6, hidden=32).restore(cells.state()).check(space)
