import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.sparse import csr_matrix

from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    enrichment,
    read_edges,
    regulons,
)

GENES = ["F", "a", "b", "c", "flat"]
EDGES = pd.DataFrame(
    {
        "factor": ["F", "F", "F", "H", "F", "F"],
        "gene": ["a", "b", "a", "c", "unseen", "flat"],
        "coefficient": [0.5, -0.4, 0.1, 1.0, 1.0, 1.0],
    }
)


@pytest.fixture
def rna():
    x = np.random.default_rng(0).gamma(1.0, 1.0, (50, 5))
    x[x < 0.3] = 0
    x[:, 4] = 2
    return x


def test_activity_is_the_mean_z_of_the_targets_with_the_sign_of_the_edge(rna):
    found = regulons(csr_matrix(rna), GENES, EDGES)
    z = (rna - rna.mean(0)) / np.where(rna.std(0) > 0, rna.std(0), 1)
    np.testing.assert_allclose(found["F"], (z[:, 1] - z[:, 2] + z[:, 4]) / 3, atol=1e-5)
    np.testing.assert_allclose(found["H"], z[:, 3], atol=1e-5)
    np.testing.assert_allclose(regulons(rna, GENES, EDGES), found, atol=1e-5)
    plain = regulons(rna, GENES, EDGES[["factor", "gene"]])
    np.testing.assert_allclose(plain["F"], (z[:, 1] + z[:, 2] + z[:, 4]) / 3, atol=1e-5)


def test_the_published_entropy_is_that_of_a_loop_and_nan_with_one_target(rna):
    found = regulons(csr_matrix(rna), GENES, EDGES, how="entropy")
    raw = []
    for cell in rna:
        targets = cell[[1, 2, 4]]
        q = targets * cell[0] / targets.sum() ** 2
        raw.append(-sum(one * np.log(one) for one in q if one > 0) / np.log(3))
    raw = np.array(raw)
    np.testing.assert_allclose(found["F"], (raw - raw.min()) / np.ptp(raw), atol=1e-5)
    assert found["H"].isna().all()


def test_activity_without_measured_targets_or_of_another_kind_is_refused(rna):
    with pytest.raises(DataError, match="none of 6 edges has a target among 2 genes"):
        regulons(rna[:, :2], ["q", "r"], EDGES)
    with pytest.raises(OptionError, match="mean and entropy"):
        regulons(rna, GENES, EDGES, how="median")  # pyright: ignore[reportArgumentType]


def test_known_edges_are_read_with_and_without_a_header(tmp_path):
    path = tmp_path / "edges.tsv"
    path.write_text("tf\tconfidence\ttarget\tmor\nA\tB\tx\t1.0\nA\tB\ty\t-1\nA\tC\tx\t-1\n")
    assert read_edges(path).to_numpy().tolist() == [["A", "x", 1.0], ["A", "y", -1.0]]
    path.write_text("A\tx\tActivation\t1\nB\ty\tRepression\t2;3\nB\tz\tUnknown\t4\n")
    assert read_edges(path).to_numpy().tolist() == [["A", "x", 1], ["B", "y", -1], ["B", "z", 0]]
    path.write_text("Target\tSource\nx\tA\n")
    assert read_edges(path)[["factor", "gene"]].to_numpy().tolist() == [["A", "x"]]
    path.write_text("one\ttwo\nA\tx\n")
    with pytest.raises(DataError, match="first line is 'one', 'two'"):
        read_edges(path)
    path.write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        read_edges(path)


def test_enrichment_is_fisher_s_test_with_counts_by_hand():
    genes = [f"G{i}" for i in range(20)] + ["TF1"]
    edges = pd.DataFrame({"factor": "Tf1", "gene": ["G0", "G1", "G2", "G3", "tf1", "absent"]})
    known = pd.DataFrame({"factor": "TF1", "gene": ["g0", "g1", "g2", "g9", "TF1", "gone"]})
    both = [edges, known]
    more = [pd.DataFrame({"factor": f, "gene": ["G5", "G6"]}) for f in ("TF2", "TF2")]
    found = enrichment(pd.concat([edges, more[0]]), pd.concat([known, more[1]]), genes)
    assert [*found.index] == ["(all)", "TF1", "TF2"] or [*found.index] == ["(all)", "TF2", "TF1"]
    one = found.loc["TF1"]
    assert one[["predicted", "known", "overlap"]].tolist() == [4, 4, 3]  # of 20, without itself
    assert one["expected"] == pytest.approx(0.8)
    fisher = stats.fisher_exact([[3, 1], [1, 15]], alternative="greater")
    assert one["odds_ratio"] == pytest.approx(fisher.statistic)
    assert one["p"] == pytest.approx(fisher.pvalue)
    assert np.isinf(found.loc["TF2", "odds_ratio"])
    whole = stats.fisher_exact([[5, 1], [1, 34]], alternative="greater")
    assert found.loc["(all)", "p"] == pytest.approx(whole.pvalue)
    assert found.loc["(all)", "expected"] == pytest.approx(0.8 + 4 / 21)
    np.testing.assert_allclose(
        found["q"].iloc[1:], stats.false_discovery_control(found["p"].iloc[1:])
    )
    with pytest.raises(DataError, match="1 factors have predicted targets, 1 known ones"):
        enrichment(both[0], known.assign(factor="other"), genes)


def test_the_four_public_tables_of_edges_are_read(data_dir):
    sizes = {
        name: len(read_edges(data_dir / "ref" / f"{name}.tsv"))
        for name in ("collectri_human", "dorothea_hs_ABC", "dorothea_mm_ABC", "trrust_human")
    }
    assert min(sizes.values()) > 8000, sizes
    trrust = read_edges(data_dir / "ref" / "trrust_human.tsv")
    assert trrust.iloc[0].tolist() == ["AATF", "BAX", -1.0]
    known = read_edges(data_dir / "ref" / "dorothea_hs_ABC.tsv")
    genes = pd.concat([known["gene"], trrust["gene"]]).unique()
    agree = enrichment(trrust, known, genes)
    assert agree.loc["(all)", "odds_ratio"] > 10  # two collections of the same knowledge
