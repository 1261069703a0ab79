"""Blood, liver and lung from small files in the layouts of the original ones."""

from __future__ import annotations

import io
import tarfile

import numpy as np
import pytest

from cytonym.datasets import load
from cytonym.datasets.catalogue import DATA_SETS
from cytonym.datasets.store import checked
from cytonym.datasets.tables import number_table
from cytonym.datasets.texts import text
from cytonym.datasets.tissues import (
    LUNG,
    LUNG_CELLS,
    MACPARLAND,
    MACPARLAND_TYPES,
    ZHENG,
    ZHENG_TYPES,
    read_lung,
    read_zheng68k,
)
from cytonym.errors import DataError
from original import mtx, put

CELLS = ["AAACATACACCCAA-1", "AAACATACCCCTCA-1", "AAACATACCGGAGA-2"]
TYPES = ["CD8+ Cytotoxic T", "CD4+/CD45RA+/CD25- Naive T", "CD34+"]


def zheng(folder, cells=CELLS, extra=()):
    parts = {
        "matrix.mtx": mtx([[0, 1, 2], [3, 0, 0]]),
        "genes.tsv": "ENSG00000243485\tMIR1302-10\nENSG00000237613\tFAM138A\n",
        "barcodes.tsv": "\n".join(cells) + "\n",
    }
    with tarfile.open(folder / ZHENG, "w:gz") as archive:
        for place in ("filtered_matrices_mex/hg19", *extra):
            for name, text in parts.items():
                info = tarfile.TarInfo(f"{place}/{name}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
    rows = ["TSNE.1\tTSNE.2\tbarcodes\tcelltype"]
    rows += [f"7.5\t-1.2\t{c}\t{t}" for c, t in zip(CELLS[::-1], TYPES[::-1], strict=True)]
    put(folder / ZHENG_TYPES, "\n".join(rows) + "\n")


def test_zheng68k_joins_types_by_barcode_and_not_by_line(folder):
    zheng(folder)
    cells = read_zheng68k(folder)
    assert [*cells.obs_names] == CELLS
    assert [*cells.obs["cell_type"]] == TYPES
    assert cells.X.toarray().tolist() == [[0, 3], [1, 0], [2, 0]]
    assert [*cells.var_names] == ["MIR1302-10", "FAM138A"]
    assert [*cells.var["gene_ids"]] == ["ENSG00000243485", "ENSG00000237613"]
    assert cells.uns["values"] == "counts"


def test_zheng68k_has_a_published_checksum_so_that_another_file_is_refused_at_first_use(folder):
    zheng(folder)
    assert DATA_SETS["zheng68k"].files[0].sha256 is not None
    with pytest.raises(DataError, match=r"3f35f37ff344bc9b32f97cd003ac986ebb9b5d7f.* as published"):
        load("zheng68k", folder=folder)


def test_zheng68k_refuses_two_genomes_other_barcodes_and_a_cut_archive(folder):
    zheng(folder, extra=["filtered_matrices_mex/mm10"])
    with pytest.raises(DataError, match=r"2 of its folders hold a matrix\.mtx, not one"):
        read_zheng68k(folder)
    zheng(folder, cells=["A-1", "B-1", "C-1"])
    with pytest.raises(DataError, match=r"none of the 3 cells \(A-1, \.\.\.\) is among AAACATACC"):
        read_zheng68k(folder)
    zheng(folder)
    (folder / ZHENG).write_bytes((folder / ZHENG).read_bytes()[:-40])
    with pytest.raises(DataError, match=r"tar\.gz cannot be used:\s+- it is damaged"):
        read_zheng68k(folder)


def macparland(folder, value="1"):
    names = [f"P1TLH_{c}_1" for c in CELLS]
    rows = ['"",' + ",".join(f'"{n}"' for n in names), f'"A1BG",{value},0,2', '"A1CF",0,0,4']
    put(folder / MACPARLAND, "\n".join(rows) + "\n")
    types = ["Hepatocyte_1", "Hepatocyte_2", "gamma-delta_T_Cells_1"]
    lines = ["CellName\tSample\tCellBarcode\tCluster#\tCellType"]
    lines += [
        f"{n}\tP1TLH\tAAA\t{k}\t{t}" for k, (n, t) in enumerate(zip(names, types, strict=True))
    ]
    put(folder / MACPARLAND_TYPES, "\n".join(lines) + "\n")


def test_macparland_keeps_the_names_of_clusters_and_joins_those_that_differ_in_a_number(folder):
    macparland(folder)
    cells = load("macparland", folder=folder)
    assert [*cells.obs["cell_type"]] == ["Hepatocyte_1", "Hepatocyte_2", "gamma-delta_T_Cells_1"]
    assert [*cells.obs["coarse_type"]] == ["Hepatocyte", "Hepatocyte", "gamma-delta_T_Cells"]
    assert {*cells.obs["donor"]} == {"P1TLH"}
    assert cells.X.toarray().tolist() == [[1, 0], [0, 0], [2, 4]]
    assert cells.uns["values"] == "counts"


def test_values_that_are_not_whole_are_said_to_be_none(folder):
    macparland(folder, value="1.25")
    cells = load("macparland", folder=folder)
    assert cells.uns["values"] == "values as deposited, not whole numbers"


def test_macparland_refuses_words_among_the_numbers_and_a_table_of_other_columns(folder):
    macparland(folder, value="many")
    with pytest.raises(DataError, match="line A1BG, column P1TLH_AAACATACACCCAA-1_1: 'many' is no"):
        load("macparland", folder=folder)
    macparland(folder)
    put(folder / MACPARLAND_TYPES, "Cell\tKind\nx\ty\n")
    with pytest.raises(DataError, match="it has no column cellname, celltype; it has Cell, Kind"):
        load("macparland", folder=folder)


@pytest.mark.parametrize("mangled", [False, True])
def test_lung_reads_barcodes_as_deposited_and_as_r_wrote_them(folder, mangled):
    names = ["370_AAACCTGCACATGTGT-1", "439_AAACCTGCACATGTGT-1"]
    shown = [f"X{n.replace('-', '.')}" for n in names] if mangled else names
    put(folder / LUNG, "\n".join(["," + ",".join(shown), "A1BG,3,0", "ACE2,0,1"]) + "\n")
    head = ",ID,nUMI,Smoking,Sex,Cell type" if mangled else ",ID,nUMI,Smoking,Sex,Cell.type"
    rows = [head, f"{names[1]},439,5,no,F,Immuno_TCells", f"{names[0]},370,9,yes,M,AT2"]
    put(folder / LUNG_CELLS, "\n".join(rows) + "\n")
    cells = read_lung(folder)
    assert [*cells.obs_names] == names
    assert [*cells.obs["cell_type"]] == ["AT2", "Immuno_TCells"]
    assert [*cells.obs["donor"]] == ["370", "439"]
    assert [*cells.obs["smoking"]] == ["yes", "no"]
    assert cells.X.toarray().tolist() == [[3, 0], [0, 1]]


def test_lung_metadata_are_found_under_their_second_name(folder):
    put(folder / LUNG, ",a_1,b_1\nA1BG,3,0\n")
    put(folder / "Metadata_lung_cells_update.csv", ",ID,Cell.type\na_1,1,AT1\nb_1,1,AT2\n")
    cells = load("lung", folder=folder)
    assert [*cells.obs["cell_type"]] == ["AT1", "AT2"]
    assert "Metadata_lung_cells_update.csv" in cells.uns["sha256"]


def test_a_header_that_does_not_fit_its_lines_is_refused_in_both_kinds_of_tables(folder):
    put(folder / LUNG, ",a_1,b_1\nA1BG,3,0,7,7\n")
    put(folder / LUNG_CELLS, ",ID,Cell.type\na_1,1,AT1,5,6\n")
    with pytest.raises(DataError, match="its header has 3 fields and its first line 5"):
        read_lung(folder)
    put(folder / LUNG, ",a_1,b_1\nA1BG,3,0\n")
    with pytest.raises(DataError, match=r"Metadata_lung_cells\.csv cannot be used:\s+- its header"):
        read_lung(folder)
    put(folder / LUNG, ",a_1,b_1\n")
    with pytest.raises(DataError, match="it has fewer than two lines"):
        read_lung(folder)
    put(folder / LUNG, ",a_1,b_1\nA1BG,3,0\nA1CF,inf,0\n")
    with pytest.raises(DataError, match="line A1CF, column a_1: 'inf' is no finite number"):
        read_lung(folder)


def test_every_file_is_hashed_by_its_own_content(folder):
    put(folder / LUNG, "a\n")
    (file, _) = DATA_SETS["lung"].files
    sums = checked(DATA_SETS["lung"], {file: folder / LUNG})
    assert sums[LUNG] == "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_numbers_in_text_are_those_that_numpy_reads(folder, seed):
    rng = np.random.default_rng(seed)
    values = rng.poisson(0.4, (40, 25)) * rng.choice([1, 13, 1e-3, 1.25e7], (40, 25))
    written = [f"g{k}\t" + "\t".join(f"{v:.12g}" for v in row) for k, row in enumerate(values)]
    put(folder / "t.tsv.gz", "\r\n".join(["\t".join(f"c{k}" for k in range(25)), *written]) + "\n")
    rows, read, columns = number_table(text(folder / "t.tsv.gz"), "\t", names=("gene",))
    np.testing.assert_array_equal(read.toarray(), values.astype(np.float32))
    assert (rows["gene"].iloc[-1], columns[0], len(columns)) == ("g39", "c0", 25)
