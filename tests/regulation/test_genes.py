import gzip

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem

from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    peaks_of_genes,
    read_genes,
)

BED = (
    "#comment\n1\t1000\t5000\tFwd\t.\t+\nchr1\t20000\t30000\tRev\t0\t-\tmore\n"
    "\nMT\t0\t9\tMito\t.\t+\n"
)


def test_a_bed_file_gives_genes_plain_or_gzip(tmp_path):
    (tmp_path / "genes.bed").write_text(BED)
    (tmp_path / "genes.bed.gz").write_bytes(gzip.compress(BED.encode()))
    table = read_genes(tmp_path / "genes.bed")
    assert table.to_numpy().tolist() == [
        ["chr1", 1000, 5000, "Fwd", "+"],
        ["chr1", 20000, 30000, "Rev", "-"],
        ["chrM", 0, 9, "Mito", "+"],
    ]
    pd.testing.assert_frame_equal(table, read_genes(tmp_path / "genes.bed.gz"))


def test_lines_that_hold_no_gene_are_told_together(tmp_path):
    path = tmp_path / "genes.bed"
    path.write_text(BED + "chr2\t9\t5\tA\t.\t+\nchr2\tx\t5\tB\t.\t.\n")
    with pytest.raises(DataError) as caught:
        read_genes(path)
    assert [p.what for p in caught.value.problems] == [
        "2 of 5 lines hold no interval; first: line 6, chr2 9 5 A . +",
        "1 of 5 lines have no strand; first: line 7, chr2 x 5 B . .",
    ]
    path.write_text("chr1\t1\t1e2147483650\tA\t.\t+\nchr1\t1\t1_0\tA\t.\t+\n")
    with pytest.raises(DataError, match="2 of 2 lines hold no interval"):
        read_genes(path)
    path.write_text("chr1\t1\t2\tA\n")
    with pytest.raises(DataError, match="1 lines have fewer than six columns; first: line 1"):
        read_genes(path)
    path.write_text("")
    with pytest.raises(DataError, match="no lines"):
        read_genes(path)
    path.write_bytes(gzip.compress(BED.encode())[:30])
    with pytest.raises(DataError, match="cannot be read"):
        read_genes(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_genes(tmp_path / "none.bed")


def linked(starts, **options):
    """Which 10 bp peaks on chr1 belong to which of the two genes."""
    pytest.importorskip("bioframe")
    genes = pd.DataFrame(
        [["chr1", 10_000, 15_000, "Fwd", "+"], ["chr1", 20_000, 30_000, "Rev", "-"]],
        columns=pd.Index(["chrom", "start", "end", "gene", "strand"]),
    )
    start = np.array(starts)
    peaks = pd.DataFrame({"chrom": "1", "start": start, "end": start + 10})
    found = peaks_of_genes(peaks, genes, **options)
    assert (found["peak"] == [f"chr1:{s}-{s + 10}" for s in start[found["row"]]]).all()
    return {(gene, starts[row]) for gene, row in zip(found["gene"], found["row"], strict=True)}


def test_a_gene_has_the_peaks_of_its_body_and_2_kb_before_its_start_by_strand():
    # Fwd: 8,000 to 15,000; Rev, which starts at its right end: 20,000 to 32,000.
    starts = [7_990, 7_991, 14_999, 15_000, 19_990, 19_991, 31_999, 32_000]
    inside = {("Fwd", 7_991), ("Fwd", 14_999), ("Rev", 19_991), ("Rev", 31_999)}
    assert linked(starts) == inside
    assert linked([9_991, 30_000], upstream=0) == {("Fwd", 9_991)}


def test_a_distance_takes_peaks_around_the_start_of_transcription_instead():
    # The first base of Fwd is 10,000 and that of Rev 29,999.
    starts = [9_890, 9_891, 10_100, 10_101, 29_889, 29_890, 30_099, 30_100]
    inside = {("Fwd", 9_891), ("Fwd", 10_100), ("Rev", 29_890), ("Rev", 30_099)}
    assert linked(starts, distance=100) == inside


def test_regions_end_at_0_and_negative_distances_are_refused():
    assert linked([0], upstream=50_000) == {("Fwd", 0)}
    with pytest.raises(OptionError, match="upstream=-1"):
        linked([0], upstream=-1)
    with pytest.raises(OptionError, match="distance=-5"):
        linked([0], distance=-5)


def test_the_24367_mouse_genes_and_the_cortex_peaks_give_25_thousand_pairs(data_dir):
    pytest.importorskip("bioframe")
    genes = read_genes(data_dir / "ref" / "genes_mm10_archr.bed.gz")
    assert len(genes) == 24_367
    with h5py.File(data_dir / "multiome" / "snare_mouse_cortex.h5mu") as file:
        peaks, measured = (read_elem(file[f"mod/{kind}/var"]) for kind in ("atac", "rna"))
    pairs = peaks_of_genes(peaks, genes)
    measured = pairs[pairs["gene"].isin(measured.index)]
    assert len(measured) == 24_946
    assert measured["gene"].nunique() == 1_639
