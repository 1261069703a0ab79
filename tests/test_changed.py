"""A file that another program changes while it is read is noticed, and nothing is made of two."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import anndata as ad
import h5py
import mudata
import numpy as np
import pytest

import cytonym
from cytonym.data.read import Reading
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.disk.stamps import Stamp
from cytonym.errors import CytonymError, DataError, TrainingError
from cytonym.parts import Parts

CELLS = 600
"""More than twice the cells whose values are compared by themselves."""


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    return simulate(CELLS, 60, 3, seed=0)


@pytest.fixture(scope="module")
def model(cells) -> cytonym.Annotator:
    return cytonym.fit(cells, labels="cell_type", method="linear", validation=0, progress=False)


@pytest.fixture
def query(cells, tmp_path) -> Path:
    cells.write_h5ad(tmp_path / "query.h5ad")
    return tmp_path / "query.h5ad"


def longer(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shorter(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replaced(path: Path) -> None:
    other = shutil.copy2(path, path.with_name("other"))
    os.replace(other, path)


def touched(path: Path) -> None:
    before = path.stat()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 2_500_000_000))


def one_value(path: Path) -> None:
    """Of the second cell, which is none of those whose values are compared; not even the time."""
    before = path.stat()
    with h5py.File(path, "r+") as file:
        first, last = file["X/indptr"][1:3]
        assert last > first
        file["X/data"][first] += 1
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    longer: r"it had [\d,]+ bytes and has [\d,]+\n",
    shorter: r"it had [\d,]+ bytes and has [\d,]+\n",
    replaced: r"another file of [\d,]+ bytes has taken its place\n",
    touched: r"it was written to 2\.5 s after the last change before\n",
    Path.unlink: r"it is gone\n",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_between_two_reads_is_refused_with_what_was_seen(change, query):
    found = cytonym.read(query)
    found.read("rna", np.arange(10))
    change(query)
    with pytest.raises(DataError, match=rf"while it was read: {CHANGES[change]}    → let no"):
        found.read("rna", np.arange(10, 20))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".h5mu", ".zarr"])
def test_so_are_several_modalities_and_stores(ending, tmp_path):
    path = tmp_path / f"query{ending}"

    def write() -> None:
        if ending == ".zarr":
            simulate(80, 60, 3, seed=0).write_zarr(path)
        else:
            mudata.MuData(simulate_multiome(80, seed=0)).write_h5mu(path)

    write()
    found = cytonym.read(path)
    found.read("rna", np.arange(10))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    write()
    with pytest.raises(DataError, match="it has changed while it was read"):
        found.read("rna", np.arange(10, 20))


def test_an_answer_is_not_written_into_a_file_that_has_changed_since(model, query, tmp_path):
    calls, out = model.annotate(query, progress=False), tmp_path / "named.h5ad"
    places = model.embed(query, progress=False)
    copied = Path(shutil.copy(query, tmp_path / "copy.h5ad"))
    longer(query)
    for made in (calls, places):
        with pytest.raises(DataError, match="it has changed while it was read"):
            made.write(query, out)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy.h5ad", "query.h5ad"]
    calls.write(copied, out)  # the same cells in a file that was not read
    assert len(ad.read_h5ad(out)) == CELLS


def test_an_export_is_not_written_into_a_file_that_has_changed_since(query, tmp_path):
    changes = cytonym.export(query, to="celltypist", key="cell_type")
    longer(query)
    with pytest.raises(DataError, match="it has changed while it was read"):
        changes.write(query, tmp_path / "out.h5ad")
    assert [one.name for one in tmp_path.iterdir()] == ["query.h5ad"]


def test_a_page_is_not_written_of_two_files(model, query, tmp_path, monkeypatch):
    from cytonym.view.report import page

    named, collect = tmp_path / "named.h5ad", page.collect
    model.annotate(query, progress=False).write(query, named)

    def meanwhile(*args, **kwargs):
        longer(named)
        return collect(*args, **kwargs)

    monkeypatch.setattr(page, "collect", meanwhile)
    with pytest.raises(DataError, match="it has changed while it was read"):
        cytonym.report(named, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_parts_of_a_file_that_has_changed_are_refused_and_those_of_a_copy_are_not(
    model, query, tmp_path, monkeypatch
):
    def begin(path: Path) -> Parts:
        opened = model.opened(path, Reading())
        return Parts.begin(tmp_path / "parts", model, opened, coverage=0.9, reject=0.0)

    begin(query)
    copied = Path(shutil.copy(query, tmp_path / "copy.h5ad"))
    begin(copied)  # on another machine: another time and place, the same contents
    with monkeypatch.context() as patch:
        patch.setattr(Stamp, "checksum", None)  # the file that it began with is not read again
        begin(query)
    one_value(copied)
    with pytest.raises(CytonymError, match=r"parts of another annotation \(another file\)"):
        begin(copied)


def test_a_fit_does_not_go_on_with_a_reference_that_has_changed(query, tmp_path):
    def fit() -> cytonym.Annotator:
        how = {"method": "linear", "validation": 0, "progress": False}
        return cytonym.fit(query, labels="cell_type", state=tmp_path / "state", **how)

    fit()
    fit()
    one_value(query)
    with pytest.raises(TrainingError, match="belongs to a fit with other data, options or seed"):
        fit()
