"""The installed command: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pytest

import cytonym
from command import call, run
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.errors import CytonymError
from cytonym.places import state_folder

COMMAND = Path(sys.executable).parent / "cytonym"


def strict(text: str):
    """JSON without NaN."""

    def refuse(word: str):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> SimpleNamespace:
    """200 cells of 3 types to learn from, 100 to name; a linear model, and its answer."""
    folder = tmp_path_factory.mktemp("cli")
    cells = simulate(300, 120, 3, seed=0)
    reference, query = folder / "reference.h5ad", folder / "query.h5ad"
    cells[:200].copy().write_h5ad(reference)
    cells[200:].copy().write_h5ad(query)
    model, out = folder / "model.cytonym", folder / "named.h5ad"
    settings = ("--set", "penalty=2", "--set", "genes=none")
    words = ("--labels", "cell_type", "--method", "linear", *settings)
    fitted = run("fit", reference, "--out", model, *words)
    named = run("annotate", query, "--model", model, "--out", out)
    return SimpleNamespace(
        folder=folder,
        reference=reference,
        query=query,
        model=model,
        out=out,
        fitted=fitted,
        named=named,
    )


def test_fit_prints_this_method_linear_and_knn_and_leaves_only_the_model(world):
    for word in ("linear", "knn", "accuracy", "macro_f1", "3 types"):
        assert word in world.fitted.stdout
    assert "epoch" in world.fitted.stderr  # the progress bar
    assert (world.model / "manifest.json").is_file()
    assert not Path(f"{world.model}.fit").exists()
    left = {file.name for file in world.folder.iterdir()}
    assert left == {"reference.h5ad", "query.h5ad", "model.cytonym", "named.h5ad"}


def test_annotate_writes_names_for_100_cells_and_says_how_many_of_each(world):
    named, query = ad.read_h5ad(world.out), ad.read_h5ad(world.query)
    assert named.obs["cell_type_pred"].dtype == "category"
    confidence = named.obs["cell_type_pred_confidence"].to_numpy()
    assert confidence.dtype == np.float32
    assert ((confidence >= 0) & (confidence <= 1)).all()
    assert named.obsm["cell_type_pred_probabilities"].shape == (100, 3)
    assert (named.obs["cell_type_pred"].astype(str) == query.obs["cell_type"]).mean() > 0.9
    assert (named.X != query.X).nnz == 0
    assert "type A" in world.named.stdout
    assert "100 cells" in world.named.stdout


def test_evaluate_gives_the_same_accuracy_as_json_and_as_a_page(world):
    told = strict(run("evaluate", world.out, "--truth", "cell_type", "--json").stdout)
    obs = ad.read_h5ad(world.out).obs
    right = (obs["cell_type_pred"].astype(str) == obs["cell_type"].astype(str)).mean()
    assert told["accuracy"] == pytest.approx(right)
    assert told["n"] == 100
    assert set(told["per_type"]) == {"type A", "type B", "type C"}
    page = call("evaluate", world.out, "--truth", "cell_type")
    assert f"accuracy {told['accuracy']:19.3f}" in page


def test_inspect_against_the_model_says_usable_with_0(world):
    told = strict(run("inspect", world.query, "--model", world.model, "--json").stdout)
    assert told["usable"] is True
    assert told["cells"] == 100
    page = call("inspect", world.query, "--reference", world.reference)
    assert "100 cells, usable" in page


def test_inspect_says_not_usable_with_2_and_a_remedy(world, tmp_path):
    cells = ad.read_h5ad(world.query)
    cells.X.data[:5] = -1
    cells.write_h5ad(tmp_path / "negative.h5ad")
    done = run("inspect", tmp_path / "negative.h5ad", "--json", code=2)
    assert strict(done.stdout)["usable"] is False
    assert "negative" in done.stdout


def test_explain_names_the_two_best_genes_of_each_of_3_types(world):
    told = strict(run("explain", world.model, "--json", "--top", "2").stdout)
    assert told["method"] == "linear"
    assert {name: len(rows) for name, rows in told["types"].items()} == {
        "type A": 2,
        "type B": 2,
        "type C": 2,
    }
    assert {"rank", "gene", "score"} <= set(told["types"]["type A"][0])
    assert told["types"]["type A"][0]["gene"] in call("explain", world.model)


def test_methods_lists_the_registry_and_the_options_of_one():
    told = strict(run("methods", "--json").stdout)
    assert {"linear", "sctrans"} <= set(told)
    one = strict(call("methods", "sctrans", "--json"))
    assert one["options"]["dim"]["description"]
    assert "paper" in one["presets"]
    assert "penalty" in call("methods", "linear")
    assert "sctrans" in call("methods")


def test_both_ways_to_start_the_program_say_the_version_of_the_package():
    from importlib.metadata import version

    installed = Path(sys.executable).with_name("cytonym")
    for start in ([installed], [sys.executable, "-m", "cytonym"]):
        done = subprocess.run([*start, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"cytonym {version('cytonym')}\n"
        assert done.stderr == ""


# --- bad input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--method", "linear", "--set", "penalt=3"], "Did you mean 'penalty'?"),
        (["--method", "linaer"], "Did you mean 'linear'?"),
        (["--labels", "celltype"], "Did you mean 'cell_type'?"),
        (["--out", "nowhere/model"], "there is no folder"),
        (["--out", "taken"], "a folder that holds no model"),
    ],
)
def test_fit_refuses_before_any_work_and_leaves_nothing(world, tmp_path, monkeypatch, words, said):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").write_text("mine")
    monkeypatch.chdir(tmp_path)
    usual = {"--labels": "cell_type", "--out": "model", "--method": "linear"}
    usual |= dict(zip(words[::2], words[1::2], strict=True))
    with pytest.raises(CytonymError) as error:
        call("fit", world.reference, *[word for pair in usual.items() for word in pair])
    assert said in str(error.value)
    assert [file.name for file in tmp_path.iterdir()] == ["taken"]
    assert (tmp_path / "taken" / "thesis.txt").read_text() == "mine"


def test_an_unknown_option_ends_with_2_and_the_nearest_one_on_stderr(world, tmp_path):
    words = ("--labels", "cell_type", "--method", "linear", "--set", "penalt=3")
    done = run("fit", world.reference, "--out", tmp_path / "model", *words, code=2)
    assert "Did you mean 'penalty'?" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("named.csv", "does not end in .h5ad"),
        ("nowhere/named.h5ad", "there is no folder"),
        ("query.h5ad", "is read too"),
    ],
)
def test_annotate_refuses_an_output_before_the_model_is_read(
    world, tmp_path, monkeypatch, out, said
):
    shutil.copy(world.query, tmp_path / "query.h5ad")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CytonymError, match=said):
        call("annotate", "query.h5ad", "--model", "no-model", "--out", out)
    assert [file.name for file in tmp_path.iterdir()] == ["query.h5ad"]


def test_a_model_with_one_flipped_byte_is_refused(world, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(world.model, model)
    weights = model / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-10] ^= 1
    weights.write_bytes(data)
    out = tmp_path / "out.h5ad"
    done = run("annotate", world.query, "--model", model, "--out", out, code=2)
    assert "weights.safetensors is damaged" in done.stderr
    assert not out.exists()


def test_a_file_cut_in_half_is_damaged_and_nothing_is_written(world, tmp_path):
    half = tmp_path / "half.h5ad"
    data = world.query.read_bytes()
    half.write_bytes(data[: len(data) // 2])
    out = tmp_path / "out.h5ad"
    done = run("annotate", half, "--model", world.model, "--out", out, code=2)
    assert "half.h5ad" in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["half.h5ad"]
    with pytest.raises(CytonymError, match=r"half\.h5ad"):
        call("evaluate", half, "--truth", "cell_type")


def test_evaluate_names_both_missing_columns_with_the_nearest(world):
    with pytest.raises(CytonymError) as error:
        call("evaluate", world.query, "--truth", "celltype", "--key", "pred")
    for word in ("'celltype'", "'pred'", "Did you mean 'cell_type'?"):
        assert word in str(error.value)


def test_unknown_truth_is_no_truth(world, tmp_path):
    named = ad.read_h5ad(world.out)
    truth = named.obs["cell_type"].astype(str)
    truth.iloc[:10] = "Unknown"
    named.obs["cell_type"] = truth
    named.write_h5ad(tmp_path / "named.h5ad")
    told = strict(call("evaluate", tmp_path / "named.h5ad", "--truth", "cell_type", "--json"))
    assert (told["n"], told["n_without_truth"]) == (90, 10)


def test_a_state_folder_that_is_not_ours_is_left_alone(world, tmp_path):
    (tmp_path / "model.fit").mkdir()
    (tmp_path / "model.fit" / "notes.txt").write_text("mine")
    words = ("--labels", "cell_type", "--method", "linear")
    with pytest.raises(CytonymError, match="is in the way"):
        call("fit", world.reference, "--out", tmp_path / "model", *words)
    assert (tmp_path / "model.fit" / "notes.txt").read_text() == "mine"


def test_two_fits_do_not_write_to_one_model(tmp_path):
    with state_folder(tmp_path / "model") as state:
        with (
            pytest.raises(CytonymError, match=r"another fit is under way in .*model\.fit"),
            state_folder(tmp_path / "model"),
        ):
            pass
        assert state.is_dir()
    assert not state.exists()
    with state_folder(tmp_path / "model") as state:
        (state / "trial.safetensors").touch()
    assert not state.exists()


@pytest.mark.slow
def test_demo_writes_five_files_and_says_five_lines(tmp_path):
    done = run("demo", cwd=tmp_path)
    assert len(done.stdout.splitlines()) == 5
    assert "Warning" not in done.stderr
    assert sorted(file.name for file in (tmp_path / "demo").iterdir()) == [
        "annotated.h5ad",
        "confusion.png",
        "metrics.json",
        "report.html",
        "umap.png",
    ]
    facts = strict((tmp_path / "demo" / "metrics.json").read_text())
    assert facts["n_query"] == 350
    assert facts["query"]["accuracy"] > 0.7
    assert [file.name for file in tmp_path.iterdir()] == ["demo"]


def test_a_model_folder_with_other_files_in_it_is_not_replaced(world, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(world.model, model)
    (model / "notes.txt").write_text("mine")
    words = ("--labels", "cell_type", "--out", model, "--method", "linear")
    with pytest.raises(CytonymError, match=r"also holds notes\.txt"):
        call("fit", world.reference, *words)
    with pytest.raises(CytonymError, match=r"also holds notes\.txt"):
        cytonym.load(world.model).save(model)
    assert (model / "notes.txt").read_text() == "mine"


def test_annotate_says_before_it_begins_that_the_key_is_taken(world, tmp_path):
    words = ("--model", world.model, "--out", tmp_path / "out.h5ad", "--key", "cell_type")
    with pytest.raises(CytonymError, match="did not write"):
        call("annotate", world.query, *words)
    assert not any(tmp_path.iterdir())


def test_evaluate_refuses_columns_that_cannot_be_compared(world, tmp_path):
    with pytest.raises(CytonymError, match="name two columns"):
        call("evaluate", world.out, "--truth", "cell_type", "--key", "cell_type")
    named = ad.read_h5ad(world.out)
    named.obs["lower"] = named.obs["cell_type"].astype(str).str.lower()
    named.write_h5ad(tmp_path / "named.h5ad")
    with pytest.raises(CytonymError, match="no label is in both"):
        call("evaluate", tmp_path / "named.h5ad", "--truth", "lower")


def test_explain_marks_genes_that_speak_by_being_low(world):
    table = cytonym.load(world.model).explain(top=120)
    assert {*table["expression"]} == {"high", "low"}
    best = table[table["rank"] == 1]
    assert (best["expression"] == "high").all()
    assert "(low)" in call("explain", world.model, "--top", "60")


def test_a_folder_with_some_other_manifest_is_no_model(world, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "manifest.json").write_text('{"name": "my web app"}')
    with pytest.raises(CytonymError, match="no model"):
        cytonym.load(world.model).save(site)
    assert [file.name for file in site.iterdir()] == ["manifest.json"]


# --- RNA and ATAC -------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pair(tmp_path_factory) -> SimpleNamespace:
    """150 cells with both modalities in two files, 60 more to name; a model fitted on them."""
    folder = tmp_path_factory.mktemp("pair")
    parts = simulate_multiome(210, 90, 3, seed=0, n_peaks=150)
    for name, one in parts.items():
        one[:150].copy().write_h5ad(folder / f"{name}.h5ad")
        one[150:].copy().write_h5ad(folder / f"{name}_query.h5ad")
    tiny = (
        "dim=16 token=8 heads=2 hidden=16 pretrain_epochs=3 epochs=3 atac_weight=0.3 batch_size=48"
    )
    settings = [word for pair in tiny.split() for word in ("--set", pair)]
    fitted = run(
        "fit", folder / "rna.h5ad", "--atac", folder / "atac.h5ad", "--labels", "cell_type",
        "--out", folder / "m.cytonym", "--quiet", *settings,
    )  # fmt: skip
    return SimpleNamespace(folder=folder, model=folder / "m.cytonym", fitted=fitted, parts=parts)


def test_two_files_are_fitted_together_and_the_choice_of_the_method_is_printed(pair):
    assert "method auto: the reference has rna and atac, so scmoanno" in pair.fitted.stdout
    assert "Saved" in pair.fitted.stdout
    assert "scmoanno, 3 types" in pair.fitted.stdout
    assert "Rare types, on the held-out cells:" in pair.fitted.stdout


def test_two_files_are_named_and_written_as_one_h5mu(pair, tmp_path):
    query = pair.folder / "rna_query.h5ad"
    words = ("annotate", query, "--atac", pair.folder / "atac_query.h5ad", "--model", pair.model)
    run(*words, "--out", tmp_path / "named.h5mu", "--quiet")
    cells = cytonym.read(tmp_path / "named.h5mu")
    assert [*cells.spaces] == ["rna", "atac"]
    assert "cell_type_pred" in cells.obs
    scored = ("evaluate", tmp_path / "named.h5mu", "--truth", "cell_type", "--embedding")
    page = call(*scored, "X_scmoanno")
    assert "Clusters of X_scmoanno against cell_type" in page
    for word in ("kmeans", "leiden", "predicted", "nmi", "ari", "purity"):
        assert word in page
    record = strict(call(*scored, "X_scmoanno", "--json"))
    assert record["clusters"]["kmeans"]["clusters"] == 3
    with pytest.raises(CytonymError, match=r"no obsm\['X_scmoano'\]"):
        call(*scored, "X_scmoano")
    wrong = run(*words, "--out", tmp_path / "named.h5ad", code=2)
    assert "does not end in .h5mu" in wrong.stderr


def test_nothing_that_is_read_is_overwritten(pair, tmp_path):
    rna, atac = pair.folder / "rna_query.h5ad", pair.folder / "atac_query.h5ad"
    (tmp_path / "f.tsv").write_text("chr1\t1\t9\tA\n")
    for words in (
        ("count", tmp_path / "f.tsv", "--peaks", atac, "--out", atac),
        ("count", tmp_path / "f.tsv", "--peaks", pair.model, "--barcodes", atac, "--out", atac),
    ):
        with pytest.raises(CytonymError, match="is read too"):
            call(*words)
    with pytest.raises(CytonymError, match=r"write --out named\.h5mu"):
        call("annotate", rna, "--atac", atac, "--model", pair.model, "--out", "named.h5ad")


def test_fragments_given_as_cells_are_refused_with_the_command_that_counts_them(pair, tmp_path):
    (tmp_path / "fragments.tsv.gz").write_bytes(b"x")
    assert (
        "cytonym count fragments.tsv.gz --peaks MODEL"
        in run("inspect", tmp_path / "fragments.tsv.gz", code=2).stdout
    )


def test_inspect_shows_the_pairs_and_a_modality_that_names_nothing_is_refused(pair):
    rna, atac = pair.folder / "rna.h5ad", pair.folder / "atac.h5ad"
    assert "pairs  150 cells with both" in call("inspect", rna, "--atac", atac)
    with pytest.raises(CytonymError, match="--modality rna names nothing"):
        call("inspect", rna, "--modality", "rna")


def test_fragments_are_counted_on_the_peaks_of_a_model_and_named(pair, tmp_path):
    atac = pair.parts["atac"][150:]
    lines = [
        f"{v.chr}\t{v.start + 10}\t{v.start + 20}\t{cell}\t1\n"
        for cell, row in zip(atac.obs_names, atac.X.toarray(), strict=True)
        for v in atac.var[row > 0].itertuples()
    ]
    (tmp_path / "fragments.tsv").write_text("".join(lines))
    said = run(
        "count", tmp_path / "fragments.tsv", "--peaks", pair.model, "--out", tmp_path / "c.h5ad",
        "--min-fragments", "5",
    )  # fmt: skip
    assert f"Wrote {tmp_path / 'c.h5ad'}: 60 cells × 150 peaks" in said.stdout
    counted = ad.read_h5ad(tmp_path / "c.h5ad")[atac.obs_names]
    np.testing.assert_array_equal(counted.X.toarray(), 2 * atac.X.toarray())  # both ends
    run("annotate", tmp_path / "c.h5ad", "--model", pair.model, "--out", tmp_path / "n.h5ad")
    named = ad.read_h5ad(tmp_path / "n.h5ad")
    direct = cytonym.load(pair.model).annotate({"atac": atac.copy()}, progress=False)
    assert named.obs["cell_type_pred"].loc[atac.obs_names].tolist() == direct.labels.tolist()
