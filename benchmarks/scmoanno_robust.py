"""What other peaks cost, and what the order of a file changes.

    python benchmarks/scmoanno_robust.py --data DIR --out FOLDER

Peaks: the query's peaks are moved, merged or split, and mapped onto the reference's by overlap.
``buenrostro2018_BM0828``: half of the cells teach ``scmoanno`` on ATAC alone, the other half is
named. ``snare_mouse_cortex``: the first fold, named from both modalities and from ATAC alone.

Order: ``attend="cells", bank=None``, the published form, names the cells of the first fold in
several orders and batch sizes; so do the default and the bank. Writes ``scmoanno_peaks.md`` and
``scmoanno_order.md``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix
from sklearn.model_selection import train_test_split

import common
import snare
from cytonym import Annotator
from cytonym.dna.intervals import parse_intervals
from cytonym.evaluate import scores

SORTED = "atac/buenrostro2018_BM0828.h5ad"
GAP = 50_000
"""Neighbouring peaks no further apart (bp) are merged in pairs."""


# --- other peaks -------------------------------------------------------------------------------


def named(table: pd.DataFrame) -> pd.Index:
    """Names like ``chr1:100-600``."""
    start, end = table["start"].astype(str), table["end"].astype(str)
    return pd.Index(table["chrom"] + ":" + start + "-" + end)


def with_peaks(adata: ad.AnnData, x: Any, table: pd.DataFrame) -> ad.AnnData:
    """The same cells with other peaks."""
    return ad.AnnData(
        csr_matrix(x, dtype=np.float32), adata.obs.copy(), pd.DataFrame(index=named(table))
    )


def moved(by: int) -> Callable[[ad.AnnData], ad.AnnData]:
    """All peaks further on."""

    def change(adata: ad.AnnData) -> ad.AnnData:
        table = parse_intervals(adata.var_names.to_numpy())
        return with_peaks(adata, adata.X, table.assign(start=table.start + by, end=table.end + by))

    return change


def merged(adata: ad.AnnData) -> ad.AnnData:
    """Neighbours in pairs: their span, and the sum of their counts."""
    table = parse_intervals(adata.var_names.to_numpy())
    order = table.sort_values(["chrom", "start"]).index.to_numpy()
    table = table.loc[order].reset_index(drop=True)
    group, last = [], -1
    for row in range(len(table)):
        near = row > 0 and last != row - 1 and table.chrom[row] == table.chrom[row - 1]
        if near and table.start[row] - table.end[row - 1] <= GAP:
            group.append(group[-1])
            last = row
        else:
            group.append(group[-1] + 1 if group else 0)
    spans = table.groupby(np.array(group)).agg({"chrom": "first", "start": "min", "end": "max"})
    join = csr_matrix((np.ones(len(group)), (order, group)), shape=(len(group), len(spans)))
    return with_peaks(adata, adata.X @ join, spans)


def split(adata: ad.AnnData) -> ad.AnnData:
    """Halves: every count falls into either at random."""
    table = parse_intervals(adata.var_names.to_numpy())
    middle = (table.start + table.end) // 2
    counts = csr_matrix(adata.X)
    left = counts.copy()
    left.data = np.random.default_rng(0).binomial(counts.data.astype(int), 0.5).astype(float)
    halves = pd.concat([table.assign(end=middle), table.assign(start=middle)], ignore_index=True)
    x = csr_matrix(np.concatenate([left.toarray(), (counts - left).toarray()], axis=1))
    return with_peaks(adata, x, halves)


def renamed(adata: ad.AnnData) -> ad.AnnData:
    """``1`` for ``chr1``."""
    out = adata.copy()
    out.var_names = [name.removeprefix("chr") for name in adata.var_names]
    return out


CHANGES: dict[str, Callable[[ad.AnnData], ad.AnnData]] = {
    "the reference's peaks": lambda adata: adata,
    "chromosomes called 1, 2, ...": renamed,
    "moved by 50 bp": moved(50),
    "moved by 100 bp": moved(100),
    "moved by 250 bp": moved(250),
    f"neighbours within {GAP:,} bp merged in pairs": merged,
    "split into halves": split,
}


def other_peaks(args: argparse.Namespace) -> pd.DataFrame:
    """Scores with each set of peaks."""
    blood = ad.read_h5ad(args.data / SORTED)
    blood.obs[common.LABEL] = blood.obs[common.LABEL].astype(str).astype(object)
    learn, ask = train_test_split(
        np.arange(blood.n_obs), train_size=0.5, stratify=blood.obs[common.LABEL], random_state=0
    )
    _, reference, query = next(snare.folds(snare.read(args)))
    sets = [
        ("BM0828, atac", {"atac": blood[learn].copy()}, {"atac": blood[ask].copy()}),
        ("snare, both", reference, query),
        ("snare, atac", reference, {"atac": query["atac"]}),
    ]
    table, models = [], {}
    for title, known, asked in sets:
        key = id(known)
        models[key] = models.get(key) or snare.fit(dict(known), "scmoanno", 0, args.settings)
        truth = asked["atac"].obs[common.LABEL].to_numpy().astype(str)
        for what, change in CHANGES.items():
            cells = {**asked, "atac": change(asked["atac"])}
            calls = models[key].annotate(cells, progress=False)
            found = scores(truth, calls.labels.astype(str))
            table.append(
                {
                    "data": title,
                    "peaks of the query": what,
                    "peaks": cells["atac"].n_vars,
                    "shared": f"{calls.coverage['atac'].share:.1%}",
                    "accuracy": found.accuracy,
                    "macro_f1": found.macro_f1,
                }
            )
    return pd.DataFrame(table)


# --- the order of a file -------------------------------------------------------------------------


def orders(truth: np.ndarray) -> Iterator[tuple[str, np.ndarray, int]]:
    """What the order is called, the rows, and the cells in a batch."""
    given = np.arange(len(truth))
    yield "as in the file, batches of 512", given, 512
    yield "as in the file, batches of 64", given, 64
    yield "one cell at a time", given, 1
    yield "shuffled, batches of 512", np.random.default_rng(0).permutation(given), 512
    yield "sorted by type, batches of 64", np.argsort(truth, kind="stable"), 64


def order_of_the_file(args: argparse.Namespace) -> pd.DataFrame:
    """Names of the same cells in several orders."""
    _, reference, query = next(snare.folds(snare.read(args)))
    truth = query["rna"].obs[common.LABEL].to_numpy().astype(str)
    kinds = {
        'attend="cells", bank=None (as published)': {"attend": "cells", "bank": None},
        'attend="cells", bank=512': {"attend": "cells"},
        "default": {},
    }
    table = []
    for kind, settings in kinds.items():
        plain = {**settings, "linear_path": False, **args.settings}
        model: Annotator = snare.fit(dict(reference), "scmoanno", 0, plain)
        first: np.ndarray | None = None
        for what, rows, size in orders(truth):
            cells = {name: one[rows].copy() for name, one in query.items()}
            calls = model.annotate(cells, batch_size=size, progress=False)
            labels = np.empty(len(rows), dtype=object)
            labels[rows] = calls.labels
            first = labels if first is None else first
            found = scores(truth, labels.astype(str))
            table.append(
                {
                    "attention": kind,
                    "order": what,
                    "other names than in the first order": f"{(labels != first).mean():.1%}",
                    "accuracy": found.accuracy,
                    "macro_f1": found.macro_f1,
                }
            )
    return pd.DataFrame(table)


def main() -> None:
    """Both tables."""
    args = common.start(common.arguments(__doc__))
    words = "Peaks are mapped by overlap; `shared` are the reference's peaks that the query covers."
    common.write(args, "scmoanno_peaks", "Other peaks", [words, other_peaks(args)])
    words = "The first fold of libraries, both modalities, without the linear path."
    common.write(args, "scmoanno_order", "The order of a file", [words, order_of_the_file(args)])


if __name__ == "__main__":
    main()
