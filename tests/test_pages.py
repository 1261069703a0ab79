"""The examples on the pages run as they stand, in a folder with small files of their names."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import pytest

import cytonym
from command import call, run
from cytonym.data.simulate import simulate
from pages import PAGES, ROOT, add_embeddings, blocks, commands, ids, write_files

pytest.importorskip("bioframe")
pytest.importorskip("pyfaidx")
pytest.importorskip("pyjaspar")
pytest.importorskip("cellxgene_ontology_guide")
pytest.importorskip("jinja2")

README = ROOT / "README.md"
CLI = ROOT / "docs" / "cli.md"
QUICK = [ROOT / "docs" / f"{name}.md" for name in ("groups", "ontology", "trust", "formats", "r")]
SHELL = [page for page in PAGES if any(commands(b) for kind, b in blocks(page) if kind == "bash")]


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Path:
    """Data under the names that the pages use; see ``write_files``."""
    folder = tmp_path_factory.mktemp("pages")
    write_files(folder)
    return folder


@pytest.fixture
def here(files, tmp_path, monkeypatch) -> Path:
    """A copy of the data, and the current folder."""
    folder = tmp_path / "here"
    shutil.copytree(files, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Path:
    """More of the same data (130 cells of each type), with models and answers, where a page begins
    with these.
    """
    folder = tmp_path_factory.mktemp("models")
    write_files(folder, learn=520)
    small = [word for key in ("epochs=2", "dropout=0") for word in ("--set", key)]
    labels = ("--labels", "cell_type")
    for words in (
        ("fit", "reference.h5ad", *labels, "--method", "linear", "--out", "blood.cytonym"),
        ("fit", "multiome.h5mu", *labels, *small, "--out", "multiome.cytonym"),
        ("fit", "multiome.h5mu", "--method", "dcca", *small, "--out", "mouse.cytonym"),
        ("annotate", "query.h5ad", "--model", "blood.cytonym", "--out", "named.h5ad"),
        ("annotate", "new.h5ad", "--model", "multiome.cytonym", "--out", "counted.h5ad"),
        ("ontology", "reference.h5ad", *labels, "--out", "review.tsv"),
        ("ontology", "reference.h5ad", *labels, "--out", "settled.tsv"),
    ):
        run(*words, cwd=folder)
    add_embeddings(folder / "named.h5ad")
    return folder


def python(body: str, names: dict[str, Any]) -> None:
    exec(compile(body, "page", "exec"), names)


@pytest.fixture
def two_epochs(monkeypatch) -> None:
    """Trainings end after two epochs: the examples are to run, not to learn."""
    for method in cytonym.methods().values():
        whole = method.stages

        def stages(options, sizes, whole=whole):
            return [replace(one, epochs=min(one.epochs, 2)) for one in whole(options, sizes)]

        monkeypatch.setattr(method, "stages", stages, raising=True)


@pytest.mark.usefixtures("two_epochs")
def test_every_line_of_the_readme_runs_in_its_order_and_names_cells(here):
    names: dict[str, Any] = {}
    for kind, body in blocks(README):
        if kind == "python":
            python(body, names)
        for words in commands(body) if kind == "bash" else ():
            call(*words)
            logging.getLogger("cytonym").handlers = []  # its stream ends with the command
    assert set(names["calls"].labels) <= {*names["model"].label_names, "Unknown"}
    assert {"cell_type_ontology_term_id"} <= {*ad.read_h5ad(here / "upload.h5ad").obs}
    for made in ("report.html", "embedded.h5mu", "clean.zarr", "peaks.zarr", "edges.tsv"):
        assert (here / made).exists(), made


@pytest.mark.parametrize("page", QUICK, ids=ids)
def test_the_python_of_a_page_runs_with_a_model_and_data_of_the_names_it_uses(page, here):
    reference = simulate(600, 120, 4, seed=0)
    reference.write_h5ad("reference.h5ad")
    query = simulate(100, 120, 4, seed=1)
    query.obs["leiden"] = query.obs["cell_type"].astype(str)
    query.write_h5ad("query.h5ad")
    ask = {"labels": "cell_type", "method": "linear", "progress": False}
    model = cytonym.fit(reference, **ask)
    for name in ("blood", "a"):
        model.save(f"{name}.cytonym")
    if page.stem == "trust":
        cytonym.fit(reference, options={"components": 10}, **ask).save("b.cytonym")
    cytonym.map_labels(model.label_names).write_review("review.tsv")
    names: dict[str, Any] = {"model": model, "adata": query, "cytonym": cytonym}
    bodies = [body for kind, body in blocks(page) if kind == "python"]
    assert bodies
    for body in bodies:
        if page.stem == "ontology" and "write_review" in body:
            shutil.copy("review.tsv", "kept.tsv")  # the labels of the page are not the model's
        python(body, names)
        if Path("kept.tsv").exists():
            shutil.move("kept.tsv", "review.tsv")
    if page.stem == "formats":
        assert names["facts"]["method"] == "linear"
        assert len(names["genes"]) == 120
        assert names["shapes"]


def asks_for_published_files(words: list[str]) -> bool:
    """Whether a command reads (not only tells of) the files of a published data set."""
    wanted = {"reproduce": "--on" not in words, "datasets": "--out" in words}
    return len(words) > 1 and wanted.get(words[0], False)


@pytest.mark.slow
@pytest.mark.parametrize("page", SHELL, ids=ids)
def test_every_command_of_a_page_runs(page, here, models):
    shutil.copytree(models, here, dirs_exist_ok=True)
    ran = 0
    for kind, body in blocks(page):
        if page == CLI:  # its blocks do not follow from one another
            shutil.copytree(models, here, dirs_exist_ok=True)
        for words in commands(body) if kind == "bash" else ():
            if asks_for_published_files(words):  # which are not here: it names them
                if "--folder" in words:
                    here.joinpath(words[words.index("--folder") + 1]).mkdir(exist_ok=True)
                said = run(*words, cwd=here, code=2, env={"CYTONYM_OFFLINE": "1"}).stderr
                assert " not here: " in said or " is not there" in said
            else:
                run(*words, cwd=here)
            ran += 1
    assert ran


def test_files_as_r_writes_them_are_read_counts_in_a_layer_by_column_and_no_x(tmp_path):
    cells = simulate(120, 100, 3, seed=0)
    layers = {"counts": cells.X.tocsc()}
    ad.AnnData(None, cells.obs, cells.var, layers=layers).write_h5ad(tmp_path / "reference.h5ad")
    other = simulate(120, 200, 3, seed=1)
    other.var_names = [f"chr1-{1000 * place}-{1000 * place + 500}" for place in range(1, 201)]
    layers = {"counts": other.X.tocsc()}
    peaks = ad.AnnData(None, other.obs[[]], other.var[[]], layers=layers)
    peaks.write_h5ad(tmp_path / "peaks.h5ad")
    files = [tmp_path / "reference.h5ad", "--atac", tmp_path / "peaks.h5ad"]
    said = run("inspect", *files, "--labels", "cell_type").stdout
    assert said.count("reads layers['counts']: counts") == 2
    assert "peaks like chr1-100-600, median 500 bp" in said
    model = cytonym.fit(
        tmp_path / "reference.h5ad", labels="cell_type", method="linear", progress=False
    )
    calls = model.annotate(tmp_path / "reference.h5ad", progress=False)
    assert (calls.labels == cells.obs["cell_type"].astype(str)).mean() > 0.9


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_tutorials_have_pictures(tmp_path):
    pytest.importorskip("myst_nb")
    pytest.importorskip("sphinx_book_theme")
    site = tmp_path / "site" / "html"
    words = ["-W", "--keep-going", "-q", "-c", "docs", "-d", tmp_path / "trees", ".", site]
    env = {**os.environ, "CYTONYM_CACHE": str(tmp_path / "cache"), "CYTONYM_DATA": ""}
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *map(str, words)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    tutorials = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
    assert len(tutorials) == 5
    for page in tutorials:
        built = (site / "docs" / "tutorials" / f"{page.stem}.html").read_text()
        assert built.count('class="cell_output') > 3, page.name
        assert "<img" in built, page.name
    assert 'href="docs/index.html"' in (site / "index.html").read_text()
    assert 'id="L-1"' in (site / "code" / "methods" / "linear.html").read_text()
