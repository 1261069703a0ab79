"""Embeddings of the SNARE-seq mouse cortex by scVI, PeakVI and MultiVI, saved to be scored.

    python benchmarks/dcca_peers.py --data DIR --out FOLDER --methods scvi,peakvi --seeds 0-4

Needs an environment with scvi-tools 1.4, and nothing of cytonym. scVI reads RNA, PeakVI ATAC,
MultiVI both, all with the defaults of scvi-tools, without labels and without a batch key. Without
``--folds`` a model learns from all cells with a type and embeds them: ``METHOD_SEED.npz``. With
``--folds`` it learns from six of the eight libraries and embeds the other two, four times:
``METHOD_foldK_SEED.npz``. A file that exists is not made again. ``dcca_clusters.py`` scores them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import mudata
import numpy as np
import scvi
import torch
from lightning.pytorch.callbacks import Timer

FILE, LABEL, JUNK = "multiome/snare_mouse_cortex.h5mu", "cell_type", "Mis"
PAIRS = ((0, 1), (2, 3), (4, 5), (6, 7))
"""Libraries of the query of each fold, in the order of their names: as in ``snare.py``."""

Parts = Mapping[str, ad.AnnData]


def read(data: Path) -> dict[str, ad.AnnData]:
    """Counts of both modalities of the cells with a type, with the library as only column."""
    with h5py.File(data / FILE, "r") as file:
        parts: Any = {name: ad.io.read_elem(file[f"mod/{name}"]) for name in ("rna", "atac")}
    kept = (parts["rna"].obs[LABEL].astype(str) != JUNK).to_numpy()
    return {
        name: ad.AnnData(one.X[kept], obs=one.obs.loc[kept, ["batch"]], var=one.var[[]])
        for name, one in parts.items()
    }


def tasks(parts: Parts, folds: str) -> Iterator[tuple[str, Parts, Parts]]:
    """Part of the file's name, cells to learn from, and cells to embed."""
    if not folds:
        yield "", parts, parts
        return
    library = parts["rna"].obs["batch"].astype(str).to_numpy()
    names = np.unique(library)
    for place in sorted(int(word) for word in folds.split(",")):
        asked = np.isin(library, names[list(PAIRS[place])])
        reference = {name: one[~asked].copy() for name, one in parts.items()}
        yield f"fold{place}_", reference, {name: one[asked].copy() for name, one in parts.items()}


def scvi_of(parts: Parts) -> tuple[Any, Callable[[Parts], Any]]:
    """Untrained scVI on RNA, and what makes its input from both modalities."""
    scvi.model.SCVI.setup_anndata(parts["rna"])
    return scvi.model.SCVI(parts["rna"]), lambda asked: asked["rna"]


def peakvi_of(parts: Parts) -> tuple[Any, Callable[[Parts], Any]]:
    """Untrained PeakVI on ATAC, and what makes its input from both modalities."""
    scvi.model.PEAKVI.setup_anndata(parts["atac"])
    return scvi.model.PEAKVI(parts["atac"]), lambda asked: asked["atac"]


def multivi_of(parts: Parts) -> tuple[Any, Callable[[Parts], Any]]:
    """Untrained MultiVI on both, and what makes its input from both modalities."""
    both = paired(parts)
    scvi.model.MULTIVI.setup_mudata(both, modalities={"rna_layer": "rna", "atac_layer": "atac"})
    genes, peaks = (parts[name].n_vars for name in ("rna", "atac"))
    model = scvi.model.MULTIVI(both, n_genes=genes, n_regions=peaks)
    return model, paired


def paired(parts: Parts) -> mudata.MuData:
    """Both modalities, with the column that MultiVI wants to see in new cells too."""
    both = mudata.MuData(dict(parts))
    both.obs["_indices"] = np.arange(both.n_obs)
    return both


METHODS = {"scvi": scvi_of, "peakvi": peakvi_of, "multivi": multivi_of}


def embed(
    method: str, reference: Parts, query: Parts, *, seed: int, minutes: float
) -> dict[str, Any]:
    """Learn from the reference, and embed the query: what a file holds.

    ``embedding`` is ``(cells, latent)`` float32, the means of the posterior, and ``cells`` their
    names; ``seconds`` and ``epochs`` are of the training, ``most_epochs`` its limit, and ``cut``
    says whether the minutes ended it.
    """
    scvi.settings.seed = seed
    model, as_input = METHODS[method](reference)
    clock = Timer(duration=timedelta(minutes=minutes), interval="epoch")
    start = time.perf_counter()
    model.train(accelerator="cpu", callbacks=[clock], enable_progress_bar=False)
    seconds = time.perf_counter() - start
    asked = None if query is reference else as_input(query)
    left = clock.time_remaining()
    return {
        "embedding": np.asarray(model.get_latent_representation(asked), dtype=np.float32),
        "cells": query["rna"].obs_names.to_numpy().astype(str),
        "seconds": round(seconds, 1),
        "epochs": len(model.history["elbo_train"]),
        "most_epochs": model.trainer.max_epochs,
        "cut": left is not None and left <= 0,
        "scvi_tools": scvi.__version__,
        "n_reference": reference["rna"].n_obs,
    }


def save(path: Path, found: Mapping[str, Any]) -> None:
    """Write a file as a whole, so that a run that is ended leaves none or all of it."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as handle:
        np.savez_compressed(handle, **found)
    os.replace(handle.name, path)


def main() -> None:
    """Every method, seed and task without a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder for the embeddings")
    parser.add_argument("--methods", default="scvi,peakvi,multivi", help="comma-separated")
    parser.add_argument("--seeds", default="0-4", help="such as 0 or 0-4")
    parser.add_argument("--folds", default="", help="such as 0,1,2,3; without: all cells")
    parser.add_argument("--minutes", type=float, default=60, help="end a training after so many")
    args = parser.parse_args()
    if unknown := set(args.methods.split(",")) - set(METHODS):
        parser.error(f"no method {', '.join(sorted(unknown))}; there are {', '.join(METHODS)}")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    warnings.filterwarnings("ignore")
    args.out.mkdir(parents=True, exist_ok=True)
    first, _, last = args.seeds.partition("-")
    parts = read(args.data)
    for method in args.methods.split(","):
        for seed in range(int(first), int(last or first) + 1):
            for name, reference, query in tasks(parts, args.folds):
                path = args.out / f"{method}_{name}{seed}.npz"
                if path.exists():
                    continue
                found = embed(method, reference, query, seed=seed, minutes=args.minutes)
                save(path, found)
                shape = "×".join(str(n) for n in found["embedding"].shape)
                words = f"{found['epochs']} of {found['most_epochs']} epochs"
                ended = ", ended by --minutes" if found["cut"] else ""
                print(f"{path.name}: {shape}, {words}, {found['seconds']} s{ended}", flush=True)


if __name__ == "__main__":
    main()
