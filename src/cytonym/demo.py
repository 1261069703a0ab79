"""The demonstration: half of 700 real blood cells teach a model, which then names the others.

Needs no download: the cells come with scanpy (``pbmc68k_reduced``: PBMC of 10x Genomics,
log-normalised counts in ``raw``, labels by likeness to sorted cells).
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from sklearn.model_selection import train_test_split

from cytonym import fit
from cytonym.disk.files import writing
from cytonym.errors import CytonymError, install
from cytonym.evaluate import Scores, scores
from cytonym.places import check_folder
from cytonym.view import confusion, embedding
from cytonym.view.report import report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LABELS, KEY, METHOD = "bulk_labels", "cell_type_pred", "sctrans"


def demo(out: Path, *, progress: bool = True) -> list[str]:
    """Fit on one half, annotate the other, write five files into ``out``.

    Parameters
    ----------
    out
        A folder, made if need be; ``annotated.h5ad``, ``metrics.json``, ``report.html``,
        ``umap.png`` and ``confusion.png`` in it are replaced, and only once all are complete.
    progress
        Whether to show progress bars on stderr.

    Returns
    -------
    list of str
        Five lines that say what was done, with figures.
    """
    check_extras()
    check_folder(out)
    cells = pbmc()
    truth = cells.obs[LABELS].astype(str).to_numpy()
    learn, name = train_test_split(
        np.arange(len(truth)), test_size=0.5, random_state=0, stratify=truth
    )
    reference, query = cells[np.sort(learn)].copy(), cells[np.sort(name)].copy()
    model = fit(reference, labels=LABELS, method=METHOD, seed=0, validation=0.2, progress=progress)
    calls = model.annotate(query, progress=progress)
    found = scores(query.obs[LABELS], calls.labels, known=model.label_names)
    facts = {
        "data": "scanpy.datasets.pbmc68k_reduced",
        "method": METHOD,
        "seed": 0,
        "n_reference": reference.n_obs,
        "n_query": query.n_obs,
        "n_genes": query.n_vars,
        "seconds_fit": round(float(model.report.seconds), 1),
        "held_out_part_of_reference": model.report.table.to_dict(orient="index"),
        "query": found.to_dict(),
    }
    hidden = {"dir": out.parent, "prefix": ".cytonym-demo-"}
    with writing(out), tempfile.TemporaryDirectory(**hidden) as scratch:
        made = Path(scratch)
        calls.write(query, made / "annotated.h5ad", key=KEY)
        report(made / "annotated.h5ad", made / "report.html", model=model, truth=LABELS, key=KEY)
        (made / "metrics.json").write_text(json.dumps(facts, indent=2, allow_nan=False) + "\n")
        picture = _umap(query, calls.labels, calls.confidence)
        picture.savefig(made / "umap.png", dpi=150)
        _confusion(found).savefig(made / "confusion.png", dpi=150)
        names = [file.name for file in sorted(made.iterdir())]
        out.mkdir(exist_ok=True)
        for file in names:
            os.replace(made / file, out / file)
    right = calls.labels == query.obs[LABELS].astype(str).to_numpy()
    return _five_lines(out, names, facts, found, calls.confidence, right)


def check_extras() -> None:
    """Raise a :class:`CytonymError` where scanpy, matplotlib or jinja2 is missing."""
    missing = [name for name in ("scanpy", "matplotlib", "jinja2") if find_spec(name) is None]
    if missing:
        raise CytonymError(
            f"The demo needs {' and '.join(missing)}, not installed here.\n    → {install('demo')}"
        )


def pbmc() -> AnnData:
    """700 cells: log-normalised values of 765 genes, labels, and scanpy's UMAP."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy

        packaged: Any = scanpy.datasets.pbmc68k_reduced()
        umap: Any = {"X_umap": np.asarray(packaged.obsm["X_umap"], dtype=np.float32)}
        return AnnData(
            packaged.raw.X.astype(np.float32),
            obs=packaged.obs[[LABELS]].copy(),
            var=packaged.raw.var[[]].copy(),
            obsm=umap,
        )


def _umap(query: AnnData, labels: np.ndarray, confidence: np.ndarray) -> Figure:
    """The same cells twice: by their known label, and by the predicted one."""
    from matplotlib.figure import Figure

    names = sorted({*query.obs[LABELS].astype(str), *labels})
    figure = Figure(figsize=(13, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    xy = np.asarray(query.obsm["X_umap"])
    embedding(left, xy, query.obs[LABELS], names=names, legend=False)
    embedding(right, xy, labels, names=names, confidence=confidence)
    left.set_title("known labels", loc="left")
    right.set_title(f"named by {METHOD} (fainter: less sure)", loc="left")
    return figure


def _confusion(found: Scores) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 6.5), layout="constrained")
    confusion(figure.add_subplot(), found.confusion)
    figure.suptitle(
        f"{found.n} cells, accuracy {found.accuracy:.3f}, macro F1 {found.macro_f1:.3f}"
    )
    return figure


def _five_lines(
    out: Path,
    names: list[str],
    facts: dict[str, Any],
    found: Scores,
    confidence: np.ndarray,
    right: np.ndarray,
) -> list[str]:
    held_out = ", ".join(
        f"{method} {row['macro_f1']:.3f}"
        for method, row in facts["held_out_part_of_reference"].items()
    )
    sure = f"mean confidence {confidence[right].mean():.2f} where right"
    if not right.all():
        sure += f", {confidence[~right].mean():.2f} where wrong"
    return [
        f"Took 700 blood cells that come with scanpy ({facts['n_genes']} genes, "
        f"{len(found.per_type)} types): {facts['n_reference']} to learn from, "
        f"{facts['n_query']} to name.",
        f"Fitted {METHOD} in {facts['seconds_fit']:.0f} s; macro F1 on a held-out part of the "
        f"reference: {held_out}.",
        f"Named {found.n} unseen cells: accuracy {found.accuracy:.3f}, balanced accuracy "
        f"{found.balanced_accuracy:.3f}, macro F1 {found.macro_f1:.3f}; {sure}.",
        f"Wrote {', '.join(names)} into {out}/.",
        f"See every type: cytonym evaluate {out / 'annotated.h5ad'} --truth {LABELS}",
    ]
