"""The four pancreas sets from small files with the quirks of the original ones."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import numpy as np
import pytest

from cytonym.datasets import load
from cytonym.datasets.pancreas import (
    BARON,
    MURARO,
    MURARO_TYPES,
    SEGERSTOLPE,
    SEGERSTOLPE_CELLS,
    XIN,
    XIN_CELLS,
    XIN_GENES,
)
from cytonym.errors import DataError
from original import put


def baron(folder, genes="A1BG,A1CF,A1BG", donors=4, change=lambda n, text: text):
    with tarfile.open(folder / BARON, "w") as archive:
        for n in range(1, donors + 1):
            rows = [f'"",barcode,assigned_cluster,{genes}']
            rows += [f"human{n}_lib1.final_cell_000{k},GATT-A{k},alpha,{n},0,{k}" for k in (1, 2)]
            rows += [f"human{n}_lib1.final_cell_0003,GATT-A3,t_cell,0,5,0"]
            add(archive, f"GSM{2230756 + n}_human{n}_umifm_counts.csv.gz", change(n, rows))
        add(archive, "GSM2230761_mouse1_umifm_counts.csv.gz", ["x,barcode,assigned_cluster,Ins1"])


def add(archive, name, rows):
    data = gzip.compress(("\n".join(rows) + "\n").encode())
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def test_baron_reads_four_donors_and_no_mouse_and_numbers_repeated_genes(folder):
    baron(folder)
    cells = load("baron", folder=folder)
    assert cells.shape == (12, 3)
    assert [*cells.var_names] == ["A1BG", "A1CF", "A1BG-1"]
    assert cells.X.dtype == np.float32
    assert cells.X.format == "csr"
    assert cells[4].X.toarray().tolist() == [[2, 0, 2]]
    assert [*cells.obs["donor"]] == [f"human{n}" for n in (1, 2, 3, 4) for _ in range(3)]
    assert [*cells.obs["cell_type"][:3]] == ["alpha", "alpha", "t_cell"]
    assert cells.obs["barcode"].iloc[0] == "GATT-A1"
    assert cells.uns["values"] == "counts"
    assert "GSE84133" not in cells.uns["source"]
    assert "Baron et al. (2016)" in cells.uns["source"]
    assert cells.uns["left_out"] == ""
    assert [*cells.uns["sha256"]] == [BARON]


def test_baron_refuses_three_donors_and_remembers_nothing_of_that_file(folder, cache):
    baron(folder, donors=3)
    with pytest.raises(DataError, match=r"3 of its files fit GSM\*_human.*, not 4; it holds GSM"):
        load("baron", folder=folder)
    assert not (cache / "datasets" / "baron" / "sha256.json").exists()
    baron(folder)
    assert load("baron", folder=folder).n_obs == 12


def test_baron_refuses_a_donor_whose_genes_are_others(folder):
    baron(folder, change=lambda n, rows: [rows[0].replace("A1CF", f"G{n}"), *rows[1:]])
    with pytest.raises(DataError, match=r"human2_umifm.*\n.*its 3 genes are not the 3 of"):
        load("baron", folder=folder)


def muraro(folder, types=None):
    rows = [
        "D28-1_1\tD28-1_2\tD29-3_7\tD30-8_96\tD30-8_95",
        "A1BG-AS1__chr19\t0\t1.00196109018\t0\t2\t1",
        "INS__chr11\t3.02\t0\t1\t0\t0",
        "MIR__chr1\t0\t0\t0\t0\t0",
    ]
    put(folder / MURARO, "\n".join(rows) + "\n")
    types = types or ['"x"', '"D28.1_1"\t"alpha"', '"D28.1_2"\t"duct"', '"D29.3_7"\t"pp"']
    put(folder / MURARO_TYPES, "\n".join([*types, '"D30.8_96"\t"unclear"']) + "\n")


def test_muraro_reads_a_header_that_r_wrote_and_leaves_out_wells_without_a_type(folder):
    muraro(folder)
    cells = load("muraro", folder=folder)
    assert [*cells.obs_names] == ["D28-1_1", "D28-1_2", "D29-3_7"]
    assert [*cells.obs["cell_type"]] == ["alpha", "ductal", "gamma"]
    assert [*cells.obs["source_label"]] == ["alpha", "duct", "pp"]
    assert [*cells.obs["donor"]] == ["D28", "D28", "D29"]
    assert [*cells.obs["batch"]] == ["D28-1", "D28-1", "D29-3"]
    assert [*cells.var_names] == ["A1BG-AS1", "INS", "MIR"]
    assert [*cells.var["chromosome"]] == ["chr19", "chr11", "chr1"]
    assert cells.var["gene_ids"].iloc[1] == "INS__chr11"
    assert cells.X.toarray()[0].tolist() == pytest.approx([0, 3.02, 0])
    assert cells.uns["values"] == "transcript counts corrected for saturation"
    assert cells.uns["left_out"] == "1 unclear, 1 no label"


def test_muraro_refuses_labels_of_other_wells_and_a_line_that_is_cut_short(folder):
    muraro(folder, types=["x", "E1.1_1\talpha"])
    with pytest.raises(DataError, match=r"none of the 5 cells \(D28-1_1, \.\.\.\) is among E1-1_1"):
        load("muraro", folder=folder)
    text = gzip.decompress((folder / MURARO).read_bytes()).decode()
    other = folder / "cut"
    other.mkdir()
    muraro(other)
    put(other / MURARO, text[:-3] + "\n")
    with pytest.raises(DataError, match="line MIR__chr1 has 4 values, not 5"):
        load("muraro", folder=other)


def segerstolpe(folder, first="#samples"):
    names = ["HP1502401_A1", "HP1502401_A2", "HP1504101T2D_B3", "AZ_C4", "AZ_C5"]
    lines = [
        "\t".join([first, *names]),
        "\t".join(["SGIP1", "NM_032291"] + ["0.5"] * 5 + ["10", "0", "3", "1", "0"]),
        "\t".join(["INS+IGF2", "NM_1+NM_2"] + ["9.25"] * 5 + ["0", "7", "0", "0", "2"]),
        "\t".join(["ERCC_0.01:mix1", "ERCC-00002"] + ["1.5"] * 5 + ["4"] * 5),
        "\t".join(["eGFP", "eGFP"] + ["0"] * 10),
    ]
    with zipfile.ZipFile(folder / SEGERSTOLPE, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("pancreas_refseq_rpkms_counts_3514sc.txt", "\n".join(lines) + "\n")
    head = [
        "Source Name",
        "Characteristics[organism]",
        "Term Source REF",
        "Characteristics[individual]",
        "Term Source REF",
        "Characteristics[single cell well quality]",
        "Characteristics[cell type]",
        "Characteristics[disease]",
    ]
    facts = [
        ("OK", "alpha cell"),
        ("OK", "MHC class II cell"),
        ("OK", "co-expression cell"),
        ("low quality cell", "not applicable"),
        ("OK", "unclassified cell"),
    ]
    rows = ["\t".join(head)] + [
        "\t".join([name, "Homo sapiens", "NCBI", name.split("_")[0], "EFO", *fact, "normal"])
        for name, fact in reversed([*zip(names, facts, strict=True)])
    ]
    put(folder / SEGERSTOLPE_CELLS, "\n".join(rows) + "\n")


def test_segerstolpe_takes_the_counts_of_good_wells_and_no_spike_ins(folder):
    segerstolpe(folder)
    cells = load("segerstolpe", folder=folder)
    assert [*cells.obs_names] == ["HP1502401_A1", "HP1502401_A2", "HP1504101T2D_B3"]
    assert cells.X.toarray().tolist() == [[10, 0], [0, 7], [3, 0]]
    assert [*cells.var_names] == ["SGIP1", "INS+IGF2"]
    assert [*cells.var["gene_ids"]] == ["NM_032291", "NM_1+NM_2"]
    assert [*cells.obs["cell_type"]] == ["alpha", "MHC class II", "co-expression"]
    assert [*cells.obs["donor"]] == ["HP1502401", "HP1502401", "HP1504101T2D"]
    assert {*cells.obs["disease"]} == {"normal"}
    assert cells.uns["values"] == "counts"
    assert cells.uns["left_out"] == "1 low quality well, 1 unclassified cell"


def test_segerstolpe_refuses_another_header_and_an_archive_without_the_table(folder):
    segerstolpe(folder, first="gene")
    with pytest.raises(DataError, match="its first line begins with 'gene', not with #samples"):
        load("segerstolpe", folder=folder)
    with zipfile.ZipFile(folder / SEGERSTOLPE, "w") as archive:
        archive.writestr("readme.txt", "none")
    with pytest.raises(DataError, match=r"0 of its files fit .*, not 1; it holds readme\.txt"):
        load("segerstolpe", folder=folder)


def test_xin_reads_rpkm_names_genes_and_leaves_out_contaminated_cells(folder):
    rows = [
        "gene.id\tSample_1\tSample_2\tSample_3\tSample_4",
        "1\t0\t1.5\t2\t0",
        "503538\t7\t0\t0\t1",
    ]
    put(folder / XIN, "\n".join([*rows, "99\t0\t0\t0\t0"]) + "\n")
    head = "Sample.name\tdonor.id\tcondition\tage\tcell.type"
    types = ["alpha", "PP", "beta.contaminated", "delta"]
    lines = [f"Sample {n}\tD{n}\tHealthy\t30\t{kind}" for n, kind in enumerate(types, 1)]
    put(folder / XIN_CELLS, "\n".join([head, *lines]) + "\n")
    put(folder / XIN_GENES, '"gene.id","symbol"\n1,"A1BG"\n503538,"A1BG-AS1"\n')
    cells = load("xin", folder=folder)
    assert [*cells.obs_names] == ["Sample_1", "Sample_2", "Sample_4"]
    assert [*cells.obs["cell_type"]] == ["alpha", "gamma", "delta"]
    assert [*cells.obs["donor"]] == ["D1", "D2", "D4"]
    assert [*cells.var_names] == ["A1BG", "A1BG-AS1", "99"]  # no symbol: the number stays
    assert [*cells.var["gene_ids"]] == ["1", "503538", "99"]
    assert cells.X.toarray().tolist() == [[0, 7, 0], [1.5, 0, 0], [0, 1, 0]]
    assert cells.uns["values"] == "RPKM"
    assert cells.uns["left_out"] == "1 beta.contaminated"
