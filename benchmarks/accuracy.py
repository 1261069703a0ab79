"""Measure cytonym and its peers on the same splits of real data.

    python benchmarks/accuracy.py --data DIR --out FILE --methods all --tasks all --seeds 0-4

One JSON line is appended per (task, method, seed); lines already in the file are not run again.
Each method sees the labels and the expression of the reference only. CellTypist is imported only
when asked for and needs an environment with scikit-learn below 1.8.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scanpy as sc
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, recall_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import splits

N_GENES = 3000
N_PCS = 50
CLIP = 10.0
PACKAGES = ("numpy", "scipy", "scikit-learn", "anndata", "scanpy", "celltypist", "torch", "cytonym")

Predict = Callable[[ad.AnnData], np.ndarray]


def log_cp10k(adata: ad.AnnData) -> ad.AnnData:
    """Copy with counts scaled to 10,000 per cell over the genes at hand, then log1p."""
    out = ad.AnnData(adata.X.copy(), obs=adata.obs.copy(), var=pd.DataFrame(index=adata.var_names))
    sc.pp.normalize_total(out, target_sum=1e4)
    sc.pp.log1p(out)
    return out


def variable_genes(logged: ad.AnnData) -> np.ndarray:
    """Boolean mask of the variable genes; all genes when there are no more than `N_GENES`."""
    if logged.n_vars <= N_GENES:
        return np.ones(logged.n_vars, dtype=bool)
    found = sc.pp.highly_variable_genes(logged, n_top_genes=N_GENES, flavor="seurat", inplace=False)
    return found["highly_variable"].to_numpy()


def dense(matrix: object) -> np.ndarray:
    """Dense float64 array of a sparse or dense matrix."""
    array = matrix.toarray() if sparse.issparse(matrix) else matrix
    return np.asarray(array, dtype=np.float64)


def logistic(seed: int) -> LogisticRegression:
    """The logistic regression that both linear baselines share."""
    return LogisticRegression(C=1.0, max_iter=1000, random_state=seed)


def fit_lr_hvg(reference: ad.AnnData, labels: np.ndarray, seed: int) -> Predict:
    """Logistic regression on the log expression of the variable genes."""
    logged = log_cp10k(reference)
    genes = variable_genes(logged)
    model = logistic(seed).fit(dense(logged.X[:, genes]), labels)
    return lambda query: model.predict(dense(log_cp10k(query).X[:, genes]))


def fit_on_pcs(reference: ad.AnnData, labels: np.ndarray, seed: int, model: object) -> Predict:
    """Fit `model` on principal components of the scaled, clipped variable genes."""
    logged = log_cp10k(reference)
    genes = variable_genes(logged)
    values = dense(logged.X[:, genes])
    scaler = StandardScaler().fit(values)
    scaled = np.clip(scaler.transform(values), -CLIP, CLIP)
    pca = PCA(min(N_PCS, min(scaled.shape) - 1), svd_solver="arpack", random_state=seed)
    model.fit(pca.fit_transform(scaled), labels)

    def predict(query: ad.AnnData) -> np.ndarray:
        values = scaler.transform(dense(log_cp10k(query).X[:, genes]))
        return model.predict(pca.transform(np.clip(values, -CLIP, CLIP)))

    return predict


def fit_lr_pcs(reference: ad.AnnData, labels: np.ndarray, seed: int) -> Predict:
    """Logistic regression on principal components."""
    return fit_on_pcs(reference, labels, seed, logistic(seed))


def fit_knn_pcs(reference: ad.AnnData, labels: np.ndarray, seed: int) -> Predict:
    """Vote of the 15 nearest reference cells on principal components."""
    return fit_on_pcs(reference, labels, seed, KNeighborsClassifier(n_neighbors=15))


def fit_celltypist(reference: ad.AnnData, labels: np.ndarray, seed: int) -> Predict:
    """CellTypist with its own defaults, without majority voting.

    Expression is normalised over the genes at hand, so that CellTypist's own test of its input
    (10,000 counts per cell, no value above 9.22) holds for gene subsets too.
    """
    import celltypist

    celltypist.logger.set_level(40)
    model = celltypist.train(
        log_cp10k(reference),
        labels,
        feature_selection=False,
        n_jobs=1,
        check_expression=True,
        random_state=seed,
    )

    def predict(query: ad.AnnData) -> np.ndarray:
        result = celltypist.annotate(log_cp10k(query), model=model, majority_voting=False)
        return result.predicted_labels["predicted_labels"].to_numpy().astype(str)

    return predict


def ours(method: str, **options: object) -> Callable[[ad.AnnData, np.ndarray, int], Predict]:
    """A method of cytonym with its defaults but for ``options``.

    The first fit, which only serves the report's held-out table, is left out.
    """

    def fit(reference: ad.AnnData, labels: np.ndarray, seed: int) -> Predict:
        import torch

        import cytonym

        torch.set_num_threads(1)  # numba, loaded by scanpy, sets it to all cores
        reference = ad.AnnData(
            reference.X, obs=pd.DataFrame({"label": labels}, reference.obs_names), var=reference.var
        )
        model = cytonym.fit(
            reference,
            labels="label",
            method=method,
            seed=seed,
            options=options,
            validation=0,
            progress=False,
        )
        return lambda query: model.annotate(query, progress=False).labels

    return fit


METHODS: dict[str, Callable[[ad.AnnData, np.ndarray, int], Predict]] = {
    "lr_hvg": fit_lr_hvg,
    "lr_pcs": fit_lr_pcs,
    "knn_pcs": fit_knn_pcs,
    "celltypist": fit_celltypist,
    "linear": ours("linear"),
    "sctrans": ours("sctrans"),
    "sctrans_paper": ours("sctrans", preset="paper"),
}


def scores(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Accuracy, balanced accuracy and macro-F1 over the classes present in the truth."""
    over = {"labels": np.unique(truth), "average": "macro", "zero_division": 0}
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "balanced_accuracy": float(recall_score(truth, predicted, **over)),
        "macro_f1": float(f1_score(truth, predicted, **over)),
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that the numbers may depend on."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def measure(task: str, method: str, seed: int, data_dir: Path) -> dict[str, object]:
    """Run one method on one split and return its result line."""
    reference, query, label = splits.load(task, seed, data_dir)
    labels, truth = (part.obs[label].to_numpy().astype(str) for part in (reference, query))
    start = time.perf_counter()
    predict = METHODS[method](reference, labels, seed)
    fitted = time.perf_counter()
    predicted = predict(query)
    done = time.perf_counter()
    return {
        "task": task,
        "method": method,
        "seed": seed,
        **scores(truth, predicted),
        "n_train": reference.n_obs,
        "n_test": query.n_obs,
        "n_genes": reference.n_vars,
        "fit_seconds": round(fitted - start, 3),
        "predict_seconds": round(done - fitted, 3),
        "deterministic": is_fixed(task, method),
        "versions": versions(),
        "sha256": splits.data_hashes(task, data_dir),
    }


def is_fixed(task: str, method: str) -> bool:
    """Whether the seed makes no difference worth a second run."""
    return splits.TASKS[task].is_transfer and not method.startswith("sctrans")


def plan(tasks: Iterable[str], methods: Iterable[str], seeds: list[int]) -> list[tuple]:
    """All (task, method, seed) to run, a transfer with its first seed only.

    Its cells are fixed, and the seed of a peer then reaches only the start vector of the PCA,
    which moves `lr_pcs` by less than .001; a network also starts from other weights.
    """
    return [
        (task, method, seed)
        for task in tasks
        for method in methods
        for seed in (seeds[:1] if is_fixed(task, method) else seeds)
    ]


def read_results(path: Path) -> list[dict[str, object]]:
    """Result lines written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(results: list[dict[str, object]]) -> pd.DataFrame:
    """Mean and standard deviation of macro-F1 per task and method."""
    grouped = pd.DataFrame(results).groupby(["task", "method"])["macro_f1"]
    cells = grouped.apply(lambda f1: f"{f1.mean():.3f} ± {f1.std():.3f}".removesuffix(" ± nan"))
    wide = cells.unstack("method")
    return wide.reindex(index=[task for task in splits.TASKS if task in wide.index])


def parse_seeds(text: str) -> list[int]:
    """Seeds from `0-4` or `0,2,3`."""
    bounds = [part.split("-") for part in text.split(",")]
    return [seed for part in bounds for seed in range(int(part[0]), int(part[-1]) + 1)]


def parse_names(text: str, known: Iterable[str]) -> list[str]:
    """Names from a comma-separated list, or all known ones for `all`."""
    names = list(known) if text == "all" else text.split(",")
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    return names


def main() -> None:
    """Run what is missing, append it to the output, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the .h5ad files")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, appended to")
    parser.add_argument("--methods", default="all", help="comma-separated, or all")
    parser.add_argument("--tasks", default="all", help="comma-separated, or all")
    parser.add_argument("--seeds", default="0-4", help="such as 0-4 or 0,2")
    args = parser.parse_args()
    wanted = plan(
        parse_names(args.tasks, splits.TASKS),
        parse_names(args.methods, METHODS),
        parse_seeds(args.seeds),
    )
    done = {(line["task"], line["method"], line["seed"]) for line in read_results(args.out)}
    warnings.filterwarnings("ignore", category=FutureWarning)
    for task, method, seed in wanted:
        if (task, method, seed) in done:
            continue
        line = json.dumps(measure(task, method, seed, args.data))
        with args.out.open("a") as handle:
            handle.write(line + "\n")
    print(table(read_results(args.out)).to_string())


if __name__ == "__main__":
    main()
