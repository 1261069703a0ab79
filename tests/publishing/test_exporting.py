"""Annotated cells become what other tools and portals read; the curated columns only when asked."""

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from cytonym.errors import DataError, OptionError
from cytonym.ontology import map_labels
from cytonym.publishing import export
from cytonym.publishing.required import CAP_OBS, CELLXGENE_OBS, CELLXGENE_UNS

LABELS = ["NK", "CD4 T", "CD34+", "Unknown", "Heterogeneous", "doublets", "junk", None]
SURE = ["CL:0000623", "CL:0000624"] + ["unknown"] * 6
KEY = "cell_type_pred"
TERM = ("_exists", "_term_id", "_term")


@pytest.fixture
def cells():
    """8 annotated cells."""
    obs = pd.DataFrame(index=pd.Index([f"cell{i}" for i in range(8)]))
    obs["donor_id"] = "d1"
    obs[KEY] = pd.Categorical(LABELS)
    obs[f"{KEY}_confidence"] = np.linspace(0.3, 1, 8, dtype=np.float32)
    obs["cell_type"] = "mine"
    adata = ad.AnnData(csr_matrix(np.eye(8, 5, dtype=np.float32)), obs)
    adata.var_names = [f"G{i}" for i in range(5)]
    adata.uns[KEY] = {"method": "linear", "version": "0.1.0", "hash": "0a1b"}
    adata.uns["cellannotation_metadata"] = {"older": {"annotation_method": "manual"}}
    return adata


@pytest.fixture
def file(cells, tmp_path):
    path = tmp_path / "named.h5ad"
    cells.write_h5ad(path)
    return path


def both(cells, file, *words, **options):
    """The result in memory and through a file, which are the same."""
    changes = export(cells, *words, **options)
    changed = changes.to(cells.copy())
    out = file.with_name("out.h5ad")
    export(file, *words, **options).write(file, out)
    read = ad.read_h5ad(out)
    pd.testing.assert_frame_equal(
        read.obs, changed.obs, check_dtype=False, check_categorical=False, check_column_type=False
    )
    assert [*read.obs] == [*changed.obs]
    np.testing.assert_array_equal(read.X.toarray(), cells.X.toarray())
    assert set(read.uns) == set(changed.uns)
    return changes, read


@pytest.mark.parametrize(
    ("tool", "names"),
    [
        ("celltypist", {KEY: "predicted_labels", f"{KEY}_confidence": "conf_score"}),
        ("seurat", {KEY: "predicted.id", f"{KEY}_confidence": "prediction.score.max"}),
        ("openproblems", {KEY: "label_pred"}),
    ],
)
def test_the_predicted_columns_get_the_names_of_the_tool_in_their_place(cells, file, tool, names):
    _, read = both(cells, file, tool)
    assert [*read.obs] == [names.get(name, name) for name in cells.obs]
    assert [*read.obs[names[KEY]].astype(object).fillna("-")][:2] == ["NK", "CD4 T"]
    assert read.uns[KEY]["method"] == "linear"


def test_celltypist_gets_majority_voting_where_there_is_one(cells, file):
    changes, _ = both(cells, file, "celltypist")
    assert changes.notes == (
        "obs['cell_type_pred_majority_voting'] is not there, so majority_voting is not written",
    )
    cells.obs[f"{KEY}_majority_voting"] = "NK"
    cells.write_h5ad(file)
    changes, read = both(cells, file, "celltypist")
    assert changes.notes == ()
    assert [*read.obs["majority_voting"].unique()] == ["NK"]


def test_openproblems_gets_its_three_ids_and_keeps_those_of_the_data(cells, file):
    _, read = both(cells, file, "openproblems")
    ids = ("dataset_id", "normalization_id", "method_id")
    assert [read.uns[name] for name in ids][1:] == ["log_cp10k", "cytonym_linear"]
    cells.uns["dataset_id"] = "pbmc"
    cells.write_h5ad(file)
    _, read = both(cells, file, "openproblems")
    assert read.uns["dataset_id"] == "pbmc"


def test_cellxgene_without_publish_adds_ids_beside_and_leaves_the_curated_columns_alone(
    cells, file
):
    changes, read = both(cells, file, "cellxgene")
    assert [*read.obs[f"{KEY}_ontology_term_id"]] == SURE
    assert "cell_type_ontology_term_id" not in read.obs
    assert [*read.obs["cell_type"].unique()] == ["mine"]
    told = "\n".join(map(str, changes.missing))
    for name in {*CELLXGENE_OBS, *CELLXGENE_UNS} - {"donor_id"}:
        assert f"[{name!r}] is missing\n    → " in told
    assert "obs['donor_id']" not in told
    assert "obs has cell_type, which the portal writes itself" in told
    assert "0 of the first 5 names of var are Ensembl gene ids" in told
    assert "obsm has no embedding" in told
    assert any("CD34+ (1 cells)" in note for note in changes.notes)


def test_cellxgene_with_publish_writes_the_curated_column_and_keeps_the_author_s(cells, file):
    changes, read = both(cells, file, "cellxgene", publish=True)
    assert [*read.obs["cell_type_ontology_term_id"]] == SURE
    assert [*read.obs["author_cell_type"].unique()] == ["mine"]
    assert "cell_type" not in read.obs
    told = "\n".join(map(str, changes.missing))
    assert "cell_type_ontology_term_id" not in told
    assert "portal writes itself" not in told


def test_data_that_have_everything_miss_nothing(cells):
    for name in CELLXGENE_OBS:
        cells.obs[name] = "x"
    del cells.obs["cell_type"]
    cells.uns |= dict.fromkeys(CELLXGENE_UNS, "x")
    cells.var_names = [f"ENSG0000000000{i}" for i in range(5)]
    cells.obsm["X_umap"] = np.zeros((8, 2))
    assert export(cells, "cellxgene").missing == ()


def test_curated_columns_that_are_there_are_not_replaced(cells):
    cells.obs["cell_type_ontology_term_id"] = "CL:0000084"
    with pytest.raises(DataError, match="cell_type_ontology_term_id' already"):
        export(cells, "cellxgene", publish=True)
    with pytest.raises(OptionError, match="would write the curated column"):
        export(cells, "cellxgene", key="cell_type")


def test_ids_of_the_annotation_go_before_those_of_the_labels(cells, file):
    own = ["CL:0000542", "", "CL:0000000", "CL:0000084", "", "", "", ""]
    cells.obs[f"{KEY}_ontology_term_id"] = own
    cells.write_h5ad(file)
    _, read = both(cells, file, "cellxgene", publish=True)
    # "cell" says nothing, and a cell called Unknown has no type
    assert [*read.obs["cell_type_ontology_term_id"]] == ["CL:0000542"] + ["unknown"] * 7
    cells.obs[f"{KEY}_ontology_term_id"] = "T cell"
    with pytest.raises(DataError, match="1 ids that are no terms in use"):
        export(cells, "cellxgene")


def test_ids_of_an_annotation_by_probability_are_told_as_such(cells, file, tmp_path):
    cells.obs[f"{KEY}_ontology_term_id"] = ["CL:0000542", "", "", "CL:0000084"] + [""] * 4
    cells.uns[KEY]["ontology"] = {"level": 0.9, "version": "v1", "open": np.array(["CD34+"])}
    cells.write_h5ad(file)
    review = tmp_path / "review.tsv"
    map_labels(["NK", "CD34+"]).write_review(review)
    changes, read = both(cells, file, "cap", review=review)
    assert changes.notes[-1] == (
        f"the ids are those of obs['{KEY}_ontology_term_id']; 2 cells with a type have none there; "
        "the review file was not needed"
    )
    why = [text.partition("label to term: ")[2] for text in read.obs[f"{KEY}--rationale"]]
    assert why == ["by probability, level 0.9"] * 2 + ["unsure"] + ["reserved"] * 5


def test_a_review_file_settles_what_was_unsure(cells, tmp_path):
    path = tmp_path / "review.tsv"
    found = map_labels(["NK", "CD4 T", "CD34+"])
    found.write_review(path)
    text = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join([text[0], text[1] + "CL:0000037", *text[2:]]), encoding="utf-8")
    ids = export(cells, "cellxgene", review=path).columns[f"{KEY}_ontology_term_id"]
    assert [*ids][2] == "CL:0000037"


def test_cap_gets_its_columns_and_metadata_beside_those_of_other_sets(cells, file):
    changes, read = both(cells, file, "cap")
    term = {f"{start}cell_ontology{end}" for start in ("", "category_") for end in TERM}
    ends = {"cell_fullname", "rationale", "marker_gene_evidence", "canonical_marker_genes"} | term
    ends |= {"synonyms", "category_fullname"}
    assert {name for name in read.obs if "--" in name} == {f"{KEY}--{end}" for end in ends}
    assert [*read.obs[KEY]] == ["NK", "CD4 T", "CD34+"] + ["unknown"] * 5
    assert [*read.obs[f"{KEY}--cell_ontology_exists"]] == [True, True] + [False] * 6
    assert [*read.obs[f"{KEY}--cell_ontology_term_id"]] == [*SURE[:2]] + [""] * 6
    assert read.obs[f"{KEY}--cell_fullname"].iloc[0] == "natural killer cell"
    assert "NK cell" in read.obs[f"{KEY}--synonyms"].iloc[0]
    assert read.obs[f"{KEY}--rationale"].iloc[1].startswith("Named by cytonym 0.1.0 (linear)")
    metadata = read.uns["cellannotation_metadata"]
    assert set(metadata) == {"older", KEY}
    assert metadata[KEY]["annotation_method"] == "algorithmic"
    assert metadata[KEY]["algorithm_version"] == "0.1.0"
    told = "\n".join(map(str, changes.missing))
    assert all(f"obs[{name!r}] is missing" in told for name in CAP_OBS)
    assert "marker_gene_evidence" in told
    assert read.obs[f"{KEY}_confidence"].notna().all()  # stays beside


def test_cap_does_not_claim_labels_that_cytonym_did_not_give(cells, file):
    _, read = both(cells, file, "cap", key="cell_type")
    metadata = read.uns["cellannotation_metadata"]["cell_type"]
    assert set(metadata.values()) == {""}
    assert set(read.obs["cell_type--rationale"]) == {""}


def test_hostile_labels_are_written_and_read_again(cells, file):
    odd = ["a\tb\nc", "<script>", "x" * 10_000, "細胞 🧫", "3", "", " NK ", "NK"]
    cells.obs[KEY] = odd
    cells.write_h5ad(file)
    _, read = both(cells, file, "cap")
    assert read.obs[KEY].iloc[3] == "細胞 🧫"
    assert [*read.obs[f"{KEY}--cell_ontology_term_id"]][-2:] == ["CL:0000623"] * 2


@pytest.mark.parametrize(
    ("words", "options", "error", "told"),
    [
        (("seurrat",), {}, OptionError, "Did you mean 'seurat'"),
        (("seurat",), {"publish": True}, OptionError, "publish is for cellxgene"),
        (("seurat",), {"review": "r.tsv"}, OptionError, "A review file is for cellxgene and cap"),
        (("cap",), {"review": "r.tsv"}, DataError, "there is no file"),
        (("cap",), {"key": "cell_typ"}, DataError, "Did you mean 'cell_type'"),
    ],
)
def test_what_cannot_be_exported_is_an_error_with_a_remedy(cells, words, options, error, told):
    with pytest.raises(error, match=told):
        export(cells, *words, **options)


def test_names_that_are_taken_are_refused(cells):
    cells.obs["predicted.id"] = 1
    with pytest.raises(DataError, match=r"obs has 'predicted.id' already"):
        export(cells, "seurat")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path, file):
    for name, content in (("a.h5mu", b""), ("b.h5ad", b"no"), ("c.h5ad", file.read_bytes()[:3000])):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError):
            export(path, "seurat")
    with pytest.raises(DataError, match="there is no such file"):
        export(tmp_path / "none.h5ad", "seurat")
    with pytest.raises(DataError, match="cannot be exported"):
        export(7, "seurat")
    with h5py.File(tmp_path / "old.h5ad", "w") as old:
        old["obs"] = np.zeros(3, [("index", "S1")])
    with pytest.raises(DataError, match="read it with anndata and write it again"):
        export(tmp_path / "old.h5ad", "seurat")


def test_changes_meant_for_other_cells_are_refused_and_nothing_is_left_behind(cells, file):
    changes = export(cells[:4].copy(), "seurat")
    with pytest.raises(DataError, match="its 8 cells are not the 4 of the export"):
        changes.to(cells)
    out = file.with_name("out.h5ad")
    with pytest.raises(DataError, match="its 8 cells"):
        changes.write(file, out)
    assert not out.exists()
    assert [*file.parent.iterdir()] == [file]
    with pytest.raises(OptionError, match=r"has to end in \.h5ad"):
        changes.write(file, file.with_name("out.zarr"))


def test_the_caller_s_data_are_not_changed_by_looking_or_writing(cells, file):
    before = cells.copy()
    export(cells, "cap").write(cells, file.with_name("out.h5ad"))
    pd.testing.assert_frame_equal(cells.obs, before.obs)
    assert set(cells.uns) == set(before.uns)
