"""Unknown cells in groups, with what marks them: by hand, and planted in simulated cells."""

from dataclasses import dataclass, replace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

import cytonym
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.errors import DataError
from cytonym.groups import populations
from cytonym.groups.markers import levels, markers
from cytonym.groups.populations import grouped
from cytonym.types import FeatureSpace

KEY = "cell_type_pred"


@dataclass
class Held:
    """A source in memory, of one modality."""

    matrix: np.ndarray
    modality: str = "rna"

    @property
    def spaces(self):
        names = np.array([f"g{i}" for i in range(self.matrix.shape[1])])
        measured = np.ones(len(names), dtype=bool)
        return {self.modality: FeatureSpace(self.modality, names, measured)}

    @property
    def values(self):
        return {self.modality: "counts"}

    @property
    def cells(self):
        return np.array([f"c{i}" for i in range(len(self.matrix))])

    def read(self, modality, rows):
        assert modality == self.modality
        return csr_matrix(self.matrix[rows], dtype=np.float32)

    def present(self, modality):
        return np.full(len(self.matrix), modality == self.modality)


def test_the_t_of_a_marker_is_welch_s_of_log1p_cp10k(monkeypatch):
    monkeypatch.setattr("cytonym.groups.markers.BLOCK", 7)  # many blocks
    rng = np.random.default_rng(0)
    counts = rng.poisson(3, (40, 6))
    counts[:12, 2] += 9
    counts[0] = 0  # a cell without any count
    codes = np.where(np.arange(40) < 12, 0, -1)
    found, note = markers(codes, ["Unknown 1"], Held(counts))
    level = np.log1p(1e4 * counts / np.maximum(counts.sum(1, keepdims=True), 1))
    known = stats.ttest_ind(level[:12], level[12:], equal_var=False)
    assert note == ""
    best = found.iloc[0]
    assert best["feature"] == "g2"
    assert best["t"] == pytest.approx(known.statistic[2], rel=1e-5)
    assert best["mean"] == pytest.approx(level[:12, 2].mean(), rel=1e-5)
    assert best["share"] == (counts[:12, 2] > 0).mean()
    assert best["share_rest"] == (counts[12:, 2] > 0).mean()
    assert (found["t"] > 0).all()


def test_a_gene_seen_in_fewer_than_a_quarter_of_the_group_is_no_marker_and_no_higher_one_neither():
    counts = np.ones((40, 4))
    counts[:2, 1] = 50  # 2 of 10
    counts[:3, 2] = 50  # 3 of 10
    counts[2:, 1] = counts[3:, 2] = 0
    found, _ = markers(np.where(np.arange(40) < 10, 0, -1), ["Unknown 1"], Held(counts))
    assert found["feature"].tolist() == ["g2"]


def test_a_value_that_is_stored_in_parts_is_one_value():
    whole = csr_matrix(np.array([[3.0, 1.0]]))
    parts = csr_matrix((np.array([1.0, 1.0, 2.0]), np.array([0, 1, 0]), np.array([0, 3])), (1, 2))
    found = levels(parts, "rna")
    assert found.nnz == 2
    np.testing.assert_allclose(found.toarray(), levels(whole, "rna").toarray())
    assert parts.nnz == 3  # what is given stays as it is


def test_markers_of_atac_are_peaks_by_the_share_of_cells_in_which_they_are_open():
    counts = np.zeros((40, 3))
    counts[:5, 0], counts[10:13, 0] = 2, 7  # open in 5 of 10, and in 3 of 30
    counts[:, 1] = 1
    found, _ = markers(np.where(np.arange(40) < 10, 0, -1), ["new"], Held(counts, "atac"))
    assert found["feature"].tolist() == ["g0"]
    assert found.loc[0, ["mean", "mean_rest"]].tolist() == [0.5, 0.1]
    wide = (0.25 * 10 / 9) / 10 + (0.09 * 30 / 29) / 30  # variances of samples over cells
    assert found.loc[0, "t"] == pytest.approx(0.4 / np.sqrt(wide))
    none, note = markers(np.zeros(4, dtype=int), ["new"], Held(np.ones((4, 2)), "methylation"))
    assert len(none) == 0
    assert "no RNA and no ATAC" in note
    alone, note = markers(np.zeros(4, dtype=int), ["new"], Held(np.ones((4, 2))))
    assert len(alone) == 0
    assert note.startswith("new: no other cells with rna")


def test_two_far_clouds_are_two_groups_one_is_one_and_nine_cells_are_none():
    rng = np.random.default_rng(1)
    one, other, few = (rng.standard_normal((n, 20)) for n in (80, 40, 5))
    both = grouped(np.concatenate([other, one + 9, few - 40]))
    assert both.tolist() == [1] * 40 + [0] * 80 + [-1] * 5
    assert grouped(one).tolist() == [0] * 80
    assert grouped(one[:9]).tolist() == [-1] * 9
    assert grouped(np.ones((12, 3))).tolist() == [0] * 12
    assert grouped(np.empty((0, 3))).shape == (0,)


def test_of_many_cells_some_say_what_the_groups_are_and_all_fall_into_them():
    rng = np.random.default_rng(0)
    x = np.repeat([[0.0] * 4, [30.0] * 4, [-30.0] * 4], [2500, 1500, 500], axis=0)
    x = x + rng.standard_normal(x.shape)
    assert grouped(x).tolist() == np.repeat([0, 1, 2], [2500, 1500, 500]).tolist()


def test_the_table_has_shares_and_the_two_nearest_types_as_worked_by_hand():
    rng = np.random.default_rng(2)
    z = rng.standard_normal((40, 4))
    z[:12] += 30
    unknown = np.arange(40) < 12
    chances = pd.DataFrame(np.tile([0.2, 0.5, 0.3], (40, 1)), columns=["B", "<script>", "a|b"])
    counts = rng.poisson(2, (40, 3)) + 1
    found = populations(unknown, z[unknown], chances, Held(counts))
    (row,) = found.table.to_dict(orient="records")
    assert (row["population"], row["cells"], row["share"]) == ("Unknown 1", 12, 0.3)
    assert (row["nearest"], row["second"]) == ("<script>", "a|b")
    near = [row[name] for name in ("nearest_probability", "second_probability", "confidence")]
    assert near == pytest.approx([0.5, 0.3, 0.5])
    assert found.names[:12].tolist() == ["Unknown 1"] * 12
    assert set(found.names[12:]) == {None}
    single = populations(unknown, z[unknown], chances[["B"]], Held(counts)).table
    assert single.loc[0, "second"] == ""
    scattered = populations(np.arange(40) < 4, z[:4], chances, Held(counts))
    assert scattered.names[:4].tolist() == ["scattered"] * 4
    assert len(scattered.table) == 0


@pytest.fixture(scope="module")
def world():
    """A model that lacks two types, 600 cells with them, and their answer."""
    cells = simulate(1_500, 200, 5, seed=3, markers_per_type=12, depth=800)
    types = cells.obs["cell_type"].astype(str).to_numpy()
    known = np.isin(types, ["type C", "type D", "type E"])
    model = cytonym.fit(
        cells[:900][known[:900]].copy(), labels="cell_type", method="linear", progress=False
    )
    query = cells[900:].copy()
    return model, query, model.annotate(query, progress=False)


def test_a_planted_population_is_found_with_its_marker_genes(world, tmp_path):
    _, query, calls = world
    truth = query.obs["cell_type"].astype(str).to_numpy()
    # The embedding of a linear model is its scores; a planted one makes the test one of grouping.
    new = np.isin(truth, ["type A", "type B"])
    rng = np.random.default_rng(0)
    z = 8 * np.eye(5)[query.obs["cell_type"].cat.codes] + rng.standard_normal((600, 5))
    planted = replace(calls, labels=np.where(new, "Unknown", truth), embedding=z)
    query.write_h5ad(tmp_path / "query.h5ad")
    found = planted.with_populations(tmp_path / "query.h5ad").populations
    sizes = [int((truth == name).sum()) for name in ("type A", "type B")]
    assert found.table["cells"].tolist() == sorted(sizes, reverse=True)
    for name, first in (("type A", 0), ("type B", 12)):
        mine = found.names[truth == name]
        assert len(set(mine)) == 1
        own = found.markers[found.markers["population"] == mine[0]]["feature"]
        assert {*own} <= {f"SIM{i:04d}" for i in range(first, first + 12)}
        assert len(own) == 10
    turned = np.random.default_rng(1).permutation(600)
    other = replace(
        planted,
        cells=planted.cells[turned],
        labels=planted.labels[turned],
        embedding=z[turned],
        probabilities=planted.probabilities.iloc[turned],
    ).with_populations(query)
    assert other.populations.names.tolist() == found.names[turned].tolist()
    pd.testing.assert_frame_equal(other.populations.table, found.table)


def test_cells_that_the_model_rejects_are_mostly_the_new_ones_and_so_are_their_populations(world):
    _, query, calls = world
    found = calls.with_populations(query).populations
    truth = query.obs["cell_type"].astype(str).to_numpy()
    inside = np.array([name not in (None, "scattered") for name in found.names])
    assert np.isin(truth[inside], ["type A", "type B"]).mean() > 0.8
    assert found.table["cells"].sum() == inside.sum()
    assert (calls.labels == "Unknown").sum() == (found.names != None).sum()  # noqa: E711


def test_votes_and_populations_are_written_and_read_and_an_earlier_answer_gives_way(
    world, tmp_path
):
    pytest.importorskip("igraph")
    _, query, calls = world
    whole = calls.voted().with_populations(query)
    assert whole.voted().votes.labels.tolist() == whole.votes.labels.tolist()
    query.write_h5ad(tmp_path / "query.h5ad")
    whole.write(tmp_path / "query.h5ad", tmp_path / "out.h5ad")
    read = ad.read_h5ad(tmp_path / "out.h5ad")
    held = whole.to(query.copy())
    for one in (read, held):
        assert one.obs[f"{KEY}_majority_voting"].tolist() == whole.votes.labels.tolist()
        assert one.obs["over_clustering"].tolist() == whole.votes.clusters.tolist()
        assert one.obs[f"{KEY}_population"].isna().sum() == (calls.labels != "Unknown").sum()
        table = one.uns[KEY]["votes"]["table"]
        assert table["agreement"].tolist() == whole.votes.table["agreement"].tolist()
        assert one.uns[f"{KEY}_populations"]["markers"].tolist() == (
            whole.populations.table["markers"].tolist()
        )
        assert len(one.uns[KEY]["population_markers"]) == len(whole.populations.markers)
    calls.write(tmp_path / "out.h5ad", tmp_path / "again.h5ad")
    calls.to(held)
    for one in (ad.read_h5ad(tmp_path / "again.h5ad"), held):
        assert not {f"{KEY}_majority_voting", f"{KEY}_population", "over_clustering"} & {*one.obs}
        assert f"{KEY}_populations" not in one.uns
        assert "cell_type" in one.obs


def test_columns_that_are_not_ours_are_never_replaced(world):
    _, query, calls = world
    mine = query.copy()
    mine.obs["over_clustering"] = "mine"
    voted = calls.voted(np.arange(600) % 7)
    with pytest.raises(DataError, match="--over-clustering over_clustering"):
        voted.to(mine)
    own = calls.voted(mine.obs["over_clustering"])
    for _ in range(2):  # also where an earlier answer is there
        own.to(mine)
        assert mine.obs["over_clustering"].tolist() == ["mine"] * 600
    assert len(own.votes.table) == 1
    calls.to(mine)
    assert "over_clustering" in mine.obs
    other = query.copy()
    voted.to(other, key="one")
    calls.voted(np.arange(600) % 3).to(other, key="two")  # clusters are shared by all answers
    assert other.obs["over_clustering"].nunique() == 3
    other.uns["three_populations"] = "mine"
    with pytest.raises(DataError, match="three_populations"):
        calls.to(other, key="three")


def test_a_series_of_clusters_goes_by_the_names_of_the_cells(world):
    _, query, calls = world
    clusters = pd.Series(np.arange(600) % 7, query.obs_names, name="mine")
    one, other = calls.voted(clusters), calls.voted(clusters[::-1])
    assert one.votes.labels.tolist() == other.votes.labels.tolist()
    assert one.votes.column == "mine"
    with pytest.raises(DataError, match="599 cells, 600 were annotated, and 599 of their names"):
        calls.voted(clusters[1:])
    with pytest.raises(DataError, match="give the data that were annotated"):
        calls.with_populations(query[:500].copy())


def test_a_type_called_heterogeneous_is_told_of_once(world):
    _, _, calls = world
    names = ["Heterogeneous", *calls.probabilities.columns[1:]]
    odd = replace(calls, probabilities=calls.probabilities.set_axis(names, axis=1))
    voted = odd.voted(np.zeros(600)).voted(np.zeros(600))
    assert sum("is called 'Heterogeneous'" in note for note in voted.notes) == 1
    assert not any("Heterogeneous" in note for note in calls.voted(np.zeros(600)).notes)


def test_populations_of_multiome_cells_are_marked_by_genes_and_of_atac_alone_by_peaks():
    pair = simulate_multiome(200, 120, 2, seed=5, n_peaks=200)
    kinds = pair["rna"].obs["cell_type"].astype(str).to_numpy()
    unknown = kinds == "type A"
    z = 20 * unknown[:, None] + np.random.default_rng(0).standard_normal((200, 4))
    chances = pd.DataFrame({"type B": np.ones(200)})
    both = populations(unknown, z[unknown], chances, open_cells(pair)).markers
    peaks = populations(unknown, z[unknown], chances, open_cells({"atac": pair["atac"]})).markers
    assert len(both) == len(peaks) == 10
    assert both["feature"].str.startswith("SIM").all()
    assert {*peaks["feature"]} <= {*pair["atac"].var_names}
    assert (peaks["share"] >= 0.05).all()
    assert (peaks["share"] > peaks["share_rest"]).all()
