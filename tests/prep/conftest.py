"""Small matrices as streams of blocks."""

import importlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from cytonym.types import FeatureSpace


@dataclass
class Held:
    """A matrix, walked in blocks of ``size`` rows."""

    matrix: object
    space: FeatureSpace
    size: int

    def __len__(self):
        return self.matrix.shape[0]

    def __iter__(self):
        for start in range(0, len(self), self.size):
            yield self.matrix[start : start + self.size]


def space_of(n, measured=None):
    names = np.array([f"G{i}" for i in range(n)])
    return FeatureSpace("rna", names, np.ones(n, bool) if measured is None else measured)


@pytest.fixture
def scanpy() -> Iterator[ModuleType]:
    """scanpy, kept quiet; its numba raises torch's number of threads, which is set back."""
    threads = torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield importlib.import_module("scanpy")
    torch.set_num_threads(threads)


@pytest.fixture
def held():
    """``held(matrix, size=1000)``: a stream; ``held.space(n, measured)``: its columns."""

    def make(matrix, size=1000, measured=None):
        return Held(matrix, space_of(matrix.shape[1], measured), size)

    make.space = space_of
    return make


@pytest.fixture
def counts() -> csr_matrix:
    """200 cells × 80 genes, negative binomial, with an empty cell and an empty gene."""
    rng = np.random.default_rng(0)
    mean = rng.lognormal(0, 1, 80) * rng.lognormal(0, 0.4, (200, 1))
    dense = rng.poisson(rng.gamma(2.0, mean / 2.0)).astype(np.float32)
    dense[17] = 0
    dense[:, 5] = 0
    return csr_matrix(dense)
