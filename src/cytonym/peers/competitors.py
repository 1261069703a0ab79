"""Who competes: peers, and every method of ours by the same door; one record each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cytonym.errors import OptionError, suggest
from cytonym.methods import Method, registry
from cytonym.options import parse

RNA, ATAC = "rna", "atac"
SKLEARN = ("numpy", "scipy", "pandas", "anndata", "scikit-learn")
SCANPY = (*SKLEARN, "scanpy")
SCVI = (*SCANPY, "mudata", "scvi-tools")


@dataclass(frozen=True, slots=True)
class Competitor:
    """A method that learns from labelled cells and names others, in a process of its own.

    Attributes
    ----------
    name
        What it is called.
    what
        What it is, in one line.
    modalities
        Those that it reads.
    packages
        What its environment needs, by the names under which they are installed.
    ours
        Whether it is a method of cytonym.
    recipe
        ``file.function`` in ``recipes`` that fits it.
    settings
        Its settings with their defaults; of ours, those that differ from the method's own.
    optional
        Whether it can do with some of its modalities.
    together
        Of each of these groups it needs one modality.
    seeded
        Whether the seed changes its answer noticeably.
    sees_query
        Whether it learns from the cells of the query too, without their labels, as published.
    dna
        Whether it reads the genome under the peaks (``options={"genome": FILE}``).
    """

    name: str
    what: str
    modalities: tuple[str, ...]
    packages: tuple[str, ...]
    ours: bool
    recipe: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False
    together: tuple[tuple[str, ...], ...] = ()
    seeded: bool = False
    sees_query: bool = False
    dna: bool = False

    def reads(self, have: Collection[str]) -> tuple[str, ...]:
        """Those of the modalities ``have`` that it would read; none where they do not suffice."""
        chosen = tuple(name for name in self.modalities if name in have)
        if len(chosen) < len(self.modalities) and not self.optional:
            return ()
        return chosen if all({*group} & {*chosen} for group in self.together) else ()


GENES = {"genes": 3000}
PCS = {**GENES, "components": 50}
LSI = {**PCS, "singular_vectors": 30, "least_cells": 5}

PEERS = (
    Competitor(
        "lr", "logistic regression on log1p CP10k of the variable genes (scikit-learn)",
        (RNA,), SCANPY, False, "simple.lr", {**GENES, "C": 1.0},
    ),
    Competitor(
        "lr_pcs", "logistic regression on principal components of the scaled genes (scikit-learn)",
        (RNA,), SCANPY, False, "simple.lr_pcs", {**PCS, "C": 1.0},
    ),
    Competitor(
        "svm", "linear support vector machine on log1p CP10k of the variable genes (scikit-learn)",
        (RNA,), SCANPY, False, "simple.svm", {**GENES, "C": 1.0},
    ),
    Competitor(
        "knn", "vote of the nearest cells on principal components (scikit-learn)",
        (RNA,), SCANPY, False, "simple.knn", {**PCS, "neighbours": 15},
    ),
    Competitor(
        "celltypist", "CellTypist, trained on the reference, without majority voting",
        (RNA,), (*SCANPY, "celltypist"), False, "typist.celltypist",
    ),
    Competitor(
        "scanvi", "scVI on reference and query, then scANVI with the query's labels unknown",
        (RNA,), SCVI, False, "latent.scanvi",
        {**GENES, "layers": 2, "latent": 30, "scanvi_epochs": 20, "cells_per_label": 100},
        seeded=True, sees_query=True,
    ),
    Competitor(
        "lsi_lr", "logistic regression on TF-IDF singular vectors, beside principal components "
        "where there is RNA (scikit-learn)",
        (RNA, ATAC), SCANPY, False, "simple.lsi_lr", {**LSI, "unit": False, "C": 1.0},
        optional=True, together=((ATAC,),),
    ),
    Competitor(
        "lsi_unit_lr", "lsi_lr with each cell's singular vectors scaled to length 1",
        (RNA, ATAC), SCANPY, False, "simple.lsi_lr", {**LSI, "unit": True, "C": 1.0},
        optional=True, together=((ATAC,),),
    ),
    Competitor(
        "peakvi", "PeakVI on the reference, logistic regression on its latent space",
        (ATAC,), SCVI, False, "latent.peakvi", {"least_share": 0.0, "C": 1.0}, seeded=True,
    ),
    Competitor(
        "multivi", "MultiVI on the reference, logistic regression on its latent space",
        (RNA, ATAC), SCVI, False, "latent.multivi", {"least_share": 0.0, "C": 1.0}, seeded=True,
    ),
)  # fmt: skip
"""The peers; what each is in full, and why, is in ``docs/peers.md``."""

VARIANTS = {"seqalign:lsi": {"embedder": "lsi"}}
"""Ours beside the defaults and the presets: seqalign where there is no genome."""


def own(name: str, method: Method, settings: Mapping[str, Any]) -> Competitor:
    """A method of ours as a competitor."""
    options = parse(method.Options, settings, presets=method.presets)
    words = ", ".join(f"{key}={value}" for key, value in settings.items())
    return Competitor(
        name=name,
        what=f"{method.summary} ({words or 'defaults'})",
        modalities=tuple(method.needs.modalities),
        packages=("cytonym",),
        ours=True,
        recipe="own.fit",
        settings={"method": method.name, **settings},
        optional=method.needs.optional,
        together=method.needs.together,
        seeded=True,
        sees_query=method.needs.query,
        dna=bool(method.own(options)),
    )


def _all() -> dict[str, Competitor]:
    """Ours with the defaults and with each preset, then the peers."""
    found: dict[str, Competitor] = {}
    for method in registry().values():
        found[method.name] = own(method.name, method, {})
        for preset in method.presets:
            name = f"{method.name}:{preset}"
            found[name] = own(name, method, {"preset": preset})
        for name, settings in VARIANTS.items():
            if name.partition(":")[0] == method.name:
                found[name] = own(name, method, settings)
    return found | {peer.name: peer for peer in PEERS}


COMPETITORS: Mapping[str, Competitor] = MappingProxyType(_all())
"""All competitors by name: ours first."""


def competitor(name: str) -> Competitor:
    """The competitor called ``name``; an unknown name is an :class:`OptionError`."""
    if name not in COMPETITORS:
        raise OptionError(f"No competitor {name!r}. {suggest(name, [*COMPETITORS])}")
    return COMPETITORS[name]
