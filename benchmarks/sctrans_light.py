"""The light encoder of SCTrans against the full one: ``annotate --fast`` on cells left out.

    python benchmarks/sctrans_light.py --data DIR

Prints a table; 30 % of the cells are left out, drawn by type.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import anndata as ad
import numpy as np
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split

import cytonym

SETS = {"zheng_facs_pbmc": "cell_type", "kang_pbmc_subset": "cell_type"}


def main() -> None:
    """Fit, name both ways, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CYTONYM_DATA"))
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    print("| data | cells | same name | of held-out cells | full: acc. / F1 | light: acc. / F1 |")
    print("|---|---|---|---|---|---|")
    for name, label in SETS.items():
        cells = ad.read_h5ad(args.data / "rna" / f"{name}.h5ad")
        truth = cells.obs[label].to_numpy().astype(str)
        known, asked = train_test_split(
            np.arange(cells.n_obs), test_size=0.3, random_state=args.seed, stratify=truth
        )
        model = cytonym.fit(cells[known].copy(), labels=label, method="sctrans", progress=False)
        assert model.quick is not None
        named = [
            one.annotate(cells[asked].copy(), reject=0, progress=False).labels.astype(str)
            for one in (model, model.fast())
        ]
        wanted = truth[asked]
        right = [
            f"{np.mean(one == wanted):.3f} / {f1_score(wanted, one, average='macro'):.3f}"
            for one in named
        ]
        row = (
            f"`{name}`",
            f"{len(asked):,}",
            f"{np.mean(named[0] == named[1]):.1%}",
            f"{model.quick.same:.1%} of {model.quick.cells}",
            *right,
        )
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
