"""Many small clusters of an embedding: Leiden on the graph of nearest neighbours."""

from __future__ import annotations

import random

import numpy as np

from cytonym.errors import DataError, OptionError, Problem, install

NEIGHBOURS = 10
STEPS = ((5_000, 5.0), (20_000, 10.0), (40_000, 15.0), (100_000, 20.0), (200_000, 25.0))
"""Below so many cells the resolution is this."""
LARGEST = 30.0
ROUNDS = 2
"""Of Leiden: until nothing moves takes 20 times as long with 100,000 cells."""


def resolution(n_cells: int) -> float:
    """How finely to cluster that many cells: 5 below 5,000, then 10, 15, 20, 25 and 30."""
    return next((fine for limit, fine in STEPS if n_cells < limit), LARGEST)


def over_cluster(embedding: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Clusters that are smaller than types: Leiden at a resolution by the number of cells.

    Parameters
    ----------
    embedding
        ``(cells, dim)`` float; all cells are clustered, none is sampled.

    Returns
    -------
    ndarray
        ``(cells,)`` object, of str: ``"0"`` is the largest cluster.

    Raises
    ------
    DataError
        Values that are not finite.
    OptionError
        igraph is not installed.
    """
    x = np.asarray(embedding, dtype=np.float32)
    if bad := int((~np.isfinite(x)).any(axis=1).sum()):
        problem = Problem(
            f"{bad:,} of {len(x):,} cells have no finite place in the embedding",
            "leave these cells out, or give clusters of your own (clusters=, --over-clustering)",
        )
        raise DataError(problem, subject="the embedding")
    own = "give clusters of your own (clusters=, --over-clustering COLUMN)"
    fine = resolution(len(x))
    codes = leiden(x, NEIGHBOURS, fine, seed, rounds=ROUNDS, instead=own)
    return by_size(codes).astype(str).astype(object)


def leiden(
    x: np.ndarray, neighbours: int, resolution: float, seed: int, *, rounds: int = -1, instead: str
) -> np.ndarray:
    """``(cells,)`` int communities by modularity, of the unweighted graph of nearest neighbours.

    ``rounds`` -1 is until nothing moves; ``instead`` is what to do without igraph.

    Raises
    ------
    OptionError
        igraph is not installed.
    """
    from sklearn.neighbors import kneighbors_graph

    try:
        import igraph
    except ModuleNotFoundError as error:
        raise OptionError(f"Leiden needs igraph: {install('sc')}, or {instead}.") from error
    if len(x) < 3:
        return np.zeros(len(x), dtype=np.int64)
    near = kneighbors_graph(x, min(neighbours, len(x) - 1))
    start, end = (near + near.T).nonzero()
    once = start < end
    graph = igraph.Graph(len(x), np.column_stack([start[once], end[once]]))
    igraph.set_random_number_generator(random.Random(seed))
    try:
        parts = graph.community_leiden("modularity", resolution=resolution, n_iterations=rounds)
    finally:
        igraph.set_random_number_generator(random)
    return np.asarray(parts.membership)


def by_size(codes: np.ndarray) -> np.ndarray:
    """Int codes anew, 0 the largest; of equals the one whose first cell comes first."""
    _, first, place, counts = np.unique(
        codes, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.lexsort([first, -counts])] = np.arange(len(counts))
    return rank[place]
