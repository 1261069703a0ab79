"""A file of embeddings that somebody made: what is refused, and how it is known again."""

import io
import zipfile

import numpy as np
import pytest

from cytonym.dna.given import Given, proof_of
from cytonym.errors import DataError

PEAKS = np.array([f"chr1:{start}-{start + 500}" for start in range(0, 100_000, 1000)])
VALUES = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)


@pytest.fixture
def file(tmp_path):
    np.savez(tmp_path / "made.npz", peaks=PEAKS, embeddings=VALUES, more=np.zeros(5))
    return tmp_path / "made.npz"


def refused(path, said):
    with pytest.raises(DataError, match=said):
        Given.read(path)


def test_rows_come_in_the_order_of_the_peaks_whatever_the_chromosomes_are_called(file):
    given = Given.read(file)
    asked = [PEAKS[7].removeprefix("chr"), PEAKS[3]]
    np.testing.assert_array_equal(given.of(asked), VALUES[[7, 3]])
    with pytest.raises(DataError, match="lacks 1 of 2 peaks; the first is chr9:1-2"):
        given.of([PEAKS[0], "chr9:1-2"])


def test_no_file_a_folder_an_empty_file_and_a_device_are_refused(tmp_path):
    refused(None, "there is no file of embeddings")
    refused(tmp_path / "nothing.npz", "there is no such file")
    refused(tmp_path, "there is no such file")
    (tmp_path / "empty.npz").touch()
    refused(tmp_path / "empty.npz", r"it has 0 bytes, of 4,294,967,296 at most")


def test_a_file_that_grows_beyond_the_limit_when_unpacked_is_refused(file, monkeypatch):
    np.savez_compressed(file, peaks=PEAKS, embeddings=np.zeros((100, 10_000)))
    assert file.stat().st_size < 20_000
    Given.read(file)  # eight million bytes are no harm
    monkeypatch.setattr("cytonym.dna.given.MOST_VALUES", 100_000)
    refused(file, r"its arrays hold 8,00\d,\d+ bytes, of 100,000 at most")


def test_arrays_that_nobody_asked_for_are_not_unpacked(tmp_path):
    path = tmp_path / "made.npz"
    np.savez(path, peaks=PEAKS, embeddings=VALUES, thing=np.array([{}], dtype=object))
    assert len(Given.read(path).place) == 100


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"peaks": PEAKS}, "there are no 'embeddings'"),
        ({"peaks": PEAKS.astype(object), "embeddings": VALUES}, r"peaks\.npy claims .* of object"),
        ({"peaks": PEAKS[:9], "embeddings": VALUES}, r"peaks \(9,\) and embeddings \(100, 8\)"),
        ({"peaks": PEAKS[:, None], "embeddings": VALUES}, r"peaks \(100, 1\) and embeddings"),
        ({"peaks": PEAKS, "embeddings": VALUES * np.inf}, "some not finite"),
        ({"peaks": PEAKS, "embeddings": VALUES.astype(str)}, "embeddings are <U"),
    ],
)
def test_arrays_that_make_no_sense_are_told(arrays, said, tmp_path):
    np.savez(tmp_path / "wrong.npz", **arrays)
    refused(tmp_path / "wrong.npz", said)


def stored(path, member):
    """An ``.npz`` with this in the place of the embeddings."""
    names = io.BytesIO()
    np.save(names, PEAKS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("peaks.npy", names.getvalue())
        made.writestr("embeddings.npy", member)


@pytest.mark.parametrize(
    "head",
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (10**9,), }", "(((", "\n \n  x\n y", ""],
)
def test_a_head_that_lies_or_cannot_be_read_is_refused(head, tmp_path):
    line = head.replace("10**9", "1000000000").ljust(117) + "\n"
    stored(
        tmp_path / "lie.npz",
        b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line.encode() + b"\0" * 8,
    )
    refused(tmp_path / "lie.npz", "cannot be read")


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
def test_a_damaged_file_is_refused_and_told(share, file):
    data = bytearray(file.read_bytes())
    for place in range(int(share * len(data)), min(int(share * len(data)) + 40, len(data))):
        data[place] ^= 0xFF
    file.write_bytes(data)
    refused(file, "cannot be read")


def test_an_encrypted_member_is_refused(file):
    data = bytearray(file.read_bytes())
    for mark, flag in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        place = data.find(mark)
        while place >= 0:
            data[place + flag] |= 1
            place = data.find(mark, place + 4)
    file.write_bytes(data)
    refused(file, "cannot be read .*encrypted")


def test_the_file_of_the_fit_is_known_again_also_with_more_peaks_or_in_float16(file):
    proof = proof_of(PEAKS[:90], VALUES[:90])
    assert (len(proof["proof.peaks"]), proof["proof.rows"].shape) == (64, (64, 8))
    Given.read(file).check(proof)
    np.savez(file, peaks=PEAKS[::-1], embeddings=VALUES[::-1].astype(np.float16))
    Given.read(file).check(proof)


def test_another_file_is_told_from_that_of_the_fit(file):
    proof = proof_of(PEAKS, VALUES)
    with pytest.raises(DataError, match="does not say what the embeddings of its own peaks are"):
        Given.read(file).check({"reader": np.array("embeddings that were given")})
    for peaks, values, said in (
        (PEAKS, VALUES + 0.1, "of 64 peaks that the model knows it has 64, and 0 as they were"),
        (PEAKS[:50], VALUES[:50], "has 32, and 32 as they were"),
        (PEAKS, VALUES[:, :4], "has 64, and 0 as they were"),
        (np.char.add(PEAKS, "0"), VALUES, "has 0, and 0 as they were"),
    ):
        np.savez(file, peaks=peaks, embeddings=values)
        with pytest.raises(DataError, match=said):
            Given.read(file).check(proof)
