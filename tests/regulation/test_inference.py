"""From simulated cells and their genome to the planted network."""

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import TruncatedSVD

from cytonym.data.simulate_regulation import simulate_regulation
from cytonym.dna import (
    read_motifs,
)
from cytonym.dna.intervals import parse_intervals
from cytonym.errors import DataError, OptionError
from cytonym.regulation import (
    correlation_network,
    infer,
    log_normalised,
    metacells,
    read_genes,
    summed,
)

pytest.importorskip("pyfaidx")
pytest.importorskip("bioframe")


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """1,200 cells of 4 types; 20 factors, each with a motif of 12 bases."""
    rng = np.random.default_rng(0)
    motifs = {f"TF{i}": rng.dirichlet(np.full(4, 0.15), 12).T for i in range(20)}
    folder = tmp_path_factory.mktemp("planted")
    return simulate_regulation(folder, motifs, seed=1, n_cells=1200, n_genes=240)


@pytest.fixture(scope="module")
def given(simulated):
    logged = log_normalised(simulated.rna.X)
    return {
        "genes": simulated.rna.var_names.to_numpy(),
        "peaks": parse_intervals(simulated.atac.var_names),
        "sequences": simulated.fasta,
        "motifs": read_motifs(simulated.motifs),
        "places": read_genes(simulated.genes),
        "embedding": TruncatedSVD(10, random_state=0).fit_transform(logged),
    }


@pytest.fixture(scope="module")
def found(simulated, given):
    return infer(simulated.rna.X, simulated.atac.X, **given)


def edges(table):
    return [*zip(table["factor"], table["gene"], strict=True)]


def test_planted_edges_are_found_more_often_than_by_correlation_and_that_than_by_chance(
    simulated, given, found
):
    true = {(f, g) for f, g in edges(simulated.edges) if f != g}
    codes = metacells(given["embedding"])
    rna = log_normalised(summed(simulated.rna.X, codes))
    factors = [*simulated.activity.columns]
    ranked = edges(correlation_network(rna, given["genes"], factors))
    ours = edges(found.edges)
    alone = ranked[: len(ours)]
    precision = {
        "infer": np.mean([edge in true for edge in ours]),
        "correlation": np.mean([edge in true for edge in alone]),
        "chance": len(true) / len(ranked),
    }
    recall = {name: len(true & {*some}) / len(true) for name, some in (("i", ours), ("c", alone))}
    assert precision["infer"] > 1.5 * precision["correlation"] > 1.5 * precision["chance"]
    assert precision["infer"] > 0.35
    assert recall["i"] > 0.3
    assert recall["i"] > 1.5 * recall["c"]


def test_edges_name_peaks_that_hold_the_factor_s_motif(simulated, found):
    sites = {(one.factor, one.peak) for one in simulated.sites.itertuples()}
    named = [
        (edge.factor, peak) for edge in found.edges.itertuples() for peak in edge.peaks.split(",")
    ]
    assert np.mean([one in sites for one in named]) > 0.45  # one in 20 peaks matches by chance
    planted = simulated.edges.set_index(["factor", "gene"]).sort_index()
    right = found.edges[
        pd.MultiIndex.from_frame(found.edges[["factor", "gene"]]).isin(planted.index)
    ]
    hit = [
        bool({*edge.peaks.split(",")} & {*planted.loc[[(edge.factor, edge.gene)], "peak"]})
        for edge in right.itertuples()
    ]
    assert np.mean(hit) > 0.9
    assert (found.edges["coefficient"] > 0).all()
    assert {"all"} == {*found.edges["type"]}


def test_the_same_seed_gives_the_same_network_and_sequences_may_be_given(simulated, given, found):
    from cytonym.dna import (
        peak_sequences,
    )

    dna = [*peak_sequences(given["sequences"], given["peaks"])]
    again = infer(simulated.rna.X, simulated.atac.X, **(given | {"sequences": dna}))
    pd.testing.assert_frame_equal(again.edges, found.edges)
    assert again.notes == found.notes


def test_a_network_for_each_type_tells_what_was_left_out(simulated, given):
    types = simulated.rna.obs["cell_type"].astype(object).to_numpy()
    few, none = np.flatnonzero(types == "type A")[30:], np.flatnonzero(types == "type B")[:40]
    types = types.copy()
    types[few] = types[none] = None
    each = infer(simulated.rna.X, simulated.atac.X, **given, groups=types)
    kept = {name for name in types if name is not None and (types == name).sum() >= 60}
    assert {*each.edges["type"]} == kept
    assert any(note.startswith("type A: left out, 30 cells") for note in each.notes)
    assert any(note == f"{len(few) + 40} cells without a type were left out" for note in each.notes)
    assert {*each.left_out["type"]} <= kept


def test_what_does_not_fit_is_told_together(simulated, given):
    rna, atac = simulated.rna.X, simulated.atac.X
    with pytest.raises(DataError) as caught:
        infer(rna[1:], -atac, **(given | {"genes": given["genes"][1:]}))
    told = "\n".join(problem.what for problem in caught.value.problems)
    assert "1,199 cells in RNA, 1,200 cells in ATAC" in told
    assert "239 names for the genes of the RNA, which are 240" in told
    assert "the ATAC is no counts: its least value is -1" in told
    with pytest.raises(DataError, match=r"none of the 240 genes \(.*\) is in the table"):
        infer(rna, atac, **(given | {"places": given["places"].assign(gene="other")}))
    with pytest.raises(DataError, match="no motif"):
        infer(rna, atac, **(given | {"motifs": read_motifs(simulated.motifs)[:0]}))
    with pytest.raises(DataError, match="lies in the region of any of 240 genes"):
        infer(rna, atac, **(given | {"places": given["places"].assign(chrom="chr99")}))
    with pytest.raises(DataError, match="left out, 50 cells"):
        infer(rna, atac, **given, groups=["a"] * 50 + [None] * 1150)
    with pytest.raises(DataError, match=r"the least q is 0\.\d+\n.*or take by="):
        infer(rna, atac, **given, level=1e-9, by="q")
    with pytest.raises(OptionError, match="level=0"):
        infer(rna, atac, **given, level=0)
