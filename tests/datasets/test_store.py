"""Files that are there, are fetched, are missing, have changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cytonym
from cytonym.datasets import DATA_SETS, DataSet, File, load, missing
from cytonym.datasets.pancreas import MURARO, MURARO_TYPES
from cytonym.errors import DataError, OptionError
from original import put


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        self.server.asked.append(self.path)


def read(folder):
    lines = (folder / "values.txt").read_text().split()
    obs = pd.DataFrame(index=[f"c{k}" for k in range(len(lines))])
    cells = AnnData(np.array([[float(one)] for one in lines], dtype=np.float32), obs=obs)
    cells.uns.update(values="counts", left_out="")
    if (folder / "types.txt").exists():
        cells.obs["cell_type"] = (folder / "types.txt").read_text().split()
    return cells


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server with two files, and a data set ``small`` that is made of them."""
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "values.txt").write_text("1 2 3")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    http.asked = []
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    http.folder, http.address = folder, f"http://127.0.0.1:{http.server_port}"
    monkeypatch.delenv("CYTONYM_OFFLINE")
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


@pytest.fixture
def small(server, monkeypatch):
    """Put a data set of these files into the catalogue."""

    def put_in(*files):
        facts = ("small", "Small", "human", ("rna",), 3, None, "Nobody (2026)", "BSD-3")
        record = DataSet(*facts, files, read)
        every = MappingProxyType({**DATA_SETS, "small": record})
        monkeypatch.setattr("cytonym.datasets.loading.DATA_SETS", every)
        return record

    return put_in


def values(server, **change):
    file = File("values.txt", f"{server.address}/values.txt", "a shelf", "numbers")
    return dataclasses.replace(file, **change)


def test_a_file_is_fetched_once_kept_and_its_checksum_remembered(server, small, cache):
    small(values(server))
    assert [file.name for file in missing("small")] == ["values.txt"]
    cells = load("small", progress=False)
    assert cells.X.ravel().tolist() == [1, 2, 3]
    kept = cache / "datasets" / "small"
    assert sorted(one.name for one in kept.iterdir()) == ["sha256.json", "values.txt"]
    digest = hashlib.sha256(b"1 2 3").hexdigest()
    assert json.loads((kept / "sha256.json").read_text()) == {"values.txt": {"sha256": digest}}
    assert cells.uns["sha256"] == {"values.txt": digest}
    assert cells.uns["source"] == "Small. Nobody (2026)"
    load("small", progress=False)
    assert server.asked == ["/values.txt"]
    assert missing("small") == []


def test_a_file_that_changed_is_refused_with_both_sums_until_its_line_is_removed(
    server, small, cache
):
    small(values(server))
    load("small", progress=False)
    kept = cache / "datasets" / "small"
    (kept / "values.txt").write_text("1 2 4")
    sums = [hashlib.sha256(one).hexdigest() for one in (b"1 2 4", b"1 2 3")]
    with pytest.raises(DataError, match=rf"SHA-256 {sums[0]}, {sums[1]} when it was first used"):
        load("small")
    with pytest.raises(DataError, match=r"remove its line from .*sha256\.json"):
        load("small")
    (kept / "sha256.json").write_text("{}")
    assert load("small").X.ravel().tolist() == [1, 2, 4]


def test_a_file_in_the_users_folder_is_compared_with_the_same_memory(server, small, folder):
    small(values(server))
    load("small", progress=False)
    (folder / "values.txt").write_text("9")
    with pytest.raises(DataError, match="is not the file that it was"):
        load("small", folder=folder)


def test_a_damaged_memory_is_told_and_not_passed_over(server, small, cache):
    small(values(server))
    load("small", progress=False)
    (cache / "datasets" / "small" / "sha256.json").write_text("[1")
    with pytest.raises(DataError, match=r"sha256\.json cannot be used:\s+- it is damaged"):
        load("small")


def test_a_published_checksum_is_asked_of_a_download_which_else_is_not_kept(server, small, cache):
    small(values(server, sha256="0" * 64))
    with pytest.raises(DataError, match=r"not there: it could not be fetched .*hash"):
        load("small", progress=False)
    assert not (cache / "datasets" / "small" / "values.txt").exists()


def test_all_missing_files_are_told_at_once_and_nothing_is_fetched_for_a_set_that_lacks_one(
    server, small, folder
):
    by_hand = File("types.txt", None, "the authors, by letter", "words")
    small(values(server), by_hand)
    with pytest.raises(DataError) as error:
        load("small", folder=folder)
    assert [problem.what.split()[0] for problem in error.value.problems] == [
        "values.txt",
        "types.txt",
    ]
    text = str(error.value)
    assert f"get it from {server.address}/values.txt (a shelf) and put it into {folder}" in text
    assert f"get it from the authors, by letter and put it into {folder}" in text
    assert "(numbers)" in text
    assert server.asked == []


def test_offline_nothing_is_asked_and_what_is_there_is_read(server, small, cache, monkeypatch):
    small(values(server))
    monkeypatch.setenv("CYTONYM_OFFLINE", "1")
    with pytest.raises(DataError, match=r"values\.txt is not there, and nothing may be fetched"):
        load("small")
    assert server.asked == []
    (cache / "datasets" / "small").mkdir(parents=True)
    (cache / "datasets" / "small" / "values.txt").write_text("5")
    assert load("small").n_obs == 1


def test_a_server_that_does_not_answer_is_told_with_the_address(server, small):
    small(values(server, url="http://127.0.0.1:1/values.txt"))
    with pytest.raises(DataError, match=r"could not be fetched[\s\S]*127\.0\.0\.1:1/values\.txt"):
        load("small", progress=False)


def test_a_download_that_breaks_off_is_told_and_leaves_nothing_and_can_be_repeated(
    server, small, cache, monkeypatch
):
    small(values(server))

    def half(self, source, outputfile):
        outputfile.write(source.read()[:-2])

    with monkeypatch.context() as patch:
        patch.setattr(Quiet, "copyfile", half)
        with pytest.raises(DataError, match=r"(?s)could not be fetched.*→ get it from http"):
            load("small", progress=False)
    assert [*cache.rglob("*.*")] == []
    assert load("small", progress=False).n_obs == 3


def test_an_optional_file_is_no_loss_without_an_address_and_fetched_with_one(server, small):
    small(values(server), File("types.txt", None, "yourself", "words", optional=True))
    assert "cell_type" not in load("small", progress=False).obs
    (server.folder / "types.txt").write_text("a b a")
    address = f"{server.address}/types.txt"
    small(values(server), File("types.txt", address, "shelf", "words", optional=True))
    assert [*load("small", progress=False).obs["cell_type"]] == ["a", "b", "a"]


def test_files_are_taken_from_a_folder_called_as_the_set_then_the_folder_then_the_cache(
    server, small, folder, cache
):
    small(values(server), File("types.txt", None, "shelf", "words", also=("kinds.txt",)))
    (cache / "datasets" / "small").mkdir(parents=True)
    (cache / "datasets" / "small" / "values.txt").write_text("7 8")
    (folder / "kinds.txt").write_text("x y")
    cells = load("small", folder=folder)
    assert cells.X.ravel().tolist() == [7, 8]
    assert [*cells.obs["cell_type"]] == ["x", "y"]
    (folder / "small").mkdir()
    (folder / "small" / "types.txt").write_text("p q")
    assert [*load("small", folder=folder).obs["cell_type"]] == ["p", "q"]
    assert server.asked == []


def test_a_folder_that_takes_no_file_is_a_warning_and_the_cells_are_read(
    server, small, folder, monkeypatch, caplog
):
    small(values(server))
    (folder / "values.txt").write_text("5")
    (folder / "file").write_text("")
    monkeypatch.setenv("CYTONYM_CACHE", str(folder / "file"))
    assert load("small", folder=folder).n_obs == 1
    assert "checksums could not be remembered" in caplog.text


def test_unpacked_files_are_read_as_packed_ones(folder):
    put(folder / MURARO.removesuffix(".gz"), "D1-1_1\tD1-1_2\nA__chr1\t1\t2\nB__chr2\t0\t3\n")
    put(folder / MURARO_TYPES, "x\nD1.1_1\talpha\nD1.1_2\tbeta\n")
    assert load("muraro", folder=folder).X.toarray().tolist() == [[1, 0], [2, 3]]


def test_a_name_that_is_not_known_is_told_with_the_nearest(folder):
    with pytest.raises(OptionError, match=r"no data set 'zheng68'\. Did you mean 'zheng68k'"):
        load("zheng68")
    with pytest.raises(OptionError, match="Available: baron"):
        missing("nothing")


@pytest.mark.parametrize("name", [*DATA_SETS])
def test_a_record_is_whole(name):
    record = DATA_SETS[name]
    assert record.name == name
    assert record.modalities in (("rna",), ("atac",), ("rna", "atac"), ("rna", "methylation"))
    assert record.organism in ("human", "mouse")
    assert record.source
    assert record.licence
    names = [file.name for file in record.files]
    assert len({*names}) == len(names) > 0
    for file in record.files:
        assert file.where
        assert file.layout
        assert file.url is None or file.url.startswith("https://")
        assert file.sha256 is None or len(file.sha256) == 64
    assert len(missing(name)) == sum(not file.optional for file in record.files)


def test_the_package_has_the_names_and_loads_them_only_when_asked():
    assert cytonym.datasets.load is load
    script = "import sys, cytonym; print(*(m for m in sys.modules if '.datasets' in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert [one for one in done.stdout.split() if one.startswith("cytonym")] == []
    assert "datasets" in dir(cytonym)
    assert "datasets" in cytonym.__all__
