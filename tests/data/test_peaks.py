"""Peaks of different data sets: by place, over other names, over other cuts; other genomes."""

import anndata as ad
import bioframe
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, identity

import cytonym
from cytonym.data.align import align, match, misfit, space_of
from cytonym.data.peaks import match_peaks
from cytonym.data.read import open_cells
from cytonym.disk.numbers import numbers
from cytonym.dna.intervals import (
    build_of,
    interval_names,
    intervals,
    parse_intervals,
    style,
    ucsc,
)
from cytonym.errors import DataError
from cytonym.types import FeatureSpace


def space(*names, **columns):
    facts = {name: np.array(values, dtype=str) for name, values in columns.items()}
    return FeatureSpace("atac", np.array(names, dtype=str), np.ones(len(names), bool), facts)


def matched(query, reference):
    found = match_peaks(query, reference)
    assert found is not None
    return found[0].toarray().astype(int).tolist(), found[1]


REFERENCE = space("chr1:100-200", "chr1:300-400", "chr2:100-200")


@pytest.mark.parametrize("sign", [":{}-{}", "-{}-{}", "_{}_{}", ":{}_{}"])
def test_coordinates_are_read_from_all_usual_spellings(sign):
    names = [
        f"chr1{sign.format(5, 9)}",
        f"GL000220.1{sign.format(10, 20)}",
        f"MT{sign.format(1, 2)}",
    ]
    table = parse_intervals(names)
    assert table.to_numpy().tolist() == [["chr1", 5, 9], ["GL000220.1", 10, 20], ["chrM", 1, 2]]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["1", "chrX", "MT", "KI270728.1"]),
            st.integers(0, 2**40),
            st.integers(1, 10**6),
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=40, deadline=None)
def test_any_interval_written_is_read_back(rows):
    table = parse_intervals([f"{chrom}:{start}-{start + width}" for chrom, start, width in rows])
    assert table["chrom"].tolist() == [ucsc(chrom) for chrom, *_ in rows]
    assert table["start"].tolist() == [start for _, start, _ in rows]
    assert (table["end"] - table["start"]).tolist() == [width for *_, width in rows]


def test_chromosomes_get_their_ucsc_names_and_scaffolds_keep_theirs():
    given = ["1", "chr1", "CHR2", "MT", "chrM", "x", "X", "II", "GL000220.1", "22"]
    wanted = [
        "chr1",
        "chr1",
        "chr2",
        "chrM",
        "chrM",
        "chrX",
        "chrX",
        "chrII",
        "GL000220.1",
        "chr22",
    ]
    assert [ucsc(name) for name in given] == wanted


def test_equal_peaks_are_matched_and_nothing_else_where_all_are_equal():
    overlapping = space("chr1:100-200", "chr1:150-250", "chr1:240-300")
    selection, coverage = matched(overlapping, overlapping)
    assert selection == np.eye(3, dtype=int).tolist()
    assert coverage.matched_by == "coordinates"
    assert coverage.notes == ()


def test_a_peak_that_none_equals_gets_all_that_overlap_it():
    query = space("chr1:100-200", "chr1:390-500", "chr1:310-320", "chr2:200-300", "chr3:1-9")
    selection, coverage = matched(query, REFERENCE)
    assert selection == [[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert (coverage.shared, [*coverage.missing]) == (2, ["chr2:100-200"])
    assert coverage.matched_by == "overlap of coordinates"
    told = " ".join(coverage.notes)
    assert "1 peaks of the reference are no peaks of the data" in told
    assert "get the counts of the 2 that overlap them" in told
    assert "2 of the 5 peaks of the data (40%) overlap none" in told


def test_a_merged_peak_counts_for_all_that_it_covers():
    selection, _ = matched(space("chr1:100-400"), REFERENCE)
    assert selection == [[1, 1, 0]]


def test_chromosome_1_is_chr1_and_the_answer_says_so():
    query = space("1:100-200", "1:300-400", "2:100-200")
    selection, coverage = matched(query, REFERENCE)
    assert selection == np.eye(3, dtype=int).tolist()
    assert (
        "the data call chromosomes 1, 2, ... and the reference chr1, chr2, ..." in coverage.notes[0]
    )


def test_coordinates_come_from_columns_where_the_names_are_none():
    var = pd.DataFrame(
        {"chrom": ["chr1", "chr2"], "start": [100, 100], "end": [200, 200]}, ["peak_1", "peak_2"]
    )
    cells = open_cells(ad.AnnData(csr_matrix(np.ones((3, 2), np.float32)), var=var))
    assert [*cells.spaces] == ["atac"]
    selection, _ = matched(cells.spaces["atac"], REFERENCE)
    assert selection == [[1, 0, 0], [0, 0, 1]]
    assert style(cells.spaces["atac"]) == "chr1:100-600"
    named = space("a", "b", interval=["chr1:100-200", "chr2:100-200"])  # as 10x files have it
    assert matched(named, REFERENCE)[0] == selection


def test_genes_with_coordinates_stay_genes():
    var = pd.DataFrame({"chrom": ["chr1"] * 2, "start": [1, 5], "end": [4, 9]}, ["CD3D", "LYZ"])
    cells = open_cells(ad.AnnData(csr_matrix(np.ones((3, 2), np.float32)), var=var))
    assert [*cells.spaces] == ["rna"]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_the_selection_is_that_of_a_plain_search(data):
    def peaks():
        rows = st.tuples(st.sampled_from(["1", "2"]), st.integers(0, 300), st.integers(1, 60))
        found = data.draw(st.lists(rows, min_size=1, max_size=12, unique=True))
        return [(chrom, start, start + width) for chrom, start, width in found]

    mine, theirs = peaks(), peaks()
    selection, _ = matched(
        space(*[f"{c}:{a}-{b}" for c, a, b in mine]),
        space(*[f"chr{c}:{a}-{b}" for c, a, b in theirs]),
    )
    for row, (chrom, start, end) in enumerate(mine):
        for column, (other, first, last) in enumerate(theirs):
            if (other, first, last) in mine:
                wanted = (chrom, start, end) == (other, first, last)
            else:
                wanted = chrom == other and start < last and first < end
            assert selection[row][column] == wanted


# --- genome builds -------------------------------------------------------------------------------


def peaks_of(build, n=4000, seed=0):
    """Peaks all over a genome, to the ends of its chromosomes."""
    sizes = bioframe.assembly_info(build).chromsizes
    sizes = sizes[[name for name in sizes.index if name != "chrM"]]
    rng = np.random.default_rng(seed)
    chrom = rng.choice(sizes.index.to_numpy(), n, p=sizes / sizes.sum())
    start = (rng.uniform(0, 1, n) * (sizes[chrom].to_numpy() - 600)).astype(int)
    start[: len(sizes)] = sizes.to_numpy() - 600
    chrom[: len(sizes)] = sizes.index
    return space(*dict.fromkeys(f"{c}:{s}-{s + 500}" for c, s in zip(chrom, start, strict=True)))


@pytest.mark.parametrize("build", ["hg19", "hg38", "mm9", "mm10", "mm39"])
def test_the_ends_of_the_chromosomes_tell_the_build(build):
    found = build_of(intervals(peaks_of(build)))
    assert build in found.possible
    assert not {"hg19", "mm10"} - {build} & {*found.possible}


def test_what_the_file_says_of_its_genome_comes_first():
    found = build_of(intervals(REFERENCE), np.array(["GRCh38"] * 3))
    assert (found.possible, found.why()) == (("hg38",), "the column genome says GRCh38")


def test_another_build_is_refused_with_the_ends_of_chromosomes_as_evidence():
    query, reference = peaks_of("hg19"), peaks_of("hg38", seed=1)
    problem = misfit(query, reference, match(query, reference)[1])
    assert "lie on different genome builds" in problem.what
    assert "the data: hg19 (one begins at chr" in problem.what
    assert "hg38's chr" in problem.what
    assert "lift the data over" in problem.remedy


def test_equal_names_do_not_hide_another_build():
    tiles = [f"chr17:{start}-{start + 500}" for start in range(0, 500 * 400, 500)]
    query = space(*tiles, "chr17:82000000-82000500")  # hg19's chr17 ends before
    reference = space(*tiles, "chr9:140900000-140900500")  # hg38's chr9 does
    assert "different genome builds" in misfit(query, reference, match(query, reference)[1]).what
    said = space(*tiles, genome=["GRCh38"] * 400)
    other = space(*tiles, genome=["mm10"] * 400)
    assert "the column genome says GRCh38" in misfit(said, other, match(said, other)[1]).what


def test_a_genome_that_is_not_known_here_matches_itself_by_overlap():
    reference = space(
        *(f"chr1:{280_000_000 + 1000 * i}-{280_000_400 + 1000 * i}" for i in range(99))
    )
    query = space(*(f"chr1:{280_000_050 + 1000 * i}-{280_000_450 + 1000 * i}" for i in range(99)))
    _, coverage = match(query, reference)
    assert coverage.share == 1
    assert misfit(query, reference, coverage) is None


def test_peaks_many_times_as_wide_and_overlaps_that_mean_nothing_are_remarked_upon():
    reference = space(*(f"chr1:{50_000 * i}-{50_000 * i + 200}" for i in range(1, 200)))
    wide = space(*(f"chr1:{50_000 * i - 5000}-{50_000 * i + 5000}" for i in range(1, 200)))
    _, coverage = match(wide, reference)
    assert any("50 times as wide as the reference's" in note for note in coverage.notes)
    whole = space("chr1:0-240000000")
    _, coverage = match(whole, reference)
    assert any("by chance 90% of the reference's peaks" in note for note in coverage.notes)


def test_tiles_of_another_size_and_all_but_equal_peaks_are_taken():
    tiles = [
        space(*(f"chr1:{w * i}-{w * (i + 1)}" for i in range(200_000 // w))) for w in (500, 2000)
    ]
    for query, reference in (tiles, tiles[::-1]):
        assert misfit(query, reference, match(query, reference)[1]) is None
    last = space(*tiles[0].names[:-1], "chr1:199500-199900")
    assert misfit(last, tiles[0], match(last, tiles[0])[1]) is None


def test_coordinates_as_text_as_fractions_and_with_commas_are_read_and_impossible_ones_are_not():
    var = pd.DataFrame({"Chr": ["1", "2"], "Start": ["100", "100"], "End": [200.0, 200.0]})
    var.index = pd.Index(["peak_1", "peak_2"])
    cells = open_cells(ad.AnnData(csr_matrix(np.ones((3, 2), np.float32)), var=var))
    assert matched(cells.spaces["atac"], REFERENCE)[0] == [[1, 0, 0], [0, 0, 1]]
    table = parse_intervals(["chr1:1,000-1,500", "chr1:500-100", "chr1:1-99999999999999999999"])
    assert table.to_numpy().tolist() == [["chr1", 1000, 1500], ["", 0, 0], ["", 0, 0]]


def test_coordinates_that_are_far_beyond_all_numbers_are_none():
    """``pandas.to_numeric`` would end the process."""
    assert np.isnan(numbers(["1e21x", "1_0", None, "", "0x1", 10**400])).all()
    assert numbers(["1e2147483650", " 7 ", 3, "-2.5"]).tolist() == [np.inf, 7, 3, -2.5]
    var = pd.DataFrame({"chr": ["1", "1"], "start": ["1", "2"], "end": ["50", "1e2147483650"]})
    assert interval_names(var) is None


def test_a_peak_without_coordinates_among_others_is_matched_by_its_name():
    query = space(*(f"chr1:{i}00-{i}50" for i in range(1, 31)), "extra")
    selection, coverage = matched(query, query)
    assert selection == np.eye(31, dtype=int).tolist()
    assert coverage.shared == 31


def test_peaks_that_overlap_by_chance_alone_are_refused_and_the_chance_is_told():
    query, reference = peaks_of("mm10"), peaks_of("mm10", seed=1)
    problem = misfit(query, reference, match(query, reference)[1])
    assert "moved by 1,000,000 bp, the data's peaks overlap" in problem.what
    assert "cytonym count" in problem.remedy


def test_peaks_without_coordinates_are_refused_where_the_reference_has_some():
    query = space(*(f"peak_{i}" for i in range(300)))
    reference = peaks_of("mm10")
    problem = misfit(query, reference, match(query, reference)[1])
    assert "the peaks of the data have no coordinates (peak_0, peak_1" in problem.what
    with pytest.raises(DataError, match="no coordinates"):
        align(
            open_cells(
                {
                    "atac": ad.AnnData(
                        csr_matrix(np.eye(300, dtype=np.float32)),
                        var=pd.DataFrame(index=query.names),
                    )
                }
            ),
            {"atac": reference},
        )


def test_a_gene_column_is_not_asked_of_the_peaks():
    rng = np.random.default_rng(0)
    rna = ad.AnnData(csr_matrix(rng.poisson(1.0, (6, 60)).astype(np.float32)))
    rna.var["gene_name"] = [f"CD{i}" for i in range(60)]
    atac = ad.AnnData(identity(6, np.float32, format="csr"))
    atac.var_names = [f"chr1:{100 * i}-{100 * i + 50}" for i in range(6)]
    cells = open_cells({"rna": rna, "atac": atac}, genes="gene_name")
    source, _ = align(cells, space_of(cells, genes="gene_name"), genes="gene_name", min_shared=1)
    assert source.spaces["rna"].names[0] == "CD0"


def test_without_bioframe_equal_peaks_still_match_and_others_say_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "bioframe", None)
    assert matched(REFERENCE, REFERENCE)[1].share == 1
    with pytest.raises(DataError, match=r"pip install '\.\[atac\]' in a clone"):
        match_peaks(space("chr1:101-200"), REFERENCE)


@pytest.mark.parametrize(
    ("file", "build"),
    [
        ("atac/buenrostro2018_BM0828.h5ad", "hg19"),
        ("multiome/snare_mouse_cortex.h5mu", "mm10"),
        ("multiome/bmmc_multiome_starter.h5mu", "hg38"),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_build_of_real_peaks_is_found(data_dir, file, build):
    peaks = cytonym.read(data_dir / file).spaces["atac"]
    assert build_of(intervals(peaks)).possible == (build,)
