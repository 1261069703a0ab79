"""How cells are divided into those that teach and those that are named; every rule by a seed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold, train_test_split

from cytonym.errors import DataError, Problem
from cytonym.reproduce.record import BATCH, LABEL, Case, Data, Divide, Parts

LEAST = 5
"""Types with fewer cells cannot be split and are left out, of reference and query alike."""


def rows(parts: Parts, kept: np.ndarray) -> Parts:
    """Some cells of every modality, as views; ``kept`` are places or a mask."""
    return {name: one[kept] for name, one in parts.items()}


def labels(parts: Parts) -> np.ndarray:
    """``(cells,)`` str, the known types."""
    return next(iter(parts.values())).obs[LABEL].to_numpy().astype(str)


def batches(data: Data) -> np.ndarray:
    """``(cells,)`` str, the batches.

    Raises
    ------
    DataError
        The data set has none, or one.
    """
    if BATCH not in data.obs or data.obs[BATCH].nunique() < 2:
        remedy = "name the column of batches, donors or data sets (--batch COLUMN)"
        raise DataError(Problem("it has no two batches", remedy), subject=data.name)
    return data.obs[BATCH].astype(str).to_numpy()


def sizes_of(y: np.ndarray) -> dict[str, int]:
    """Cells by type, the largest first."""
    return {str(kind): int(n) for kind, n in pd.Series(y).value_counts().items()}


def common_types(data: Data, least: int = LEAST) -> np.ndarray:
    """Places of the cells whose type has enough of them."""
    y = labels(data.parts)
    sizes = sizes_of(y)
    return np.flatnonzero([sizes[kind] >= least for kind in y])


def whole(found: Sequence[Data], seed: int) -> Iterator[Case]:
    """All cells teach and are looked at: for experiments without labels."""
    for data in found:
        yield Case({"data": data.name}, data.parts, data.parts, data)


def holdout(share: float = 0.8) -> Divide:
    """A stratified share teaches, the rest is named."""

    def divide(found: Sequence[Data], seed: int) -> Iterator[Case]:
        for data in found:
            yield _split(data, share, seed, {"data": data.name})

    return divide


def ratios(*shares: float) -> Divide:
    """One case a share of cells that teach; types of which the least would leave three are kept."""
    least = math.ceil(3 / min(min(one, 1 - one) for one in shares))

    def divide(found: Sequence[Data], seed: int) -> Iterator[Case]:
        for data in found:
            for share in shares:
                yield _split(data, share, seed, {"data": data.name, "share": share}, least)

    return divide


def _split(data: Data, share: float, seed: int, key: dict[str, Any], least: int = LEAST) -> Case:
    kept = common_types(data, least)
    if len({*labels(data.parts)[kept]}) < 2:
        what = f"no two types have {least} cells, which the split needs"
        raise DataError(Problem(what, "give data with more cells"), subject=data.name)
    y = labels(data.parts)[kept]
    parts: Any = train_test_split(kept, train_size=share, stratify=y, random_state=seed)
    learn, ask = parts
    return Case(key, rows(data.parts, learn), rows(data.parts, ask), data)


def folds(n: int) -> Divide:
    """Stratified folds over the cells of types that have one for each."""

    def divide(found: Sequence[Data], seed: int) -> Iterator[Case]:
        for data in found:
            kept = common_types(data, n)
            if not len(kept):
                what = f"no type has {n} cells"
                raise DataError(Problem(what, "give data with more cells"), subject=data.name)
            y, parts = labels(data.parts)[kept], rows(data.parts, kept)
            cut = StratifiedKFold(n, shuffle=True, random_state=seed)
            for place, (learn, ask) in enumerate(cut.split(y, y)):
                key = {"data": data.name, "fold": place}
                yield Case(key, rows(parts, learn), rows(parts, ask), data)

    return divide


def uneven(sizes: dict[str, int], *, test: int) -> Divide:
    """Types with so many training cells each, and ``test`` others of each to be named.

    Of data with other types the ones with most cells stand in, in the order of ``sizes``. Where a
    type has too few cells a third of them are named, and all numbers of training cells are
    brought down by one factor, so that their proportions stay.
    """

    def divide(found: Sequence[Data], seed: int) -> Iterator[Case]:
        for data in found:
            y = labels(data.parts)
            counts = sizes_of(y)
            if len(counts) < len(sizes):
                what = f"it has {len(counts)} types, and {len(sizes)} are compared"
                raise DataError(Problem(what, "give data with more types"), subject=data.name)
            same = all(name in counts for name in sizes)
            names = [*sizes] if same else sorted([*counts][: len(sizes)])
            rng, learn, ask = np.random.default_rng(seed), [], []
            held = {name: min(test, counts[name] // 3) for name in names}
            left = {name: counts[name] - held[name] for name in names}
            asked = dict(zip(names, sizes.values(), strict=True))
            factor = min(1.0, *(left[name] / asked[name] for name in names))
            for name in names:
                own = rng.permutation(np.flatnonzero(y == name))
                ask.append(own[: held[name]])
                many = max(round(factor * asked[name]), 2)
                learn.append(own[held[name] :][:many])
            parts = [rows(data.parts, np.sort(np.concatenate(one))) for one in (learn, ask)]
            yield Case({"data": data.name}, parts[0], parts[1], data)

    return divide


def cut_type(*cells: int) -> Divide:
    """Of a stratified 80 %, the smallest type that has enough cells is cut to so many of them."""

    def divide(found: Sequence[Data], seed: int) -> Iterator[Case]:
        for data in found:
            least = math.ceil(max(cells) / 0.8) + 1
            sizes = sizes_of(labels(data.parts))
            enough = [kind for kind in sorted(sizes) if sizes[kind] >= least]
            if not enough:
                what = f"no type has {least} cells"
                raise DataError(Problem(what, "give data with more cells"), subject=data.name)
            cut = min(enough, key=lambda kind: sizes[kind])
            full = _split(data, 0.8, seed, {})
            y = labels(full.reference)
            own = np.random.default_rng(seed).permutation(np.flatnonzero(y == cut))
            for many in cells:
                kept = ~np.isin(np.arange(len(y)), own[many:])
                key = {"data": data.name, "cut": cut, "cells": many}
                yield Case(key, rows(full.reference, kept), full.query, data)

    return divide


def across(types: Sequence[str] = ()) -> Divide:
    """Each data set in turn is named by all others together, on the genes that they share.

    Of one data set alone its batches stand in. ``types`` are kept where all have them. Beside
    it, ``within``: a stratified 80 % of the same data set names the rest.
    """

    def divide(found: Sequence[Data], seed: int) -> Iterator[Case]:
        joined = _joined(found) if len(found) > 1 else found[0]
        y, batch = labels(joined.parts), batches(joined)
        names = np.unique(batch)
        all_have = all({*types} <= {*y[batch == name]} for name in names)
        kept = np.isin(y, list(types)) if types and all_have else np.ones(len(y), bool)
        for name in names:
            own = kept & (batch == name)
            others = rows(joined.parts, kept & ~own)
            key = {"data": str(name), "of": ", ".join(map(str, names))}
            query = rows(joined.parts, own)
            yield Case({**key, "taught by": "others"}, others, query, joined)
            alone = Data(str(name), query, joined.sha256)
            yield _split(alone, 0.8, seed, {**key, "taught by": "itself"})

    return divide


def _joined(found: Sequence[Data]) -> Data:
    """Several data sets as one, with their names as batches, on the genes they share."""
    import anndata as ad

    parts = {}
    for modality in found[0].parts:
        ones = {}
        for data in found:
            one = data.parts[modality]
            obs = pd.DataFrame({LABEL: one.obs[LABEL], BATCH: data.name}, one.obs_names)
            ones[data.name] = ad.AnnData(one.X, obs, pd.DataFrame(index=one.var_names))
        parts[modality] = ad.concat(ones, join="inner", index_unique=" ")
        if not parts[modality].n_vars:
            what = f"they share no {modality} feature"
            subject = ", ".join(data.name for data in found)
            raise DataError(Problem(what, "give data sets with the same names"), subject=subject)
    sha256 = {name: one for data in found for name, one in data.sha256.items()}
    return Data(" + ".join(data.name for data in found), parts, sha256)


def pairs(found: Sequence[Data], seed: int) -> Iterator[Case]:
    """One teaches, another is named, both ways: batches of one data set, or data sets without."""
    sets: list[dict[str, Data]] = [{}]
    for data in found:
        if BATCH not in data.obs or data.obs[BATCH].nunique() < 2:
            sets[0][data.name] = data
            continue
        own = batches(data)
        parts = {name: rows(data.parts, own == name) for name in {*own}}
        several = f" ({data.name})" if len(found) > 1 else ""
        sets.append({f"{name}{several}": replace(data, parts=one) for name, one in parts.items()})
    if len(sets[0]) == 1:
        batches(next(iter(sets[0].values())))  # says what is missing
    for own in sets:
        for first, second in permutations(sorted(own), 2):
            one = own[first]
            yield Case({"data": f"{first} to {second}"}, one.parts, own[second].parts, one)


def one_hidden(found: Sequence[Data], seed: int) -> Iterator[Case]:
    """Each batch in turn is left out of the cells that teach; of its cells one modality is made."""
    for data in found:
        own = batches(data)
        for name in np.unique(own):
            key = {"data": data.name, "generated for": str(name)}
            yield Case(key, rows(data.parts, own != name), rows(data.parts, own == name), data)
