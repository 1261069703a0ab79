"""Methylation rates: NaN is missing, 0 is a value, and no step on the way mixes them up."""

import json
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csc_matrix, csr_matrix

from cytonym.data.align import align, match, misfit, space_of
from cytonym.data.inspect import inspect_cells
from cytonym.data.judge import sample_rows
from cytonym.data.loader import SourceBlocks
from cytonym.data.rates import check_observed
from cytonym.data.read import Reading, open_cells
from cytonym.data.rows import DenseDiskRows, SparseDiskRows, stored
from cytonym.data.simulate import simulate
from cytonym.data.sites import averaged
from cytonym.dna.intervals import chromosome_sizes
from cytonym.errors import DataError
from cytonym.prep import Centre, Sites, fit_chain
from cytonym.types import FeatureSpace

from .conftest import saved

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mudata

NAN = np.nan
CELLS, SITES = 60, 40
ALL = np.arange(CELLS)


def some_rates(seed: int = 0) -> np.ndarray:
    """60 cells × 40 sites, half of them missing, a third of the others 0."""
    rng = np.random.default_rng(seed)
    rates = rng.choice([0.0, 0.25, 0.5, 1.0], (CELLS, SITES), p=[0.35, 0.2, 0.2, 0.25])
    return np.where(rng.random(rates.shape) < 0.5, NAN, rates).astype(np.float32)


def methylome(rates, cells=None) -> AnnData:
    """An AnnData with these rates in X, sites named as intervals of 100 bp."""
    n_cells, n_sites = rates.shape
    names = [f"cell{i}" for i in range(n_cells)] if cells is None else cells
    sites = [f"chr1:{1000 * i}-{1000 * i + 100}" for i in range(n_sites)]
    return AnnData(rates, obs=pd.DataFrame(index=names), var=pd.DataFrame(index=sites))


def shown(block: csr_matrix) -> np.ndarray:
    """Dense again, NaN where nothing is stored."""
    dense = np.full(block.shape, NAN, dtype=np.float32)
    cells = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    assert len(np.unique(cells * block.shape[1] + block.indices)) == block.nnz
    dense[cells, block.indices] = block.data
    return dense


def known(source, rows=ALL) -> np.ndarray:
    block = source.read("methylation", rows)
    assert block.dtype == np.float32
    return shown(block)


def opened(adata, **how):
    return open_cells({"methylation": adata}, **how)


FORMS = {
    "dense": lambda x: x,
    "dense float64": lambda x: x.astype(np.float64),
    "csr": lambda x: stored(x, observed=True),
    "csr with stored NaN": csr_matrix,
    "csc": lambda x: csc_matrix(stored(x, observed=True)),
}


@pytest.mark.parametrize("kind", ["memory", "h5ad", "zarr3"])
@pytest.mark.parametrize("form", [*FORMS])
def test_zeros_are_read_and_missing_values_are_not_from_every_form(tmp_path, form, kind):
    rates = some_rates()
    if form == "csr with stored NaN":  # it stores no zero
        rates = np.where(rates == 0, NAN, rates)
    adata = methylome(FORMS[form](rates))
    source = opened(adata if kind == "memory" else saved(adata, tmp_path, kind))
    assert [*source.spaces] == ["methylation"]
    assert source.values == {"methylation": "rates"}
    block = source.read("methylation", ALL)
    assert block.nnz == np.isfinite(rates).sum()
    np.testing.assert_array_equal(shown(block), rates)
    rows = np.array([9, 3, 3, 59, 4])
    np.testing.assert_array_equal(known(source, rows), rates[rows])
    assert known(source, ALL[:0]).shape == (0, SITES)
    if kind != "memory" and form != "csc":
        wanted = SparseDiskRows if "csr" in form else DenseDiskRows
        assert isinstance(source.parts["methylation"].rows.rows, wanted)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), sparse=st.booleans())
def test_what_is_stored_is_what_is_not_nan(seed, sparse):
    rates = some_rates(seed)[:7, :5]
    cells, sites = np.nonzero(np.ones_like(rates))
    every = csr_matrix((rates[cells, sites], (cells, sites)), shape=rates.shape)
    assert every.nnz == 35
    block = stored(every if sparse else rates, observed=True)
    np.testing.assert_array_equal(shown(block), rates)


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_a_file_is_streamed_by_rows_in_pieces_of_any_size(tmp_path, monkeypatch, form):
    rates = some_rates(1)
    source = opened(saved(methylome(FORMS[form](rates)), tmp_path, "h5ad"))
    monkeypatch.setattr("cytonym.data.rows.CELL_LIMIT", 3 * SITES)
    monkeypatch.setattr("cytonym.data.rows.GAP", 5)
    for size in (1, 7, 60):
        blocks = [*SourceBlocks(source, "methylation", ALL, size)]
        assert len(blocks) == -(-CELLS // size)
        np.testing.assert_array_equal(np.vstack([shown(b) for b in blocks]), rates)


def test_the_object_in_memory_is_left_as_it_was():
    for form in ("dense", "csr"):
        adata = methylome(FORMS[form](some_rates()))
        before = adata.copy()
        source = opened(adata)
        source.read("methylation", ALL).data[:] = 7
        align(source, space_of(source))[0].read("methylation", ALL).data[:] = 7
        for one, other in zip(stored(adata.X, True).data, stored(before.X, True).data, strict=True):
            assert one == other
        np.testing.assert_array_equal(known(source), some_rates())


def paired(rates):
    rna = simulate(CELLS, 50, 2, seed=0, markers_per_type=5, depth=300)
    return {"rna": rna, "methylation": methylome(rates, rna.obs_names)}


@pytest.mark.parametrize("name", ["methylation", "met", "Methyl", "CpG", "DNA methylation"])
def test_a_mudata_may_call_it_by_any_of_five_names_in_memory_and_in_a_file(tmp_path, name):
    parts = paired(some_rates())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = mudata.MuData({"rna": parts["rna"], name: parts["methylation"]})
        whole.write_h5mu(tmp_path / "cells.h5mu")
    for data in (whole, tmp_path / "cells.h5mu", {"rna": parts["rna"], name: whole[name]}):
        source = open_cells(data)
        assert source.values == {"rna": "counts", "methylation": "rates"}
        np.testing.assert_array_equal(known(source), some_rates())
        np.testing.assert_array_equal(source.read("rna", ALL).toarray(), parts["rna"].X.toarray())


def test_another_name_is_said_by_hand_and_cells_without_it_have_nothing_observed():
    parts = paired(some_rates())
    data = {"rna": parts["rna"], "bisulfite": parts["methylation"][20:].copy()}
    source = open_cells(data, modalities={"methylation": "bisulfite"})
    assert source.present("methylation").sum() == 40
    np.testing.assert_array_equal(known(source)[20:], some_rates()[20:])
    assert np.isnan(known(source)[:20]).all()


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_feature_types_tell_rates_from_counts_in_one_matrix(tmp_path, form):
    rates, counts = some_rates(), np.random.default_rng(0).poisson(1.0, (CELLS, 30))
    both = np.hstack([counts.astype(np.float32), rates])
    adata = AnnData(FORMS[form](both))
    adata.var["feature_types"] = ["Gene Expression"] * 30 + ["DNA methylation"] * SITES
    shuffled = adata[:, np.random.default_rng(1).permutation(30 + SITES)].copy()
    sites = shuffled.var_names[shuffled.var["feature_types"] == "DNA methylation"]
    wanted = rates[:, sites.astype(int) - 30]
    for data in (shuffled, saved(shuffled, tmp_path, "h5ad")):
        source = open_cells(data)
        assert source.values == {"rna": "counts", "methylation": "rates"}
        np.testing.assert_array_equal(known(source), wanted)
        names = source.spaces["rna"].names.astype(int)
        np.testing.assert_array_equal(source.read("rna", ALL).toarray(), counts[:, names])


def test_rates_are_looked_for_in_x_first_and_layer_names_another_place():
    adata = methylome(some_rates())
    adata.layers["counts"] = np.where(np.isnan(adata.X), 0, 1).astype(np.float32)
    adata.layers["smooth"] = np.where(np.isnan(adata.X), 0.5, adata.X)
    np.testing.assert_array_equal(known(opened(adata)), some_rates())
    assert opened(adata).finding["methylation"].where == "X"
    assert not np.isnan(known(opened(adata, layer="smooth"))).any()
    adata.X = adata.X * 100
    del adata.layers["counts"]
    with pytest.raises(DataError, match=r"layers\['smooth'\] holds rates but is not a usual place"):
        opened(adata)


# --- alignment ------------------------------------------------------------------------------


def space(names, **columns) -> FeatureSpace:
    columns = {name: np.array(values) for name, values in columns.items()}
    return FeatureSpace("methylation", np.array(names), np.ones(len(names), bool), columns)


def test_aligned_sites_keep_their_zeros_and_absent_ones_are_missing():
    rates = some_rates()
    reference = space_of(opened(methylome(rates)))
    order = np.random.default_rng(0).permutation(SITES)[:25]
    for form in ("dense", "csr"):
        query = methylome(FORMS[form](rates))[:, order].copy()
        source, coverage = align(opened(query), reference)
        wanted = np.full_like(rates, NAN)
        wanted[:, order] = rates[:, order]
        np.testing.assert_array_equal(known(source), wanted)
        assert source.values["methylation"] == "rates"
        measured = source.spaces["methylation"].measured
        assert np.flatnonzero(measured).tolist() == sorted(order)
        assert (coverage["methylation"].shared, coverage["methylation"].reference) == (25, 40)
        assert coverage["methylation"].matched_by == "coordinates"


def test_a_data_set_without_the_modality_has_no_rate_and_not_a_rate_of_0():
    parts = paired(some_rates())
    source, _ = align(open_cells(parts["rna"]), space_of(open_cells(parts)))
    assert source.values["methylation"] == "rates"
    assert source.read("methylation", ALL).nnz == 0
    assert not source.present("methylation").any()


def test_sites_match_by_identical_coordinates_and_never_by_overlap():
    query = space(["1:100-200", "1:150-250", "chr2:0-10"])
    reference = space(["chr1:100-200", "chr1:101-200", "chr1:150-249", "chr2:0-10"])
    selection, coverage = match(query, reference)
    assert selection.toarray().tolist() == [[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert coverage.missing.tolist() == ["chr1:101-200", "chr1:150-249"]
    by_columns, _ = match(space(["a", "b"], interval=["chr1:101-200", "chr9:0-5"]), reference)
    assert by_columns.nonzero()[1].tolist() == [1]


def test_sites_match_by_name_in_the_same_case_only():
    reference = space(["chr1:100", "cg00050873", "cg00212031", "chr1:250"])
    selection, coverage = match(space(["cg00212031", "CG00050873", "chr1:100"]), reference)
    assert selection.toarray().tolist() == [[0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    assert coverage.matched_by == "names → names"
    selection, coverage = match(space(["CG00050873"]), space(["cg00050873"]))
    assert coverage.shared == selection.nnz == 0
    # Probes of two builds: their names say more than their coordinates.
    old = space(["cg1", "cg2"], interval=["chr1:10-12", "chr1:20-22"])
    new = space(["cg1", "cg2"], interval=["chr1:10-12", "chr1:30-32"])
    assert match(old, new)[1].shared == 2


def test_too_few_shared_sites_are_refused_with_the_genome_builds_where_they_tell():
    names = [f"chr1:{1000 * i}-{1000 * i + 100}" for i in range(300)]
    few = space([f"chr1:{1000 * i + 1}-{1000 * i + 101}" for i in range(300)])
    problem = misfit(few, space(names), match(few, space(names))[1])
    assert "only 0 of the reference's 300 methylation features" in problem.what
    assert "on the same genome build" in problem.remedy
    pytest.importorskip("bioframe")
    last = {build: chromosome_sizes(build)["chr1"] - 200 for build in ("hg19", "hg38")}
    far = {"hg19": ("chr1", last["hg19"]), "hg38": ("chr17", chromosome_sizes("hg38")["chr17"] - 9)}
    one, other = (space([*(f"{c}:{s}-{s + 5}" for c, s in [far[b]])]) for b in far)
    assert "different genome builds" in misfit(one, other, match(one, other)[1]).what


def test_repeated_sites_are_averaged_over_what_is_observed_by_hand():
    block = stored(np.array([[0, 1, NAN], [0, NAN, 0], [0, 0, 0.5], [NAN, NAN, NAN]]), True)
    selection = csr_matrix(np.array([[1, 0, 0], [1, 0, 0], [0, 0, 1]], dtype=np.float32))
    out = averaged(block.astype(np.float32), selection)
    wanted = [[0.5, NAN, NAN], [0, NAN, 0], [0, NAN, 0.5], [NAN, NAN, NAN]]
    np.testing.assert_array_equal(shown(out), np.array(wanted, np.float32))
    assert out.nnz == 5
    adata = methylome(some_rates())
    adata.var_names = [adata.var_names[0], *adata.var_names[:1], *adata.var_names[2:]]
    source, coverage = align(opened(adata), space_of(opened(adata)))
    assert coverage["methylation"].notes[0].startswith("1 repeated sites were averaged")
    pair = some_rates()[:, :2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # cells with neither
        np.testing.assert_allclose(known(source)[:, 0], np.nanmean(pair, axis=1))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_averaging_equals_numpys_nanmean_for_any_assignment_of_sites(seed):
    rng = np.random.default_rng(seed)
    rates = some_rates(seed)[:9]
    target = rng.integers(-1, 6, SITES)
    rows = np.flatnonzero(target >= 0)
    values = np.ones(len(rows), np.float32), (rows, target[rows])
    out = shown(averaged(stored(rates, True), csr_matrix(values, shape=(SITES, 6))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no site, or none observed: NaN
        wanted = [np.nanmean(rates[:, target == t], axis=1) for t in range(6)]
    np.testing.assert_allclose(out, np.transpose(wanted), atol=1e-6)


def test_a_cell_that_has_only_rates_of_0_counts_as_measured_down_to_the_features():
    rates = some_rates()
    rates[5] = np.where(np.isnan(rates[5]), NAN, 0)
    rates[6] = NAN
    source, _ = align(opened(methylome(rates)), space_of(opened(methylome(rates))))
    held = np.diff(source.read("methylation", ALL).indptr) > 0
    assert np.flatnonzero(~held).tolist() == [6]
    chain = (Sites(0.1), Centre())
    features = np.concatenate([*fit_chain(chain, SourceBlocks(source, "methylation", ALL, 7))])
    kept = rates[:, chain[0].index]
    np.testing.assert_allclose(features, kept - np.nanmean(kept, axis=0), atol=1e-6)


# --- what is wrong ----------------------------------------------------------------------------


def where_seen(change):
    """Replace some of the observed rates: those that are 1."""
    return lambda x: np.where(x == 1, change, x)


BAD = {
    "negative": (where_seen(-1), r"X: \d+ rates below 0, lowest -1, .*\n.*M-values"),
    "missing as 2": (lambda x: np.where(np.isnan(x), 2, x), r"X: [\d,]+ values of 2 .*\n.*to NaN"),
    "percentages": (lambda x: x * 100, r"highest 100, in 60 cells.*\n.*divide by 100"),
    "counts": (lambda x: x * 700, r"rates above 1, highest 700.*\n.*over all reads"),
    "infinite": (where_seen(np.inf), r"\d+ infinite rates in 60 cells.*\n.*set to NaN"),
    "all missing": (lambda x: x * NAN, r"none of the 2,400 values of 60 cells is observed"),
}


@pytest.mark.parametrize("what", [*BAD])
@pytest.mark.parametrize("kind", ["dense", "csr", "file"])
def test_what_cannot_be_a_rate_is_refused_with_numbers_and_a_remedy(tmp_path, what, kind):
    spoil, message = BAD[what]
    rates = spoil(some_rates()).astype(np.float32)
    adata = methylome(FORMS["csr"](rates) if kind == "csr" else rates)
    with pytest.raises(DataError, match=message):
        opened(saved(adata, tmp_path, "h5ad") if kind == "file" else adata)
    page = inspect_cells({"methylation": adata})
    assert not page.usable
    json.dumps(page.to_dict())


def test_all_that_is_wrong_is_said_at_once_with_the_first_cell_and_site():
    rates = some_rates()
    rates[3, 4], rates[5, 6], rates[8, 7] = -0.5, np.inf, 1.5
    with pytest.raises(DataError) as caught:
        opened(methylome(rates))
    text = str(caught.value)
    for part in ("1 rates below 0, lowest -0.5, in 60 cells, first: cell cell3, site chr1:4000-",):
        assert part in text
    assert "1 infinite rates in 60 cells, first: cell cell5" in text
    assert "1 rates above 1, highest 1.5, in 60 cells, first: cell cell8" in text
    assert text.count("; if they are M-values") == 1
    # NaN stays an error among counts.
    with pytest.raises(DataError, match="NaN and 0 infinite values"):
        open_cells(AnnData(some_rates(), var=pd.DataFrame(index=[f"G{i}" for i in range(SITES)])))


def test_a_bad_rate_that_the_sample_missed_is_refused_when_it_is_read(monkeypatch):
    monkeypatch.setattr("cytonym.data.judge.SAMPLE_ROWS", 50)
    for bad, said in ((2.0, "1 values of 2"), (-1.0, "1 rates below 0"), (np.inf, "1 infinite")):
        rates = some_rates()
        missed = min({*range(CELLS)} - {*sample_rows(CELLS, rates.size).tolist()})
        rates[missed, 4] = bad
        source = opened(methylome(rates))
        with pytest.raises(DataError, match=rf"{said}.*cell cell{missed}, site chr1:4000-4100"):
            source.read("methylation", ALL)


def test_sites_that_no_cell_has_are_named_by_inspect_and_before_training(tmp_path):
    rates = some_rates()
    rates[:, [3, 8, 9]] = NAN
    message = r"3 of the 40 sites are missing in all 60 cells: chr1:3000-3100, chr1:8000-8100, chr1"
    for data in (methylome(rates), saved(methylome(rates), tmp_path, "h5ad")):
        source = opened(data)
        with pytest.raises(DataError, match=message):
            check_observed(source, "methylation")
        page = inspect_cells({"methylation": data})
        assert not page.usable
        assert page.problems[0].what.endswith("chr1:3000-3100, chr1:8000-8100, chr1:9000-9100")
        assert "leave these sites out" in page.problems[0].remedy
    reference = space_of(opened(methylome(some_rates())))
    query = inspect_cells({"methylation": methylome(rates)}, spaces=reference)
    assert query.usable
    assert any("3 of the 40 sites are missing" in note for note in query.notes)
    check_observed(opened(methylome(some_rates())), "methylation")
    # The remedy is right.
    for form in ("dense", "csr"):
        adata = methylome(FORMS[form](rates))
        seen = ~np.isnan(rates).all(axis=0) if form == "dense" else adata.X.getnnz(axis=0) > 0
        check_observed(opened(adata[:, seen]), "methylation")


def test_lost_zeros_and_zeros_that_may_mean_missing_are_remarked_upon():
    rates = some_rates()
    lost = opened(methylome(csr_matrix(np.nan_to_num(rates))))
    assert "stores no rate of 0" in " ".join(lost.notes)
    filled = opened(methylome(np.nan_to_num(rates)))
    assert "has no missing value, and 6" in " ".join(filled.notes)
    for form in ("dense", "csr"):
        assert not opened(methylome(FORMS[form](rates))).notes


# --- inspection -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dense", "csr"])
def test_inspect_says_what_is_observed_over_all_cells(tmp_path, form):
    rates = some_rates()
    there = np.isfinite(rates)
    path = saved(methylome(FORMS[form](rates)), tmp_path, "h5ad")
    page = inspect_cells({"methylation": path})
    facts = page.modalities["methylation"]
    assert page.usable
    assert (facts.used, facts.findings[0].kind) == ("X", "rates")
    assert (facts.rates.size, facts.rates.observed) == (2400, there.sum())
    assert facts.rates.zeros == pytest.approx((rates[there] == 0).mean())
    assert facts.rates.mean == pytest.approx(rates[there].mean())
    assert (facts.rates.never, facts.per_cell) == (0, np.median(there.sum(1)))
    line = f"methylation: 40 sites, {there.sum():,} of 2,400 values observed ("
    assert line in str(page)
    assert "  sites like chr1:100-600, median 100 bp\n" in str(page)
    assert f"{there.sum():,} of 2,400 values observed" in facts.findings[0].evidence
    known = json.loads(json.dumps(page.to_dict()))["modalities"]["methylation"]["rates"]
    assert known["observed"] == there.sum()


def test_inspect_compares_no_depths_with_rates():
    page = inspect_cells(paired(some_rates()))
    assert page.usable, str(page)
    assert (page.pairing.shared, page.pairing.correlation) == (60, None)
    assert "  pairs  60 cells with both\n" in str(page)
    assert [*page.modalities] == ["rna", "methylation"]
    assert page.modalities["rna"].rates is None


def test_a_model_that_needs_counts_does_not_ask_them_of_rates():
    page = inspect_cells(paired(some_rates()), values_needed="counts", how=Reading())
    assert page.usable, str(page)


def test_an_anndata_concatenated_from_two_keeps_absent_sites_missing():
    rates = some_rates()
    first, second = methylome(rates)[:30, :30].copy(), methylome(rates)[30:, 10:].copy()
    joined = ad.concat([first, second], join="outer", fill_value=NAN)
    wanted = rates.copy()
    wanted[:30, 30:] = wanted[30:, :10] = NAN
    joined = joined[:, methylome(rates).var_names]
    np.testing.assert_array_equal(known(opened(joined)), wanted)
