"""How the batches of an epoch are shared by processes."""

import numpy as np
import pytest

from cytonym.data.loader import Feed
from cytonym.types import Stage


@pytest.fixture
def feed(monkeypatch):
    """11 labelled cells and 1 without a label; a batch is the rows of its cells."""
    monkeypatch.setattr(Feed, "batch", lambda self, rows: rows)
    monkeypatch.setattr(Feed, "keep", lambda self: None)
    y = np.zeros(12, dtype=np.int64)
    y[4] = -1
    return Feed(None, None, y, np.arange(12))  # type: ignore[arg-type]


@pytest.mark.parametrize("world", [2, 3, 8])
def test_every_process_has_as_many_cells_and_together_they_have_the_batches_of_one(feed, world):
    stage = Stage("one", (), 1, 4, unlabelled=True)
    alone = [*feed.epoch(stage, seed=(0,), rank=0, world=1)]
    shares = [[*feed.epoch(stage, seed=(0,), rank=rank, world=world)] for rank in range(world)]
    assert [len(batch) for batch in alone] == [5, 5, 5]  # 4 labelled cells, and the other one
    each = -(-4 // world) + 1
    for step, whole in enumerate(alone):
        parts = [share[step] for share in shares]
        assert [len(part) for part in parts] == [each] * world
        assert [int((part == 4).sum()) for part in parts] == [1] * world
        assert {*np.concatenate(parts)} == {*whole}
    assert {*np.concatenate(alone)} == {*range(12)}
