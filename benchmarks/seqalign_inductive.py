"""New cells without a new fit: how near is what they get to what a fit with them would give?

    python benchmarks/seqalign_inductive.py --out FOLDER --seeds 0-2

On the simulated platforms of ``seqalign_simulated.py`` (world ``platform``): the cosine of each
query cell's place (a sample of 1,000 of 4,000 closed peaks, some Newton steps) to the exact minimum
of its loss on the frozen trunk (all peaks, L-BFGS of scipy), and the share of query cells that get
the same name from a fit without them, adapted to the other half of the query, as from a fit with
them.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.special import expit

import common
import cytonym
from cytonym.data.simulate_domains import simulate_domains
from cytonym.options import as_seeds
from cytonym.prep.trunk import Solver
from cytonym.prep.trunk import drawn as drawn_peaks
from cytonym.reproduce.tables import spread
from seqalign_simulated import WORLDS, drawn

ASKED = 100  # cells whose exact minimum is sought
SAMPLED = 1000


def exact(h: np.ndarray, opened: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """The w and b of one cell by scipy."""

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = h @ w
        value = np.logaddexp(0, z).sum() - z[opened].sum() + (penalty * w**2).sum() / 2
        return float(value), h.T @ (expit(z) - opened) + penalty * w

    return minimize(loss, np.zeros(h.shape[1]), jac=True, method="L-BFGS-B").x


def cosines(trunk: torch.Tensor, x: Any, names: np.ndarray, penalty: float) -> np.ndarray:
    """Of the solver, with a sample of closed peaks, to the exact minimum."""
    solver = Solver(trunk, penalty, drawn_peaks(names, SAMPLED))
    found = solver(x[:ASKED])[:, :-1].double().numpy()
    h = torch.cat([trunk, torch.ones(len(trunk), 1)], 1).double().numpy()
    shrink = np.append(np.full(trunk.shape[1], penalty), 1e-3)
    rows = x[:ASKED].toarray() > 0
    want = np.array([exact(h, row, shrink)[:-1] for row in rows])
    return (found * want).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(want, axis=1)


def measure(seed: int) -> dict[str, float]:
    """Both figures on one pair of platforms."""
    with tempfile.TemporaryDirectory() as folder:
        world = simulate_domains(
            folder,
            drawn(seed),
            seed=seed,
            n_cells=1000,
            n_types=8,
            n_peaks=4000,
            overlap=0.3,
            **WORLDS["platform"],
        )
        half = np.arange(1000) % 2 == 0
        models = [
            cytonym.fit(
                world.reference,
                labels="cell_type",
                method="seqalign",
                genome=world.fasta,
                query=query,
                seed=seed,
                options={"window": 500},
                validation=0,
                progress=False,
            )
            for query in (world.query, world.query[half].copy())
        ]
        asked = world.query[~half].copy()
        within, new = (
            one.annotate(asked, genome=world.fasta, progress=False).labels.astype(str)
            for one in models
        )
        transform, space = placing(models[0], world)
        trunk = transform._trunk_of(transform.read(space))
        near = cosines(trunk, asked.X.tocsr(), space.names, float(transform.learned["penalty"]))
    return {
        "cosine, mean": float(near.mean()),
        "cosine, least": float(near.min()),
        "same name": float((within == new).mean()),
    }


def placing(model: cytonym.Annotator, world: Any) -> tuple[Any, Any]:
    """Stage 1 of a model, and the peaks of the query."""
    from cytonym.data.read import open_cells

    space = open_cells(world.query, genome=world.fasta).spaces["atac"]
    return model.transforms["atac"][0], space


def main() -> None:
    """Every seed, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--seeds", default="0-2")
    args = parser.parse_args()
    args.cells, args.words = None, []
    args.out.mkdir(parents=True, exist_ok=True)
    lines = [
        common.once(args.out / "seqalign_inductive.jsonl", {"seed": seed}, partial(measure, seed))
        for seed in as_seeds(args.seeds)
    ]
    table = pd.DataFrame(lines).drop(columns="seed")
    rows = [{name: spread(table[name].to_list()) for name in table.columns}]
    common.write(args, "seqalign_inductive", "New cells without a new fit", [pd.DataFrame(rows)])


if __name__ == "__main__":
    main()
