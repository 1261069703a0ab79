"""The commands of a fit without labels, run as installed."""

import json
import warnings

import anndata as ad
import mudata
import numpy as np
import pytest
from typer.testing import CliRunner

from command import run
from cytonym.cli import app
from cytonym.data.simulate import simulate_multiome
from cytonym.errors import CytonymError

SMALL = [
    word
    for setting in ("epochs=6", "dim=4", "epi_hidden=16,", "rna_hidden=16,", "cycle=1")
    for word in ("--set", setting)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """``both.h5mu``, ``rna.h5ad`` (120 cells) and ``m.cytonym``, fitted without labels."""
    place = tmp_path_factory.mktemp("dcca")
    parts = simulate_multiome(120, 100, 3, seed=0, n_peaks=150)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mudata.MuData(parts).write_h5mu(place / "both.h5mu")
    parts["rna"].write_h5ad(place / "rna.h5ad")
    done = run("fit", place / "both.h5mu", "--method", "dcca", "--out", place / "m.cytonym", *SMALL)
    assert "108 cells without labels" in done.stdout
    assert "dcca, no labels" in done.stdout
    return place


def test_embed_adds_the_joint_embedding_and_one_of_each_modality(folder):
    out = folder / "embedded.h5mu"
    done = run("embed", folder / "both.h5mu", "--model", folder / "m.cytonym", "--out", out)
    assert "obsm['X_dcca_atac']" in done.stdout
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = mudata.read_h5mu(out)
    assert {"X_dcca", "X_dcca_rna", "X_dcca_atac"} <= {*back.obsm}
    assert back.obsm["X_dcca"].shape == (120, 4)
    assert back.uns["X_dcca"]["method"] == "dcca"
    run("embed", out, "--model", folder / "m.cytonym", "--out", folder / "again.h5mu")


def test_embed_of_rna_alone_has_no_view_of_atac_and_its_clusters_are_scored(folder):
    out = folder / "embedded.h5ad"
    run("embed", folder / "rna.h5ad", "--model", folder / "m.cytonym", "--out", out)
    back = ad.read_h5ad(out)
    assert {*back.obsm} == {"X_dcca", "X_dcca_rna"}
    done = run("evaluate", out, "--truth", "cell_type", "--embedding", "X_dcca", "--json")
    found = json.loads(done.stdout)
    assert [*found] == ["clusters"]
    assert 0 <= found["clusters"]["kmeans"]["nmi"] <= 1


def test_denoise_writes_both_modalities_and_generate_the_one_that_is_not_there(folder):
    model = ("--model", folder / "m.cytonym")
    clean, made = folder / "clean.zarr", folder / "made.h5ad"
    assert "rna 120 ×" in run("denoise", folder / "both.h5mu", *model, "--out", clean).stdout
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = mudata.read_zarr(clean)
    np.testing.assert_allclose(back["rna"].X.astype("f4").sum(1), 1e4, rtol=0.01)
    to = ("--to", "atac")
    done = run("generate", folder / "rna.h5ad", *model, *to, "--out", made)
    assert "atac from rna, 120 ×" in done.stdout
    for words in (("denoise", folder / "both.h5mu"), ("generate", folder / "rna.h5ad", *to)):
        little = ("--out", folder / "little.zarr", "--max-memory", "1MB")
        assert "max_memory is 1 MB" in run(*words, *model, *little, code=2).stderr
        assert not (folder / "little.zarr").exists()
    peaks = ad.read_h5ad(made)
    assert peaks.X.min() >= 0
    assert peaks.X.max() <= 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("annotate", "rna.h5ad", "--out", "x.h5ad"), "fitted without labels"),
        (("generate", "rna.h5ad", "--to", "protein", "--out", "x.zarr"), "The model has no 'prot"),
        (
            ("generate", "rna.h5ad", "--to", "atac", "--out", "x.csv"),
            "has to end in .zarr or .h5ad",
        ),
        (("denoise", "both.h5mu", "--out", "x.h5ad"), "has to end in .zarr or .h5mu"),
        (("denoise", "rna.h5ad", "--of", "atac", "--out", "x.zarr"), "the data have rna of the"),
        (("embed", "both.h5mu", "--out", "x.h5ad"), "does not end in .h5mu"),
    ],
)
def test_what_cannot_be_done_is_an_error_and_leaves_no_file(folder, words, message):
    command, file, *rest = words
    place = folder / rest[-1]
    rest[-1] = str(place)
    given = [command, str(folder / file), "--model", str(folder / "m.cytonym"), *rest, "--quiet"]
    done = CliRunner().invoke(app, given)
    assert isinstance(done.exception, CytonymError)
    assert message in str(done.exception)
    assert not place.exists()


@pytest.mark.parametrize(
    "words", [("denoise", "rna.h5ad"), ("generate", "rna.h5ad", "--to", "atac")]
)
def test_the_file_that_is_read_is_not_written(folder, words):
    command, name, *rest = words
    file = folder / name
    before = file.read_bytes()
    given = [command, file, "--model", folder / "m.cytonym", *rest, "--out", file, "--quiet"]
    done = CliRunner().invoke(app, [*map(str, given)])
    assert "is read too" in str(done.exception)
    assert file.read_bytes() == before


def test_a_method_that_needs_labels_says_so_before_it_opens_the_file(folder):
    given = ["fit", folder / "nothing.h5mu", "--method", "sctrans", "--out", folder / "n"]
    done = CliRunner().invoke(app, [*map(str, given)])
    assert "sctrans learns from labels" in str(done.exception)
