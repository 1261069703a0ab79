"""Cells of which too little is seen."""

import numpy as np

from cytonym.trust.quality import Quality
from cytonym.trust.said import Said


def said(named, detected):
    n = len(named)
    scores = np.eye(3, dtype="f4")[named]
    cells = np.arange(n).astype(str)
    return Said(cells, scores, scores, np.full(n, "rna"), {}, {"rna": np.asarray(detected)})


def test_the_limit_is_where_half_of_the_names_hold():
    detected = np.repeat([10, 20, 40, 80], 100)
    named = np.zeros(400, dtype=int)
    named[:90] = 1  # of the cells with 10 features 10 % keep their name
    named[100:160] = 1  # with 20: 40 %
    named[200:220] = 1  # with 40: 80 %
    found = Quality.fit(
        said(named, detected), said(np.zeros(400, int), detected), {"rna": np.full(400, True)}
    )
    assert found.least == {"rna": 40}
    assert found.junk(said([0, 0, 0], [39, 40, 0])).tolist() == [True, False, True]


def test_names_that_always_hold_leave_only_cells_without_values():
    detected = np.arange(1, 101)
    whole = said(np.zeros(100, int), detected)
    found = Quality.fit(whole, whole, {"rna": np.full(100, True)})
    assert found.least == {"rna": 0}
    assert found.junk(said([0, 0], [0, 1])).tolist() == [True, False]


def test_one_modality_that_is_seen_well_is_enough():
    found = Quality({"rna": 50, "atac": 100})
    detected = {"rna": np.array([10, 60, 10]), "atac": np.array([500, 0, 0])}
    cells = Said(np.arange(3), np.eye(3), np.eye(3), np.full(3, "rna+atac"), {}, detected)
    assert found.junk(cells).tolist() == [False, False, True]


def test_where_nothing_was_counted_nothing_is_called_junk():
    cells = Said(np.arange(3), np.eye(3), np.eye(3), np.full(3, "rna"))
    assert Quality({"rna": 50}).junk(cells).tolist() == [False] * 3
