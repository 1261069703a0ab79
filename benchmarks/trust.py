"""Are probabilities calibrated, do sets cover, are new types and doublets told? On real data.

    python benchmarks/trust.py --data DIR --out FOLDER --seeds 0-4 --part within
    python benchmarks/trust.py --data DIR --out FOLDER --seeds 0-4 --part together
    python benchmarks/trust.py --data DIR --out FOLDER --seeds 0-4 --part without

``within``: a model of each kind learns from the reference of each task; calibration and coverage on
its query. ``together``: the consensus of these models. ``without``: of each data set one type after
another (of those with 30 cells or more; each is left out with one of five seeds) is left out of the
reference, and its cells among the query have to be told from the others: AUROC of cytonym's score,
and of each sign alone. Models are kept under FOLDER/models, lines in ``trust_*.jsonl``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.stats import entropy
from sklearn.metrics import roc_auc_score

import common
import cytonym
import splits
from cytonym.data.altered import pairs_of
from cytonym.data.read import Reading
from cytonym.evaluate import scores
from cytonym.evaluate.reliability import calibration_error
from cytonym.reserved import REJECTED
from cytonym.trust.calibrate import tempered
from cytonym.trust.unknown import signs

KINDS: dict[str, dict[str, Any]] = {
    "linear": {"method": "linear"},
    "components": {"method": "linear", "options": {"components": 50}},
    "sctrans": {"method": "sctrans"},
}
SETS = ("zheng_facs_pbmc", "pbmc3k", "scdcc_cite_cbmc_nogenes")
LEAST = 30

Parts = tuple[ad.AnnData, ad.AnnData, str]


def kang(seed: int, data: Path) -> Parts:
    """Control cells, then stimulated ones."""
    cells = splits._read("kang_pbmc_subset", "cell_type", data)
    stimulated = (cells.obs["condition"].astype(str) == "stim").to_numpy()
    return cells[~stimulated].copy(), cells[stimulated].copy(), "cell_type"


def technology(left: int, seed: int, data: Path) -> Parts:
    """All technologies but one, then that one."""
    cells = splits._read("symphony_pbmc_3tech", "cell_type", data)
    batch = cells.obs["batch"].astype(str)
    mine = (batch == sorted(batch.unique())[left]).to_numpy()
    return several(cells[~mine]), cells[mine].copy(), "cell_type"


def several(cells: ad.AnnData) -> ad.AnnData:
    """Without types of which there are fewer cells than a split within a set asks for."""
    sizes = cells.obs["cell_type"].value_counts()
    return cells[(cells.obs["cell_type"].map(sizes) >= splits.MIN_CELLS).to_numpy()].copy()


TASKS: dict[str, Callable[[int, Path], Parts]] = {
    **{name: partial(splits.load, name) for name in splits.TASKS},
    "kang": kang,
    **{f"symphony_{left}": partial(technology, left) for left in range(3)},
}


def model_of(folder: Path, reference: ad.AnnData, label: str, kind: str, seed: int) -> Any:
    """The model in ``folder``; fitted on ``reference`` if there is none."""
    if not folder.exists():
        model = cytonym.fit(reference, labels=label, seed=seed, progress=False, **KINDS[kind])
        folder.parent.mkdir(parents=True, exist_ok=True)
        model.save(folder)
    return cytonym.load(folder)


def within(args: Any, task: str, kind: str, seed: int) -> dict[str, Any]:
    """Calibration and coverage."""
    reference, query, label = TASKS[task](seed, args.data)
    model = model_of(args.out / "models" / f"{task}-{kind}-{seed}", reference, label, kind, seed)
    truth = query.obs[label].astype(str).to_numpy()
    calls = model.annotate(query, progress=False)
    said = model.asked(model.opened(query, Reading()))
    names = np.array(model.label_names)
    bare, found = tempered(said.scores, 1.0), calls.probabilities.to_numpy()
    named = names[found.argmax(1)]
    right, known = named == truth, np.isin(truth, names)
    inside = model.trust.sets(said, 0.9)
    codes = pd.Index(names).get_indexer(truth)[known]
    full = [one in some for one, some in zip(truth, calls.sets, strict=True)]
    lost = np.isin(calls.labels, REJECTED)
    return {
        "n": len(truth),
        "accuracy": float(right.mean()),
        "macro_f1": float(scores(truth, named).macro_f1),
        "ece_before": calibration_error(right, bare.max(1)),
        "ece_after": calibration_error(right, calls.confidence),
        "ece_floor": floor(calls.confidence, seed),
        "coverage": float(inside[known][np.arange(len(codes)), codes].mean()),
        "coverage_never_empty": float(np.mean(np.array(full)[known])),
        "size": float(inside.sum(1).mean()),
        "size_never_empty": float(np.mean([len(one) for one in calls.sets])),
        "lost": float(lost[known].mean()),
        "lost_of_right": float(lost[right].mean()),
        "doublets": doubled(model, query, label, seed),
    }


def together(args: Any, task: str, seed: int) -> dict[str, Any]:
    """The consensus of the models that ``within`` left."""
    _, query, label = TASKS[task](seed, args.data)
    folders = [args.out / "models" / f"{task}-{kind}-{seed}" for kind in KINDS]
    both = cytonym.consensus(folders)
    truth = query.obs[label].astype(str).to_numpy()
    calls = both.annotate(query, progress=False)
    found = calls.probabilities.to_numpy()
    named = np.array(both.label_names)[found.argmax(1)]
    return {
        "n": len(truth),
        "accuracy": float((named == truth).mean()),
        "macro_f1": float(scores(truth, named).macro_f1),
        "ece_after": calibration_error(named == truth, calls.confidence),
        "weights": dict(zip(KINDS, map(float, both.jury.weights), strict=True)),
        "agreement": float(calls.agreement.mean()),
        "single": {
            kind: float(scores(truth, one).macro_f1)
            for kind, one in zip(KINDS, calls.answers.values(), strict=True)
        },
    }


def floor(confidence: np.ndarray, seed: int) -> float:
    """The error that perfectly calibrated cells of this confidence would show."""
    rng = np.random.default_rng(seed)
    draws = [rng.random(len(confidence)) < confidence for _ in range(20)]
    return float(np.mean([calibration_error(one, confidence) for one in draws]))


def doubled(model: Any, query: ad.AnnData, label: str, seed: int) -> float | None:
    """AUROC of doublets that are made of the query's cells, against these cells."""
    if model.trust.doublets is None:
        return None
    y = query.obs[label].astype("category").cat.codes.to_numpy()
    pairs = pairs_of(y, np.zeros(len(y)), min(len(y), 500), seed=seed)
    two = ad.AnnData(query.X[pairs[:, 0]] + query.X[pairs[:, 1]], var=query.var)
    said = [model.asked(model.opened(cells, Reading())) for cells in (query, two)]
    odds = [model.trust.doubled(one) for one in said]
    new = np.repeat([False, True], [len(one) for one in odds])
    return float(roc_auc_score(new, np.concatenate(odds)))


def without(args: Any, name: str, kind: str, seed: int, gone: str) -> dict[str, Any]:
    """AUROC of the cells of a type that the reference lacks."""
    reference, query, label = splits.load(name, seed, args.data)
    kept = reference[(reference.obs[label].astype(str) != gone).to_numpy()].copy()
    folder = args.out / "models" / f"{name}-{kind}-{seed}-without-{slug(gone)}"
    model = model_of(folder, kept, label, kind, seed)
    said = model.asked(model.opened(query, Reading()))
    new = (query.obs[label].astype(str) == gone).to_numpy()
    p = model.trust.probabilities(said)
    cool = model.trust.temperatures.cool(said)
    single = signs(cool, model.trust.rejector.reference)
    near = model.trust.rejector.reference.near.distance(said.z)
    found = {
        "cytonym": model.trust.strange(said),
        "max probability": 1 - p.max(1),
        "entropy": entropy(p.clip(1e-9), axis=1),
        "kNN distance": near,
        **single,
    }
    calls = model.annotate(query, progress=False).labels
    return {
        "n": int(new.sum()),
        "auroc": {title: float(roc_auc_score(new, one)) for title, one in found.items()},
        "found": float((calls[new] == "Unknown").mean()),
        "lost": float(np.isin(calls[~new], REJECTED).mean()),
    }


def slug(name: str) -> str:
    """A name that a folder can have."""
    return "".join(one if one.isalnum() else "_" for one in name)


def gone_of(name: str, seed: int, many: int, data: Path) -> list[str]:
    """The types that are left out with this seed: each type once, over the seeds."""
    reference, query, label = splits.load(name, seed, data)
    sizes = pd.concat([reference.obs[label], query.obs[label]]).astype(str).value_counts()
    types = sorted(sizes.index[sizes >= LEAST])
    return [str(one) for one in types[seed::5][:many]]


def main() -> None:
    """What is asked for, then its table."""
    parser = common.arguments(__doc__)
    parser.add_argument("--part", choices=["within", "without", "together"], default="within")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--tasks", default=",".join(TASKS))
    parser.add_argument("--most", type=int, default=9, help="types left out with a seed, at most")
    args = common.start(parser)
    rows = []
    for seed in args.seeds:
        for task in args.tasks.split(","):
            kinds = args.kinds.split(",") if args.part != "together" else ["consensus"]
            for kind in kinds:
                key = {"part": args.part, "task": task, "kind": kind, "seed": seed}
                path = args.out / f"trust_{args.part}_{kind}.jsonl"
                if args.part == "together":
                    run = partial(together, args, task, seed)
                    rows.append(common.once(path, key, run))
                    continue
                if args.part == "within":
                    run = partial(within, args, task, kind, seed)
                    rows.append(common.once(path, key, run))
                    continue
                for gone in gone_of(task, seed, args.most, args.data):
                    run = partial(without, args, task, kind, seed, gone)
                    rows.append(common.once(path, {**key, "gone": gone}, run))
    flat = pd.json_normalize(rows)
    numbers = [one for one in flat.select_dtypes("number").columns if one not in ("seed", "n")]
    means = flat.groupby(["task", "kind"], sort=False)[numbers].mean().round(3).reset_index()
    common.write(args, f"trust_{args.part}", f"Trust: {args.part}", [means])


if __name__ == "__main__":
    main()
