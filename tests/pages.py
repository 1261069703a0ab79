"""What the pages show: their fenced blocks and commands, and small files of the names they use."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import anndata as ad
import mudata
import numpy as np
import pandas as pd
from anndata import AnnData

from cytonym.data.simulate_regulation import simulate_regulation
from cytonym.dna.motifs import jaspar_motifs

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

FENCE = re.compile(r"(?:<!-- ([^>]*) -->\n)?```([^\n`]*)\n(.*?)```", re.DOTALL)
NAMES = ("B cell", "CD4 T cell", "NK cell", "monocyte")


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fences(page: Path, *kinds: str) -> list[tuple[str, str]]:
    """The marks (comment in the line above) and contents of the fenced blocks of these kinds."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [(mark, body) for mark, kind, body in found if kind in kinds]


def blocks(page: Path) -> list[tuple[str, str]]:
    """Kind and contents of the blocks that a reader would run, in their order; those with a mark
    are tested elsewhere.
    """
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [(kind, body) for mark, kind, body in found if kind in ("python", "bash") and not mark]


def commands(body: str) -> list[list[str]]:
    """The words of every command line of cytonym in a shell block."""
    found = []
    for line in body.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while words and re.fullmatch(r"\$|\w+=\S*", words[0]):
            words = words[1:]
        if words[:1] == ["cytonym"]:
            found.append(words[1:])
    return found


def write_files(folder: Path, *, learn: int = 120) -> None:
    """Data sets, genome, genes, motifs and fragments under the names that the pages use.

    ``learn`` cells to learn from and 60 to name, RNA and ATAC over one simulated genome; genes are
    called as the factors of JASPAR motifs, types as types of the Cell Ontology.
    """
    single = {one.name: one.frequencies for one in jaspar_motifs() if "::" not in one.name}
    motifs = {name: single[name] for name in sorted(single)[:400:40]}
    world = simulate_regulation(folder, motifs, seed=0, n_cells=learn + 60, n_genes=80)
    folder.joinpath("mm10.fa").write_bytes(world.fasta.read_bytes())
    for cells in (world.rna, world.atac):
        cells.obs["cell_type"] = pd.Categorical.from_codes(cells.obs["cell_type"].cat.codes, NAMES)
        cells.obs["leiden"] = cells.obs["cell_type"].cat.codes.astype(str).astype("category")
    first, rest = slice(0, learn), slice(learn, None)
    parts = {
        "reference": world.rna[first],
        "query": world.rna[rest],
        "rna_only": world.rna[rest],
        "rna": world.rna[first],
        "peaks": world.atac[first],
        "atac": world.atac[first],
        "new": world.atac[rest],
    }
    for file, cells in parts.items():
        cells.copy().write_h5ad(folder / f"{file}.h5ad")
    both = {"rna": world.rna[first].copy(), "peaks": world.atac[first].copy()}
    with mudata.set_options(pull_on_update=False):
        mudata.MuData(both).write_h5mu(folder / "multiome.h5mu")
    known = world.edges[["factor", "gene"]].set_axis(["source", "target"], axis=1)
    for file in ("targets.tsv", "dorothea.tsv"):
        known.to_csv(folder / file, sep="\t", index=False)
    _write_fragments(folder, world.atac[rest])


def _write_fragments(folder: Path, cells: AnnData) -> None:
    """A fragment in every open peak of every cell, and the list of cells."""
    rows, columns = cells.X.nonzero()
    peaks = pd.DataFrame(cells.var).iloc[columns]
    table = pd.DataFrame(
        {
            "chrom": peaks["chr"].astype(str),
            "start": peaks["start"] + 50,
            "end": peaks["start"] + 150,
            "barcode": cells.obs_names.to_numpy()[rows],
            "count": 1,
        }
    ).sort_values(["chrom", "start"])
    table.to_csv(folder / "fragments.tsv.gz", sep="\t", header=False, index=False)
    (folder / "barcodes.tsv").write_text("\n".join(cells.obs_names) + "\n")


def add_embeddings(file: Path) -> None:
    """So that a page can ask for either: ``X_sctrans`` and ``X_scmoanno``, both invented."""
    cells = ad.read_h5ad(file)
    rng = np.random.default_rng(0)
    for name in ("X_sctrans", "X_scmoanno"):
        cells.obsm[name] = rng.normal(size=(cells.n_obs, 8)).astype(np.float32)
    cells.write_h5ad(file)
