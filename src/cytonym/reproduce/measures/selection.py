"""What SCTrans looks at: names from its salient sub-vectors alone, and known markers among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cytonym.errors import DataError, Problem
from cytonym.evaluate import scores
from cytonym.nn.blocks import random_like
from cytonym.reproduce.divide import labels
from cytonym.reproduce.measures.naming import Rows, asked, learn
from cytonym.reproduce.record import Case, Way

DRAWS, TOP_SHARE = 3, 0.1
KEPT = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1)
"""Shares of the sub-vectors that are read (Figure 7)."""

Select = Callable[[Tensor, Tensor, float], Tensor]


def at_random(draw: int) -> Select:
    """Stands in for ``SCTransNet.select``: as many sub-vectors, drawn anew for each cell."""
    first = 0

    def select(tokens: Tensor, shown: Tensor, keep: float) -> Tensor:
        nonlocal first
        key = torch.arange(first, first + len(shown), device=shown.device)
        first += len(shown)
        order = random_like(key, shown.shape[1], seed=draw).masked_fill(~shown, 2.0).argsort(dim=1)
        best = order[:, : max(round(keep * shown.shape[1]), 1)]
        return shown & torch.zeros_like(shown).scatter(1, best, True)

    return select


def selection(case: Case, way: Way, seed: int) -> Rows:
    """Scores where the names rest on some sub-vectors: the salient ones, or as many at random."""
    model = learn(case, way, seed)
    net: Any = model.net
    salient, options, truth = net.select, net.options, labels(case.query)
    out = []
    try:
        for kept in KEPT:
            net.options = options.but(keep=kept)
            for by, draw in [("salient", 0)] + [("random", n) for n in range(DRAWS)]:
                net.select = salient if by == "salient" else at_random(draw)
                found = scores(truth, asked(model, case, case.query).labels)
                row = {"kept": kept, "by": by, "draw": draw}
                out.append({**row, "accuracy": found.accuracy, "macro_f1": found.macro_f1})
    finally:
        net.select, net.options = salient, options
    return out


def markers(case: Case, way: Way, seed: int) -> Rows:
    """Share of the tenth of sub-vectors with the largest M that hold a known marker of the type.

    Raises
    ------
    DataError
        No type of the data has known markers.
    """
    known_of = {
        kind: genes for kind, genes in case.data.markers.items() if kind in {*labels(case.query)}
    }
    if not known_of:
        have, types = ", ".join(case.data.markers) or "none", ", ".join({*labels(case.query)})
        what = f"no markers are known of its types ({types}); there are some of: {have}"
        remedy = "give a table of types and genes (--markers FILE.tsv)"
        raise DataError(Problem(what, remedy), subject=case.data.name)
    model = learn(case, way, seed)
    net: Any = model.net
    count = net.main.tokens.count
    parts = model.explain(top=count, by="sub_vectors")
    panel, top = {*model.feature_names()}, max(round(TOP_SHARE * count), 1)
    out = []
    for kind, genes in known_of.items():
        known = {*genes} & panel
        inside = parts.loc[parts["type"] == kind, "genes"]
        holds = np.array([bool(known & {*text.split(",")}) for text in inside])
        row = {"type": kind, "markers": len(known), "sub_vectors": count}
        out.append(
            {**row, "hit_ratio": float(holds[:top].mean()), "by_chance": float(holds.mean())}
        )
    return out
