"""The command ``report``, and ``annotate --report``: one page, or an error and no file."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

import cytonym
from command import run
from cytonym.data.simulate import simulate

pytest.importorskip("jinja2")


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> SimpleNamespace:
    """A linear model of 100 cells, 50 others, and what ``annotate --report`` makes of them."""
    folder = tmp_path_factory.mktemp("report")
    cells = simulate(150, 120, 3, seed=0)
    query, model = folder / "query.h5ad", folder / "model.cytonym"
    cells[100:].copy().write_h5ad(query)
    fitted = cytonym.fit(cells[:100].copy(), labels="cell_type", method="linear", progress=False)
    fitted.save(model)
    out, page = folder / "named.h5ad", folder / "named.html"
    words = ("--model", model, "--out", out, "--report", page, "--quiet")
    said = run("annotate", query, *words)
    return SimpleNamespace(folder=folder, query=query, model=model, out=out, page=page, said=said)


def test_annotate_writes_a_page_about_50_cells_and_says_so(world):
    assert f"Wrote {world.page}: a page about them" in world.said.stdout
    text = world.page.read_text(encoding="utf-8")
    assert "50 cells of named.h5ad were given 3 types by the method linear." in text
    assert "Why each type" in text


def test_report_writes_a_page_with_scores_and_the_model_and_says_its_size(world, tmp_path):
    out = tmp_path / "page.html"
    words = ("--model", world.model, "--truth", "cell_type", "--embedding", "X_linear")
    done = run("report", world.out, "--out", out, *words)
    assert done.stdout == f"Wrote {out}: {out.stat().st_size / 1e6:.1f} MB\n"
    text = out.read_text(encoding="utf-8")
    assert "Of 50 cells with a known label" in text
    assert "The model was fitted on 100 labelled cells." in text
    assert "principal components of X_linear" in text
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_report_ends_with_2_and_a_remedy_and_leaves_no_file(world, tmp_path):
    out = tmp_path / "page.html"
    for words, said in (
        ((world.query, "--out", out), "cytonym annotate QUERY"),
        ((world.out, "--out", out, "--key", "cell_type_prd"), "Did you mean 'cell_type_pred'"),
        ((world.out, "--out", out, "--truth", "celltype"), "Did you mean 'cell_type'"),
        ((world.out, "--out", tmp_path / "page.pdf"), "write --out page.html"),
        ((world.out, "--out", out, "--max-memory", "1MB"), "max_memory is 1 MB"),
        ((world.out, "--out", tmp_path / "no" / "page.html"), "create it first"),
    ):
        assert said in run("report", *words, code=2).stderr
    assert [*tmp_path.iterdir()] == []


def test_annotate_checks_the_place_of_the_page_before_it_begins(world, tmp_path):
    words = ("--model", world.model, "--out", tmp_path / "out.h5ad", "--report", "page.txt")
    assert "write --report page.html" in run("annotate", world.query, *words, code=2).stderr
    assert [*tmp_path.iterdir()] == []


def test_a_folder_that_takes_no_files_is_refused(world, tmp_path):
    if os.geteuid() == 0:
        where = Path("/proc/page.html")  # root may write everywhere else
        if not where.parent.is_dir():
            pytest.skip("there is no folder that root cannot write to")
    else:
        tmp_path.chmod(0o500)
        where = tmp_path / "page.html"
    assert "nothing can be written to" in run("report", world.out, "--out", where, code=2).stderr
