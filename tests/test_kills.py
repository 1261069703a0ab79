"""A process that is killed at any moment leaves no half file, and the next run ends as if it had
not been: fits, annotations, the cache of embeddings, model folders.

Every process here is killed by SIGKILL, which runs no clean-up, after a random share of the time
that it takes. ``--kills N`` says how often of each kind (default 3); 50 make 200.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import torch

from command import FORKS, _inside
from cytonym.bundle import Bundle, read_bundle, write_bundle
from cytonym.data.simulate import simulate
from cytonym.dna.embed import Kmers
from cytonym.dna.peaks import kept
from cytonym.errors import ModelError

FIT = ("--labels", "cell_type", "--method", "sctrans", "--quiet")
SMALL = ("epochs=4", "genes=60", "sub_vector=20", "smooth_k=5", "unit_variance=false", "dim=8")


def cytonym(folder: str, *words: str) -> None:
    """The command, with parts of 20 cells."""
    import cytonym.parts

    cytonym.parts.CELLS = 20
    env = dict(os.environ)
    _inside(["cytonym", *words], env, folder, f"{folder}/out.txt", f"{folder}/err.txt")


def run(target: Callable, *args: object, kill_after: float | None = None) -> float | None:
    """Run in a process; its seconds, or None where it was killed."""
    begin = time.monotonic()
    process = FORKS.Process(target=target, args=args)
    process.start()
    process.join(kill_after)
    if process.exitcode is None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return None
    assert process.exitcode == 0, Path(str(args[0]), "err.txt").read_text()
    return time.monotonic() - begin


def killed_often(target: Callable, *args: object, takes: float, n: int, check: Callable) -> int:
    """Start it again and again and kill it, ``n`` times; what is there is checked each time."""
    rng = np.random.default_rng(n)
    kills = 0
    for _ in range(4 * n):
        killed = run(target, *args, kill_after=float(rng.uniform(0.05, 1.0)) * takes) is None
        kills += killed
        check()
        if kills == n:
            break
    return kills


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("kills")
    cells = simulate(260, 60, 3, seed=0)
    cells[:160].copy().write_h5ad(home / "reference.h5ad")
    cells[160:].copy().write_h5ad(home / "query.h5ad")
    return home


@pytest.fixture(scope="module")
def kills(pytestconfig) -> int:
    return pytestconfig.getoption("--kills")


def test_a_killed_fit_goes_on_and_has_the_same_weights(folder, kills):
    words = ["fit", "reference.h5ad", *FIT, *(w for one in SMALL for w in ("--set", one))]
    takes = run(cytonym, str(folder), *words, "--out", "whole.cytonym")
    wanted = read_bundle(folder / "whole.cytonym").weights

    def same() -> bool:
        found = read_bundle(folder / "killed.cytonym").weights
        return all(torch.equal(found[name], one) for name, one in wanted.items())

    def whole_or_absent() -> None:
        assert not (folder / "killed.cytonym").exists() or same()

    args = (cytonym, str(folder), *words, "--out", "killed.cytonym")
    assert killed_often(*args, takes=takes, n=kills, check=whole_or_absent) == kills
    run(*args)
    assert same()
    assert not (folder / "killed.cytonym.fit").exists()


def test_a_killed_annotation_goes_on_and_names_every_cell_once(folder, kills):
    fit = ["fit", "reference.h5ad", "--labels", "cell_type", "--method", "linear", "--quiet"]
    run(cytonym, str(folder), *fit, "--out", "linear.cytonym")
    words = ["annotate", "query.h5ad", "--model", "linear.cytonym", "--quiet", "--out"]
    takes = run(cytonym, str(folder), *words, "whole.h5ad")
    wanted = ad.read_h5ad(folder / "whole.h5ad").obs

    def whole_or_absent() -> None:
        if (folder / "named.h5ad").exists():
            assert ad.read_h5ad(folder / "named.h5ad").obs.equals(wanted)
            (folder / "named.h5ad").unlink()
        for part in folder.glob("named.h5ad.parts/part-*"):
            assert part.stat().st_size > 1000

    args = (cytonym, str(folder), *words, "named.h5ad")
    assert killed_often(*args, takes=takes, n=kills, check=whole_or_absent) == kills
    run(*args)
    assert (folder / "named.h5ad").exists()
    whole_or_absent()
    assert not (folder / "named.h5ad.parts").exists()


def models(folder: str) -> None:
    """Two models by turns under one name, until it is killed."""
    while True:
        for number in (0.0, 1.0):
            weights = {"w": torch.full((20_000,), number)}
            arrays = {"a": np.full(20_000, number)}
            facts = {"method": "linear", "version": "0", "number": number}
            write_bundle(Path(folder) / "model", Bundle(facts, weights, arrays))


def test_a_model_that_is_replaced_is_the_old_one_or_the_new_one(tmp_path, kills):
    def one_of_both() -> None:
        if not (tmp_path / "model").exists():  # killed before the first one, or between two renames
            left = any(tmp_path.glob(".model.old.*/model"))
            with pytest.raises(ModelError, match="was being replaced" if left else "no model"):
                read_bundle(tmp_path / "model")
            return
        found = read_bundle(tmp_path / "model")
        number = found.facts["number"]
        assert (found.weights["w"] == number).all()
        assert (found.arrays["a"] == number).all()

    args = {"takes": 3.0, "n": kills, "check": one_of_both}
    assert killed_often(models, str(tmp_path), **args) == kills
    write_bundle(tmp_path / "model", Bundle({"method": "linear", "version": "0"}, {}, {}))
    read_bundle(tmp_path / "model")


def cache(folder: str) -> None:
    """Embed sequences into the cache, again and again, until it is killed."""
    os.environ["CYTONYM_CACHE"] = folder
    while True:
        for number in range(4):
            for file in Path(folder).rglob("*.npy"):
                file.unlink()
            kept(Kmers(k=3, window=40), sequences(number))


def sequences(number: int) -> list[str]:
    rng = np.random.default_rng(number)
    return ["".join("ACGT"[one] for one in row) for row in rng.integers(0, 4, (500, 40))]


def test_a_cached_embedding_is_whole_or_absent(tmp_path, kills, monkeypatch):
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path))
    wanted = [Kmers(k=3, window=40).embed(sequences(number)) for number in range(4)]

    def whole() -> None:
        for number in range(4):
            found = kept(Kmers(k=3, window=40), sequences(number))
            np.testing.assert_array_equal(found, wanted[number])

    assert killed_often(cache, str(tmp_path), takes=2.0, n=kills, check=whole) == kills
