"""The little arithmetic that sparse and dense matrices are to share."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, issparse

from cytonym.types import Matrix


def size(matrix: Matrix) -> tuple[int, int]:
    """Rows and columns."""
    shape: Any = matrix.shape
    return shape


def dense(matrix: Any) -> np.ndarray:
    """Float64, whatever it was."""
    return np.asarray(matrix.toarray() if issparse(matrix) else matrix, dtype=np.float64)


def product(left: Any, right: Any) -> np.ndarray:
    """``left @ right``, dense float64, of which either may be sparse."""
    if issparse(right) and not issparse(left):
        return np.asarray((right.T @ np.asarray(left).T).T, dtype=np.float64)
    return dense(left @ right)


def moments(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column; a spread that is rounding is 0."""
    wide = csr_matrix(matrix, dtype=np.float64) if issparse(matrix) else dense(matrix)
    squares: Any = wide.multiply(wide) if isinstance(wide, csr_matrix) else wide**2
    mean = np.asarray(wide.mean(axis=0)).ravel()
    second = np.asarray(squares.mean(axis=0)).ravel()
    variance = second - mean**2
    return mean, np.sqrt(np.where(variance > 1e-10 * second, variance, 0))


def above_zero(matrix: Any) -> np.ndarray:
    """``(columns,)`` int64: in how many rows each column is above 0."""
    return np.asarray((matrix > 0).sum(axis=0), dtype=np.int64).ravel()
