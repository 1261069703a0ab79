import json
import os

import pytest
import torch
from safetensors.torch import save_file

from cytonym.errors import TrainingError
from cytonym.train.loop import train
from cytonym.train.state import (
    Snapshot,
    optimizer_tensors,
    read_snapshot,
    restore_optimizer,
    write_snapshot,
)


@pytest.fixture
def snapshot():
    tensors = {"net/a": torch.randn(3, 4).T, "net/b": torch.tensor(7), "net/c": torch.zeros(0)}
    return Snapshot(tensors, {"fingerprint": "abc", "epoch": 2, "best_score": float("-inf")})


def test_a_snapshot_comes_back_bit_for_bit_and_leaves_no_other_file(snapshot, tmp_path):
    path = tmp_path / "new" / "fit.safetensors"
    write_snapshot(path, snapshot)
    back = read_snapshot(path, fingerprint="abc")
    assert back.facts == snapshot.facts
    assert back.tensors.keys() == snapshot.tensors.keys()
    assert all(torch.equal(back.tensors[name], value) for name, value in snapshot.tensors.items())
    assert os.listdir(path.parent) == ["fit.safetensors"]
    assert read_snapshot(tmp_path / "none", fingerprint="abc") is None


def test_a_state_of_another_fit_names_both_fingerprints_and_the_remedy(toy, tmp_path):
    path = tmp_path / "fit.safetensors"
    train(toy.net(), [toy.stage(epochs=1)], toy.cells(), seed=0, state=path, fingerprint="one")
    with pytest.raises(TrainingError, match=r"of the two is compiled \(one, this fit is two"):
        train(toy.net(), [toy.stage()], toy.cells(), seed=0, state=path, fingerprint="two")


@pytest.mark.parametrize("left", [0, 5, 100, -1])
def test_a_state_cut_short_at_any_place_is_called_damaged(left, snapshot, tmp_path):
    path = tmp_path / "fit.safetensors"
    write_snapshot(path, snapshot)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(TrainingError, match=r"is damaged .* Remove it"):
        read_snapshot(path, fingerprint="abc")


@pytest.mark.parametrize(
    "facts",
    [None, {"other": "1"}, {"facts": "{"}, {"facts": json.dumps({"epoch": 1})}],
)
def test_a_tensor_file_that_is_no_state_is_called_damaged(facts, tmp_path):
    path = tmp_path / "fit.safetensors"
    save_file({"a": torch.zeros(2)}, path, metadata=facts)
    with pytest.raises(TrainingError, match="is damaged"):
        read_snapshot(path, fingerprint="abc")


def test_a_crash_while_writing_leaves_the_state_before(snapshot, tmp_path, monkeypatch):
    path = tmp_path / "fit.safetensors"
    write_snapshot(path, snapshot)
    monkeypatch.setattr("cytonym.disk.files.os.replace", _fail)
    with pytest.raises(OSError, match="no space"):
        write_snapshot(path, Snapshot({"net/a": torch.ones(1)}, {"fingerprint": "abc"}))
    assert read_snapshot(path, fingerprint="abc").facts == snapshot.facts


def _fail(*_):
    raise OSError("no space")


def test_an_optimiser_given_its_memory_back_takes_the_same_next_step():
    torch.manual_seed(0)
    one, other = (torch.nn.Linear(3, 2) for _ in range(2))

    def step(net, optimizer):
        optimizer.zero_grad()
        net(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()

    first = torch.optim.AdamW(one.parameters(), lr=0.1)
    step(one, first)
    second = torch.optim.AdamW(other.parameters(), lr=0.1)
    other.load_state_dict(one.state_dict())
    memory = {name: value.clone() for name, value in optimizer_tensors(first).items()}
    restore_optimizer(second, memory)
    for net, optimizer in ((one, first), (other, second)):
        step(net, optimizer)
    assert torch.equal(one.weight, other.weight)
