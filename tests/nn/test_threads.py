"""Small work takes one thread, and the number of threads is as before afterwards."""

import pytest
import torch

from cytonym.nn.threads import WORTH, threads_for


@pytest.mark.parametrize(
    ("numbers", "wanted"), [(0, 1), (WORTH, 1), (3 * WORTH, 3), (99 * WORTH, 4)]
)
def test_threads_grow_with_the_work_up_to_those_there_were(numbers, wanted):
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with threads_for(numbers) as used:
            assert used == torch.get_num_threads() == wanted
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
