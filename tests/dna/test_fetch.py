"""Genomes by name, from a server that looks like the real one."""

import errno
import gzip
import hashlib
import os
import signal
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cytonym.dna import fetch
from cytonym.dna.fetch import genome_file
from cytonym.errors import DataError, WriteError

FASTA = b">chr1\nACGTACGT\n>chr2\nGGCC\n"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        self.server.asked.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    folder = tmp_path / "server" / "mm10" / "bigZips"
    folder.mkdir(parents=True)
    packed = gzip.compress(FASTA)
    (folder / "mm10.fa.gz").write_bytes(packed)
    digest = hashlib.md5(packed).hexdigest()
    (folder / "md5sum.txt").write_text(f"{'0' * 32}  mm10.2bit\n{digest}  mm10.fa.gz\n")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "server")))
    http.asked = []
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    monkeypatch.setattr(fetch, "SERVER", f"http://127.0.0.1:{http.server_port}")
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CYTONYM_OFFLINE", raising=False)
    http.folder = folder
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


def test_a_genome_by_name_is_fetched_once_and_kept_unpacked(server, tmp_path):
    first = genome_file("mm10")
    asked = len(server.asked)
    assert first == tmp_path / "cache" / "genomes" / "mm10.fa"
    assert first.read_bytes() == FASTA
    assert [one.name for one in first.parent.iterdir()] == ["mm10.fa"]
    assert genome_file("mm10") == first
    assert len(server.asked) == asked == 2


def test_a_damaged_or_unlisted_file_is_refused_and_not_kept(server, tmp_path):
    (server.folder / "mm10.fa.gz").write_bytes(gzip.compress(FASTA + b"A"))
    with pytest.raises(DataError, match=r"could not be fetched .*hash"):
        genome_file("mm10")
    (server.folder / "md5sum.txt").write_text("")
    with pytest.raises(DataError, match=r"lists no mm10\.fa\.gz"):
        genome_file("mm10")
    assert not (tmp_path / "cache" / "genomes" / "mm10.fa").exists()


def test_offline_nothing_is_asked_and_what_is_kept_is_found(server, monkeypatch):
    monkeypatch.setenv("CYTONYM_OFFLINE", "1")
    with pytest.raises(DataError, match=r"nothing may be fetched \(offline\)\s.*mm10\.fa\.gz"):
        genome_file("mm10")
    assert server.asked == []
    monkeypatch.setenv("CYTONYM_OFFLINE", "0")
    found = genome_file("mm10")
    monkeypatch.setenv("CYTONYM_OFFLINE", "1")
    assert genome_file("mm10") == found


def test_without_a_network_the_address_is_told(server, monkeypatch):
    monkeypatch.setattr(fetch, "SERVER", "http://127.0.0.1:1")
    with pytest.raises(DataError, match=r"download http://127.0.0.1:1/hg38/bigZips/hg38.fa.gz"):
        genome_file("hg38")


def test_paths_stay_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hg38").write_bytes(FASTA)
    assert str(genome_file("hg38")) == "hg38"
    assert genome_file(tmp_path / "no.fa") == tmp_path / "no.fa"


@pytest.fixture
def broken(server, monkeypatch):
    """The server breaks off in the middle of the genome; ``then`` is called before it does."""
    before = Quiet.copyfile

    def half(self, source, outputfile):
        data = source.read()
        outputfile.write(data if self.path.endswith("txt") else data[: len(data) // 2])
        outputfile.flush()
        if not self.path.endswith("txt"):
            server.then()

    server.then = lambda: None
    monkeypatch.setattr(Quiet, "copyfile", half)
    server.mend = lambda: monkeypatch.setattr(Quiet, "copyfile", before)
    return server


def test_a_download_that_breaks_off_is_told_and_leaves_nothing_and_can_be_repeated(
    broken, tmp_path
):
    place = tmp_path / "cache" / "genomes"
    with pytest.raises(DataError, match=r"(?s)could not be fetched.*→ download http"):
        genome_file("mm10")
    assert [*place.iterdir()] == []
    broken.mend()
    assert genome_file("mm10").read_bytes() == FASTA
    assert [one.name for one in place.iterdir()] == ["mm10.fa"]


def test_ctrl_c_during_a_download_leaves_nothing(broken, tmp_path):
    going_on = threading.Event()

    def interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        going_on.wait(30)

    broken.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        genome_file("mm10")
    going_on.set()
    assert [*(tmp_path / "cache" / "genomes").iterdir()] == []


def test_a_disk_that_is_full_is_no_broken_network(server, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("cytonym.dna.fetch.gzip.open", full)
        with pytest.raises(WriteError, match=r"mm10\.fa could not be written: the disk is full"):
            genome_file("mm10")
    assert [one.name for one in (tmp_path / "cache" / "genomes").iterdir()] == ["mm10.fa.gz"]
    asked = len(server.asked)
    assert genome_file("mm10").read_bytes() == FASTA
    assert len(server.asked) == asked + 1  # only the checksum: what was fetched is kept
