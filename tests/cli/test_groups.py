"""``annotate`` with a vote of clusters, and with new populations."""

from __future__ import annotations

from types import SimpleNamespace

import anndata as ad
import numpy as np
import pytest

import cytonym
from command import run
from cytonym.data.simulate import simulate


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> SimpleNamespace:
    """A linear model without the first of four types, and 300 cells of all."""
    folder = tmp_path_factory.mktemp("groups")
    cells = simulate(1_000, 120, 4, seed=0, depth=800)
    types = cells.obs["cell_type"].astype(str).to_numpy()
    cells.obs["mine"] = [f"<{name}>" for name in types]
    query, model = folder / "query.h5ad", folder / "model.cytonym"
    cells[700:].copy().write_h5ad(query)
    known = cells[:700][types[:700] != "type A"].copy()
    cytonym.fit(known, labels="cell_type", method="linear", progress=False).save(model)
    return SimpleNamespace(query=query, model=model, types=types[700:])


def test_clusters_of_a_column_vote_and_populations_are_printed_and_written(world, tmp_path):
    out = tmp_path / "out.h5ad"
    words = ("--model", world.model, "--out", out, "--quiet")
    done = run(
        "annotate", world.query, *words, "--majority-voting", "--over-clustering", "mine"
    ).stdout
    assert "Majority voting: 4 clusters, mean agreement" in done
    assert "Unknown 1" in done
    read = ad.read_h5ad(out)
    assert read.obs["over_clustering"].tolist() == read.obs["mine"].tolist()
    table = read.uns["cell_type_pred"]["votes"]["table"].set_index("cluster")
    own = read.obs["cell_type_pred"].astype(str)
    for kind in ("type B", "type C", "type D"):
        mine = world.types == kind
        assert set(read.obs["cell_type_pred_majority_voting"][mine]) == {kind}
        assert table.loc[f"<{kind}>", "agreement"] == (own[mine] == kind).mean()
    groups = read.uns["cell_type_pred_populations"]
    inside = read.obs["cell_type_pred_population"].isin(groups["population"]).to_numpy()
    assert inside.sum() == groups["cells"].sum() >= 10
    markers = {*groups["markers"].iloc[0].split(", ")}
    assert len(markers & {f"SIM{i:04d}" for i in range(20)}) >= 8
    run("annotate", out, "--model", world.model, "--out", tmp_path / "two.h5ad", "--no-populations")
    again = ad.read_h5ad(tmp_path / "two.h5ad")
    assert "cell_type_pred_populations" not in again.uns
    assert "cell_type_pred_population" not in again.obs


def test_own_clusters_vote_and_a_high_share_makes_clusters_heterogeneous(world, tmp_path):
    pytest.importorskip("igraph")
    out = tmp_path / "out.h5ad"
    words = ("--model", world.model, "--out", out, "--majority-voting", "--min-prop", "1")
    run("annotate", world.query, *words, "--no-populations")
    obs = ad.read_h5ad(out).obs
    for _, rows in obs.groupby("over_clustering", observed=True):
        names = np.unique(rows["cell_type_pred"].astype(str))
        voted = names[0] if len(names) == 1 else "Heterogeneous"
        assert set(rows["cell_type_pred_majority_voting"]) == {voted}


def test_options_of_the_vote_are_checked_before_any_work(world, tmp_path):
    words = ("annotate", world.query, "--model", world.model, "--out", tmp_path / "out.h5ad")
    for more, said in (
        (("--min-prop", "0.5"), "--min-prop is for --majority-voting"),
        (("--over-clustering", "mine"), "--over-clustering is for --majority-voting"),
        (("--majority-voting", "--over-clustering", "mne"), "Did you mean 'mine'"),
        (("--majority-voting", "--over-clustering", "mine", "--min-prop", "2"), "it is 2.0"),
    ):
        assert said in run(*words, *more, code=2).stderr
    assert [*tmp_path.iterdir()] == []
