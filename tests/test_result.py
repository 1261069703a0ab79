"""Answers go to the cells that they are about, and are written whole or not at all."""

import warnings
from dataclasses import replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import cytonym
from cytonym.data.simulate import simulate
from cytonym.errors import CytonymError, DataError, OptionError
from cytonym.taken import check_free


@pytest.fixture(scope="module")
def query():
    return simulate(60, 80, 3, seed=2)


@pytest.fixture(scope="module")
def model():
    return cytonym.fit(
        simulate(90, 80, 3, seed=1),
        labels="cell_type",
        method="linear",
        options={"genes": 40},
        progress=False,
    )


@pytest.fixture(scope="module")
def calls(model, query):
    return model.annotate(query, progress=False)


def test_cells_in_another_order_get_their_own_labels(calls, query):
    turned = calls.to(query[::-1].copy())
    assert turned.obs["cell_type_pred"].tolist() == calls.labels[::-1].tolist()
    best = turned.obsm["cell_type_pred_probabilities"].to_numpy().max(1)
    np.testing.assert_array_equal(best, turned.obs["cell_type_pred_confidence"])
    np.testing.assert_array_equal(turned.obsm["X_linear"], calls.embedding[::-1])


def test_two_cells_of_one_name_each_get_their_label(model, query):
    twins = query.copy()
    twins.obs_names = ["twin"] * twins.n_obs
    calls = model.annotate(twins, progress=False)
    calls.to(twins)
    assert twins.obs["cell_type_pred"].tolist() == calls.labels.tolist()


def test_other_cells_are_refused_with_the_number_of_known_names(calls):
    others = simulate(60, 80, 3, seed=5)
    others.obs_names = [f"other{i}" for i in range(60)]
    with pytest.raises(DataError, match="0 names of its cells are among them"):
        calls.to(others)


@pytest.mark.parametrize("key", ["", "a/b", "_index"])
def test_a_key_that_cannot_be_a_column_is_refused_before_writing(key, calls, query, tmp_path):
    with pytest.raises(OptionError, match="cannot name a column"):
        calls.write(query, tmp_path / "out.h5ad", key=key)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("backed", [False, True])
def test_a_file_and_an_object_are_written_alike(backed, calls, query, tmp_path):
    query.write_h5ad(tmp_path / "query.h5ad")
    calls.write(tmp_path / "query.h5ad", tmp_path / "from_file.h5ad")
    given = ad.read_h5ad(tmp_path / "query.h5ad", backed="r") if backed else query
    calls.write(given, tmp_path / "from_object.h5ad")
    one, other = (ad.read_h5ad(tmp_path / f"from_{kind}.h5ad") for kind in ("file", "object"))
    pd.testing.assert_frame_equal(one.obs, other.obs)
    for name in ("cell_type_pred_probabilities", "X_linear"):
        np.testing.assert_array_equal(np.asarray(one.obsm[name]), np.asarray(other.obsm[name]))
    assert one.obs["cell_type_pred"].tolist() == calls.labels.tolist()


def test_a_query_without_the_genes_that_the_model_reads_is_refused(model, query):
    read = set(model.feature_names())
    rest = query[:, [name not in read for name in query.var_names]].copy()
    assert rest.n_vars == 40
    with pytest.raises(DataError, match="0 of the 40 rna features that the model reads"):
        model.annotate(rest, progress=False)


def test_a_model_may_take_the_place_of_an_empty_folder(model, tmp_path):
    (tmp_path / "model").mkdir()
    model.save(tmp_path / "model")
    assert cytonym.load(tmp_path / "model").label_names == model.label_names


@pytest.mark.parametrize(
    ("more", "message"),
    [({"seed": -1}, "from 0 to 2"), ({"validation": 1.0}, "from 0 to below 1")],
)
def test_a_seed_or_share_out_of_range_is_refused(more, message, query):
    with pytest.raises(CytonymError, match=message):
        cytonym.fit(query, labels="cell_type", method="linear", progress=False, **more)


@pytest.mark.parametrize("place", ["column", "confidence", "probabilities", "facts"])
def test_what_cytonym_did_not_write_is_never_replaced(place, calls, query, tmp_path):
    mine = query.copy()
    if place == "facts":
        mine.uns["mine"] = {"precious": "yes"}
    elif place == "probabilities":
        mine.obsm["mine_probabilities"] = np.zeros((mine.n_obs, 2))
    else:
        mine.obs["mine" if place == "column" else "mine_confidence"] = 1.0
    with pytest.raises(DataError, match="already, which cytonym did not write"):
        calls.to(mine, key="mine")
    mine.write_h5ad(tmp_path / "mine.h5ad")
    with pytest.raises(DataError, match="give another name"):
        calls.write(tmp_path / "mine.h5ad", tmp_path / "out.h5ad", key="mine")
    assert [file.name for file in tmp_path.iterdir()] == ["mine.h5ad"]
    calls.write(tmp_path / "mine.h5ad", tmp_path / "out.h5ad", key="other")
    calls.write(tmp_path / "out.h5ad", tmp_path / "again.h5ad", key="other")


@pytest.mark.parametrize("key", ["", ".", "..", " ", "-x", "a/b", "index", "a\nb"])
def test_a_key_that_cannot_be_a_column_is_refused(key, calls, query):
    with pytest.raises(OptionError, match="cannot name a column"):
        calls.to(query.copy(), key=key)


def test_types_that_a_file_cannot_tell_apart_stay_apart(calls, query, tmp_path):
    names = ["B/plasma", "B|plasma", *calls.probabilities.columns[2:]]
    same = replace(
        calls,
        probabilities=calls.probabilities.set_axis(names, axis=1),
        labels=np.array(names, dtype=object)[calls.probabilities.to_numpy().argmax(1)],
    )
    query.write_h5ad(tmp_path / "query.h5ad")
    same.write(tmp_path / "query.h5ad", tmp_path / "out.h5ad")
    written = ad.read_h5ad(tmp_path / "out.h5ad")
    assert [*written.uns["cell_type_pred"]["types"]] == names
    assert written.obsm["cell_type_pred_probabilities"].columns.is_unique


def test_cells_without_any_count_are_named_and_counted(model, query):
    bare = query.copy()
    bare.X = csr_matrix(bare.X.toarray() * (np.arange(bare.n_obs) >= 5)[:, None])
    notes = " ".join(model.annotate(bare, progress=False).notes)
    assert "5 cells hold no value" in notes
    assert "hold no count" not in " ".join(model.annotate(query, progress=False).notes)


def test_a_file_with_the_cells_in_another_order_gets_each_cell_its_own_label(
    calls, query, tmp_path
):
    turned = query[::-1].copy()
    turned.write_h5ad(tmp_path / "turned.h5ad")
    calls.write(tmp_path / "turned.h5ad", tmp_path / "out.h5ad")
    written = ad.read_h5ad(tmp_path / "out.h5ad")
    assert written.obs["cell_type_pred"].tolist() == calls.labels[::-1].tolist()
    np.testing.assert_array_equal(written.obsm["X_linear"], calls.embedding[::-1])
    turned[:20].copy().write_h5ad(tmp_path / "few.h5ad")
    with pytest.raises(DataError, match="20 names of its cells are among them"):
        calls.write(tmp_path / "few.h5ad", tmp_path / "out2.h5ad")
    assert not (tmp_path / "out2.h5ad").exists()


def test_an_embedding_of_the_user_is_not_replaced(calls, query):
    mine = query.copy()
    mine.obsm["X_linear"] = np.ones((mine.n_obs, 2))
    with pytest.raises(DataError, match="X_linear"):
        calls.to(mine)


@pytest.mark.parametrize("kind", ["zarr", "memory"])
def test_a_taken_name_is_found_in_zarr_and_in_the_name_of_the_index(kind, calls, query, tmp_path):
    mine = query.copy()
    if kind == "zarr":
        mine.obs["mine"] = 1
        with warnings.catch_warnings():  # remarks on how it is written
            warnings.simplefilter("ignore")
            mine.write_zarr(tmp_path / "mine.zarr")
        place = tmp_path / "mine.zarr"
    else:
        mine.obs.index.name = "mine"
        place = mine
    with pytest.raises(DataError, match="did not write"):
        check_free(place, "mine", columns=["mine"], matrices=["X_linear"])


def test_with_two_types_each_one_is_explained_by_its_own_markers():
    cells = simulate(300, 80, 2, seed=4, markers_per_type=5, depth=400, fold=8.0)
    model = cytonym.fit(cells, labels="cell_type", method="linear", validation=0, progress=False)
    table = model.explain(top=5)
    for place, (_, rows) in enumerate(table.groupby("type")):
        own = {f"SIM{i:04d}" for i in range(place * 5, place * 5 + 5)}
        high = rows[rows["expression"] == "high"]
        assert len(high)
        assert {*high["gene"]} <= own
        assert (rows["score"] > 0.01).all()
