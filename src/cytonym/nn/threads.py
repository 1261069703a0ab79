"""How many threads a network is worth: small tensors are slower on many than on one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

WORTH = 250_000
"""Numbers in a batch that one thread works through about as fast as two would share them."""


@contextmanager
def threads_for(numbers: int, *, spare: int = 0) -> Iterator[int]:
    """Inside, torch uses one thread for each ``WORTH`` numbers, never more than before less
    ``spare`` (for one that reads meanwhile).

    On a busy machine threads that wait for one another at every small operation make a fit
    ten times slower; yields the number used.
    """
    before = torch.get_num_threads()
    used = max(1, min(before - spare, numbers // WORTH))
    torch.set_num_threads(used)
    try:
        yield used
    finally:
        torch.set_num_threads(before)
