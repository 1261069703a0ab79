"""The peers of scikit-learn: logistic regression, support vectors, neighbours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from inputs import beside, components, expression, singular_vectors
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

if TYPE_CHECKING:
    from cytonym.peers.recipes.worker import Task

Namer = Callable[[Mapping[str, Any]], dict[str, Any]]


def logistic(seed: int, C: float) -> LogisticRegression:
    """Logistic regression that comes to an end."""
    return LogisticRegression(C=C, max_iter=3000, random_state=seed)


def lr(task: Task) -> Namer:
    """Logistic regression on the log expression of the variable genes."""
    x, turn = expression(task.reference["rna"], task.settings["genes"])
    model = logistic(task.seed, task.settings["C"]).fit(x, task.labels)
    return lambda query: sure(model, turn(query["rna"]))


def svm(task: Task) -> Namer:
    """Linear support vector machine, one type against the others; it gives no probabilities."""
    x, turn = expression(task.reference["rna"], task.settings["genes"])
    model = LinearSVC(C=task.settings["C"], max_iter=5000, random_state=task.seed)
    model.fit(x, task.labels)
    return lambda query: {"labels": model.predict(turn(query["rna"]))}


def lr_pcs(task: Task) -> Namer:
    """Logistic regression on principal components."""
    return _on_components(task, logistic(task.seed, task.settings["C"]))


def knn(task: Task) -> Namer:
    """Vote of the nearest cells of the reference on principal components."""
    nearest = min(task.settings["neighbours"], len(task.labels))
    return _on_components(task, KNeighborsClassifier(nearest))


def _on_components(task: Task, model: Any) -> Namer:
    settings = task.settings
    x, turn = components(
        task.reference["rna"], settings["genes"], settings["components"], task.seed
    )
    model.fit(x, task.labels)
    return lambda query: _placed(model, turn(query["rna"]))


def lsi_lr(task: Task) -> Namer:
    """Logistic regression on singular vectors of the peaks, beside components of the genes."""
    settings, parts = task.settings, {}
    if "rna" in task.reference:
        n = settings["components"]
        parts["rna"] = components(task.reference["rna"], settings["genes"], n, task.seed)
    parts["atac"] = singular_vectors(
        task.reference["atac"],
        settings["singular_vectors"],
        settings["least_cells"],
        task.seed,
        unit=settings["unit"],
    )
    x, turn = beside(parts)
    model = logistic(task.seed, settings["C"]).fit(x, task.labels)
    return lambda query: _placed(model, turn(query))


def sure(model: Any, x: np.ndarray) -> dict[str, Any]:
    """The most probable type of each cell, and how probable it is."""
    chances = model.predict_proba(x)
    return {"labels": model.classes_[chances.argmax(1)], "confidence": chances.max(1)}


def _placed(model: Any, x: np.ndarray) -> dict[str, Any]:
    """The same, with what the model read as the embedding."""
    return {**sure(model, x), "embedding": x}
