"""Readers of files that were changed at random answer or refuse; what was found is kept."""

import gzip
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix

from cytonym.data.read import open_cells, read_obsm
from cytonym.data.simulate import simulate
from cytonym.errors import CytonymError

sys.path.append(str(Path(__file__).parent))
from targets import FASTA, FRAGMENTS, TARGETS, ask, changed, rebuilt

EXAMPLES = {name: target.example() for name, target in TARGETS.items()}


@pytest.mark.parametrize("name", TARGETS)
def test_the_true_file_is_read(name):
    assert ask(TARGETS[name], EXAMPLES[name]) == "read"


@pytest.mark.parametrize("name", TARGETS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_file_with_changed_bytes_is_read_or_refused(name, seed):
    data = changed(EXAMPLES[name], np.random.default_rng(seed))
    assert ask(TARGETS[name], data) in ("read", "refused")


@pytest.mark.parametrize("name", ["h5ad", "h5mu", "10x"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_whole_file_of_odd_parts_is_read_or_refused(name, seed):
    data = rebuilt(EXAMPLES[name], np.random.default_rng(seed))
    assert ask(TARGETS[name], data) in ("read", "refused")


FOUND = {
    "a place beyond 64 bits": (
        "plain fragments",
        FRAGMENTS + b"chr1\t5\t" + b"9" * 40 + b"\tA\t1\n",
    ),
    "the same, packed": ("fragments", gzip.compress(b"chr1\t" + b"9" * 5000 + b"\t7\tA\t1\n")),
    "an empty line inside a sequence": ("fasta", FASTA[:60] + b"\n" + FASTA[60:]),
    "a line of another length": ("fasta", FASTA.replace(b"ACGTNACGTA\n", b"ACGTNAC\nGTA\n", 1)),
}


@pytest.mark.parametrize("beyond", [-1, 60, 2**40])
@pytest.mark.parametrize("name", ["10x", "h5ad", "h5mu"])
def test_a_column_that_is_none_is_not_followed(name, beyond, tmp_path):
    """scipy would write where it points, and the process end by a segmentation fault."""
    path = tmp_path / f"file{TARGETS[name].ending}"
    path.write_bytes(EXAMPLES[name])
    with h5py.File(path, "r+") as file:
        where = {"10x": "matrix/indices", "h5ad": "X/indices", "h5mu": "mod/rna/X/indices"}[name]
        columns = file[where][:].astype(np.int64)
        columns[-3] = beyond
        del file[where]
        file[where] = columns
    with pytest.raises(CytonymError, match="does not hold together"):
        TARGETS[name].read(path)


@pytest.mark.parametrize("kind", [csr_matrix, csc_matrix])
def test_nor_is_it_in_cells_that_are_in_memory(kind):
    cells = simulate(30, 60, 2, seed=0)
    cells.X = kind(cells.X)
    cells.X.indices[-3] = 1000
    with pytest.raises(CytonymError, match="does not hold together"):
        open_cells(cells)


def test_nor_in_an_embedding(tmp_path):
    cells = simulate(30, 60, 2, seed=0)
    cells.obsm["X_emb"] = csr_matrix(np.eye(30, 4))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "cells.h5ad", "r+") as file:
        file["obsm/X_emb/indices"][-1] = 1000
    with pytest.raises(CytonymError, match="does not hold together"):
        read_obsm(tmp_path / "cells.h5ad", "X_emb")


@pytest.mark.parametrize(("name", "data"), FOUND.values(), ids=FOUND)
def test_what_fuzzing_found_is_refused(name, data, tmp_path):
    path = tmp_path / f"file{TARGETS[name].ending}"
    path.write_bytes(data)
    with pytest.raises(CytonymError):
        TARGETS[name].read(path)
