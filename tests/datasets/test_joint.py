"""Multi-omic and ATAC sets from small files in the layouts of the original ones."""

from __future__ import annotations

import gzip

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from cytonym.datasets import load
from cytonym.datasets.catalogue_joint import PBMC3K, PBMC3K_TYPES, PBMC10K
from cytonym.datasets.joint import SCNMT, SHARE, SNARE_CORTEX, SNARE_LINES
from cytonym.datasets.multiome import NEURIPS
from cytonym.errors import DataError
from original import mtx, put

SHARE_CELLS = ["R1.01,R2.01,R3.06,P1.07", "R1.02,R2.05,R3.01,P1.08", "R1.03,R2.05,R3.01,P1.08"]


def share(folder, barcodes="rna"):
    rna = [c.replace(",", ".") for c in SHARE_CELLS]
    atac = [c.replace("P1.0", "P1.5") for c in rna]
    rows = ["gene\t" + "\t".join(SHARE_CELLS), "0610005C13Rik\t0\t1\t0", "Krt5\t4\t0\t2"]
    put(folder / SHARE["rna"], "\n".join(rows) + "\n")
    used = {"rna": rna, "atac": atac}[barcodes][:2]
    put(folder / SHARE["barcodes"], "\n".join(used) + "\n")
    put(folder / SHARE["peaks"], "chr1\t3094484\t3094784\nchr1\t3113499\t3113799\nchrX\t1\t9\n")
    put(folder / SHARE["atac"], mtx([[1, 0], [0, 2], [0, 0]]))
    types = ["TAC-1", "Basal", "Mix"]
    lines = [f"{a}\t{r}\t{t}" for a, r, t in zip(atac, rna, types, strict=True)]
    put(folder / SHARE["types"], "\n".join(["atac.bc\trna.bc\tcelltype", *lines]) + "\n")


@pytest.mark.parametrize("barcodes", ["rna", "atac"])
def test_share_seq_pairs_cells_by_either_barcode(folder, barcodes):
    share(folder, barcodes)
    both = load("share-skin", folder=folder)
    rna, atac = both["rna"], both["atac"]
    assert [*rna.obs_names] == [*atac.obs_names] == [c.replace(",", ".") for c in SHARE_CELLS[:2]]
    assert rna.X.toarray().tolist() == [[0, 4], [1, 0]]
    assert atac.X.toarray().tolist() == [[1, 0, 0], [0, 2, 0]]
    assert [*atac.var_names] == ["chr1:3094484-3094784", "chr1:3113499-3113799", "chrX:1-9"]
    assert [*atac.obs["cell_type"]] == [*rna.obs["cell_type"]] == ["TAC-1", "Basal"]
    assert rna.uns["left_out"] == "1 without the other modality"
    assert (atac.uns["genome"], atac.uns["values"]) == ("mm10", "counts")


def test_share_seq_refuses_a_matrix_that_does_not_fit_the_files_beside_it(folder):
    share(folder)
    put(folder / SHARE["atac"], mtx([[1, 0], [0, 2]]))
    with pytest.raises(DataError, match=r"it is 2 features × 2 cells, but .* name 3 features"):
        load("share-skin", folder=folder)


def snare_lines(folder):
    put(folder / SNARE_LINES["rna"], "AAA\tCCC\tGGG\nRPL1\t1\t0\t5\nGATA2\t0\t3\t0\n")
    put(folder / SNARE_LINES["atac"], "CCC\tAAA\tTTT\nchr1:10-99\t1\t0\t1\nchr2:5-9\t0\t2\t1\n")
    put(folder / SNARE_LINES["types"], "cell\tcell_line\nAAA\tBJ\nCCC\tK562\n")


def test_snare_cell_lines_are_joined_in_the_order_of_the_rna(folder):
    snare_lines(folder)
    both = load("snare-celllines", folder=folder)
    assert [*both["rna"].obs_names] == [*both["atac"].obs_names] == ["AAA", "CCC"]
    assert both["atac"].X.toarray().tolist() == [[0, 2], [1, 0]]
    assert [*both["rna"].obs["cell_type"]] == ["BJ", "K562"]
    assert both["rna"].uns["left_out"] == "1 without the other modality"


def test_snare_cortex_reads_without_types_and_with_a_table_of_them(folder):
    for part, features in (("cDNA", "genes"), ("chromatin", "peaks")):
        start = f"{SNARE_CORTEX}_{part}"
        names = "Sox2\nGad1\n" if part == "cDNA" else "chr1:1-9\nchr1:20-30\n"
        put(folder / f"{start}.{features}.tsv.gz", names)
        put(folder / f"{start}.barcodes.tsv.gz", "09A_AAA\n09B_CCC\n")
        put(folder / f"{start}.counts.mtx.gz", mtx([[1, 0], [0, 2]]))
    both = load("snare-cortex", folder=folder)
    assert "cell_type" not in both["rna"].obs
    assert [*both["rna"].obs["batch"]] == ["09A", "09B"]
    put(folder / "labels.csv", "cell,type\n09B_CCC,Ast\n")
    both = load("snare-cortex", folder=folder)
    assert [*both["atac"].obs["cell_type"]] == ["Ast"]
    assert both["atac"].uns["left_out"] == "1 no label"


def tenx(path, kinds=("Gene Expression", "Gene Expression", "Peaks")):
    counts = csr_matrix(np.array([[1, 0, 2], [0, 3, 0]], dtype=np.int32))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        text = {"barcodes": ["AAAC-1", "GGGT-1"]}
        for name, values in text.items():
            group[name] = np.array(values, dtype="S")
        group["data"], group["indices"], group["indptr"] = (
            counts.data,
            counts.indices,
            counts.indptr,
        )
        group["shape"] = np.array([3, 2])
        features = group.create_group("features")
        features["name"] = np.array(["CD4", "CD4", "chr1:100-600"], dtype="S")
        features["id"] = np.array(["ENSG1", "ENSG2", "chr1:100-600"], dtype="S")
        features["feature_type"] = np.array(kinds, dtype="S")
        features["genome"] = np.array(["GRCh38"] * 3, dtype="S")


def test_10x_multiome_is_split_and_named_by_the_table_of_dcca(folder):
    tenx(folder / PBMC3K)
    put(folder / PBMC3K_TYPES, "Cell\tCluster\nGGGT-1\tB memory\n")
    both = load("pbmc-multiome-3k", folder=folder)
    assert [*both["rna"].obs["cell_type"]] == ["B memory"]
    assert both["rna"].X.toarray().tolist() == [[0, 3]]
    assert both["atac"].X.toarray().tolist() == [[0]]
    assert [*both["rna"].var_names] == ["CD4", "CD4-1"]
    assert [*both["rna"].var["gene_ids"]] == ["ENSG1", "ENSG2"]
    assert both["atac"].uns["genome"] == "hg38"


def test_10x_multiome_needs_no_types_and_refuses_a_table_of_which_it_knows_none(folder):
    tenx(folder / PBMC10K)
    both = load("pbmc-multiome-10k", folder=folder)
    assert both["rna"].n_obs == 2
    assert "cell_type" not in both["rna"].obs
    put(folder / "labels.tsv", "cell\tage\tsex\nAAAC-1\t3\tF\n")
    with pytest.raises(DataError, match="which of its columns is the type is not known: cell, age"):
        load("pbmc-multiome-10k", folder=folder)


def test_10x_without_peaks_is_refused(folder):
    tenx(folder / PBMC10K, kinds=("Gene Expression",) * 3)
    with pytest.raises(DataError, match="it holds rna, not genes and peaks"):
        load("pbmc-multiome-10k", folder=folder)


def test_neurips_takes_the_counts_of_both_kinds_of_features_from_a_packed_file(folder):
    values = np.array([[1, 0, 1], [0, 5, 0]], dtype=np.float32)
    obs = pd.DataFrame(
        {"cell_type": pd.Categorical(["HSC", "NK"]), "batch": pd.Categorical(["s1d1", "s4d8"])},
        index=["AAA-1-s1d1", "CCC-1-s4d8"],
    ).assign(DonorID=[15078, 28045], Site=["site1", "site4"])
    kinds = pd.Categorical(["GEX", "GEX", "ATAC"])
    var = pd.DataFrame(
        {"feature_types": kinds, "gene_id": ["ENSG1", "ENSG2", "chr1-9776-10668"]},
        index=["AL627309.5", "LINC01409", "chr1-9776-10668"],
    )
    whole = ad.AnnData(csr_matrix(np.log1p(values)), obs=obs, var=var)
    whole.layers["counts"] = csr_matrix(values)
    whole.write_h5ad(folder / "plain.h5ad")
    (folder / NEURIPS).write_bytes(gzip.compress((folder / "plain.h5ad").read_bytes()))
    both = load("neurips-bmmc", folder=folder)
    assert both["rna"].X.toarray().tolist() == [[1, 0], [0, 5]]
    assert both["atac"].X.toarray().tolist() == [[1], [0]]
    assert [*both["rna"].obs["cell_type"]] == ["HSC", "NK"]
    assert [*both["atac"].obs["donor"]] == ["15078", "28045"]
    assert [*both["rna"].obs["batch"]] == ["s1d1", "s4d8"]
    assert [*both["rna"].var["gene_ids"]] == ["ENSG1", "ENSG2"]
    (folder / NEURIPS).unlink()
    (folder / "plain.h5ad").rename(folder / NEURIPS.removesuffix(".gz"))  # unpacked by hand
    assert load("neurips-bmmc", folder=folder)["rna"].n_obs == 2


def scmoanno(folder, labels, n=2, order=1):
    for name, width in (("rna", 3), ("atac", 4)):
        names = [f"c{k}" for k in range(n)]
        cells = ad.AnnData(np.arange(n * width, dtype=np.float32).reshape(n, width))
        cells.obs_names = names[:: order if name == "atac" else 1]
        cells.write_h5ad(folder / f"{name}.h5ad")
    put(folder / "Label.csv", labels)


@pytest.mark.parametrize(
    "labels", ["x\nB cell\nNK\n", ",x\n0,B cell\n1,NK\n", ",x\nc0,B cell\nc1,NK\n"]
)
def test_scmoanno_reads_types_in_the_order_of_the_cells_with_and_without_an_index(folder, labels):
    scmoanno(folder, labels)
    both = load("scmoanno-bmmc", folder=folder)
    assert [*both["rna"].obs["cell_type"]] == ["B cell", "NK"]
    assert [*both["atac"].obs["cell_type"]] == ["B cell", "NK"]
    assert both["atac"].X.toarray()[1].tolist() == [4, 5, 6, 7]


def test_scmoanno_refuses_types_that_are_too_few_and_cells_in_another_order(folder):
    scmoanno(folder, "x\nNK\n")
    with pytest.raises(DataError, match=r"rna\.h5ad has 2 cells, atac\.h5ad 2, Label\.csv 1 lines"):
        load("scmoanno-bmmc", folder=folder)
    scmoanno(folder, "x\nNK\nB\n", order=-1)
    with pytest.raises(DataError, match="the same cells in another order"):
        load("scmoanno-bmmc", folder=folder)


def test_scnmt_gives_rates_where_they_were_observed_and_cells_that_passed_both_controls(folder):
    put(
        folder / SCNMT["rna"],
        "ensembl_id\tE7_A\tE7_B\tE7_C\nENSMUSG1\t1\t0\t2\nENSMUSG2\t0\t4\t0\n",
    )
    head = "sample\tid_rna\tid_met\tembryo\tstage\tlineage10x_2\tpass_rnaQC\tpass_metQC"
    rows = [
        f"E7_{k}\tr{k}\tm{k}\temb1\tE7.5\t{t}\tTRUE\t{q}"
        for k, t, q in (
            ("C", "Mesoderm", "TRUE"),
            ("B", "Endoderm", "FALSE"),
            ("A", "Ectoderm", "TRUE"),
        )
    ]
    put(
        folder / SCNMT["cells"],
        "\n".join([head, *rows, "E6_Z\tr\tm\te\tE6.5\tNA\tFALSE\tNA"]) + "\n",
    )
    lines = [
        "mA\tENSMUSG9\tprom\t1\t4\t25",
        "mC\tENSMUSG9\tprom\t0\t3\t0",
        "mA\tENSMUSG7\tprom\t2\t2\t100",
    ]
    put(folder / SCNMT["methylation"], "\n".join([*lines, "mB\tENSMUSG7\tprom\t1\t1\t100"]) + "\n")
    both = load("scnmt-gastrulation", folder=folder)
    assert [*both["rna"].obs_names] == [*both["methylation"].obs_names] == ["E7_C", "E7_A"]
    assert both["rna"].X.toarray().tolist() == [[2, 0], [1, 0]]
    assert [*both["methylation"].var_names] == ["ENSMUSG7", "ENSMUSG9"]
    np.testing.assert_array_equal(both["methylation"].X, np.float32([[np.nan, 0], [1, 0.25]]))
    assert [*both["rna"].obs["cell_type"]] == ["Mesoderm", "Ectoderm"]
    assert [*both["rna"].obs["stage"]] == ["E7.5", "E7.5"]


def sango(path, **columns):
    obs = pd.DataFrame(
        {
            "CellType": ["Astrocytes", "Unknown", "Neurons"],
            "Batch": ["MosP1", "MosP1", "Cerebellum"],
        },
        index=["a", "b", "c"],
    )
    place = {"chrom": ["chr1", "chr2"], "chromStart": [10, 20], "chromEnd": [30, 40]}
    values = csr_matrix(np.array([[1, 0], [1, 1], [0, 2]], dtype=np.float32))
    var = pd.DataFrame(columns or place, index=["0", "1"])
    ad.AnnData(values, obs=obs, var=var).write_h5ad(path)


def test_sango_pairs_say_which_set_a_cell_is_of_and_where_peaks_lie(folder):
    sango(folder / "MosP1_Cerebellum.h5ad")
    cells = load("sango-mosp1-cerebellum", folder=folder)
    assert [*cells.obs["cell_type"]] == ["Astrocytes", "Neurons"]
    assert [*cells.obs["batch"]] == ["MosP1", "Cerebellum"]
    assert [*cells.var_names] == ["chr1:10-30", "chr2:20-40"]
    assert cells.X.toarray().tolist() == [[1, 0], [0, 2]]
    assert cells.uns["left_out"] == "1 Unknown"
    assert cells.uns["genome"] == "mm10"


def test_a_sango_pair_is_found_the_other_way_round_and_refused_without_places(folder):
    sango(folder / "Cerebellum_MosP1.h5ad", chr=["chr1", "chr2"], start=[10, 20], end=[30, 40])
    assert load("sango-mosp1-cerebellum", folder=folder).n_obs == 2
    sango(folder / "MosP1_Cerebellum.h5ad", name=["p", "q"])
    with pytest.raises(DataError, match=r"it has no var\['chrom'\]"):
        load("sango-mosp1-cerebellum", folder=folder)
