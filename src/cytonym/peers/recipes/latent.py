"""The peers of scvi-tools: scANVI, and a classifier on the latent space of PeakVI and MultiVI."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import anndata
import mudata
import numpy as np
import scvi  # pyright: ignore[reportMissingImports]
from inputs import log_cp10k, variable_genes
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

if TYPE_CHECKING:
    from cytonym.peers.recipes.worker import Task

UNKNOWN = "Unknown"
QUIET = {"enable_progress_bar": False}

Namer = Callable[[Mapping[str, Any]], dict[str, Any]]


def scanvi(task: Task) -> Namer:
    """Reference and query together in scVI, then in scANVI, with the query's labels unknown.

    As scvi-tools recommends it: two layers, 30 dimensions, the variable genes of the reference,
    20 epochs of scANVI with 100 cells of each type an epoch. The batch is a covariate if given.
    """
    assert task.query is not None  # as published: the query is seen, without labels
    _start(task)
    if UNKNOWN in task.labels:
        raise SystemExit(f"a type is called {UNKNOWN!r}, which here means a cell without a label")
    settings, learn = task.settings, task.reference["rna"]
    kept = variable_genes(log_cp10k(learn), settings["genes"])
    parts = {"reference": learn[:, kept], "query": task.query["rna"][:, kept]}
    both = anndata.concat(parts, index_unique="-", merge="same")
    rest = np.full(parts["query"].n_obs, UNKNOWN, dtype=object)
    both.obs["label"] = np.concatenate([task.labels.astype(object), rest])
    batch = "batch" if "batch" in both.obs else None
    scvi.model.SCVI.setup_anndata(both, batch_key=batch, labels_key="label")
    base = scvi.model.SCVI(both, n_layers=settings["layers"], n_latent=settings["latent"])
    base.train(**QUIET)
    model = scvi.model.SCANVI.from_scvi_model(base, unlabeled_category=UNKNOWN)
    model.train(
        max_epochs=settings["scanvi_epochs"],
        n_samples_per_label=settings["cells_per_label"],
        **QUIET,
    )
    asked = np.flatnonzero(both.obs["label"].to_numpy() == UNKNOWN)

    def name(query: Mapping[str, Any]) -> dict[str, Any]:
        chances = model.predict(indices=asked, soft=True)
        known = chances.drop(columns=UNKNOWN, errors="ignore")
        return {
            "labels": known.columns.to_numpy()[known.to_numpy().argmax(1)],
            "confidence": known.to_numpy().max(1),
            "embedding": model.get_latent_representation(indices=asked),
        }

    return name


def peakvi(task: Task) -> Namer:
    """PeakVI with its defaults on the reference, logistic regression on the latent space."""
    _start(task)
    kept = _open_peaks(task)
    learn = task.reference["atac"][:, kept].copy()
    scvi.model.PEAKVI.setup_anndata(learn)
    model = scvi.model.PEAKVI(learn)
    model.train(**QUIET)
    return _classified(task, model, lambda query: query["atac"][:, kept].copy(), learn)


def multivi(task: Task) -> Namer:
    """MultiVI with its defaults on the reference, logistic regression on the joint latent space."""
    _start(task)
    kept = _open_peaks(task)

    def paired(parts: Mapping[str, Any]) -> mudata.MuData:
        both = mudata.MuData({"rna": parts["rna"].copy(), "atac": parts["atac"][:, kept].copy()})
        both.obs["_indices"] = np.arange(both.n_obs)  # MultiVI wants to see it in new cells too
        return both

    learn = paired(task.reference)
    scvi.model.MULTIVI.setup_mudata(learn, modalities={"rna_layer": "rna", "atac_layer": "atac"})
    genes, peaks = (learn.mod[name].n_vars for name in ("rna", "atac"))
    model = scvi.model.MULTIVI(learn, n_genes=genes, n_regions=peaks)
    model.train(**QUIET)
    return _classified(task, model, paired, learn)


def _start(task: Task) -> None:
    """Seed, and no warnings of theirs: only errors are for us."""
    warnings.filterwarnings("ignore")
    scvi.settings.verbosity = 40
    scvi.settings.seed = task.seed


def _open_peaks(task: Task) -> np.ndarray:
    """``(peaks,)`` bool: open in more than the least share of the reference's cells."""
    x = task.reference["atac"].X
    share = np.asarray((x > 0).sum(0)).ravel() / x.shape[0]
    return share > task.settings["least_share"]


def _classified(task: Task, model: Any, turn: Callable[..., Any], learn: Any) -> Namer:
    """Names by logistic regression on the scaled latent means."""
    latent = model.get_latent_representation(learn)
    scale = StandardScaler().fit(latent)
    names = LogisticRegression(C=task.settings["C"], max_iter=3000, random_state=task.seed)
    names.fit(scale.transform(latent), task.labels)

    def name(query: Mapping[str, Any]) -> dict[str, Any]:
        found = model.get_latent_representation(turn(query))
        chances = names.predict_proba(scale.transform(found))
        labels = names.classes_[chances.argmax(1)]
        return {"labels": labels, "confidence": chances.max(1), "embedding": found}

    return name
