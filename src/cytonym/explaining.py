"""Why cells get their names: mean salience by type, and tables of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from cytonym.data.loader import Feed
from cytonym.methods import Explains, Method


def mean_salience(
    method: Method, net: nn.Module, feed: Feed, n_types: int, *, batch_size: int = 256
) -> dict[str, np.ndarray]:
    """Mean salience of the labelled cells of ``feed``, by type; empty if there is none to have."""
    if not isinstance(method, Explains):
        return {}
    sums: dict[str, np.ndarray] = {}
    counts = np.zeros(n_types)
    group = None
    for _, batch in feed.batches(batch_size):
        said = method.salience(net, batch)
        if said is None:
            return {}
        (first, *_) = batch.x.values()
        values = first.nan_to_num() if first.shape == said.features.shape else None
        one_hot = np.eye(n_types, dtype=np.float32)[batch.y.numpy()]
        counts += one_hot.sum(0)
        found = {"features": said.features, "tokens": said.tokens, "values": values}
        for name, tensor in found.items():
            if tensor is not None:
                sums[name] = sums.get(name, 0) + one_hot.T @ tensor.detach().float().numpy()
        group = said.group
    means = {name: total / np.maximum(counts, 1)[:, None] for name, total in sums.items()}
    return means if group is None else {**means, "group": group.numpy()}


def by_gene(
    salience: Mapping[str, np.ndarray], names: np.ndarray, types: list[str], top: int
) -> pd.DataFrame:
    """Features by type, those with the largest share of its score first."""
    tables = []
    for code, label in enumerate(types):
        scores = salience["features"][code]
        best = np.argsort(-scores, kind="stable")[:top]
        columns: dict[str, Any] = {
            "type": label,
            "rank": np.arange(1, len(best) + 1),
            "gene": names[best],
            "score": scores[best],
        }
        if "values" in salience:
            above = salience["values"][code] > salience["values"].mean(0)
            columns["expression"] = np.where(above[best], "high", "low")
        if "tokens" in salience:
            place = salience["group"][best]
            columns |= {"sub_vector": place, "salience": salience["tokens"][code, place]}
        tables.append(pd.DataFrame(columns))
    return pd.concat(tables, ignore_index=True)


def by_sub_vector(
    salience: Mapping[str, np.ndarray], names: np.ndarray, types: list[str], top: int
) -> pd.DataFrame:
    """Sub-vectors by type, the most salient first."""
    tokens, group = salience["tokens"], salience["group"]
    rows = [
        {
            "type": label,
            "rank": rank,
            "sub_vector": int(place),
            "salience": float(tokens[code, place]),
            "genes": ",".join(names[group == place]),
        }
        for code, label in enumerate(types)
        for rank, place in enumerate(np.argsort(-tokens[code], kind="stable")[:top], start=1)
    ]
    return pd.DataFrame(rows)
