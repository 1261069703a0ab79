"""Every method of the registry on the same small simulated cells."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from torch import Tensor, nn

import cytonym
from cytonym.annotator import Annotator
from cytonym.data.loader import Feed
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.methods import Method
from cytonym.train.loop import train
from cytonym.types import Batch, Stage

TINY: Mapping[str, Mapping[str, Any]] = {
    "dcca": {
        "genes": 100,
        "atac_input": "components",
        "components": 10,
        "dim": 6,
        "rna_hidden": (16,),
        "epi_hidden": (16,),
        "rna_decoder": (16,),
        "epochs": 8,
        "warmup": 2,
        "dropout": 0.0,
        "rna_to_epi": 5.0,
        "batch_size": 48,
        "rna_lr": 1e-2,
        "epi_lr": 1e-2,
    },
    "linear": {"genes": 100},
    "scmoanno": {
        "rna_components": 10,
        "atac_components": 8,
        "atac_weight": 0.3,
        "dim": 16,
        "token": 8,
        "heads": 2,
        "hidden": 16,
        "pretrain_epochs": 8,
        "epochs": 8,
        "batch_size": 48,
        "lr": 5e-3,
    },
    "seqalign": {
        "embedder": "lsi",  # the others need a genome: tests/methods/test_seqalign.py
        "components": 8,
        "neighbours": 8,
        "hidden": 16,
        "epochs": 60,
        "lr": 1e-2,
    },
    "sctrans": {
        "genes": 100,  # no multiple of sub_vector: the last token is filled up
        "smooth_alpha": 0.0,
        "smooth_k": 8,
        "unit_variance": False,
        "sub_vector": 16,
        "dim": 16,
        "heads": 1,
        "decoder_dim": 16,
        "epochs": 8,
        "batch_size": 48,
        "lr": 5e-3,
    },
}
"""Options small enough for tests; a method that is not named here runs with its defaults."""

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "dcca:peaks": {
        "atac_input": "peaks",
        "counts": "zinb",
        "dispersion": "gene-cell",
        "epi_decoder": (16,),
        "negatives": 150,
        "joint": "weighted",
        "first": "epi",
    },
    "scmoanno:cells": {"attend": "cells", "bank": 64},
    "seqalign:sgc": {"mode": "sgc", "batch_size": 48, "epochs": 20},
    "seqalign:cluster": {"mode": "cluster", "teleport": 0.1},
    "seqalign:knn": {"classifier": "knn"},
    "seqalign:sequence": {"embedder": "precomputed", "trunk_hidden": 16, "trunk_epochs": 4},
}
"""Other ways of a method that keep the same promises, as ``method:name``."""

KITS = sorted([*cytonym.methods(), *VARIANTS])

N_REFERENCE, N_QUERY, N_TYPES, N_GENES = 240, 96, 4, 150


class _Captured(Exception):  # noqa: N818
    """Carries what a fit was about to train."""


@dataclass(frozen=True)
class Exact:
    """A feed in float64, where rounding is far below what AdamW would blow up."""

    feed: Feed

    def steps(self, stage: Stage) -> int:
        return self.feed.steps(stage)

    def epoch(self, stage: Stage, **more: Any) -> Iterator[Batch]:
        for batch in self.feed.epoch(stage, **more):
            yield self._double(batch)

    def whole(self, stage: Stage) -> Iterator[Batch]:
        return map(self._double, self.feed.whole(stage))

    @staticmethod
    def _double(batch: Batch) -> Batch:
        x = {name: values.double() for name, values in batch.x.items()}
        counts = {name: rows.to(torch.float64) for name, rows in batch.counts.items()}
        return Batch(x, counts, batch.present, batch.y, batch.domain, batch.key)


@dataclass(frozen=True)
class Kit:
    """One method, its small options, and cells with known types."""

    method: Method
    settings: Mapping[str, Any]
    reference: Any = field(repr=False)
    query: Any = field(repr=False)

    def fit(self, reference: AnnData | None = None, **more: Any) -> Annotator:
        """A whole fit, silent and without the comparison."""
        given: dict[str, Any] = {"validation": 0.0, "progress": False, **more}
        reference = self.reference if reference is None else reference
        if self.method.needs.query:
            given.setdefault("query", self.query)
        name, options = self.method.name, {**self.settings, **given.pop("options", {})}
        return cytonym.fit(reference, labels="cell_type", method=name, options=options, **given)

    def setup(self, *, seed: int = 0) -> tuple[nn.Module, Sequence[Stage], Feed]:
        """The network, stages and cells that a fit would hand to the loop."""

        def caught(net: nn.Module, stages: Sequence[Stage], feed: Feed, **_: Any) -> None:
            raise _Captured(net, stages, feed)

        with (
            mock.patch("cytonym.fitting.run.train", caught),
            pytest.raises(_Captured) as found,
        ):
            self.fit(seed=seed)
        net, stages, feed = found.value.args
        return copy.deepcopy(net), stages, feed

    def short(self, *, epochs: int = 2) -> tuple[nn.Module, list[Stage], Feed]:
        """The same with few epochs, and at least two stages."""
        net, stages, feed = self.setup()
        if len(stages) == 1:
            stages = [*stages, replace(stages[0], name="again")]
        return net, [replace(one, epochs=epochs, patience=None) for one in stages], feed

    def in_double(self) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
        """The weights after 2 epochs a stage in float64, and the losses of each, in as many
        processes as there are.
        """
        net, stages, feed = self.setup()
        stages = [replace(one, epochs=2, patience=None) for one in stages]
        history = train(net.double(), stages, Exact(feed), seed=5)
        return net.state_dict(), history.records

    def widths(self) -> dict[str, str]:
        """The modalities that the method reads here, and how their columns are matched."""
        read = dict(self.method.needs.modalities)
        return {name: read[name] for name in read if name != "methylation"}


def simulated(modalities: Sequence[str]) -> AnnData:
    """Reference and query cells in one table, from the same simulated experiment."""
    n = N_REFERENCE + N_QUERY
    if [*modalities] == ["rna"]:
        return simulate(n, N_GENES, N_TYPES, seed=3, markers_per_type=12, depth=600)
    parts = simulate_multiome(n, N_GENES, N_TYPES, seed=3, n_peaks=200)
    for name, kind in (("rna", "Gene Expression"), ("atac", "Peaks")):
        parts[name].var["feature_types"] = kind
    both = ad.concat(parts, axis="var", join="outer", merge="same")
    both.obs = pd.DataFrame(parts["rna"].obs)
    return both


def embedded(peaks: Sequence[str]) -> str:
    """A file of random numbers in place of DNA."""
    path = Path(mkdtemp()) / "embeddings.npz"
    values = np.random.default_rng(0).standard_normal((len(peaks), 12))
    np.savez(path, peaks=np.array(peaks), embeddings=values)
    return str(path)


def with_gaps() -> Any:
    """200 cells of which 80 have one modality alone."""
    parts = simulate_multiome(200, N_GENES, N_TYPES, seed=4, n_peaks=200)
    return {"rna": parts["rna"][:160].copy(), "atac": parts["atac"][40:].copy()}


def odd_of(kit: Kit) -> Kit:
    """235 labelled cells, of which a batch holds 47 or all, and one without a label."""
    reference = kit.reference[:236].copy()
    reference.obs.iloc[7, reference.obs.columns.get_loc("cell_type")] = None
    return replace(kit, reference=reference)


def kit_of(name: str) -> Kit:
    """The kit of a method, of one of ``VARIANTS``, ``method:gaps`` or ``method:odd``."""
    if name.endswith(":odd"):
        return odd_of(kit_of(name.removesuffix(":odd")))
    method = cytonym.methods()[name.partition(":")[0]]
    if name.endswith(":gaps"):
        return Kit(method, TINY[method.name], with_gaps(), with_gaps())
    cells = simulated([*method.needs.modalities])
    reference, query = cells[:N_REFERENCE].copy(), cells[N_REFERENCE:].copy()
    reference.uns["note"] = {"made": "by a simulation"}
    reference.obsm["place"] = np.arange(2.0 * N_REFERENCE).reshape(-1, 2)
    del query.obs["cell_type"]
    query.obs["truth"] = pd.Categorical(cells.obs["cell_type"][N_REFERENCE:])
    settings = {**TINY.get(method.name, {}), **VARIANTS.get(name, {})}
    if settings.get("embedder") == "precomputed":
        settings["embeddings"] = embedded([*map(str, cells.var_names)])
    return Kit(method, settings, reference, query)


@pytest.fixture(scope="session", params=KITS)
def kit(request: pytest.FixtureRequest) -> Kit:
    return kit_of(request.param)


@pytest.fixture(scope="session")
def all_kits() -> list[str]:
    return [*KITS, "dcca:gaps", "scmoanno:gaps"]


@pytest.fixture
def make_kit() -> Callable[[str], Kit]:
    return kit_of


@pytest.fixture(scope="session")
def pristine(kit: Kit) -> tuple[AnnData, AnnData]:
    """Copies of the cells from before anything was done with them."""
    return kit.reference.copy(), kit.query.copy()


@pytest.fixture(scope="session")
def fitted(kit: Kit, pristine: tuple[AnnData, AnnData]) -> Annotator:
    return kit.fit()


@pytest.fixture(scope="session")
def calls(fitted: Annotator, kit: Kit) -> cytonym.Annotation:
    return fitted.annotate(kit.query, progress=False)


@pytest.fixture(autouse=True)
def same_draws() -> None:
    torch.manual_seed(0)
