"""What sctrans promises beyond what every method does."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import cytonym
from cytonym.data.loader import SourceBlocks
from cytonym.data.read import open_cells
from cytonym.data.simulate import simulate
from cytonym.errors import OptionError
from cytonym.methods import get
from cytonym.methods.sctrans import build_mask, light_loss, main_loss, names_mask
from cytonym.prep import fit_chain
from cytonym.train.weights import only
from cytonym.types import Batch, Clock

CLOCK = Clock("joint", 0, 0.5, 42)
LITERAL = [
    {"contrast_form": "eq8"},
    {"classification": "bce"},
    {"mutual": True},
    {"contrast_on": "scores"},
    {"projection": "shared"},
    {"concat_blocks": True},
    {"scales": (1,)},
    {"gene_dropout": 0.0},
    {"label_smoothing": 0.1},
]


def total(net, batch, loss=main_loss):
    return loss(net, batch, CLOCK)["total"]


@pytest.mark.parametrize("change", LITERAL, ids=str)
def test_every_literal_option_changes_the_loss_and_has_finite_gradients(small, change):
    batch, net = small.batch(), small.net(**change)
    loss = total(net, batch)
    assert loss.item() != pytest.approx(total(small.net(), batch).item(), abs=1e-4)
    loss.backward()
    grads = [p.grad for p in net.main.parameters()]
    assert all(g is not None and torch.isfinite(g).all() for g in grads)


def test_the_optional_losses_can_be_switched_off_and_are_not_computed(small):
    net = small.net(contrast=0.0, completion=0.0, light=False, linear_path=False)
    assert net.light is None
    assert net.linear is None
    assert net.main.decoder is None
    assert [*main_loss(net, small.batch(), CLOCK)] == ["total", "classification"]
    names = [stage.name for stage in get("sctrans").stages(net.options, [100])]
    assert names == ["joint"]


@pytest.mark.parametrize("order", ["given", "coexpression", "random"])
def test_each_order_of_the_genes_reads_the_same_40_genes(order, small):
    cells = open_cells(simulate(90, 60, 3, seed=0, markers_per_type=10, depth=500))
    blocks = SourceBlocks(cells, "rna", np.arange(90))
    panels = {}
    for one in ("given", order):
        chain = get("sctrans").features(small.options(genes=40, order=one, smooth_alpha=0.5))
        stream = fit_chain(chain["rna"], blocks)
        panels[one] = [*stream.space.names]
        assert np.concatenate([*stream]).shape == (90, 40)
    assert {*panels[order]} == {*panels["given"]}
    assert len(panels[order]) == 40
    assert (panels[order] == sorted(panels[order])) == (order == "given")


@pytest.mark.parametrize("hidden", [0, 2, 4])
def test_genes_of_a_masked_token_do_not_influence_the_answer(small, hidden):
    net, batch = small.net(), small.batch()
    visible = torch.ones(12, 5, dtype=torch.bool)
    visible[:, hidden] = False
    answers = []
    for extra in (0.0, 50.0):
        x = batch.x["rna"].clone()
        x[:, 4 * hidden : 4 * hidden + 4] += extra
        filled, tokens, _ = net.look(x)
        z, *_ = net.encode(tokens, visible)
        answers.append(net.join(net.main.names(z), filled, visible))
    torch.testing.assert_close(*answers, rtol=0, atol=0)
    x = batch.x["rna"].clone()
    x[:, 4 * ((hidden + 1) % 5)] += 50.0
    filled, tokens, _ = net.look(x)
    z, *_ = net.encode(tokens, visible)
    assert not torch.allclose(net.join(net.main.names(z), filled, visible), answers[0])


def test_a_gene_that_is_hidden_or_missing_does_not_influence_the_answer(small):
    net, batch = small.net(), small.batch()
    hide = torch.zeros(12, 18, dtype=torch.bool)
    hide[:, 5] = True
    louder = batch.x["rna"].clone()
    louder[:, 5] += 50.0
    missing = batch.x["rna"].clone()
    missing[:, 5] = torch.nan
    plain, loud, lost = (
        net.look(batch.x["rna"], hide),
        net.look(louder, hide),
        net.look(missing),
    )
    for one, other, third in zip(plain, loud, lost, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, third)


@pytest.mark.parametrize(("share", "masked"), [(0.0, 0), (0.25, 1), (0.5, 2), (0.75, 4)])
def test_a_mask_hides_its_share_of_5_tokens_and_other_ones_in_other_cells(small, share, masked):
    shown = torch.ones(200, 5, dtype=torch.bool)
    batch = small.batch(200)
    visible = build_mask(batch, shown, share, 7)
    assert (visible.sum(1) == 5 - masked).all()
    if masked:
        np.testing.assert_allclose((~visible).float().mean(0), masked / 5, atol=0.12)
        assert not torch.equal(visible, build_mask(batch, shown, share, 800))


@pytest.mark.parametrize("keep", [0.2, 0.5, 0.7, 1.0])
def test_the_second_pass_reads_exactly_the_share_of_tokens_with_the_largest_m(small, keep):
    net, batch = small.net(keep=keep), small.batch(30)
    _, tokens, shown = net.look(batch.x["rna"])
    kept = net.select(tokens, shown, keep)
    assert (kept.sum(1) == round(keep * 5)).all()
    _, _, before, visible = net.encode(tokens, shown)
    coefficient = net.by_token(net.salience(before, visible))
    least = coefficient.masked_fill(~kept, 2).min(1).values
    most = coefficient.masked_fill(kept, -1).max(1).values
    assert (least >= most).all()
    method = get("sctrans")
    whole = method.predict(small.net(), batch).scores
    assert torch.allclose(method.predict(net, batch).scores, whole) == (keep == 1)


def test_the_second_pass_never_keeps_a_token_that_was_not_measured(small):
    net, batch = small.net(keep=0.6), small.batch(30, missing=range(8))
    _, tokens, shown = net.look(batch.x["rna"])
    kept = net.select(tokens, shown, 0.6)
    assert not kept[:, :2].any()
    assert kept[:, 2:].all()


def test_a_model_that_selects_learns_half_of_the_cells_from_their_most_salient_tokens(small):
    net, batch = small.net(keep=0.2, mask_names=0.0), small.batch(200)
    _, tokens, shown = net.look(batch.x["rna"])
    visible = names_mask(net, batch, tokens, shown, CLOCK)
    whole = visible.all(1)
    # Half show all; of the rest a share between .2 and 1 is rounded to tokens: 5 of 5 for 1/8.
    assert whole.float().mean() == pytest.approx(0.5 + 0.5 / 8, abs=0.12)
    assert {*visible.sum(1).tolist()} == {1, 2, 3, 4, 5}
    for count in range(1, 5):
        cells = visible.sum(1) == count
        assert torch.equal(visible[cells], net.select(tokens, shown, count / 5)[cells])
    assert names_mask(small.net(mask_names=0.0), batch, tokens, shown, CLOCK).all()


def test_the_light_loss_teaches_the_light_encoder_and_the_main_loss_all_but_it(small):
    for loss, own in ((main_loss, "main"), (light_loss, "light")):
        net, batch = small.net(mutual=True), small.batch()
        with only(net, [*getattr(net, own).parameters()]):
            total(net, batch, loss).backward()
        for name, parameter in net.named_parameters():
            mine = name.startswith(f"{own}.")
            assert (parameter.grad is not None) == mine, name
        # Without the loop's guard, only the classifier C that both share could be reached.
        net = small.net(mutual=True)
        total(net, batch, loss).backward()
        reached = {name for name, p in net.named_parameters() if p.grad is not None}
        strangers = {name for name in reached if not name.startswith(f"{own}.")}
        assert {name.split(".")[1] for name in strangers} <= {"names"}


def test_the_pull_towards_a_share_of_salience_is_its_squared_distance(small):
    batch = small.batch()
    drawn = light_loss(small.net(salient_share=0.3), batch, CLOCK)
    free = light_loss(small.net(salient_share=None), batch, CLOCK)
    wanted = free["total"] + (drawn["salient_share"] - 0.3) ** 2
    torch.testing.assert_close(drawn["total"], wanted)


@pytest.fixture(scope="module")
def bare():
    """Cells, and a model of them without decoder and light encoder."""
    cells = simulate(60, 60, 3, seed=0, markers_per_type=10, depth=500)
    options = {
        "genes": "all",
        "smooth_alpha": 0.0,
        "smooth_k": 4,
        "unit_variance": False,
        "sub_vector": 10,
        "dim": 8,
    }
    options |= {"completion": 0.0, "light": False, "epochs": 2}
    fitted = cytonym.fit(cells, labels="cell_type", options=options, validation=0.0, progress=False)
    return cells, fitted


def test_a_model_without_a_light_encoder_says_that_it_has_no_sub_vectors(bare):
    assert len(bare[1].explain(top=2)) == 6
    with pytest.raises(OptionError, match="no sub-vectors"):
        bare[1].explain(by="sub_vectors")


def test_a_model_without_a_decoder_says_that_it_cannot_complete(bare):
    with pytest.raises(OptionError):
        bare[1].complete(bare[0])


@pytest.fixture(scope="module")
def explained():
    """A model of 10 sub-vectors of 12 genes whose first 4 are the types' planted markers."""
    cells = simulate(240, 120, 4, seed=5, markers_per_type=12, depth=800)
    options = {
        "genes": "all",
        "smooth_alpha": 0.0,
        "smooth_k": 4,
        "unit_variance": False,
        "sub_vector": 12,
        "dim": 16,
    }
    options |= {"heads": 1, "decoder_dim": 16, "epochs": 12, "batch_size": 48, "lr": 5e-3}
    return cytonym.fit(cells, labels="cell_type", options=options, validation=0.0, progress=False)


def test_9_of_the_10_most_salient_genes_are_planted_markers_and_so_are_their_sub_vectors(
    explained,
):
    table = explained.explain(top=10)
    for code, (_, rows) in enumerate(table.groupby("type")):
        planted = {f"SIM{12 * code + i:04d}" for i in range(12)}
        assert len(planted & {*rows["gene"]}) >= 9  # chance is 1
        assert (np.diff(rows["score"]) <= 0).all()
    table = explained.explain(top=4, by="sub_vectors")
    assert (table["sub_vector"] < 4).mean() >= 0.6  # chance is 0.4
    assert table.iloc[0]["genes"].count(",") == 11
    assert 0 <= table["salience"].min() <= table["salience"].max() <= 1


def test_the_losses_of_the_first_3_steps_are_those_on_record_to_4_digits():
    folder = Path(__file__).parents[1] / "parity"
    spec = importlib.util.spec_from_file_location("steps", folder / "sctrans_first_steps.py")
    steps = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(steps)
    wanted = json.loads((folder / "sctrans_first_steps.json").read_text())
    found = steps.first_steps()
    assert len(found) == len(wanted) == 3
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_a_batch_of_which_a_cell_lacks_every_label_gives_the_losses_without_names(small):
    batch = small.batch()
    none = Batch(batch.x, {}, batch.present, torch.full_like(batch.y, -1), batch.domain, batch.key)
    losses = main_loss(small.net(), none, CLOCK)
    assert losses["classification"].item() == losses["contrast"].item() == 0
    assert losses["completion"].item() > 0


def test_small_types_are_helped_by_logits_where_a_type_has_fewer_than_20_cells_in_the_mean():
    method = get("sctrans")

    def helped(sizes, **given):
        main = method.stages(method.Options(**given), sizes)[-1].steps[0].loss
        return main.keywords["even"].offset is not None

    assert helped([30, 9])
    assert not helped([30, 10])
    assert not helped([30, 9], balance="none")
    assert not helped([30, 9], classification="bce")


def test_a_fit_decides_once_whether_small_types_are_helped_and_says_so():
    cells = simulate(105, 150, 6, seed=0)  # 17.5 of a type
    model = cytonym.fit(
        cells, labels="cell_type", method="sctrans", options={"epochs": 1}, progress=False
    )
    assert model.options.balance == "logits"
    assert any(
        note.startswith("balance auto: 105 labelled cells of 6") for note in model.report.notes
    )
