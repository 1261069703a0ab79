"""``cytonym network``, as installed: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from command import run
from cytonym.cli import app
from cytonym.data.simulate_regulation import simulate_regulation
from cytonym.errors import CytonymError

pytest.importorskip("pyfaidx")
pytest.importorskip("bioframe")


GIVEN = ("--atac", "atac.h5ad", "--genome", "genome.fa", "--genes", "genes.bed")
MOTIFS = ("--motifs", "motifs.meme")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """300 cells of 4 types, with 8 factors and 80 genes; the planted edges in known.tsv."""
    rng = np.random.default_rng(0)
    motifs = {f"TF{i}": rng.dirichlet(np.full(4, 0.15), 12).T for i in range(8)}
    place = tmp_path_factory.mktemp("network")
    planted = simulate_regulation(place, motifs, seed=0, n_cells=300, n_genes=80)
    planted.rna.write_h5ad(place / "rna.h5ad")
    planted.atac.write_h5ad(place / "atac.h5ad")
    known = planted.edges[["factor", "gene"]].set_axis(["source", "target"], axis=1)
    known.to_csv(place / "known.tsv", sep="\t", index=False)
    return place


def test_network_writes_edges_activity_and_deviations_and_prints_the_top_factors(folder):
    outs = ("--out", "edges.tsv", "--activity", "activity.h5ad", "--deviations", "dev.h5ad")
    done = run("network", "rna.h5ad", *GIVEN, *MOTIFS, "--known", "known.tsv", *outs, cwd=folder)
    edges = pd.read_csv(folder / "edges.tsv", sep="\t")
    columns = ["type", "factor", "gene", "coefficient", "peaks", "r", "p", "q", "r2"]
    assert [*edges.columns] == columns
    assert (edges["coefficient"] > 0).all()
    assert f"{len(edges):,} edges of {edges['factor'].nunique()} factors" in done.stdout
    assert f"Wrote edges.tsv: {len(edges):,} edges" in done.stdout
    first = edges.groupby("factor")["gene"].nunique().sort_values().index[-1]
    for word in ("\nall\n", first, "Known edges\n", "(all)", "Notes\n", "300 of 300 cells have"):
        assert word in done.stdout
    for bar in ("motifs", "network", "deviations"):
        assert bar in done.stderr
    activity, deviations = (ad.read_h5ad(folder / name) for name in ("activity.h5ad", "dev.h5ad"))
    assert activity.shape == (300, edges["factor"].nunique())
    assert deviations.shape == (300, 8)
    assert {"name", "variability"} == {*deviations.var.columns}
    assert "cell_type" in activity.obs
    assert not [*folder.glob(".*")]  # nothing half written is left


def test_network_by_type_as_json_has_the_types_and_nothing_else_on_stdout(folder):
    words = ("--labels", "cell_type", "--signed", "--quiet", "--json")
    done = run("network", "rna.h5ad", *GIVEN, *MOTIFS, *words, "--out", "by_type.tsv", cwd=folder)
    record = json.loads(done.stdout)
    edges = pd.read_csv(folder / "by_type.tsv", sep="\t")
    assert record["edges"] == len(edges)
    assert {*record["top"]} == {*edges["type"]} <= {f"type {one}" for one in "ABCD"}
    assert (edges["coefficient"] < 0).any()
    assert record["enrichment"] is None
    assert done.stderr == ""


def test_bad_files_end_with_2_and_are_told_together_and_nothing_is_written(folder):
    (folder / "other.fa").write_text(">chrZ\nACGT\n", encoding="utf-8")
    given = ("--atac", "atac.h5ad", "--genome", "other.fa", "--genes", "genes.bed")
    words = ("--motifs", "genes.bed", "--labels", "typ", "--out", "bad.tsv")
    done = run("network", "rna.h5ad", *given, *words, code=2, cwd=folder)
    assert "cannot be used (3 problems)" in done.stderr
    for word in ("it has chrZ", "no line says 'MEME version'", "no column 'typ'"):
        assert word in done.stderr
    assert not (folder / "bad.tsv").exists()


def test_outputs_are_checked_before_anything_is_read(folder, monkeypatch):
    monkeypatch.chdir(folder)

    def told(*words: str) -> str:
        done = CliRunner().invoke(app, ["network", "rna.h5ad", *GIVEN, *words])
        assert isinstance(done.exception, CytonymError)
        return str(done.exception)

    assert "--out edges.csv does not end in .tsv" in told("--out", "edges.csv")
    both = ("--out", "a.tsv", "--activity", "a.h5ad", "--deviations", "a.h5ad")
    assert "--activity a.h5ad is read, or written by another option" in told(*both)
    read = ("--out", "a.tsv", "--deviations", "atac.h5ad")
    assert "--deviations atac.h5ad is read" in told(*read)
    assert "there is no folder" in told("--out", "none/a.tsv")
    known = ("--known", "known.tsv", "--out", "known.tsv")
    assert "--out known.tsv is read" in told(*known)
