"""Annotated cells whose figures can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

KEY = "cell_type_pred"
HOSTILE = "<script>alert(1)</script>"
CLOSING = "</script><img src=x onerror=alert(2)>"


@pytest.fixture
def annotated() -> AnnData:
    """60 cells: 30 B, 20 of a hostile name, 6 of another, 4 Unknown; two donors of 30; truth."""
    names = ["B"] * 30 + [HOSTILE] * 20 + [CLOSING] * 6 + ["Unknown"] * 4
    truth = ["B"] * 27 + [HOSTILE] * 23 + [CLOSING] * 6 + ["B"] * 3 + [None]
    confidence = np.repeat([0.95, 0.65, 0.85, 0.25], [30, 20, 6, 4]).astype(np.float32)
    obs = pd.DataFrame(
        {
            KEY: pd.Categorical(names),
            f"{KEY}_confidence": confidence,
            "truth": pd.Categorical(truth),
            "donor": ["D<i>1</i>", "D2"] * 30,
            "depth": np.linspace(1, 2, 60),
        },
        index=[f"cell{number}&" for number in range(60)],
    )
    cells = AnnData(np.zeros((60, 1), dtype=np.float32), obs)
    rng = np.random.default_rng(0)
    cells.obsm["X_sctrans"] = rng.normal(size=(60, 5)).astype(np.float32)
    cells.uns[KEY] = {
        "method": "sctrans",
        "version": "0.1.0",
        "seed": 7,
        "options": '{"dim": 64}',
        "hash": "ab" * 32,
        "types": np.array(["B", HOSTILE, CLOSING, "never given"]),
        "coverage": {"rna": {"reference": 400, "shared": 300, "matched_by": "names → names"}},
        "notes": np.array(["X read as counts <b>"]),
    }
    return cells
