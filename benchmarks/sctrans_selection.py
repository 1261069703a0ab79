"""What SCTrans looks at: prediction from salient sub-vectors (Figure 7), known markers (Figure 8).

    python benchmarks/sctrans_selection.py --data DIR --out FOLDER --seeds 0

One fit for the first seed, with sub-vectors of 128 genes (not 512, so that the selection is
finer) and ``keep`` at the smallest share of the curve, so that the model learns to select;
``--set keep=1`` is a model that never did. Writes ``sctrans_selection.{md,csv,png}``,
``sctrans_markers.csv`` and the model.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.stats import hypergeom
from torch import Tensor

import common
import splits
from accuracy import scores
from cytonym import Annotator, load
from cytonym.reproduce.measures.selection import at_random
from cytonym.reproduce.papers.sctrans import MARKERS
from cytonym.reproduce.tables import spread

NAME, SUB_VECTOR, DRAWS, TOP, SHARE = "sctrans_selection", 128, 5, 20, 0.1
WAYS = ("salient", "random", "least salient")
KEEP = (1.0, 0.9, 0.7, 0.5, 0.3, 0.2, 0.1)
Select = Callable[[Tensor, Tensor, float], Tensor]


def fitted(args: argparse.Namespace, reference: AnnData, seed: int) -> Annotator:
    """The model; read back where an earlier run left it."""
    folder = args.out / f"{NAME}_{seed}{common.tag(args)}"
    if not folder.exists():
        settings = {"sub_vector": SUB_VECTOR, "keep": min(KEEP), **args.settings}
        common.fit(reference, "sctrans", seed, settings).save(folder)
    return load(folder)


def least(select: Select) -> Select:
    """Stands in for ``SCTransNet.select``: as many sub-vectors, those with the smallest M."""

    def last(tokens: Tensor, shown: Tensor, keep: float) -> Tensor:
        width = shown.shape[1]
        rest = width - max(round(keep * width), 1)
        return shown & ~select(tokens, shown, rest / width) if rest else shown

    return last


def selection(model: Annotator, query: AnnData) -> pd.DataFrame:
    """One row a prediction: ``kept``, ``by``, and its scores."""
    net: Any = model.net
    salient = net.select
    ways = [("salient", salient), ("least salient", least(salient))]
    ways += [("random", at_random(draw)) for draw in range(DRAWS)]
    rows = []
    for kept in KEEP:
        net.options = net.options.but(keep=kept)
        count = max(round(kept * net.main.tokens.count), 1)
        for by, net.select in ways if kept < 1 else [("all", salient)]:
            found = scores(common.truth(query), model.annotate(query, progress=False).labels)
            rows.append({"kept": kept, "sub-vectors": count, "by": by, **found})
    return pd.DataFrame(rows)


def curves(frame: pd.DataFrame, by: str, figure: str) -> list[np.ndarray]:
    """The values of one way to choose at each share; keeping all is the same for all ways."""
    own = frame[frame["by"].isin((by, "all"))]
    return [own.loc[own["kept"] == kept, figure].to_numpy() for kept in KEEP]


def tabulate(frame: pd.DataFrame) -> pd.DataFrame:
    """One row a share."""
    table = frame.groupby("kept", sort=False)[["sub-vectors"]].first().reset_index()
    for by in WAYS:
        pairs = zip(curves(frame, by, "accuracy"), curves(frame, by, "macro_f1"), strict=True)
        texts = [f"{spread(a)} / {spread(f)}" for a, f in pairs]
        table[f"{by} (accuracy / macro-F1)"] = texts
    return table.assign(kept=[f"{kept:.0%}" for kept in table["kept"]])


def markers(model: Annotator) -> pd.DataFrame:
    """For each type: its markers among the salient genes and sub-vectors, and by chance."""
    net: Any = model.net
    n_parts = net.main.tokens.count
    genes = model.explain(top=TOP)
    parts = model.explain(top=n_parts, by="sub_vectors")
    names = model.feature_names()
    n_top = max(round(SHARE * n_parts), 1)
    rows = []
    for kind in [kind for kind in MARKERS if kind in model.label_names]:
        known = {*MARKERS[kind].split()} & {*names}
        best = [gene for gene in genes.loc[genes["type"] == kind, "gene"] if gene in known]
        inside = parts.loc[parts["type"] == kind, "genes"]
        holds = np.array([bool(known & {*text.split(",")}) for text in inside])
        hits = int(holds[:n_top].sum())
        chance = hypergeom.sf(hits - 1, n_parts, int(holds.sum()), n_top)
        row = {"type": kind, "markers in the panel": len(known)}
        row[f"among the top {TOP} genes"] = f"{len(best)}: {', '.join(best)}".removesuffix(": ")
        row["by chance"] = f"{TOP * len(known) / len(names):.2f}"
        row["P"] = f"{hypergeom.sf(len(best) - 1, len(names), len(known), TOP):.1e}"
        row["salient sub-vectors with a marker"] = f"{hits} of {n_top}"
        row |= {"hit ratio": hits / n_top, "hit ratio by chance": float(holds.mean())}
        rows.append({**row, "P (sub-vectors)": f"{chance:.2g}"})
    return pd.DataFrame(rows)


def draw(args: argparse.Namespace, frame: pd.DataFrame, found: pd.DataFrame) -> None:
    """Both curves, and the hit ratios beside those of chance."""
    from cytonym.view.plots import GREY, PALETTE

    made, (*axes, bars) = common.figure(3, width=4.8)
    for ax, figure in zip(axes, ("accuracy", "macro_f1"), strict=True):
        for place, by in enumerate(WAYS):
            common.curve(ax, KEEP, curves(frame, by, figure), place, by)
        ax.xaxis.set_major_formatter("{x:.0%}")
        ax.set_xlabel("share of the sub-vectors that are read")
        ax.set_ylabel(figure.replace("macro_f1", "macro-F1"))
    spots = np.arange(len(found))
    bars.barh(spots - 0.2, found["hit ratio"], 0.38, color=PALETTE[0], label="salient")
    bars.barh(spots + 0.2, found["hit ratio by chance"], 0.38, color=GREY, label="by chance")
    bars.set_yticks(spots, found["type"], fontsize=8)
    bars.invert_yaxis()
    bars.set_xlabel("sub-vectors that hold a marker")
    for ax in (axes[0], bars):
        ax.legend(frameon=False)
    common.save(made, args, NAME)


def main() -> None:
    """Fit once, then select and explain."""
    args = common.start(common.arguments(__doc__))
    seed = args.seeds[0]
    reference, query = splits.split(common.cells(args), common.LABEL, seed)
    model = fitted(args, reference, seed)
    found = markers(model)
    frame = selection(model, query)
    frame.to_csv(args.out / f"{NAME}.csv", index=False)
    found.to_csv(args.out / "sctrans_markers.csv", index=False)
    options: Any = model.options
    n_parts, n_genes = model.salience["tokens"].shape[1], len(model.feature_names())
    about = (
        f"`{common.SET}`, stratified 80/20, seed {seed}, {query.n_obs} cells named. The model "
        f"reads {n_genes:,} genes in {n_parts} sub-vectors of {options.sub_vector} (the default "
        f"is 512 genes; here fewer, for a finer choice); smoothing k {options.smooth_k}, "
        f"α {options.smooth_alpha:g}; linear path {'on' if options.linear_path else 'off'}."
    )
    curve = (
        "## Prediction from some of the sub-vectors\n\nFirst pass: M of Eq. 4 on the whole cell. "
        "Second pass: only the share of the sub-vectors with the largest M, the same number at "
        f"random ({DRAWS} draws for each cell; mean ± standard deviation), or with the smallest M. "
        f"The model was fitted with keep {options.keep:g} (below 1, half of its training cells "
        "show a share of their salient sub-vectors, the other half some at random). The linear "
        "path is part of the model and is masked to the genes of the sub-vectors that are kept. "
        "With α > 0 each gene also carries what the reference's components say of the cell as a "
        "whole, so what is left out still speaks through what is kept."
    )
    hits = (
        "## Known markers\n\nGenes by `explain`; sub-vectors by the mean M of the type's reference "
        f"cells, the {SHARE:.0%} with the largest. A hit is a sub-vector that holds a marker of "
        "the type. Chance: the same number of genes or sub-vectors at random; P: as many hits or "
        "more by chance (hypergeometric). The paper's Figure 8 has hit ratios of .67 to .14."
    )
    common.write(args, NAME, "What SCTrans selects", [about, curve, tabulate(frame), hits, found])
    draw(args, frame, found)


if __name__ == "__main__":
    main()
