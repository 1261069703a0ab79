"""Graphs of cells: against dense arithmetic, and the same cell asked for again."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from cytonym.nn.graph import Graph, neighbours


def points(n=30, width=3, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, width)).astype("f4"))


def built(x, k=4, part=None):
    graph = Graph(x.shape[1])
    graph.build(x, k, part)
    return graph


def dense(x, k):
    """Â by scikit-learn and numpy."""
    near = NearestNeighbors(n_neighbors=k).fit(x).kneighbors_graph(None).toarray()
    a = np.maximum(near, near.T) + np.eye(len(x))
    root = 1 / np.sqrt(a.sum(1))
    return root[:, None] * a * root


def test_neighbours_are_those_of_scikit_learn():
    x, asked = points(200), points(40, seed=1)
    far, want = NearestNeighbors(n_neighbors=7).fit(x).kneighbors(asked)
    found, squared = neighbours(asked, x, 7)
    np.testing.assert_array_equal(found, want)
    np.testing.assert_allclose(squared.sqrt(), far, rtol=1e-3)


@pytest.mark.parametrize(("steps", "teleport"), [(0, 0.0), (1, 0.0), (3, 0.0), (5, 0.2)])
def test_spreading_is_a_power_of_the_normalised_adjacency(steps, teleport):
    x, h = points(), points(width=5, seed=2)
    a, want = dense(x.numpy(), 4), h.numpy()
    for _ in range(steps):
        want = (1 - teleport) * a @ want + teleport * h.numpy()
    np.testing.assert_allclose(built(x).spread(h, steps, teleport), want, atol=1e-5)


def test_the_gradient_of_spreading_is_right():
    graph = built(points(8), 3)
    graph.weight = graph.weight.double()
    h = points(8, 2, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda one: graph.spread(one, 3, 0.3), (h,))


def test_parts_share_no_edge_and_a_part_alone_spreads_as_within_the_whole():
    x, part = points(), torch.arange(30) % 3
    graph, h = built(x, part=part), points(seed=5)
    rows = torch.nonzero(part == 1)[:, 0]
    np.testing.assert_allclose(
        graph.only(rows).spread(h[rows], 2), graph.spread(h, 2)[rows], atol=1e-6
    )


def test_a_cell_of_the_graph_gets_what_became_of_it_and_a_new_one_a_mean_of_its_neighbours():
    x, h = points(), points(width=2, seed=3)
    graph = built(x)
    after = graph.spread(h, 1)
    near = graph.near(x[5:9], 4)
    assert near.same.all()
    torch.testing.assert_close(near.found(after, h[:4]), after[5:9])
    new = graph.near(x[5:6] + 0.05, 4)
    assert not new.same.any()
    torch.testing.assert_close(new.found(after, h[:1]), h[:1])
    degree = graph.start.diff()[new.cell[0]].float()
    want = h[5] / 5 + (h[new.cell[0]] / (5 * degree).sqrt()[:, None]).sum(0)
    torch.testing.assert_close(new.step(h[5:6], h)[0], want)


def test_a_graph_is_saved_with_the_weights_and_comes_back():
    graph = built(points())
    empty = Graph(3)
    empty.load_state_dict(graph.state_dict())
    h = points(seed=4)
    torch.testing.assert_close(empty.spread(h, 2), graph.spread(h, 2))


def test_no_warning_reaches_the_user():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert built(points()).spread(points(), 1).isfinite().all()
