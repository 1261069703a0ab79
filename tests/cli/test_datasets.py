"""``cytonym datasets``: the table, a page, a file."""

from __future__ import annotations

import json

import anndata as ad
import mudata
import pytest

from command import call, run
from cytonym.data.read import read_obs
from cytonym.datasets import DATA_SETS
from cytonym.datasets.joint import SNARE_LINES
from cytonym.datasets.pancreas import MURARO, MURARO_TYPES
from original import put


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CYTONYM_OFFLINE", "1")
    place = tmp_path / "files"
    place.mkdir()
    put(place / MURARO, "D1-1_1\tD1-1_2\tD1-1_3\nA__chr1\t1\t2\t4\nB__chr2\t0\t3\t1\n")
    put(place / MURARO_TYPES, "x\nD1.1_1\talpha\nD1.1_2\tunclear\n")
    put(place / SNARE_LINES["rna"], "AAA\tCCC\nRPL1\t1\t0\nGATA2\t0\t3\n")
    put(place / SNARE_LINES["atac"], "CCC\tAAA\nchr1:10-99\t1\t0\n")
    put(place / SNARE_LINES["types"], "cell\tcell_line\nAAA\tBJ\nCCC\tK562\n")
    return place


def test_the_table_has_every_set_with_its_sizes_and_whether_it_is_here(files):
    lines = call("datasets", "--folder", files).splitlines()
    assert len(lines) == 1 + len(DATA_SETS)
    assert lines[0].split() == ["name", "cells", "types", "modalities", "organism", "here"]
    rows = {line.split()[0]: line for line in lines}
    assert rows["muraro"].split() == ["muraro", "2,122", "9", "rna", "human", "yes"]
    assert rows["zheng68k"].endswith("no, can be fetched")
    assert rows["scmoanno-bmmc"].endswith("no, by hand")


def test_a_page_tells_files_addresses_and_notes_as_text_and_as_json(files):
    page = call("datasets", "xin")
    assert "1,492 cells, 4 types; rna; human" in page
    assert "GSE81608_human_islets_rpkm.txt.gz (not there)" in page
    assert "https://ftp.ncbi.nlm.nih.gov/geo/series/GSE81nnn/GSE81608" in page
    assert "values are RPKM" in page
    record = json.loads(call("datasets", "xin", "--json"))
    assert record["n_cells"] == 1492
    assert [file["name"] for file in record["missing"]] == [f["name"] for f in record["files"]]
    assert len(json.loads(call("datasets", "--json"))) == len(DATA_SETS)


def test_a_set_is_written_as_h5ad_and_a_joint_one_as_h5mu(files, tmp_path):
    out = tmp_path / "muraro.h5ad"
    said = call("datasets", "muraro", "--folder", files, "--out", out)
    assert "1 cells × 2 rna features" in said
    assert "Left out: 1 unclear, 1 no label" in said
    cells = ad.read_h5ad(out)
    assert [*cells.obs["cell_type"]] == ["alpha"]
    assert cells.uns["dataset"] == "muraro"
    both = tmp_path / "snare.h5mu"
    said = call("datasets", "snare-celllines", "--folder", files, "--out", both)
    assert "2 cells × 2 rna + 1 atac features" in said
    assert [*read_obs(both)["cell_type"]] == ["BJ", "K562"]
    with mudata.set_options(pull_on_update=False):
        whole = mudata.read_h5mu(both)
    assert [*whole["atac"].obs["cell_type"]] == ["BJ", "K562"]
    assert whole["atac"].uns["genome"] == "hg38"
    assert [*tmp_path.glob(".*")] == []


def test_what_was_written_is_read_by_inspect(files, tmp_path):
    both = tmp_path / "snare.h5mu"
    call("datasets", "snare-celllines", "--folder", files, "--out", both, "--quiet")
    page = run("inspect", both).stdout
    assert "snare.h5mu: MuData, 2 cells, usable" in page
    assert page.count("reads X: counts") == 2
    assert "types? cell_type: 2 values" in page


def test_bad_words_end_with_code_2_and_write_nothing(files, tmp_path):
    out = tmp_path / "x.h5ad"
    assert "no data set 'muraroo'" in run("datasets", "muraroo", code=2).stderr
    asked = run("datasets", "snare-celllines", "--folder", files, "--out", out, code=2)
    assert "does not end in .h5mu" in asked.stderr
    assert "name one" in run("datasets", "--out", out, code=2).stderr
    assert "give one of them" in run("datasets", "xin", "--json", "--out", out, code=2).stderr
    lacking = run("datasets", "baron", "--out", out, "--offline", code=2).stderr
    assert "GSE84133_RAW.tar is not there, and nothing may be fetched (offline)" in lacking
    assert not out.exists()
