"""What every method promises about its answers."""

import contextlib

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix

import cytonym
from cytonym.data.read import Reading
from cytonym.errors import DataError
from cytonym.methods import Completes, Explains
from cytonym.types import Batch


def accuracy(labels: np.ndarray, query: AnnData) -> float:
    return float((labels == query.obs["truth"].astype(str).to_numpy()).mean())


def batch_of(fitted, query: AnnData, n: int = 20) -> Batch:
    return next(fitted.opened(query, Reading()).feed.batches(n))[1]


def with_x(batch: Batch, x) -> Batch:
    return Batch(x, batch.counts, batch.present, batch.y, batch.domain, batch.key)


def test_the_answer_has_a_row_for_each_of_96_cells_and_a_column_for_each_of_4_types(calls, kit):
    assert calls.labels.shape == calls.confidence.shape == (96,)
    assert calls.probabilities.shape == (96, 4)
    assert [*calls.probabilities.columns] == [*kit.reference.obs["cell_type"].cat.categories]
    np.testing.assert_array_equal(calls.cells, kit.query.obs_names)
    np.testing.assert_allclose(calls.probabilities.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(calls.confidence, calls.probabilities.max(axis=1))
    assert calls.embedding.shape[0] == 96
    assert calls.embedding.dtype == np.float32
    assert np.isfinite(calls.embedding).all()


def test_at_least_8_of_10_new_cells_are_named_rightly_where_chance_is_a_quarter(calls, kit):
    assert accuracy(calls.labels, kit.query) >= 0.8


def test_a_saved_and_loaded_model_gives_exactly_the_same_probabilities(
    fitted, calls, kit, tmp_path
):
    fitted.save(tmp_path / "model")
    again = cytonym.load(tmp_path / "model").annotate(kit.query, progress=False)
    pd.testing.assert_frame_equal(again.probabilities, calls.probabilities, check_exact=True)
    np.testing.assert_array_equal(again.embedding, calls.embedding)


@pytest.mark.parametrize("size", [1, 8])
def test_cells_named_1_or_8_at_a_time_get_the_answer_of_64_to_5_digits(fitted, kit, size):
    few = fitted.annotate(kit.query[:64], batch_size=size, progress=False)
    many = fitted.annotate(kit.query[:64], batch_size=64, progress=False)
    np.testing.assert_allclose(few.probabilities, many.probabilities, atol=1e-5)
    np.testing.assert_allclose(few.embedding, many.embedding, atol=1e-5)


def test_permuting_cells_permutes_the_answer(fitted, calls, kit):
    order = np.random.default_rng(0).permutation(96)
    turned = fitted.annotate(kit.query[order].copy(), progress=False)
    np.testing.assert_array_equal(turned.cells, calls.cells[order])
    wanted = calls.probabilities.to_numpy()[order]
    np.testing.assert_allclose(turned.probabilities, wanted, atol=1e-5)


def test_permuting_the_genes_of_the_query_changes_nothing(fitted, calls, kit):
    order = np.random.default_rng(1).permutation(kit.query.n_vars)
    turned = fitted.annotate(kit.query[:, order].copy(), progress=False)
    rounding = 1e-4 if fitted.method.own(fitted.options) else 0.0  # summed in the data's order
    np.testing.assert_allclose(turned.probabilities, calls.probabilities, rtol=0, atol=rounding)


def test_50_more_genes_in_the_query_change_nothing(fitted, calls, kit):
    rng = np.random.default_rng(2)
    names = pd.Index([f"MORE{i}" for i in range(50)])
    var = pd.DataFrame({"gene_ids": [f"ENSG{8 * 10**10 + i}" for i in range(50)]}, names)
    if "feature_types" in kit.query.var:
        var["feature_types"] = "Gene Expression"
    counts = csr_matrix(rng.poisson(1.0, (96, 50)), dtype=np.float32)
    more = AnnData(counts, pd.DataFrame(index=kit.query.obs_names), var)
    larger = ad.concat([more, kit.query], axis="var", merge="same")
    answer = fitted.annotate(larger, progress=False)
    np.testing.assert_array_equal(answer.probabilities, calls.probabilities)


def test_a_query_that_lacks_30_percent_of_the_features_is_named_and_says_so(fitted, kit):
    rng = np.random.default_rng(3)
    n = kit.query.n_vars
    kept = np.sort(rng.permutation(n)[: round(0.7 * n)])
    answer = fitted.annotate(kit.query[:, kept].copy(), progress=False)
    assert np.isfinite(answer.probabilities.to_numpy()).all()
    assert accuracy(answer.labels, kit.query) >= 0.6
    assert [*answer.coverage] == [*kit.widths()]
    for modality, found in answer.coverage.items():
        if modality in fitted.method.own(fitted.options):
            assert found.share == 1.0
        elif kit.widths()[modality] == "shared":
            assert found.reference == len(fitted.spaces[modality])
            assert found.share == pytest.approx(0.7, abs=0.1)
            assert len(found.missing) == found.reference - found.shared
        assert any(str(found) == note for note in answer.notes)


def test_data_without_any_modality_of_the_method_are_a_clear_error(fitted, kit):
    have = {"rna", "atac"} - kit.widths().keys()
    if not have:
        pytest.skip("the method reads all modalities there are")
    starts = 1000 * np.arange(1, 81)
    names = [f"chr1:{start}-{start + 500}" for start in starts]
    if "atac" not in have:
        names = [f"SIM{i:04d}" for i in range(80)]
    counts = csr_matrix(np.random.default_rng(4).poisson(0.6, (30, 80)), dtype=np.float32)
    other = AnnData(counts, var=pd.DataFrame(index=names))
    with pytest.raises(DataError, match=r"reads .* and the data have") as failed:
        fitted.annotate(other, progress=False)
    assert failed.value.problems[0].remedy


def test_data_that_lack_one_of_several_modalities_get_an_answer_or_a_clear_error(fitted, kit):
    if len(kit.widths()) == 1:
        pytest.skip("the method reads one modality")
    for kind in kit.query.var["feature_types"].unique():
        part = kit.query[:, kit.query.var["feature_types"] == kind].copy()
        with contextlib.suppress(DataError):
            answer = fitted.annotate(part, progress=False)
            assert np.isfinite(answer.probabilities.to_numpy()).all()


def test_a_fit_and_its_answers_leave_reference_and_query_as_they_were(calls, kit, pristine):
    for now, before in zip((kit.reference, kit.query), pristine, strict=True):
        for name in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(now.X, name), getattr(before.X, name))
        pd.testing.assert_frame_equal(now.obs, before.obs)
        pd.testing.assert_frame_equal(now.var, before.var)
        assert dict(now.uns) == dict(before.uns)
        assert [*now.obsm] == [*before.obsm]
        assert [*now.layers] == [*before.layers]


def test_80_of_240_cells_without_a_label_are_no_type_and_no_obstacle(kit):
    reference = kit.reference.copy()
    reference.obs.loc[reference.obs_names[:80], "cell_type"] = np.nan
    model = kit.fit(reference, validation=0.1)
    apart = 0 if model.report.refitted else model.report.n_held_out
    assert model.report.n_reference + apart == 160
    assert model.label_names == [*kit.reference.obs["cell_type"].cat.categories]
    assert any("80 of 240" in note for note in model.report.notes)
    answer = model.annotate(kit.query, progress=False)
    assert accuracy(answer.labels, kit.query) >= 0.7


def test_validation_0_holds_out_no_cell_and_compares_nothing(fitted):
    assert fitted.report.n_held_out == 0
    assert fitted.report.held_out == ()


def test_with_progress_off_a_fit_and_its_answer_print_nothing(kit, capfd):
    model = kit.fit(validation=0.1, progress=False)
    model.annotate(kit.query, progress=False)
    assert capfd.readouterr() == ("", "")
    assert model.report.held_out[0]["method"] == kit.method.name


def test_bfloat16_autocast_on_the_cpu_gives_finite_scores_of_the_same_types(fitted, kit):
    batch = batch_of(fitted, kit.query, 96)
    with torch.inference_mode():
        exact = fitted.method.predict(fitted.net, batch)
        with torch.autocast("cpu", torch.bfloat16):
            rough = fitted.method.predict(fitted.net, batch)
    assert torch.isfinite(rough.embedding).all()
    if exact.scores is not None:
        assert torch.isfinite(rough.scores).all()
        assert (exact.scores.argmax(1) == rough.scores.argmax(1)).float().mean() >= 0.9


def test_a_method_that_explains_gives_a_finite_share_for_each_cell_and_feature(fitted, kit):
    if not isinstance(kit.method, Explains):
        pytest.skip("the method does not say why")
    batch = batch_of(fitted, kit.query)
    n_features = len(fitted.feature_names())
    said = kit.method.salience(fitted.net, batch)
    assert said.features.shape == (20, n_features)
    assert torch.isfinite(said.features).all()
    assert fitted.salience["features"].shape == (4, n_features)
    if said.tokens is not None:
        assert said.tokens.shape == (20, int(said.group.max()) + 1)
        assert ((said.tokens >= 0) & (said.tokens <= 1)).all()
        assert said.group.shape == (n_features,)
    table = fitted.explain(top=5)
    assert len(table) == 20
    assert [*table["rank"][:5]] == [1, 2, 3, 4, 5]
    assert set(table["gene"]) <= {*fitted.feature_names()}


def test_a_method_that_completes_keeps_measured_values_and_fills_every_gap(fitted, kit):
    if not isinstance(kit.method, Completes):
        pytest.skip("the method does not complete")
    batch = batch_of(fitted, kit.query)
    x = {name: values.clone() for name, values in batch.x.items()}
    for values in x.values():
        values[:, ::3] = torch.nan
    with torch.inference_mode():
        filled = kit.method.complete(fitted.net, with_x(batch, x))
    for name, values in filled.items():
        seen = ~torch.isnan(x[name])
        assert torch.isfinite(values).all()
        assert torch.equal(values[seen], x[name][seen])
        assert values[~seen].std() > 0
