"""Naming part by part gives the answer of naming at once, and goes on where it was stopped."""

import json
import shutil

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import cytonym
from command import run
from cytonym.data.read import Reading
from cytonym.data.simulate import simulate
from cytonym.errors import CytonymError
from cytonym.parts import Parts
from cytonym.stacked import Stacked
from cytonym.trust.tally import Tally

SHARES = {"coverage": 0.9, "reject": 0.05}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A model with trust, and 230 cells of which 40 hold no value, in a file."""
    folder = tmp_path_factory.mktemp("parts")
    cells = simulate(930, 80, 4, seed=0)
    known = cells[:700][cells.obs["cell_type"][:700] != "type D"].copy()
    model = cytonym.fit(known, labels="cell_type", method="linear", validation=0.3, progress=False)
    assert model.trust is not None
    model.save(folder / "model.cytonym")
    query = cells[700:].copy()
    query.X = csr_matrix(query.X.multiply((np.arange(230) >= 40)[:, None]))
    query.X.eliminate_zeros()
    query.write_h5ad(folder / "query.h5ad")
    return folder, model


@pytest.fixture
def small(monkeypatch):
    """Parts of 60 cells at most."""
    monkeypatch.setattr("cytonym.parts.CELLS", 60)


def begin(world, folder, **more):
    home, model = world
    opened = model.opened(home / "query.h5ad", Reading())
    return Parts.begin(folder, model, opened, **{**SHARES, **more})


def same(one: ad.AnnData, other: ad.AnnData) -> None:
    """The same cells, values, names and facts."""
    pd.testing.assert_frame_equal(pd.DataFrame(one.obs), pd.DataFrame(other.obs))
    assert (one.X != other.X).nnz == 0
    assert [*one.obsm] == [*other.obsm]
    for name in one.obsm:
        np.testing.assert_allclose(one.obsm[name], other.obsm[name], rtol=0, atol=1e-6)
    first, second = (dict(each.uns["cell_type_pred"]) for each in (one, other))
    for key in ("notes", "types", "columns"):
        assert [*first.pop(key)] == [*second.pop(key)], key
    assert json.dumps(first, default=str) == json.dumps(second, default=str)


def test_four_parts_are_the_whole_and_their_counts_are_added(world, small, tmp_path):
    home, model = world
    parts = begin(world, tmp_path / "parts", reject=0.4)
    assert parts.count == 4
    parts.name(parts.missing(), progress=False)
    whole = model.annotate(home / "query.h5ad", reject=0.4, progress=False)
    calls = parts.whole()
    assert calls.notes == whole.notes
    assert calls.tally == whole.tally
    assert calls.tally.empty == 40
    assert calls.tally.unknown > 20
    np.testing.assert_array_equal(calls.labels, whole.labels)
    assert calls.sets.tolist() == whole.sets.tolist()
    assert isinstance(calls.embedding, Stacked)
    for name, one in (("atonce", whole), ("parts", calls)):
        voted = one.with_populations(home / "query.h5ad")
        voted.write(home / "query.h5ad", tmp_path / f"{name}.h5ad")
    same(ad.read_h5ad(tmp_path / "atonce.h5ad"), ad.read_h5ad(tmp_path / "parts.h5ad"))


def test_an_answer_on_disk_is_put_into_an_object_in_another_order(world, small, tmp_path):
    home, model = world
    parts = begin(world, tmp_path / "parts")
    parts.name(parts.missing(), progress=False)
    query = ad.read_h5ad(home / "query.h5ad")
    mixed = query[np.random.default_rng(0).permutation(len(query))].copy()
    one = parts.whole().to(mixed.copy())
    same(one, model.annotate(mixed, progress=False).to(mixed.copy()))
    shutil.rmtree(tmp_path / "parts")
    assert np.isfinite(one.obsm["X_linear"]).all()


def test_shards_share_the_parts_among_them_and_a_missing_one_is_told(world, small, tmp_path):
    first = begin(world, tmp_path / "parts", shards=3)
    assert first.count == 6
    assert [first.missing((i, 3)) for i in (1, 2, 3)] == [[0, 3], [1, 4], [2, 5]]
    first.name(first.missing((2, 3)), progress=False)
    again = begin(world, tmp_path / "parts")
    assert again.count == 6
    assert again.missing() == [0, 2, 3, 5]
    with pytest.raises(CytonymError, match=r"lacks 4 of 6 parts \(1, 3, 4, 6\)"):
        again.whole()
    with pytest.raises(CytonymError, match="another annotation \\(6 parts\\)"):
        begin(world, tmp_path / "parts", shards=4)


@pytest.mark.parametrize(
    ("more", "said"), [({"reject": 0.1}, "another reject"), ({"coverage": 0.8}, "another coverage")]
)
def test_parts_of_another_question_are_refused(more, said, world, small, tmp_path):
    begin(world, tmp_path / "parts")
    with pytest.raises(CytonymError, match=said):
        begin(world, tmp_path / "parts", **more)


def test_parts_of_other_values_or_of_another_model_are_refused(world, small, tmp_path):
    home, model = world
    begin(world, tmp_path / "parts")
    query = ad.read_h5ad(home / "query.h5ad")
    query.X = query.X * 2
    with pytest.raises(CytonymError, match="another annotation \\(another data, file\\)"):
        Parts.begin(tmp_path / "parts", model, model.opened(query, Reading()), **SHARES)
    other = cytonym.fit(
        simulate(200, 80, 4, seed=0), labels="cell_type", method="linear", progress=False
    )
    opened = other.opened(home / "query.h5ad", Reading())
    with pytest.raises(CytonymError, match="another annotation \\(another model"):
        Parts.begin(tmp_path / "parts", other, opened, **SHARES)


def test_a_folder_with_something_else_is_left_alone(world, small, tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "thesis.txt").write_text("years")
    with pytest.raises(CytonymError, match=r"in the way.*thesis\.txt"):
        begin(world, tmp_path / "parts")
    assert (tmp_path / "parts" / "thesis.txt").read_text() == "years"


def test_a_damaged_part_or_job_is_named_with_what_to_remove(world, small, tmp_path):
    parts = begin(world, tmp_path / "parts")
    parts.name(parts.missing(), progress=False)
    file = parts.path(2)
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(CytonymError, match=rf"(?s){file.name} is damaged.*only this part"):
        parts.whole()
    file.unlink()
    parts.name(parts.missing(), progress=False)
    assert len(parts.whole()) == 230
    (tmp_path / "parts" / "job.json").write_text("{")
    with pytest.raises(CytonymError, match=r"job\.json is damaged"):
        begin(world, tmp_path / "parts")


def test_parts_that_nobody_named_cannot_be_put_together(world, tmp_path):
    home, _ = world
    words = ["annotate", home / "query.h5ad", "--model", home / "model.cytonym", "--quiet"]
    words += ["--out", tmp_path / "out.h5ad"]
    done = run(*words, "--shard", "merge", code=2)
    assert "out.h5ad.parts holds no parts" in done.stderr
    assert [*tmp_path.iterdir()] == []
    run(*words, "--shard", "1/2")


def test_the_command_names_shards_and_puts_them_together(world, tmp_path):
    home, _ = world
    words = ["annotate", home / "query.h5ad", "--model", home / "model.cytonym", "--quiet"]
    run(*words, "--out", tmp_path / "whole.h5ad")
    out = tmp_path / "named.h5ad"
    for shard, left in (("2/3", 2), ("1/3", 1)):
        said = run(*words, "--out", out, "--shard", shard).stdout
        assert f"Named shard {shard}; {left} of 3 parts" in said
    assert not out.exists()
    said = run(*words, "--out", out, "--shard", "merge", code=2).stderr
    assert "lacks 1 of 3 parts (3)" in said
    run(*words, "--out", out, "--shard", "3/3")
    run(*words, "--out", out, "--shard", "merge")
    same(ad.read_h5ad(out), ad.read_h5ad(tmp_path / "whole.h5ad"))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["named.h5ad", "whole.h5ad"]


@pytest.mark.parametrize("shard", ["0/3", "4/3", "3", "a/b", "1/0", "-1/3"])
def test_a_shard_that_is_none_is_refused(shard, world, tmp_path):
    home, _ = world
    words = ["annotate", home / "query.h5ad", "--model", home / "model.cytonym"]
    said = run(*words, "--out", tmp_path / "o.h5ad", f"--shard={shard}", code=2).stderr
    assert "is no share" in said


def test_a_dask_worker_that_is_killed_loses_no_cell(world, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    from cytonym.spread import cluster, name_on

    home, model = world
    monkeypatch.setattr("cytonym.parts.CELLS", 10)
    parts = begin(world, tmp_path / "parts")
    assert parts.count == 23
    files = {"model": home / "model.cytonym", "data": home / "query.h5ad", "how": Reading()}
    with cluster("local:2") as client:
        before = client.run(lambda: __import__("os").getpid())
        client.run_on_scheduler(lambda: None)
        victim = next(iter(before))
        client.submit(lambda: __import__("os")._exit(9), workers=[victim], retries=0)
        name_on(client, parts, parts.missing(), progress=False, **files)
    assert parts.missing() == []
    calls = parts.whole()
    whole = model.annotate(home / "query.h5ad", progress=False)
    assert calls.cells.tolist() == whole.cells.tolist()
    np.testing.assert_array_equal(calls.labels, whole.labels)


def test_a_refused_cluster_leaves_no_folder(world, tmp_path):
    pytest.importorskip("distributed")
    home, _ = world
    words = ["annotate", home / "query.h5ad", "--model", home / "model.cytonym"]
    said = run(*words, "--out", tmp_path / "o.h5ad", "--dask", "local:0", code=2).stderr
    assert "write local, or local:4 for four workers" in said
    assert [*tmp_path.iterdir()] == []


def test_stacked_rows_are_those_of_the_files_one_below_the_other(tmp_path):
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(n, 3)).astype(np.float32) for n in (4, 0, 5, 1)]
    for number, block in enumerate(blocks):
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            file["z"] = block
    whole = np.concatenate(blocks)
    stacked = Stacked([tmp_path / f"{number}.h5" for number in range(4)], "z")
    assert (len(stacked), stacked.shape) == (10, (10, 3))
    np.testing.assert_array_equal(np.asarray(stacked), whole)

    @given(st.lists(st.integers(-10, 9), max_size=12))
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def rows_are_those_of_the_array(rows):
        wanted = np.array(rows, dtype=np.int64)
        np.testing.assert_array_equal(stacked[wanted], whole[wanted])

    rows_are_those_of_the_array()
    with h5py.File(tmp_path / "out.h5", "w") as file:
        stacked.write(file, "z")
        np.testing.assert_array_equal(ad.io.read_elem(file["z"]), whole)


@given(
    st.lists(
        st.builds(
            Tally,
            *[st.integers(0, 50)] * 5,
            st.dictionaries(st.sampled_from(["rna", "atac"]), st.integers(1, 9)),
        ),
        max_size=5,
    )
)
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_tallies_add_up_in_any_order_and_come_back_from_json(tallies):
    forward, backward = sum(tallies, Tally()), sum(reversed(tallies), Tally())
    assert forward == backward
    assert forward.unknown == sum(one.unknown for one in tallies)
    assert Tally(**json.loads(json.dumps(forward.to_dict()))) == forward
