"""A query gets the reference's columns, whatever its genes are called and in whatever order."""

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_matrix, hstack

from cytonym.data.align import align, space_of
from cytonym.data.ids import id_type, species
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.errors import DataError

REFERENCE = simulate(80, 120, 3, seed=2, markers_per_type=10)


def spaces_of(adata=REFERENCE):
    return space_of(open_cells(adata))


def aligned(query, **options):
    """The aligned values of all cells and the coverage of RNA."""
    source, coverage = align(open_cells(query), spaces_of(), **options)
    return source.read("rna", np.arange(query.n_obs)).toarray(), coverage["rna"], source


def renamed(adata, names, **columns):
    return AnnData(adata.X, adata.obs, pd.DataFrame(columns, index=pd.Index(names)))


def test_a_reference_fits_itself():
    values, coverage, source = aligned(REFERENCE)
    np.testing.assert_array_equal(values, REFERENCE.X.toarray())
    assert coverage.share == 1
    assert coverage.matched_by == "names → names"
    assert source.spaces["rna"].measured.all()
    assert source.values == {"rna": "counts"}


@given(seed=st.integers(0, 10_000), extra=st.integers(0, 30))
@settings(max_examples=25, deadline=None)
def test_permuting_and_adding_query_genes_changes_nothing(seed, extra):
    rng = np.random.default_rng(seed)
    novel = csr_matrix(rng.poisson(1, (80, extra)), dtype=np.float32)
    order = rng.permutation(120 + extra)
    names = np.array([*REFERENCE.var_names, *(f"NEW{i}" for i in range(extra))])[order]
    query = AnnData(
        csr_matrix(hstack([REFERENCE.X, novel]))[:, order], var=pd.DataFrame(index=names)
    )
    values, coverage, _ = aligned(query)
    np.testing.assert_array_equal(values, REFERENCE.X.toarray())
    assert coverage.shared == 120
    assert coverage.query == 120 + extra


def test_missing_genes_are_not_measured_and_listed():
    values, coverage, source = aligned(REFERENCE[:, 30:].copy())
    assert not source.spaces["rna"].measured[:30].any()
    assert source.spaces["rna"].measured[30:].all()
    assert not values[:, :30].any()
    assert coverage.missing.tolist() == REFERENCE.var_names[:30].tolist()
    assert str(coverage) == ("rna: 90 of the reference's 120 features (75%), by names → names")


@pytest.mark.parametrize(
    ("names", "columns", "by"),
    [
        ("gene_ids", {}, "names → gene_ids"),
        ("gene_ids", {"feature_name": "names"}, "names → gene_ids"),
        ("numbers", {"feature_name": "names"}, "feature_name → names"),
        ("numbers", {"ensembl": "versioned"}, "ensembl → gene_ids"),
    ],
)
def test_whichever_identifier_matches_most_is_used(names, columns, by):
    known = {
        "names": REFERENCE.var_names.to_numpy(),
        "gene_ids": REFERENCE.var["gene_ids"].to_numpy(),
        "versioned": [f"{g}.12" for g in REFERENCE.var["gene_ids"]],
        "numbers": [str(i) for i in range(120)],
    }
    query = renamed(REFERENCE, known[names], **{c: known[k] for c, k in columns.items()})
    if names == "gene_ids" and columns:
        query.var.loc[query.var_names[:40], "feature_name"] = "other"
    values, coverage, _ = aligned(query)
    assert coverage.matched_by == by
    assert coverage.shared == 120
    np.testing.assert_array_equal(values, REFERENCE.X.toarray())


def test_the_named_column_is_used_and_an_unknown_one_refused():
    query = renamed(REFERENCE, REFERENCE.var_names, half=[*REFERENCE.var_names[:70], *"x" * 50])
    assert aligned(query, genes="half")[1].shared == 70
    with pytest.raises(DataError, match=r"no gene column 'symbol'.*\n.*Available: half, names"):
        aligned(query, genes="symbol")


def test_repeated_query_genes_are_added_up_with_a_note():
    names = REFERENCE.var_names.to_numpy().copy()
    names[1] = names[0]
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        query = renamed(REFERENCE, names)
    values, coverage, source = aligned(query)
    counts = REFERENCE.X.toarray()
    np.testing.assert_array_equal(values[:, 0], counts[:, 0] + counts[:, 1])
    assert not source.spaces["rna"].measured[1]
    assert coverage.notes == ("1 repeated features were added up",)


def test_a_reference_with_repeated_genes_becomes_unique_by_adding_them_up():
    names = REFERENCE.var_names.to_numpy().copy()
    names[5] = names[0]
    with pytest.warns(UserWarning, match="Variable names are not unique"):
        source = open_cells(renamed(REFERENCE, names))
    spaces = space_of(source)
    assert len(spaces["rna"]) == 119
    values = align(source, spaces)[0].read("rna", np.arange(80)).toarray()
    np.testing.assert_array_equal(values.sum(1), REFERENCE.X.toarray().sum(1))


def test_a_reference_named_by_numbers_takes_its_symbols():
    query = renamed(REFERENCE, [str(i) for i in range(120)], feature_name=REFERENCE.var_names)
    space = spaces_of(query)["rna"]
    assert space.names.tolist() == REFERENCE.var_names.tolist()
    assert space.columns["var_names"][:2].tolist() == ["0", "1"]


def test_lower_case_is_a_last_resort_and_noted():
    _, coverage, _ = aligned(renamed(REFERENCE, [n.lower() for n in REFERENCE.var_names]))
    assert coverage.shared == 120
    assert "case were ignored" in coverage.notes[0]


def test_mouse_genes_are_not_taken_for_human_ones():
    human = [f"CD{'ABCDEFGHIJKL'[i // 10]}{'ABCDEFGHIJ'[i % 10]}{i}" for i in range(120)]
    source = open_cells(renamed(REFERENCE, [n.capitalize() for n in human]))
    with pytest.raises(DataError, match="look like mouse or rat, the reference like human"):
        align(source, spaces_of(renamed(REFERENCE, human)))


def test_nine_shared_genes_are_refused_with_both_sides_shown():
    ids = [f"ENSMUSG{i:011d}" for i in range(111)]
    query = renamed(REFERENCE, [*REFERENCE.var_names[:9], *ids])
    message = (
        r"(?s)only 9 of the reference's 120 rna features \(7.5%\) are among the 120.*"
        r"the data, names: SIM0000, ENSMUSG\d+.*\(Ensembl mouse\).*"
        r"the reference, names: SIM0000, SIM0024.*\(symbol\)"
    )
    with pytest.raises(DataError, match=message):
        aligned(query)


def test_few_genes_of_a_large_reference_are_refused_and_of_a_panel_accepted():
    large = simulate(20, 300, 2, seed=0)
    source = open_cells(large[:, :40].copy())
    with pytest.raises(DataError, match=r"only 40 of the reference's 300.*\(at least 50 and 20%"):
        align(source, spaces_of(large))
    with pytest.raises(DataError, match="give the data before genes were selected"):
        align(source, spaces_of(large))
    align(source, spaces_of(large), min_shared=40, min_share=0.1)
    align(source, spaces_of(large[:, :150].copy()))


def test_a_missing_modality_is_absent_and_no_shared_one_an_error():
    multiome = simulate_multiome(60, 100, 2, seed=0, n_peaks=90)
    spaces = {m: space for part in multiome.values() for m, space in spaces_of(part).items()}
    source, coverage = align(open_cells(multiome["rna"]), spaces)
    assert set(coverage) == {"rna"}
    assert source.present("rna").all()
    assert not source.present("atac").any()
    assert source.read("atac", np.arange(4)).shape == (4, 90)
    assert not source.spaces["atac"].measured.any()
    with pytest.raises(DataError, match="it has atac, the reference has rna"):
        align(open_cells(multiome["atac"]), {"rna": spaces["rna"]})


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (["CD3D", "MS4A1", "HLA-DRA", "AL627309.1"], "symbol"),
        (["ENSG00000167286", "ENSG00000156738.18"], "Ensembl human"),
        (["ENSMUSG00000032094"], "Ensembl mouse"),
        (["ENSDARG00000000001"], "Ensembl of another species"),
        (["ENST00000300692"], "Ensembl transcript"),
        (["915", "931", "3122"], "Entrez"),
        (["0", "1", "2"], "numeric"),
        (["gene0", "gene1"], "placeholder"),
        (["chr1:100-600", "chr2_5_9"], "genomic interval"),
        (["CD3D", "ENSG00000167286"], "unknown"),
        ([], "unknown"),
    ],
)
def test_identifier_types_are_told_apart(names, kind):
    assert id_type(np.array(names, dtype=str)) == kind


def test_species_are_guessed_from_identifiers_and_case():
    assert species(np.array(["CD3D", "MT-ND1", "C1orf112"] + ["GZMB"] * 9))[0] == "human"
    assert species(np.array(["Cd3d", "mt-Nd1", "Gzmb", "Actb"]))[0] == "mouse"
    assert species(np.array(["ENSMUSG00000032094"]))[0] == "mouse"
    assert species(np.array(["gene1"]))[0] == "unknown"


def test_pbmc3k_fits_the_sorted_pbmc(data_dir):
    reference = open_cells(data_dir / "rna" / "zheng_facs_pbmc.h5ad")
    path = data_dir / "rna" / "pbmc3k.h5ad"
    source, coverage = align(open_cells(path), space_of(reference))
    assert coverage["rna"].shared == 13_356
    query = anndata.read_h5ad(path)
    genes = [g for g in reference.spaces["rna"].names if g in query.var_names]
    mine = source.read("rna", np.arange(50))[:, source.spaces["rna"].measured]
    np.testing.assert_array_equal(mine.toarray(), query[:50, genes].X.toarray())


def test_an_explicit_gene_column_names_the_features_of_a_reference():
    labels = np.array([f"locus-{i}" for i in range(REFERENCE.n_vars)])
    cells = open_cells(renamed(REFERENCE, REFERENCE.var_names, locus=labels))
    assert [*space_of(cells)["rna"].names] == [*REFERENCE.var_names]
    space = space_of(cells, genes="locus")["rna"]
    assert [*space.names] == [*labels]
    assert [*space.columns["var_names"]] == [*REFERENCE.var_names]
