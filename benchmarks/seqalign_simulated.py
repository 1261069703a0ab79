"""Names across two simulated platforms that share DNA but few peaks: seqalign against what else is.

    python benchmarks/seqalign_simulated.py --out FOLDER --seeds 0-2 --world depth
    python benchmarks/seqalign_simulated.py --out FOLDER --seeds 0-4 --world platform
    python benchmarks/seqalign_simulated.py --out FOLDER --seeds 0-2 --world few    (one, strong)
    python benchmarks/seqalign_simulated.py --out FOLDER --seeds 0 --world platform --ways ablations
    python benchmarks/seqalign_simulated.py --out FOLDER --seeds 0 --world platform --ways curves

Two data sets of ``cytonym.data.simulate_domains``: motifs of JASPAR in random DNA, other peak
calls, 30 % of the loci in both, one type missing on either side. In the world ``depth`` the query
has a tenth of the reads. In the world ``platform`` it has a fifth, its reads prefer GC, three in
ten fall anywhere, and all its cells are in a state that opens peaks of one type; in the worlds
``few`` and ``one`` it also lacks four and six of the eight types, and in ``strong`` the state opens
those peaks twice as far. Compared are seqalign (adapted to the query), the same without the query,
15 neighbours and logistic regression on the same embedding of the DNA, logistic regression on LSI
of the peaks that overlap, and seqalign on shuffled DNA. ``--ways ablations`` changes one option at
a time, ``--ways curves`` k, K and lambda. Scores are of the cells of types that the reference has.
Lines go to ``seqalign_simulated.jsonl``.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

import common
import cytonym
from cytonym.data.simulate_domains import Domains, simulate_domains
from cytonym.dna import jaspar_motifs
from cytonym.evaluate import scores
from cytonym.options import as_dict, as_seeds
from cytonym.reproduce.tables import spread

MOTIFS = 40
WORLDS: dict[str, dict[str, Any]] = {
    "depth": {"depth": 0.1},
    "platform": {"depth": 0.2, "gc_bias": 4.0, "background": 0.3, "state": 1.0},
    "few": {"depth": 0.2, "gc_bias": 4.0, "background": 0.3, "state": 1.0, "absent": 4},
    "one": {"depth": 0.2, "gc_bias": 4.0, "background": 0.3, "state": 1.0, "absent": 6},
    "strong": {"depth": 0.2, "gc_bias": 4.0, "background": 0.3, "state": 2.0},
}
ALONE = "seqalign, no query"
WAYS: dict[str, dict[str, Any]] = {
    "seqalign": {},
    ALONE: {},
    "seqalign, center=mean": {"center": "mean"},
    "seqalign, shuffled DNA": {"change": "shuffled"},
    "seqalign, paper": {"preset": "paper"},
}
ABLATIONS: dict[str, dict[str, Any]] = {
    "seqalign": {},
    "not centred": {"center": "none"},
    "centred by the mean": {"center": "mean"},
    "centred by the mixture": {"center": "mixture"},
    "not aligned": {"align": "none"},
    "neither": {"align": "none", "center": "none"},
    "MMD": {"align": "mmd", "weight": 1.0},
    "MMD, not centred": {"align": "mmd", "weight": 1.0, "center": "none"},
    "CORAL": {"align": "coral", "weight": 10.0},
    "CORAL, not centred": {"align": "coral", "weight": 10.0, "center": "none"},
    "alpha constant": {"schedule": "constant"},
    "alpha linear": {"schedule": "linear"},
    "types weighted as in the query": {"prior": True},
    "as many steps in the reference": {"source_steps": 10},
    "graphs for half": {"graph_share": 0.5},
    "graphs alone": {"graph_share": 1.0},
    "linear path alone": {"graph_share": 0.0},
    "nearest neighbours": {"classifier": "knn"},
    "DNA of a third of the bases mutated": {"change": "mutated"},
    "DNA shuffled": {"change": "shuffled"},
    "DNA random": {"change": "random"},
}
CURVES: dict[str, dict[str, Any]] = {
    **{f"k = {k}": {"neighbours": k} for k in (5, 10, 15, 30, 60)},
    **{f"K = {steps}": {"target_steps": steps} for steps in (0, 2, 5, 10, 30)},
    **{
        f"K = {steps}, no teleport": {"target_steps": steps, "teleport": 0.0}
        for steps in (2, 10, 30)
    },
    **{f"lambda = {weight:g}": {"weight": weight} for weight in (0.0, 0.01, 0.1, 0.3, 1.0)},
}


def drawn(seed: int) -> dict[str, np.ndarray]:
    """Motifs of JASPAR, drawn by the seed."""
    found = [one for one in jaspar_motifs() if len(one) >= 10]
    some = np.random.default_rng(seed).choice(len(found), MOTIFS, replace=False)
    return {found[i].id: found[i].frequencies for i in some}


def mapped(world: Domains) -> tuple[csr_matrix, csr_matrix]:
    """Both data sets over the peaks that overlap, which share a locus."""
    loci = [one.var["locus"].to_numpy() for one in (world.reference, world.query)]
    both = np.intersect1d(*loci)
    x = []
    for one, own in zip((world.reference, world.query), loci, strict=True):
        place = pd.Index(own).get_indexer(pd.Index(both))
        x.append(csr_matrix(one.X[:, place]))
    return x[0], x[1]


def lsi(world: Domains, components: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Singular vectors of TF-IDF of unit length, without the first, fitted on the reference."""
    reference, query = mapped(world)
    weigh = TfidfTransformer().fit(reference)
    svd = TruncatedSVD(components + 1, random_state=0).fit(weigh.transform(reference))
    x = [svd.transform(weigh.transform(one))[:, 1:] for one in (reference, query)]
    scale = StandardScaler().fit(x[0])
    return scale.transform(x[0]), scale.transform(x[1])


def figures(world: Domains, named: np.ndarray) -> dict[str, float]:
    """Accuracy and macro-F1 on the query's cells of types that the reference has."""
    truth = world.query.obs["cell_type"].to_numpy().astype(str)
    known = np.isin(truth, world.reference.obs["cell_type"].to_numpy().astype(str))
    found = scores(truth[known], named.astype(str)[known])
    return {"accuracy": found.accuracy, "macro_f1": found.macro_f1}


def by_seqalign(
    args: argparse.Namespace, world: Domains, seed: int, name: str, way: dict[str, Any]
) -> dict[str, Any]:
    """A fit and its answers; of a fit without the query also what others make of its embedding."""
    model = cytonym.fit(
        world.reference,
        labels="cell_type",
        method="seqalign",
        genome=world.fasta,
        query=None if name == ALONE else world.query,
        seed=seed,
        options={"window": 500, **way, **args.settings},
        validation=0,
        progress=False,
    )
    calls = model.annotate(world.query, genome=world.fasta, progress=False)
    out: dict[str, Any] = {name: figures(world, calls.labels)}
    if name == ALONE:
        parts = [embedded(model, one, world) for one in (world.reference, world.query)]
        out |= by_neighbours(world, "the same embedding", *parts)
    return out


def embedded(model: cytonym.Annotator, data: Any, world: Domains) -> np.ndarray:
    """Stage 1 alone."""
    from cytonym.data.read import Reading

    feed = model.opened(data, Reading(genome=world.fasta)).feed
    return np.concatenate([batch.x["atac"].numpy() for _, batch in feed.batches(512)])


def by_neighbours(
    world: Domains, what: str, reference: np.ndarray, query: np.ndarray
) -> dict[str, Any]:
    """Logistic regression and 15 neighbours."""
    known = world.reference.obs["cell_type"].to_numpy().astype(str)
    models = {
        "logistic regression": LogisticRegression(max_iter=2000),
        "15 neighbours": KNeighborsClassifier(15),
    }
    return {
        f"{name} on {what}": figures(world, np.asarray(model.fit(reference, known).predict(query)))
        for name, model in models.items()
    }


def measure(args: argparse.Namespace, seed: int, ways: dict[str, Any]) -> dict[str, Any]:
    """All of one simulated pair."""
    with tempfile.TemporaryDirectory() as folder:
        world = simulate_domains(
            folder,
            drawn(seed),
            seed=seed,
            n_cells=args.n_cells,
            n_types=args.types,
            n_peaks=args.peaks,
            overlap=args.overlap,
            **WORLDS[args.world],
        )
        found = by_neighbours(world, "LSI of mapped peaks", *lsi(world))
        for name, way in ways.items():
            found |= by_seqalign(args, world, seed, name, way)
    return {"scores": found}


def main() -> None:
    """Every seed, then the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--seeds", default="0-4")
    parser.add_argument("--world", choices=[*WORLDS], default="platform")
    parser.add_argument("--ways", choices=["main", "ablations", "curves"], default="main")
    parser.add_argument("--n-cells", type=int, default=1000)
    parser.add_argument("--types", type=int, default=8)
    parser.add_argument("--peaks", type=int, default=4000)
    parser.add_argument("--overlap", type=float, default=0.3)
    parser.add_argument("--set", action="append", default=[], dest="words", metavar="KEY=VALUE")
    args = parser.parse_args()
    args.cells, args.settings = None, as_dict(args.words)
    args.out.mkdir(parents=True, exist_ok=True)
    ways = {"main": WAYS, "ablations": ABLATIONS, "curves": CURVES}[args.ways]
    sizes = {name: getattr(args, name) for name in ("n_cells", "types", "peaks", "overlap")}
    lines = [
        common.once(
            args.out / "seqalign_simulated.jsonl",
            {"seed": seed, "world": args.world, "ways": [*ways], **sizes, "set": args.words},
            partial(measure, args, seed, ways),
        )
        for seed in as_seeds(args.seeds)
    ]
    rows = [
        {"method": name}
        | {
            key: spread([line["scores"][name][key] for line in lines])
            for key in ("accuracy", "macro_f1")
        }
        for name in lines[0]["scores"]
    ]
    name = f"seqalign_simulated_{args.world}_{args.ways}"
    common.write(args, name, f"Two simulated platforms: {args.world}", [pd.DataFrame(rows)])


if __name__ == "__main__":
    main()
