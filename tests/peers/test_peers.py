import ast
import json
import os
import sys
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
from scipy.sparse import csr_matrix

from cytonym import peers
from cytonym.errors import CytonymError, DataError, OptionError
from cytonym.methods import registry
from cytonym.peers import COMPETITORS
from cytonym.peers.handing import handed
from cytonym.peers.running import WORKER, interpreter

LABEL = "cell_type"
RECIPES = WORKER.parent
IN_BENCH = pytest.mark.skipif(
    not os.environ.get("CYTONYM_BENCH_PYTHON"),
    reason="CYTONYM_BENCH_PYTHON is not set: it names the Python of `make bench-env`",
)


def right(answer, query):
    return float((answer.labels == query.obs[LABEL].to_numpy().astype(str)).mean())


def check(answer, n_cells, types):
    assert answer.labels.shape == (n_cells,)
    assert {*answer.labels} <= {*types}
    if answer.confidence is not None:
        assert answer.confidence.shape == (n_cells,)
        assert answer.confidence.dtype == np.float32
        assert ((answer.confidence > 0) & (answer.confidence <= 1 + 1e-6)).all()
    if answer.embedding is not None:
        assert answer.embedding.shape[0] == n_cells
        assert np.isfinite(answer.embedding).all()
    assert 0 < answer.fit_seconds + answer.name_seconds < answer.seconds
    assert 20 < answer.peak_mib < 4000
    assert "python" in answer.versions


@pytest.mark.parametrize("name", ["lr", "svm", "knn", "linear"])
def test_competitors_name_95_of_100_simulated_cells_and_say_what_they_took(name, rna):
    reference, query = rna
    answer = peers.run(name, reference, query, label=LABEL, seed=0)
    check(answer, 100, reference.obs[LABEL].unique())
    assert right(answer, query) >= 0.95
    assert (answer.confidence is None) == (name == "svm")


def test_singular_vectors_name_95_of_100_cells_by_peaks_and_by_peaks_beside_genes(multiome):
    reference, query = multiome
    both = peers.run("lsi_lr", reference, query, label=LABEL, seed=0)
    alone = peers.run("lsi_lr", reference["atac"], query["atac"], label=LABEL, seed=0)
    for answer, width in ((both, 80), (alone, 30)):
        check(answer, 100, reference["rna"].obs[LABEL].unique())
        assert answer.embedding.shape == (100, width)
        assert right(answer, query["rna"]) >= 0.95


@pytest.mark.slow
@IN_BENCH
@pytest.mark.parametrize("name", ["celltypist", "scanvi"])
def test_peers_of_another_environment_name_9_of_10_simulated_cells_by_rna(name, rna):
    reference, query = rna
    answer = peers.run(name, reference, query, label=LABEL, seed=0, batch="batch")
    check(answer, 100, reference.obs[LABEL].unique())
    assert right(answer, query) >= 0.9
    assert COMPETITORS[name].packages[-1] in answer.versions
    assert "cytonym" not in answer.versions


@pytest.mark.slow
@IN_BENCH
@pytest.mark.parametrize(("name", "least"), [("peakvi", 0.8), ("multivi", 0.6)])
def test_latent_spaces_name_far_more_simulated_cells_than_the_third_of_chance(
    name, least, multiome
):
    reference, query = multiome
    answer = peers.run(name, reference, query, label=LABEL, seed=0)
    check(answer, 100, reference["rna"].obs[LABEL].unique())
    assert right(answer, query["rna"]) >= least


# --- what the process sees ---------------------------------------------------------------------


def test_no_file_of_the_query_has_a_label_a_cell_s_name_or_any_column_but_the_batch(rna, tmp_path):
    reference, query = (one.copy() for one in rna)
    query.obs_names = [f"{kind} {row}" for row, kind in enumerate(query.obs[LABEL])]
    query.obsm["truth"] = np.eye(3)[query.obs[LABEL].cat.codes]
    query.uns["types"] = query.obs[LABEL].tolist()
    query.layers["again"] = query.X
    peers.run("lr", reference, query, label=LABEL, seed=0, batch="batch", work=tmp_path / "work")
    written = ad.read_h5ad(tmp_path / "work" / "query_rna.h5ad")
    assert [*written.obs] == ["batch"]
    assert [*written.obs_names] == [str(row) for row in range(100)]
    assert not len(written.obsm) + len(written.uns) + len(written.layers) + len(written.obsp)
    assert written.raw is None
    task = (tmp_path / "work" / "task.json").read_bytes()
    for kind in reference.obs[LABEL].unique():
        for data in (task, (tmp_path / "work" / "query_rna.h5ad").read_bytes()):
            assert kind.encode() not in data
    known = ad.read_h5ad(tmp_path / "work" / "reference_rna.h5ad")
    assert [*known.obs] == ["label", "batch"]
    assert [*known.obs["label"].astype(str)] == [*reference.obs[LABEL].astype(str)]


def test_a_recipe_that_does_not_declare_it_is_not_given_the_query_before_it_has_learned(tmp_path):
    tree = ast.parse(WORKER.read_text(encoding="utf-8"))
    lines = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    assert "seen = query if task['sees_query'] else None" in lines
    assert {name for name, one in COMPETITORS.items() if one.sees_query and not one.ours} == {
        "scanvi"
    }


def test_peers_get_the_shared_features_in_the_order_of_the_reference_and_ours_get_all(rna):
    reference, query = rna
    query = query[:, [*range(150, 20, -1)]].copy()
    peer = handed(COMPETITORS["lr"], reference, query, label=LABEL, batch=None)
    names = [*reference.var_names[21:151]]
    assert [*peer.reference["rna"].var_names] == [*peer.query["rna"].var_names] == names
    expected = query[:, names].X.toarray()
    assert np.array_equal(peer.query["rna"].X.toarray(), expected)
    own = handed(COMPETITORS["linear"], reference, query, label=LABEL, batch=None)
    assert own.reference["rna"].n_vars == 200
    assert own.query["rna"].n_vars == 130


def test_each_competitor_gets_the_modalities_that_it_reads_and_no_other(multiome):
    reference, query = multiome
    wanted = {
        "lr": {"rna"}, "sctrans": {"rna"}, "peakvi": {"atac"}, "seqalign:lsi": {"atac"},
        "lsi_lr": {"rna", "atac"}, "multivi": {"rna", "atac"}, "scmoanno": {"rna", "atac"},
        "dcca": {"rna", "atac"},
    }  # fmt: skip
    for name, parts in wanted.items():
        given = handed(COMPETITORS[name], reference, query, label=LABEL, batch=None)
        assert {*given.reference} == {*given.query} == parts, name
    alone = {"rna": query["rna"]}
    given = handed(COMPETITORS["scmoanno"], reference, alone, label=LABEL, batch=None)
    assert ({*given.reference}, {*given.query}) == ({"rna", "atac"}, {"rna"})
    with pytest.raises(DataError, match=r"lsi_lr reads rna and atac, and(.|\n)*query has rna"):
        handed(COMPETITORS["lsi_lr"], reference, alone, label=LABEL, batch=None)


def test_reference_and_query_are_left_as_they_are(rna):
    before = [one.copy() for one in rna]
    handed(COMPETITORS["lr"], *rna, label=LABEL, batch="batch")
    for old, new in zip(before, rna, strict=True):
        assert (old.X != new.X).nnz == 0
        assert old.obs.equals(new.obs)
        assert old.var.equals(new.var)


# --- errors ------------------------------------------------------------------------------------


def test_a_peer_that_fails_is_an_error_with_its_last_lines_and_the_folder_that_keeps_them(
    rna, tmp_path
):
    with pytest.raises(CytonymError) as error:
        peers.run("lr", *rna, label=LABEL, seed=0, options={"C": -1.0}, work=tmp_path / "kept")
    text = str(error.value)
    assert "lr failed after" in text
    assert "exit code 1" in text
    assert "'C' parameter of LogisticRegression must be" in text
    assert str(tmp_path / "kept") in text
    assert (tmp_path / "kept" / "stderr").is_file()
    with pytest.raises(CytonymError, match="is not empty"):
        peers.run("lr", *rna, label=LABEL, seed=0, work=tmp_path / "kept")


def test_a_peer_that_needs_more_than_half_a_second_is_ended_by_timeout(rna):
    with pytest.raises(CytonymError, match=r"knn was not done after 0\.5 s"):
        peers.run("knn", *rna, label=LABEL, seed=0, timeout=0.5)


def test_a_missing_environment_is_an_error_that_says_how_it_is_made(rna, monkeypatch):
    monkeypatch.delenv("CYTONYM_BENCH_PYTHON", raising=False)
    monkeypatch.setattr("cytonym.peers.running._installed", lambda name: name != "scvi-tools")
    with pytest.raises(CytonymError) as error:
        peers.run("scanvi", *rna, label=LABEL, seed=0)
    assert "scanvi needs scvi-tools, which this Python lacks" in str(error.value)
    assert "make bench-env" in str(error.value)
    monkeypatch.setenv("CYTONYM_BENCH_PYTHON", "elsewhere/bin/python")
    assert interpreter(COMPETITORS["scanvi"]) == str(Path("elsewhere/bin/python").absolute())
    assert interpreter(COMPETITORS["lr"]) == sys.executable


def test_an_environment_that_lacks_a_package_is_told_with_its_name(rna, tmp_path, monkeypatch):
    one = COMPETITORS["lr"]
    lacking = {**COMPETITORS, "lr": type(one)(**{
        field: getattr(one, field) for field in one.__slots__
    } | {"packages": ("numpy", "no-such-package")})}  # fmt: skip
    monkeypatch.setattr("cytonym.peers.competitors.COMPETITORS", lacking)
    with pytest.raises(CytonymError, match=r"not installed: no-such-package(.|\n)*make bench-env"):
        peers.run("lr", *rna, label=LABEL, seed=0, python=sys.executable)


def test_unknown_competitors_and_options_are_told_with_the_nearest_before_anything_runs(rna):
    with pytest.raises(OptionError, match=r"No competitor 'scanvy'\. Did you mean 'scanvi'"):
        peers.run("scanvy", *rna, label=LABEL, seed=0)
    with pytest.raises(OptionError, match=r"knn has no option 'neighbors'\. Did you mean"):
        peers.run("knn", *rna, label=LABEL, seed=0, options={"neighbors": 5})
    with pytest.raises(OptionError, match="No option 'penalt'"):
        peers.run("linear", *rna, label=LABEL, seed=0, options={"penalt": 5})


def test_a_competitor_that_reads_dna_says_that_it_needs_a_genome(multiome):
    reference, query = multiome
    with pytest.raises(OptionError, match=r"seqalign reads the DNA(.|\n)*genome"):
        peers.run("seqalign", reference["atac"], query["atac"], label=LABEL, seed=0)


def test_all_that_is_wrong_with_the_data_is_told_at_once(rna):
    reference, query = (one.copy() for one in rna)
    reference.obs.loc[reference.obs_names[:7], LABEL] = np.nan
    query.X.data[:3] = -2
    query.var_names = ["same", "same", *query.var_names[2:]]
    with pytest.raises(DataError) as error:
        handed(COMPETITORS["lr"], reference, query, label=LABEL, batch="donor")
    assert len(error.value.problems) == 5
    text = str(error.value)
    assert "7 of 200 cells of the reference have no 'cell_type'" in text
    assert "the reference has no column 'donor'" in text
    assert "the query has no column 'donor'" in text
    assert "3 values of rna in the query are negative, the lowest -2" in text
    assert "1 features of rna in the query have the name of another" in text


def test_fractional_counts_are_taken_and_a_type_of_one_cell_teaches_ours_nothing(rna):
    reference, query = (one.copy() for one in rna)
    reference.X = csr_matrix(reference.X, dtype=np.float32) * 0.5
    kinds = reference.obs[LABEL].astype(str).to_numpy().astype(object)
    kinds[0] = "single"
    reference.obs[LABEL] = kinds
    answer = peers.run("linear", reference, query, label=LABEL)
    assert "single" not in {*answer.labels}
    assert right(answer, query) >= 0.9


def test_logged_values_and_paths_are_refused(rna):
    reference, query = rna
    logged = query.copy()
    x = np.asarray(logged.X.todense() if hasattr(logged.X, "todense") else logged.X, dtype=float)
    logged.X = np.log1p(x / x.sum(1, keepdims=True) * 1e4).astype(np.float32)
    with pytest.raises(DataError, match=r"values of rna in the query are no counts but log1p"):
        peers.run("lr", reference, logged, label=LABEL)
    with pytest.raises(
        DataError, match=r"(?s)the reference is no AnnData .*str.*read a file first"
    ):
        peers.run("lr", "reference.h5ad", query, label=LABEL)


def test_modalities_of_other_cells_and_data_without_a_shared_feature_are_told(multiome, rna):
    reference, query = multiome
    other = {"rna": query["rna"][:50].copy(), "atac": query["atac"]}
    with pytest.raises(DataError, match=r"not of the same cells in one order \(rna 50, atac 100\)"):
        handed(COMPETITORS["lsi_lr"], reference, other, label=LABEL, batch=None)
    far = rna[1].copy()
    far.var_names = [f"FAR{i}" for i in range(far.n_vars)]
    with pytest.raises(DataError, match=r"reference \(200\) and query \(200\) share no rna"):
        handed(COMPETITORS["lr"], rna[0], far, label=LABEL, batch=None)


# --- the records -------------------------------------------------------------------------------


def test_every_method_competes_with_its_defaults_and_each_preset():
    for method in registry().values():
        for name in (method.name, *(f"{method.name}:{preset}" for preset in method.presets)):
            assert COMPETITORS[name].ours
            assert COMPETITORS[name].modalities == tuple(method.needs.modalities)


def test_every_recipe_of_a_record_is_a_function_of_its_file_and_settings_are_json():
    for one in COMPETITORS.values():
        file, _, function = one.recipe.partition(".")
        tree = ast.parse((RECIPES / f"{file}.py").read_text(encoding="utf-8"))
        assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert json.loads(json.dumps(dict(one.settings))) == dict(one.settings)


def test_no_recipe_but_own_imports_cytonym_when_it_runs():
    for path in sorted(RECIPES.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        typed = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        modules = {
            (node.module or "").split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and id(node) not in typed
        }
        assert ("cytonym" in modules) == (path.name == "own.py"), path.name
