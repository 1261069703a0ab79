"""Simulated cells in two parts: 200 to learn from, 100 to name."""

from __future__ import annotations

import pytest
from anndata import AnnData

from cytonym.data.simulate import simulate, simulate_multiome

Parts = tuple[dict[str, AnnData], dict[str, AnnData]]


@pytest.fixture(scope="session")
def rna() -> tuple[AnnData, AnnData]:
    cells = simulate(300, 200, 3, seed=0, batches=2)
    return cells[:200].copy(), cells[200:].copy()


@pytest.fixture(scope="session")
def multiome() -> Parts:
    cells = simulate_multiome(300, 200, 3, seed=0)
    first = {name: one[:200].copy() for name, one in cells.items()}
    return first, {name: one[200:].copy() for name, one in cells.items()}
