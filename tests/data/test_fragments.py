"""Counting fragments: by hand, against a plain count, and against a matrix made by ArchR."""

import gzip

import anndata as ad
import numpy as np
import pandas as pd
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cytonym
from cytonym.data.fragments import count_fragments
from cytonym.dna.intervals import parse_intervals
from cytonym.errors import DataError, OptionError

LINES = [
    "chr1\t90\t150\tA-1\t2",  # one end in the first peak
    "chr1\t110\t180\tA-1\t1",  # both ends in it
    "chr1\t50\t400\tB-1\t1",  # over both peaks, ends in none
    "chr1\t199\t301\tB-1\t1",  # its two ends are the last base of one and the first of the other
    "chr2\t10\t20\tA-1\t1",
    "chrUn_1\t10\t20\tC-1\t1",
]
PEAKS = ["chr1:100-200", "chr1:300-350"]


@pytest.fixture
def write(tmp_path):
    def write(lines, name="fragments.tsv.gz", header="# id=test\n"):
        path = tmp_path / name
        text = header + "".join(f"{line}\n" for line in lines)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def counted(path, peaks=PEAKS, **given):
    given = {"min_fragments": 1, "progress": False, **given}
    return count_fragments(path, parse_intervals(peaks), **given)


def test_both_ends_of_a_fragment_count_or_the_fragment_once(write):
    path = write(LINES)
    found = counted(path)
    assert found.cells.tolist() == ["A-1", "B-1", "C-1"]
    assert found.counts.toarray().tolist() == [[3, 0], [1, 1], [0, 0]]
    assert found.fragments.tolist() == [3, 2, 1]
    assert found.counts.dtype == np.float32
    once = counted(path, what="fragments").counts.toarray().tolist()
    assert once == [[2, 0], [2, 2], [0, 0]]


def test_cells_come_in_the_order_asked_for_and_others_are_not_counted(write):
    found = counted(write(LINES), barcodes=np.array(["C-1", "nobody", "A-1"]))
    assert found.cells.tolist() == ["C-1", "nobody", "A-1"]
    assert found.counts.toarray().tolist() == [[0, 0], [0, 0], [3, 0]]
    assert found.fragments.tolist() == [1, 0, 3]


def test_barcodes_with_few_fragments_are_left_out_and_counted(write):
    found = counted(write(LINES), min_fragments=2)
    assert (found.cells.tolist(), found.left_out) == (["A-1", "B-1"], 1)


def test_plain_gzip_and_bgzip_with_an_index_are_read_alike(write, tmp_path):
    plain = write(sorted(LINES, key=lambda line: (line.split()[0], int(line.split()[1]))), "f.tsv")
    packed = tmp_path / "packed.tsv.gz"
    pysam.tabix_compress(str(plain), str(packed))
    pysam.tabix_index(str(packed), preset="bed")
    cells = np.array(["A-1", "B-1", "C-1"])
    want = counted(plain, barcodes=cells).counts.toarray()
    assert (counted(packed, barcodes=cells).counts.toarray() == want).all()
    assert (counted(write(LINES), barcodes=cells).counts.toarray() == want).all()


def test_chromosome_1_of_the_file_is_chr1_of_the_peaks(write):
    lines = [line.removeprefix("chr") for line in LINES]
    assert (counted(write(lines)).counts.toarray() == counted(write(LINES)).counts.toarray()).all()


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_counts_are_those_of_a_plain_loop_whatever_the_blocks(data, tmp_path_factory):
    row = st.tuples(st.sampled_from("12"), st.integers(0, 200), st.integers(1, 80))
    rows = data.draw(st.lists(st.tuples(row, st.sampled_from("AB")), min_size=1, max_size=15))
    peaks = data.draw(st.lists(row, min_size=1, max_size=5, unique=True))
    peaks = [*peaks, ("3", 1, 500)]  # one that all files share, so that something is counted
    rows = [*rows, (("3", 5, 10), "A")]
    text = "".join(f"chr{c}\t{a}\t{a + w}\t{cell}\n" for (c, a, w), cell in rows)
    path = tmp_path_factory.mktemp("fragments") / "f.tsv"
    path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cytonym.data.fragments.BLOCK_LINES", 4)
        found = counted(path, [f"chr{c}:{a}-{a + w}" for c, a, w in peaks])
    want = np.zeros((len(found.cells), len(peaks)))
    for (chrom, start, width), cell in rows:
        for place in (start, start + width - 1):
            for column, (other, first, wide) in enumerate(peaks):
                inside = chrom == other and first <= place < first + wide
                want[[*found.cells].index(cell), column] += inside
    assert (found.counts.toarray() == want).all()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["chr1\t5\tten\tA"], r"line 2 is .chr1\\t5\\tten"),
        (["chr1\t5\t1e2147483650\tA"], r"line 2 is .chr1\\t5\\t1e2147483650"),
        (["chr1\t5\t10"], "it is no fragments file: line 2"),
        ([], "it has no lines"),
        (
            ["chr1\t5\t10\tA", "chr1\t20\t20\tA"],
            "1 lines hold no fragment; first: line 3, chr1",
        ),
        (["chr1\t5\t10\t"], "1 lines hold no fragment"),
        (["\t5\t10\tA"], "1 lines hold no fragment"),
        (["chr1\t5\t10\tA", "# again"], "line 3 is '# again'"),
        (["chr9\t5\t10\tA"], "no fragment lies in a peak; the file has chr9"),
        (["chr1\t5\t249250700\tA"], "no fragment lies in a peak"),
    ],
)
def test_what_is_no_fragments_file_is_refused_with_the_line(lines, message, write):
    with pytest.raises(DataError, match=message):
        counted(write(lines))


def test_letters_that_are_none_in_a_damaged_gzip_file_are_told_as_damage(tmp_path):
    packed = bytearray(gzip.compress(b"chr1\t5\t10\tA\nchr\xa7\t5\t10\tA\n"))
    packed[-8] ^= 255  # of the checksum
    (tmp_path / "fragments.tsv.gz").write_bytes(packed)
    with pytest.raises(DataError, match="truncated or damaged"):
        counted(tmp_path / "fragments.tsv.gz")


def test_a_barcode_may_hold_a_number_sign_as_archr_writes_it(write):
    lines = [line.replace("A-1", "S#A-1").replace("B-1", "S#B-1") for line in LINES]
    found = counted(write(lines, header="# one\n# two\n"))
    assert found.cells.tolist() == ["S#A-1", "S#B-1", "C-1"]
    assert found.counts.toarray().tolist() == [[3, 0], [1, 1], [0, 0]]


def test_quotes_are_letters_and_a_binary_file_is_no_fragments_file(write, tmp_path):
    assert counted(write(['chr1\t110\t120\tA"1'])).cells.tolist() == ['A"1']
    np.save(tmp_path / "binary.npy", np.random.default_rng(0).bytes(3000))
    with pytest.raises(DataError, match="it is no fragments file"):
        counted(tmp_path / "binary.npy")


def test_a_genome_that_is_not_known_here_is_counted_on_its_own_peaks(write):
    far = "chr1\t282000000\t282000100\tA"  # beyond the chr1 of all known builds: a rat's
    found = counted(write([far]), ["chr1:281999900-282000500"])
    assert found.counts.toarray().tolist() == [[2]]


def test_what_cannot_be_counted_or_is_asked_twice_is_refused(write):
    with pytest.raises(OptionError, match="what='fragment' cannot be counted"):
        counted(write(LINES), what="fragment")
    with pytest.raises(DataError, match="1 barcodes are asked for twice"):
        counted(write(LINES), barcodes=np.array(["A-1", "A-1"]))


def test_barcodes_come_from_a_data_set_and_those_that_are_not_there_are_counted(write, tmp_path):
    bed = tmp_path / "peaks.narrowPeak"
    bed.write_text("track name=x\nchr1\t100\t200\tp\nchr1 300 350\nchr1\t100\t200\tagain\n")
    cells = ad.AnnData(np.ones((2, 2), np.float32), pd.DataFrame(index=["A-1", "nobody"]))
    found = cytonym.count(write(LINES), bed, barcodes=cells, progress=False)
    assert found.var_names.tolist() == PEAKS
    assert found.obs_names.tolist() == ["A-1", "nobody"]
    assert found.uns["fragments"]["without"] == 1
    bed.write_text("chrom\tstart\tend\nchr1\t300\t350\nchr1\t9\t4\n")
    with pytest.raises(DataError, match="1 lines are no intervals; first: line 3"):
        cytonym.count(write(LINES), bed, progress=False)


def test_a_truncated_file_and_absent_barcodes_are_told(write):
    path = write(LINES * 500)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match="damaged"):
        counted(path)
    with pytest.raises(DataError, match=r"none of the 2 barcodes asked for \(A, B"):
        counted(write(LINES), barcodes=np.array(["A", "B"]))
    with pytest.raises(DataError, match="none of its 3 barcodes has 200 fragments; the most is 3"):
        counted(write(LINES), min_fragments=200)


def test_fragments_of_another_build_are_refused(write):
    beyond = "chr9\t140900000\t140900100\tA"  # hg19's chr9 is that long, hg38's is not
    peaks = ["chr17:82098000-82098500", "chr9:100-200"]  # the other way round
    with pytest.raises(DataError, match="different genome builds") as error:
        counted(write([*LINES, beyond]), peaks)
    assert "the data: hg19" in str(error.value)
    assert "the reference: hg38" in str(error.value)


def test_count_reads_peaks_from_a_bed_file_a_data_set_and_a_model(write, tmp_path):
    path, bed = write(LINES), tmp_path / "peaks.bed.gz"
    bed.write_bytes(gzip.compress(b"chr1\t100\t200\tone\nchr1\t300\t350\ttwo\n"))
    found = cytonym.count(path, bed, min_fragments=1, progress=False)
    assert found.var_names.tolist() == PEAKS
    assert found.var[["chrom", "start", "end"]].iloc[0].tolist() == ["chr1", 100, 200]
    assert found.obs["n_fragments"].tolist() == [3, 2, 1]
    assert found.uns["fragments"]["what"] == "insertions"
    named = ad.AnnData(
        np.ones((2, 2), np.float32), var=pd.DataFrame(index=["1:100-200", "1:300-350"])
    )
    again = cytonym.count(path, named, barcodes=["B-1"], progress=False)
    assert again.var_names.tolist() == ["1:100-200", "1:300-350"]
    assert again.X.toarray().tolist() == [[1, 1]]
    list_of_cells = tmp_path / "barcodes.tsv"
    list_of_cells.write_text("B-1\nA-1\n")
    both = cytonym.count(path, bed, barcodes=list_of_cells, progress=False)
    assert both.obs_names.tolist() == ["B-1", "A-1"]
    with pytest.raises(DataError, match="it has rna"):
        cytonym.count(path, ad.AnnData(np.ones((2, 2), np.float32)), progress=False)
    with pytest.raises(DataError, match="no such file"):
        cytonym.count(tmp_path / "absent.tsv.gz", bed)


def test_the_fragments_of_archr_give_its_matrix_once_its_two_habits_are_followed(data_dir):
    """ArchR writes the first base of a peak 1-based, and stops counting at 4."""
    given = ad.read_h5ad(data_dir / "atac/archr_pbsmall.h5ad")
    file, truth = data_dir / "atac/archr_pbsmall_fragments.tsv.gz", given.X.toarray()
    asked = {"barcodes": given.obs_names, "progress": False}
    plain = cytonym.count(file, given, **asked).X.toarray()
    assert (plain != truth).sum() == 211
    assert (np.minimum(plain, 4) != truth).sum() == 35  # of 272,034: the base before the peak
    wider = given.copy()
    wider.var_names = [f"{v.chrom}:{v.start - 1}-{v.end}" for v in given.var.itertuples()]
    exact = cytonym.count(file, wider, **asked).X.toarray()
    assert (np.minimum(exact, 4) == truth).all()
    assert exact.max() == 12
