"""DCCA: what its parts do, by hand and by behaviour."""

import shutil
import warnings
from dataclasses import replace
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import zarr
from scipy.sparse import csr_matrix

import cytonym
from cytonym.data.read import Reading
from cytonym.errors import CytonymError, DataError, OptionError
from cytonym.methods import get
from cytonym.methods.dcca import Autoencoder, OpenRows, autoencode, learn_lesson
from cytonym.nn.likelihoods import divergence
from cytonym.types import Batch, Clock, SparseRows

SMALL = {
    "atac_input": "components",
    "rna_to_epi": 5.0,
    "dim": 3,
    "rna_hidden": (8,),
    "epi_hidden": (8,),
    "rna_decoder": (8,),
    "dropout": 0.0,
}
WIDTHS = {"rna": 6, "counts_rna": 6, "atac": 5, "counts_atac": 9}


def options(**changes):
    return get("dcca").Options(**{**SMALL, **changes})


def net(n_types=3, widths=WIDTHS, **changes):
    torch.manual_seed(0)
    return get("dcca").build(widths, n_types, options(**changes))


def sparse(x):
    return SparseRows.of(csr_matrix(np.asarray(x, dtype=np.float32)))


def batch(n=10, seed=0, second="atac"):
    rng = np.random.default_rng(seed)
    counts = {"rna": rng.poisson(2.0, (n, 6)), second: rng.random((n, 9)) < 0.4}
    x = {
        name: torch.from_numpy(rng.standard_normal((n, w)).astype("f4"))
        for name, w in (("rna", 6), (second, 5))
    }
    here = torch.ones(n, dtype=torch.bool)
    there = {"rna": here.clone(), second: here.clone()}
    y = torch.from_numpy(rng.integers(0, 3, n))
    rows = {name: sparse(one) for name, one in counts.items()}
    return Batch(x, rows, there, y, torch.zeros(n, dtype=torch.int64), torch.arange(n))


CLOCK = Clock("x", 50, 0.5, 7)


def test_open_rows_are_a_linear_layer_over_what_is_open():
    layer = OpenRows(9, 4)
    counts = np.random.default_rng(0).poisson(0.7, (5, 9))
    counts[2] = 0
    want = torch.from_numpy((counts > 0).astype("f4")) @ layer.weight + layer.bias
    torch.testing.assert_close(layer(sparse(counts)), want)


def test_the_loss_is_the_surprise_plus_the_divergence_plus_the_pull_times_the_squared_distance():
    model, cells = net().eval(), batch()
    parts = autoencode(model, cells, CLOCK, name="epi", teacher="rna", pull=5.0)
    mean, spread = model.epi.code(cells)
    taught = model.rna.code(cells)[0]
    want = 5.0 * (mean - taught).square().sum(1).mean()
    torch.testing.assert_close(parts["apart"], want)
    torch.testing.assert_close(parts["kl"], divergence(mean, spread).mean())
    total = parts["surprise"] + parts["kl"] + parts["apart"]
    torch.testing.assert_close(parts["total"], total)
    parts["total"].backward()
    assert all(one.grad is None for one in model.rna.parameters())


@pytest.mark.parametrize(("epoch", "share"), [(0, 0.0), (3, 0.3), (10, 1.0), (90, 1.0)])
def test_the_weight_of_the_divergence_rises_over_10_epochs(epoch, share):
    model, cells = net().eval(), batch()
    clock = replace(CLOCK, epoch=epoch)
    whole = autoencode(model, cells, clock, name="rna")["kl"]
    part = autoencode(model, cells, clock, name="rna", warmup=10)["kl"]
    torch.testing.assert_close(part, share * whole)


def test_cells_that_lack_the_modality_or_the_teacher_s_do_not_count():
    model, cells = net().eval(), batch()
    cells.present["rna"][:4] = False
    cells.present["atac"][-2:] = False
    parts = autoencode(model, cells, CLOCK, name="epi", teacher="rna", pull=1.0)
    z, (mean, spread) = model.rna.code(cells)[0], model.epi.code(cells)
    both = slice(4, 8)
    want = (mean[both] - z[both]).square().sum() / 10
    torch.testing.assert_close(parts["apart"], want)
    torch.testing.assert_close(parts["kl"], divergence(mean, spread)[:8].sum() / 10)


def test_a_kept_lesson_is_what_the_teacher_says_anew_and_unknown_cells_are_asked_anew():
    model, cells = net(dropout=0.5).eval(), batch()
    mixed = replace(cells, key=torch.tensor([7, 3, 900, 0, 12, 5, 44, 1, 2, 31]))

    def apart(asked):
        return autoencode(model, asked, CLOCK, name="epi", teacher="rna", pull=2.0)["apart"]

    fresh = apart(mixed)
    learn_lesson(model, [mixed], teacher="rna")
    assert model.lesson.z.shape == (10, 3)
    torch.testing.assert_close(apart(mixed), fresh)
    other = replace(batch(seed=3), key=torch.arange(100, 110))
    with torch.no_grad():
        mean, taught = model.epi.code(other)[0], model.rna.code(other)[0]
        own = model.epi.code(mixed)[0]
    torch.testing.assert_close(apart(other), 2 * (mean - taught).square().sum(1).mean())
    model.lesson.z.zero_()  # what is kept is what is read
    torch.testing.assert_close(apart(mixed), 2 * own.square().sum(1).mean())


def test_a_sample_of_closed_peaks_stands_for_all_of_them():
    model = net(negatives=4)
    whole = Autoencoder("atac", WIDTHS, options())
    whole.load_state_dict(model.epi.state_dict())
    cells, z = batch(), torch.randn(10, 3)
    want = whole.surprise(z, cells, 0)
    found = torch.stack([model.epi.surprise(z, cells, seed) for seed in range(3000)]).mean(0)
    torch.testing.assert_close(found, want, rtol=0.02, atol=0.02)


def test_the_size_of_a_cell_is_its_counts_and_legacy_the_sum_of_their_logarithms():
    cells, z = batch(), torch.zeros(10, 3)
    right, legacy = (net(size=size).rna.decoder for size in ("counts", "legacy"))
    x = cells.counts["rna"].dense()
    from cytonym.nn.likelihoods import negative_binomial

    for decoder, total in ((right, x.sum(1)), (legacy, x.log1p().sum(1))):
        rho = decoder(z)
        torch.testing.assert_close(rho.sum(1), torch.ones(10))
        want = -negative_binomial(x, (total[:, None] * rho).log(), decoder.theta).sum(1)
        torch.testing.assert_close(
            decoder.surprise(z, cells.counts["rna"]), want, rtol=1e-4, atol=1e-3
        )


@pytest.mark.parametrize("joint", ["mean", "weighted", "concat"])
def test_where_a_modality_is_missing_the_joint_code_is_that_of_the_other(joint):
    model, cells = net(joint=joint).eval(), batch()
    cells.present["rna"][:5] = False
    codes = model.codes(cells)
    epi = model.epi.code(cells)[0]
    want = torch.cat([epi, epi], 1) if joint == "concat" else epi
    torch.testing.assert_close(codes.joint[:5], want[:5])
    views = get("dcca").views(model, cells)
    assert torch.isnan(views["rna"][:5]).all()
    torch.testing.assert_close(views["atac"], epi)
    if joint == "weighted":
        (m1, s1), (m2, s2) = (one.code(cells) for one in (model.rna, model.epi))
        p1, p2 = (-s1).exp(), (-s2).exp()
        torch.testing.assert_close(codes.joint[5:], ((p1 * m1 + p2 * m2) / (p1 + p2))[5:])


@pytest.mark.parametrize(
    ("given", "want"),
    [
        ({}, ["rna", "epi", "epi taught by rna 1", "rna taught by epi 2", "epi taught by rna 3"]),
        ({"cycle": 0}, ["rna", "epi"]),
        ({"cycle": 1, "alone": False}, ["rna", "epi taught by rna 1"]),
        (
            {"cycle": 2, "first": "epi"},
            ["epi", "rna", "rna taught by epi 1", "epi taught by rna 2"],
        ),
    ],
)
def test_the_turns_are_those_of_the_paper(given, want):
    stages = get("dcca").stages(options(**given), [])
    assert [stage.name for stage in stages] == want
    assert all(stage.unlabelled for stage in stages)
    named = get("dcca").stages(options(**given), [5, 5])
    assert [stage.name for stage in named] == [*want, "names"]


def test_decoding_some_features_gives_the_columns_of_decoding_all():
    method, model, cells = get("dcca"), net().eval(), batch()
    some = torch.tensor([4, 0, 2])
    for target in ("rna", "atac"):
        z = method.latent(model, cells, "rna")
        whole, part = method.decode(model, z, target), method.decode(model, z, target, some)
        torch.testing.assert_close(part, whole[:, some])


def test_methylation_of_0_counts_and_what_was_not_observed_does_not():
    widths = {"rna": 6, "counts_rna": 6, "methylation": 9, "counts_methylation": 9}
    model = net(widths=widths).eval()
    cells = batch(second="methylation")
    rates = csr_matrix((np.array([0.0, 1.0], np.float32), ([0, 1], [3, 4])), (10, 9))
    x = torch.full((10, 9), torch.nan)
    x[0, 3], x[1, 4] = -0.5, 0.5
    cells.counts["methylation"] = SparseRows.of(rates)
    cells = replace(cells, x={**cells.x, "methylation": x})
    mean, _ = model.epi.code(cells)
    p = model.epi.decoder(mean)
    want = torch.zeros(10)
    want[0], want[1] = p[0, 3] ** 2, (1 - p[1, 4]) ** 2
    torch.testing.assert_close(model.epi.surprise(mean, cells, 0), want)
    assert torch.isfinite(mean).all()


# --- whole fits --------------------------------------------------------------------------------

QUICK = {**SMALL, "genes": 100, "components": 8, "epochs": 40, "batch_size": 32}
QUICK |= {"dim": 8, "rna_hidden": (32,), "epi_hidden": (32,), "rna_lr": 1e-2, "epi_lr": 1e-2}


@pytest.fixture(scope="module")
def parts():
    from cytonym.data.simulate import simulate_multiome

    return simulate_multiome(300, 120, 3, seed=1, n_peaks=300, open_share=0.1)


@pytest.fixture(scope="module")
def unlabelled(parts):
    return cytonym.fit(parts, method="dcca", options=QUICK, progress=False)


def test_without_labels_a_fit_embeds_and_says_that_it_has_no_names(unlabelled, parts):
    assert unlabelled.label_names == []
    assert "270 cells without labels" in str(unlabelled.report)
    assert "30 others, held out, said when to stop" in str(unlabelled.report)
    found = unlabelled.embed(parts, progress=False)
    assert found.joint.shape == (300, 8)
    assert [*found.views] == ["rna", "atac"]
    with pytest.raises(OptionError, match="fitted without labels"):
        unlabelled.annotate(parts, progress=False)


def test_auto_without_labels_is_dcca_and_sctrans_without_labels_is_refused(parts):
    model = cytonym.fit(parts, options={**QUICK, "epochs": 1}, progress=False)
    assert model.method.name == "dcca"
    with pytest.raises(OptionError, match="sctrans learns from labels"):
        cytonym.fit(parts, method="sctrans")


def test_codes_of_both_modalities_of_a_cell_are_nearer_than_those_of_two_cells(unlabelled, parts):
    views = unlabelled.embed(parts, progress=False).views
    own = np.linalg.norm(views["rna"] - views["atac"], axis=1).mean()
    other = np.linalg.norm(views["rna"] - views["atac"][::-1], axis=1).mean()
    assert own < 0.7 * other


def test_generated_peaks_follow_the_type_that_rna_has(unlabelled, parts):
    made = unlabelled.generate(parts["rna"], "atac")
    assert made.shape[0] == 300
    frame = made.frame()
    assert frame.to_numpy().min() >= 0
    assert frame.to_numpy().max() <= 1
    kinds = parts["rna"].obs["cell_type"].to_numpy()
    opened = parts["atac"].to_df()[frame.columns]
    for kind in np.unique(kinds):
        mine = frame[kinds == kind].mean() - frame[kinds != kind].mean()
        real = opened[kinds == kind].mean() - opened[kinds != kind].mean()
        assert np.corrcoef(mine, real)[0, 1] > 0.8
    some = made.frame(cells=made.cells[5:8], features=made.features[[7, 3]])
    np.testing.assert_allclose(some, frame.iloc[5:8, [7, 3]], rtol=1e-5)
    with pytest.raises(OptionError, match="1 of 2 features are not there: nothing"):
        made.frame(features=[made.features[0], "nothing"])
    with pytest.raises(OptionError, match="from atac, and the data have rna"):
        unlabelled.denoise(parts["rna"], modality="rna", source="atac")


def test_denoised_counts_are_nearer_to_the_type_s_mean_than_raw_ones(unlabelled, parts):
    clean = unlabelled.denoise(parts, modality="rna").frame()
    np.testing.assert_allclose(clean.sum(axis=1), 1e4, rtol=1e-3)
    kinds = parts["rna"].obs["cell_type"].to_numpy()
    raw = parts["rna"].to_df()[clean.columns]
    raw = raw.div(raw.sum(axis=1), axis=0) * 1e4
    means = raw.groupby(kinds).mean().loc[kinds].to_numpy()

    def far(x):
        return np.abs(np.log1p(x) - np.log1p(means)).mean()

    assert far(clean.to_numpy()) < 0.5 * far(raw.to_numpy())


def test_drawn_counts_have_the_asked_depth_and_are_whole_numbers(unlabelled, parts):
    rna = unlabelled.generate(parts["atac"], "rna").draw(seed=1, depth=500)
    assert np.asarray(rna.X.sum(axis=1)).mean() == pytest.approx(500, rel=0.02)
    assert (rna.X.data % 1 == 0).all()
    atac = unlabelled.generate(parts["rna"], "atac").draw(seed=1, depth=20)
    assert set(np.unique(atac.X.data)) == {1.0}
    assert np.asarray(atac.X.sum(axis=1)).mean() == pytest.approx(20, rel=0.1)
    assert "chr" in atac.var


@pytest.mark.parametrize("ending", [".h5ad", ".zarr"])
def test_a_decoded_matrix_is_written_by_blocks_and_reads_back(unlabelled, parts, tmp_path, ending):
    import anndata as ad

    clean = unlabelled.denoise(parts, modality="atac")
    out = tmp_path / f"clean{ending}"
    clean.write(out, progress=False)
    clean.write(out, progress=False)  # an older one is replaced
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        back = ad.read_h5ad(out) if ending == ".h5ad" else ad.read_zarr(out)
    want = clean.frame()
    assert [*back.obs_names] == [*want.index]
    assert "cell_type" in back.obs
    np.testing.assert_allclose(back.X.astype("f4"), want, rtol=2e-3, atol=1e-6)
    assert [one.name for one in tmp_path.iterdir()] == [out.name]


def test_a_decoded_matrix_replaces_neither_what_it_is_made_from_nor_a_folder(
    unlabelled, parts, tmp_path
):
    read = tmp_path / "cells.h5ad"
    parts["rna"].write_h5ad(read)
    before = read.read_bytes()
    made = unlabelled.generate(read, "atac")
    with pytest.raises(OptionError, match="is read too"):
        made.write(read, progress=False)
    assert read.read_bytes() == before
    for name in ("folder.h5ad", "folder.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis.txt").write_text("all of it")
        with pytest.raises(OptionError, match="is something else"):
            made.write(tmp_path / name, progress=False)
        assert (tmp_path / name / "thesis.txt").read_text() == "all of it"


def test_nothing_is_said_of_cells_without_a_value_to_decode_from(unlabelled, parts):
    rna, atac = parts["rna"][:150], parts["atac"][50:200]
    frame = unlabelled.generate({"rna": rna, "atac": atac}, "rna", source="atac").frame()
    known = np.isin(frame.index, atac.obs_names)
    assert 0 < known.sum() < len(known)
    assert frame[~known].isna().all(axis=None)
    assert frame[known].notna().all(axis=None)
    empty = rna.copy()
    kept = np.r_[np.zeros(3), np.ones(147)][:, None]
    empty.X = csr_matrix(kept * empty.X.toarray(), dtype=np.float32)
    made = unlabelled.generate(empty, "atac")
    assert made.frame().isna().all(axis=1).sum() == 3
    assert [*made.draw().obs_names] == [*rna.obs_names[3:]]


def test_the_weights_of_a_turn_are_those_with_the_least_loss_on_held_out_cells(parts):
    labels = parts["rna"].obs["cell_type"].astype(object).where(np.arange(300) < 60, None)
    known = {name: one.copy() for name, one in parts.items()}
    for one in known.values():
        one.obs["some"] = labels
    model = cytonym.fit(
        known, labels="some", method="dcca", options={**QUICK, "epochs": 12}, progress=False
    )
    report = model.report
    assert report.n_reference + report.n_held_out == 60
    assert report.n_reference + report.n_unlabelled <= 270
    names = [row for row in report.history if row["stage"] == "names"]
    table = report.table.loc["dcca", "accuracy"]
    assert names[-1]["held_out_accuracy"] == pytest.approx(table)
    turns = [row for row in report.history if row["stage"] == "rna"]
    assert all(np.isfinite(row["held_out_loss"]) for row in turns)


def test_the_held_out_loss_does_not_depend_on_the_blocks(unlabelled, parts):
    from cytonym.fitting.run import held_loss

    feed = unlabelled.opened(parts, Reading()).feed
    stage = get("dcca").stages(unlabelled.options, [])[0]
    whole = held_loss(unlabelled.net, stage, feed)["held_out_loss"]
    (_, batch), *_ = feed.batches(300)
    clock = Clock(stage.name, stage.epochs, 1.0, 0)
    with torch.no_grad():
        want = stage.steps[0].loss(unlabelled.net, batch, clock)["total"].item()
        halves = [
            stage.steps[0].loss(unlabelled.net, half, clock)["total"].item()
            for _, half in feed.batches(150)
        ]
    assert whole == pytest.approx(want, rel=1e-5)
    assert whole == pytest.approx(np.mean(halves), rel=1e-5)


def test_both_modalities_are_written_as_mudata(unlabelled, parts, tmp_path):
    import mudata

    from cytonym.decoding import write_decoded

    both = [unlabelled.denoise(parts, modality=name) for name in ("rna", "atac")]
    write_decoded(both, tmp_path / "clean.h5mu", progress=False)
    with warnings.catch_warnings():  # mudata speaks of its next version
        warnings.simplefilter("ignore")
        back = mudata.read_h5mu(tmp_path / "clean.h5mu")
    np.testing.assert_allclose(back["rna"].X, both[0].frame(), rtol=1e-5)
    np.testing.assert_allclose(back["atac"].X, both[1].frame(), rtol=1e-5, atol=1e-7)
    with pytest.raises(OptionError, match=r"\.zarr or \.h5mu for several"):
        write_decoded(both, tmp_path / "clean.h5ad")


def test_with_little_memory_fewer_cells_are_decoded_at_once(unlabelled, parts, monkeypatch):
    whole = unlabelled.denoise(parts, modality="atac")
    widths = unlabelled.opened(parts, Reading()).feed.inputs.widths
    one = 4 * (5 * whole.shape[1] + sum(widths.values()))
    held = 1000 + 350 * 300
    monkeypatch.setattr("cytonym.decoding.resident", lambda: 1000)
    few = unlabelled.denoise(parts, modality="atac", max_memory=held + 17 * one)
    assert [len(rows) for rows, _ in few.blocks()] == [17] * 17 + [11]
    np.testing.assert_allclose(few.frame(), whole.frame(), rtol=1e-5)
    assert unlabelled.generate(parts["rna"], "atac", max_memory="40GB").size == 512
    refused = f"Decoding {whole.shape[1]} features of 16 cells takes about .* give as much"
    with pytest.raises(OptionError, match=refused):
        unlabelled.denoise(parts, modality="atac", max_memory=held + 16 * one - 1)


def test_chunks_on_disk_are_what_is_decoded_at_once(unlabelled, parts, tmp_path):
    few = replace(unlabelled.denoise(parts, modality="rna"), size=64)
    few.write(tmp_path / "few.zarr", progress=False)
    assert zarr.open_group(tmp_path / "few.zarr")["X"].chunks[0] == 64
    few.write(tmp_path / "few.h5ad", progress=False)
    with h5py.File(tmp_path / "few.h5ad") as file:
        assert file["X"].chunks[0] == 64
        np.testing.assert_allclose(file["X"], few.frame(), rtol=1e-6)


def test_a_matrix_for_which_the_disk_has_no_room_is_not_begun(
    unlabelled, parts, tmp_path, monkeypatch
):
    clean = unlabelled.denoise(parts, modality="rna")
    needed = 4 * 300 * clean.shape[1]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
    with pytest.raises(CytonymError, match=r"a matrix of .* does not fit into"):
        clean.write(tmp_path / "clean.h5ad", progress=False)
    assert [*tmp_path.iterdir()] == []


def test_the_matrix_of_many_cells_is_never_computed_at_once(unlabelled, parts, monkeypatch):
    monkeypatch.setattr("cytonym.decoding.LARGEST", 1000)
    clean = unlabelled.denoise(parts, modality="atac")
    with pytest.raises(OptionError, match="at most 1,000 are computed at once"):
        clean.frame()
    assert clean.frame(cells=clean.cells[:3]).shape == (3, clean.shape[1])


def test_scmoanno_names_cells_of_rna_alone_with_peaks_that_dcca_made(unlabelled, parts):
    tiny = {
        "rna_components": 10,
        "atac_components": 8,
        "atac_weight": 0.3,
        "dim": 16,
        "token": 8,
        "heads": 2,
        "hidden": 16,
        "pretrain_epochs": 4,
        "epochs": 4,
        "batch_size": 48,
    }
    model = cytonym.fit(
        parts, labels="cell_type", method="scmoanno", options=tiny, validation=0, progress=False
    )
    calls = model.annotate(parts["rna"], generate_missing=unlabelled, progress=False)
    assert (calls.labels == parts["rna"].obs["cell_type"]).mean() > 0.9
    assert any("atac was not measured: generated from rna by dcca" in one for one in calls.notes)
    with pytest.raises(OptionError, match="neither denoises nor generates"):
        model.annotate(parts["rna"], generate_missing=model, progress=False)


def test_data_without_a_second_modality_or_with_two_are_refused(parts):
    with pytest.raises(DataError, match="dcca learns from atac or methylation"):
        cytonym.fit(parts["rna"], method="dcca", progress=False)
    few = {name: one[:10].copy() for name, one in parts.items()}
    with pytest.raises(DataError, match="10 cells have all of rna, atac"):
        cytonym.fit(few, method="dcca", progress=False)
