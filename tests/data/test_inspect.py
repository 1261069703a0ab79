"""An inspection shows on one page what a data set holds and all that is wrong with it."""

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import cytonym
from cytonym.data.align import space_of
from cytonym.data.inspect import inspect_cells
from cytonym.data.read import Reading, open_cells
from cytonym.data.simulate import simulate
from cytonym.dna.intervals import chromosome_sizes

from .conftest import log_normalised, write_tenx_h5


def test_a_sound_file_is_usable_and_its_facts_are_right(cells, tmp_path):
    path = tmp_path / "cells.h5ad"
    cells.layers["counts"] = cells.X.copy()
    cells.X = log_normalised(cells.X)
    cells.obs["score"] = 0.5
    cells.write_h5ad(path)
    page = inspect_cells(path, labels="cell_type", spaces=space_of(open_cells(path)))
    rna = page.modalities["rna"]
    assert page.usable
    assert (page.cells, rna.features, rna.used) == (120, 100, "layers['counts']")
    assert [(f.where, f.kind) for f in rna.findings] == [
        ("layers['counts']", "counts"),
        ("X", "log1p(CP10k)"),
    ]
    counts = cells.layers["counts"]
    assert rna.density == pytest.approx(counts.nnz / (120 * 100))
    assert rna.per_cell == np.median(counts.toarray().sum(1))
    assert rna.identifiers["names"].type == "symbol"
    assert rna.identifiers["gene_ids"].type == "Ensembl human"
    assert rna.species == "human"
    assert [*page.labels["cell_type"].sizes.values()] == [40, 40, 40]
    assert page.coverage["rna"].share == 1
    assert set(page.memory) == {"in memory", "streamed"}


def test_the_page_reads_well_and_the_dictionary_is_json(cells):
    page = inspect_cells(cells)
    text = str(page)
    assert text.startswith("AnnData (120 × 100): AnnData in memory, 120 cells, usable")
    assert "reads X: counts (whole numbers up to" in text
    assert "types? cell_type: 3 values\n         type A 40, type B 40, type C 40\n" in text
    assert len(text.splitlines()) < 40
    facts = json.loads(json.dumps(page.to_dict()))
    assert facts["usable"] is True
    assert facts["modalities"]["rna"]["findings"][0]["kind"] == "counts"


def test_all_problems_are_found_at_once(cells):
    cells.X = csr_matrix(-cells.X)
    cells.obs["cell_type"] = ["rare", *["common"] * 119]
    reference = simulate(50, 300, 2, seed=0)
    reference.var_names = [f"GENE{chr(65 + i % 26)}{i}" for i in range(300)]
    reference.var["gene_ids"] = [f"ENSG{i:011d}" for i in range(300)]
    spaces = space_of(open_cells(reference))
    page = inspect_cells(cells, labels="cell_type", spaces=spaces, how=Reading(genes="symbol"))
    assert not page.usable
    text = "\n".join(str(problem) for problem in page.problems)
    for part in ("negative values", "type 'rare' has one cell", "'symbol'", "only 0 of the"):
        assert part in text
    assert text.count("→") == len(page.problems) == 4
    assert str(page).count("PROBLEM") == 4
    json.dumps(page.to_dict())


def test_a_missing_label_column_and_a_missing_file_are_problems_not_exceptions(cells, tmp_path):
    page = inspect_cells(cells, labels="celltype")
    assert "Did you mean 'cell_type'?" in page.problems[0].remedy
    page = inspect_cells(tmp_path / "none.h5ad")
    assert not page.usable
    assert "no such file" in str(page)


def test_a_method_that_needs_counts_is_not_served_by_a_logarithm(cells):
    cells.X = log_normalised(cells.X)
    assert inspect_cells(cells).usable
    page = inspect_cells(cells, values_needed="counts")
    assert "raw counts are needed, and X is log1p(CP10k)" in page.problems[0].what


def test_repeats_batches_and_missing_labels_are_noted(cells):
    cells.obs["batch"] = pd.Categorical(["a", "b"] * 60)
    cells.obs["donor_id"] = ["x", "y", "z"] * 40
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(object)
    cells.obs.iloc[:4, 0] = np.nan
    names = cells.var_names.to_numpy().copy()
    names[1] = names[0]
    cells.var_names = names
    page = inspect_cells(cells, labels="cell_type")
    assert page.usable
    assert list(page.batches) == ["batch", "donor_id"]
    assert page.labels["cell_type"].missing == 4
    assert any("1 rna features repeat a name" in note for note in page.notes)
    assert any("4 of 120 cells have no label (missing)" in note for note in page.notes)


def test_names_that_nothing_else_shares_are_pointed_out(cells):
    cells.var = pd.DataFrame(index=[f"gene{i}" for i in range(100)])
    page = inspect_cells(cells)
    assert page.usable
    assert any("no names that other data share" in note for note in page.notes)


def test_a_tenx_file_with_two_modalities_shows_both(cells, tmp_path):
    kinds = ["Gene Expression"] * 60 + ["Peaks"] * 40
    path = write_tenx_h5(tmp_path / "m.h5", cells.X, cells.var_names, cells.var["gene_ids"], kinds)
    page = inspect_cells(path)
    assert page.format == "10x HDF5, version 3"
    assert {m: facts.features for m, facts in page.modalities.items()} == {"rna": 60, "atac": 40}


def test_nothing_of_the_data_is_changed(cells):
    before = cells.copy()
    inspect_cells(cells, labels="cell_type")
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    np.testing.assert_array_equal(cells.X.toarray(), before.X.toarray())


def test_every_real_file_is_usable_but_for_types_with_one_cell(data_dir):
    for path in sorted((data_dir / "rna").glob("*.h5ad")) + sorted(
        (data_dir / "atac").glob("*.h5ad")
    ):
        page = inspect_cells(path, labels="cell_type")
        assert page.usable or "types have one cell" in page.problems[0].what
        json.dumps(page.to_dict())
        if path.parent.name == "rna" and "nogenes" not in path.name:
            assert page.modalities["rna"].species == "human"


# --- two modalities, peaks ---------------------------------------------------------------------


def test_a_pair_of_modalities_is_checked_by_cells_and_by_depth():
    rng = np.random.default_rng(0)
    depth = rng.lognormal(0, 1, (300, 1))
    rna = ad.AnnData(csr_matrix(rng.poisson(2 * depth, (300, 60)).astype(np.float32)))
    rna.var_names = [f"CD{i}" for i in range(60)]
    atac = ad.AnnData(csr_matrix((rng.random((300, 80)) < 0.2 * depth).astype(np.float32)))
    atac.var_names = [f"chr1:{1000 * i}-{1000 * i + 500}" for i in range(80)]
    page = cytonym.inspect({"rna": rna[:280].copy(), "atac": atac[10:].copy()})
    assert page.pairing.shared == 270
    assert page.pairing.alone == {"rna": 10, "atac": 20}
    assert page.pairing.correlation > 0.7
    assert not any("unrelated" in note for note in page.notes)
    assert "270 cells with both, 10 with rna alone, 20 with atac alone" in str(page)
    mixed = atac[rng.permutation(300)].copy()
    mixed.obs_names = atac.obs_names
    page = cytonym.inspect({"rna": rna, "atac": mixed})
    assert any("unrelated (correlation" in note for note in page.notes)
    assert page.to_dict()["pairing"]["shared"] == 300


def test_peaks_are_described_by_spelling_width_genome_and_whether_they_are_counts():
    x = csr_matrix(np.eye(5, dtype=np.float32))
    names = [f"9-{140_900_000 + i}-{140_900_500 + i}" for i in range(5)]
    cells = ad.AnnData(x, var=pd.DataFrame(index=names))
    facts = cytonym.inspect(cells).modalities["atac"].peaks
    assert (facts.written, facts.width, facts.binary) == ("1-100-600", 500, True)
    assert facts.builds == ["hg19"]
    assert "hg38's chr9 ends at 138,394,717" in facts.evidence
    cells.X = x * 2
    assert not cytonym.inspect(cells).modalities["atac"].peaks.binary
    assert "genome hg19" in str(cytonym.inspect(cells))


def test_without_bioframe_the_genome_is_not_looked_for_and_the_page_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bioframe", None)
    chromosome_sizes.cache_clear()
    cells = ad.AnnData(np.eye(3, dtype=np.float32))
    cells.var_names = [f"chr1:{i}00-{i}50" for i in range(1, 4)]
    page = cytonym.inspect(cells)
    assert page.usable
    assert (
        page.modalities["atac"].peaks.evidence == "not looked for: pip install '.[atac]' in a clone"
    )
