"""Where networks compute: which device is taken, and which is refused. No GPU is needed."""

import pytest
import torch
from accelerate.state import PartialState

import cytonym
from command import run
from cytonym.data.simulate import simulate
from cytonym.device import has_bf16, pick
from cytonym.errors import OptionError
from cytonym.train import loop
from cytonym.types import Batch, SparseRows


@pytest.fixture
def gpus(monkeypatch):
    """Makes torch say that it finds so many GPUs."""

    def found(n: int, built: str | None = "12.6") -> None:
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.version, "hip", None)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: n > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: n)

    return found


@pytest.fixture
def a_mac(monkeypatch, gpus):
    gpus(0, None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr("accelerate.state.is_mps_available", lambda *_: True)


@pytest.mark.parametrize(("n", "taken"), [(0, "cpu"), (1, "cuda"), (8, "cuda")])
def test_auto_takes_cuda_where_there_is_a_gpu_and_else_the_cpu(n, taken, gpus):
    gpus(n)
    assert pick("auto") == torch.device(taken)
    assert pick("cpu") == torch.device("cpu")


def test_a_gpu_is_taken_by_its_number_where_there_are_so_many(gpus):
    gpus(2)
    assert pick("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(OptionError, match=r"cuda:2: torch finds 2 GPUs, the last is cuda:1"):
        pick("cuda:2")


@pytest.mark.parametrize(
    "name", ["gpu", "", "CUDA", "cuda:", "cuda:-1", "cuda:1234", "cuda 0", "0"]
)
def test_a_name_that_is_none_is_told_with_those_that_are(name):
    with pytest.raises(OptionError, match=r"take one of auto, cpu, cuda, cuda:1"):
        pick(name)


def test_cuda_without_a_gpu_says_whether_the_build_or_the_driver_lacks(gpus):
    gpus(0, None)
    with pytest.raises(OptionError, match=r"was built without CUDA\n    → install a build with"):
        pick("cuda")
    gpus(0)
    with pytest.raises(OptionError, match=r"\(built for 12.6\) finds no GPU\n    → see whether nv"):
        pick("cuda:0")


def test_an_apple_gpu_is_refused_and_never_taken_by_itself(a_mac):
    with pytest.raises(OptionError, match=r"ever run on an Apple GPU.*\n    → take cpu"):
        pick("mps")
    assert pick("auto") == torch.device("cpu")


def test_training_stays_on_the_cpu_of_a_mac(a_mac):
    PartialState._reset_state()
    made = loop._accelerator(pick("auto"))
    assert made.device == torch.device("cpu")
    assert made.mixed_precision == "no"


def test_a_fit_on_another_device_than_the_one_before_is_not_held_to_that(a_mac):
    loop._accelerator(torch.device("cpu"))
    PartialState().device = torch.device("mps")  # as some other user of Accelerate would leave it
    assert loop._accelerator(torch.device("cpu")).device == torch.device("cpu")


def test_bfloat16_is_for_gpus_that_compute_in_it_and_do_not_imitate_it(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **how: asked.append(how) or True)
    assert has_bf16(torch.device("cuda"))
    assert not has_bf16(torch.device("cpu"))
    assert asked == [{"including_emulation": False}]


def test_a_batch_goes_to_a_gpu_through_pinned_memory_and_to_the_cpu_as_it_is(monkeypatch):
    pinned, sent = [], []
    here = torch.device("cpu")

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor)
        return tensor

    def to(tensor: torch.Tensor, device: torch.device, *, non_blocking: bool) -> torch.Tensor:
        sent.append((device, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    n, ones = torch.arange(3), torch.ones(3, 2)
    rows = SparseRows(torch.arange(4), n, torch.ones(3), 5)
    batch = Batch({"rna": ones}, {"rna": rows}, {"rna": n > 0}, n, n, n, {"rna": n})
    batch.to(here)
    assert (len(pinned), {*sent}) == (0, {(here, False)})
    sent.clear()
    batch.to(torch.device("cuda"))
    assert (len(pinned), {*sent}, len(sent)) == (9, {(torch.device("cuda"), True)}, 9)


def test_a_device_that_is_none_is_told_before_any_file_is_looked_for(tmp_path):
    cells = simulate(120, n_genes=60, n_types=3, seed=0)
    how = {"labels": "cell_type", "method": "linear", "validation": 0, "progress": False}
    model = cytonym.fit(cells, **how, device="cpu")
    for ask in (model.annotate, model.embed):
        with pytest.raises(OptionError, match="no device 'tpu'"):
            ask(tmp_path / "nothing.h5ad", device="tpu")
    with pytest.raises(OptionError, match="no device 'tpu'"):
        cytonym.fit(tmp_path / "nothing.h5ad", **how, device="tpu")
    model.save(tmp_path / "model")
    cells.write_h5ad(tmp_path / "cells.h5ad")
    one = cytonym.load(tmp_path / "model").annotate(cells, device="cpu", progress=False)
    other = model.annotate(tmp_path / "cells.h5ad", progress=False)
    assert one.probabilities.equals(other.probabilities)


@pytest.mark.parametrize(
    "words",
    [
        ("fit", "c.h5ad", "--labels", "cell_type", "--method", "linear", "--out", "m"),
        ("annotate", "c.h5ad", "--model", "m", "--out", "o.h5ad"),
        ("embed", "c.h5ad", "--model", "m", "--out", "o.h5ad"),
    ],
)
def test_every_command_that_computes_takes_a_device(words, tmp_path):
    cells = simulate(120, n_genes=60, n_types=3, seed=0)
    cells.write_h5ad(tmp_path / "c.h5ad")
    how = {"labels": "cell_type", "method": "linear", "validation": 0, "progress": False}
    cytonym.fit(cells, **how).save(tmp_path / "m")
    refused = run(*words, "--device", "mps", code=2, cwd=tmp_path)
    assert "ever run on an Apple GPU" in refused.stderr
    run(*words, "--device", "cpu", "--quiet", cwd=tmp_path)
