"""scMoAnno: fusions, gates, attention among cells and its bank, missing modalities."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression
from torch import nn

import cytonym
from cytonym.data.simulate import simulate_multiome
from cytonym.methods import get
from cytonym.methods.scmoanno import (
    ATAC,
    OTHER,
    RNA,
    Bank,
    Cells,
    Gate,
    ScMoAnnoNet,
    given,
    hidden,
    linear_loss,
    pretrain_loss,
    sinusoids,
    split,
)
from cytonym.nn.losses import Balance
from cytonym.types import Batch, Clock

SIZES = [20, 15, 5]


def options(**given):
    small = {"dim": 12, "token": 4, "heads": 2, "hidden": 8, "atac_weight": 0.5, "bank": 8}
    return get("scmoanno").Options(**{**small, **given})


def net(widths=(9, 7), **given):
    torch.manual_seed(0)
    built = get("scmoanno").build(dict(zip((RNA, ATAC), widths, strict=True)), 3, options(**given))
    return built.eval()


def batch(n=40, seed=0, widths=(9, 7)):
    rng = torch.Generator().manual_seed(seed)
    y = torch.repeat_interleave(torch.arange(3), torch.tensor(SIZES))
    y = y[torch.randperm(40, generator=rng)]
    x = {
        name: torch.randn(40, width, generator=rng)
        for name, width in zip((RNA, ATAC), widths, strict=True)
    }
    there = {name: torch.ones(40, dtype=torch.bool) for name in (RNA, ATAC)}
    whole = Batch(x, {}, there, y, torch.zeros(40, dtype=torch.int64), torch.arange(40))
    return take(whole, torch.arange(n))


def take(whole, rows):
    return Batch(
        {name: x[rows] for name, x in whole.x.items()},
        {},
        {name: there[rows] for name, there in whole.present.items()},
        whole.y[rows],
        whole.domain[rows],
        whole.key[rows],
    )


def without(whole, modality, rows=slice(None)):
    there = {name: one.clone() for name, one in whole.present.items()}
    there[modality][rows] = False
    return Batch(whole.x, {}, there, whole.y, whole.domain, whole.key)


def scores(network, cells):
    with torch.no_grad():
        return get("scmoanno").predict(network, cells).scores


def filled(network):
    """One epoch's worth of cells offered to the bank."""
    clock = Clock("pretrain", 0, 0.0, 1)
    pretrain_loss(network, batch(), clock, sizes=SIZES, even=Balance())
    return network


# --- pieces ---------------------------------------------------------------------------------------


def test_a_vector_is_split_into_consecutive_tokens_and_filled_up_with_zeros():
    tokens = split(torch.arange(10.0)[None], 4)
    assert tokens.tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]]


def test_positions_are_the_sinusoids_of_vaswani():
    table = sinusoids(3, 4)
    assert table[0].tolist() == [0, 1, 0, 1]
    torch.testing.assert_close(
        table[2, :2], torch.tensor([np.sin(2.0), np.cos(2.0)], dtype=torch.float32)
    )
    torch.testing.assert_close(table[2, 2], torch.tensor(np.sin(2 / 100.0), dtype=torch.float32))


def test_a_gate_starts_at_its_share_and_learns_only_if_told():
    a, b = torch.ones(2), torch.zeros(2)
    torch.testing.assert_close(Gate(0.9, learned=True)(a, b), torch.full((2,), 0.9))
    assert Gate(0.9, learned=True).logit.requires_grad
    assert [*Gate(0.9, learned=False).parameters()] == []  # an optimiser cannot move it


def test_fused_features_are_the_gated_sum_of_the_own_and_the_attended():
    """F = w X + (1 - w) MHA(X, X', X'), with torch's attention on the tokens by hand."""
    network, cells = net(), batch(5)
    inner = network.pretrain
    x, there = given(cells)
    with torch.no_grad():
        own = {name: split(inner.enter[name](x[name]), 4) for name in OTHER}
        fused = inner.fused(x, there)
        for name, other in OTHER.items():
            q, k, v = (
                part.unflatten(2, (2, 2)).transpose(1, 2)
                for part in nn.functional.linear(
                    torch.cat([own[name], own[other]], dim=1),
                    inner.attention.in_proj_weight,
                    inner.attention.in_proj_bias,
                ).chunk(3, dim=2)
            )
            q, k, v = q[:, :, :3], k[:, :, 3:], v[:, :, 3:]
            weight = (q @ k.transpose(2, 3) / 2**0.5).softmax(3)
            attended = inner.attention.out_proj((weight @ v).transpose(1, 2).flatten(2))
            torch.testing.assert_close(fused[name], 0.5 * own[name] + 0.5 * attended)


@pytest.mark.parametrize("attend", ["token", "cells"])
def test_the_three_fusions_differ_and_direct_fusion_is_the_input(attend):
    cells = batch(6)
    x, there = given(cells)
    with torch.no_grad():
        found = {
            how: filled(net(fusion=how, attend=attend)).pretrain.fused(x, there)
            for how in ("cross", "self", "direct")
        }
        plain = net(fusion="direct").pretrain
        torch.testing.assert_close(found["direct"][RNA], split(plain.enter[RNA](x[RNA]), 4))
    assert not torch.allclose(found["cross"][RNA], found["self"][RNA])
    assert not torch.allclose(found["self"][RNA], found["direct"][RNA])


def test_self_fusion_does_not_see_the_other_modality():
    cells = batch(6)
    x, there = given(cells)
    other = {RNA: x[RNA], ATAC: x[ATAC] + 1}
    for how, same in (("self", True), ("cross", False)):
        inner = net(fusion=how).pretrain
        with torch.no_grad():
            a, b = inner.fused(x, there), inner.fused(other, there)
        assert torch.equal(a[RNA], b[RNA]) is same


# --- modality dropout, missing modalities ---------------------------------------------------------


def test_modality_dropout_hides_one_modality_of_its_share_and_never_both():
    _, there = hidden(batch(), 0.3, seed=5)
    gone = {name: (~one).float().mean().item() for name, one in there.items()}
    assert 0.1 < gone[RNA] < 0.5
    assert 0.1 < gone[ATAC] < 0.5
    assert (there[RNA] | there[ATAC]).all()
    x, all_there = hidden(batch(), 0.0, seed=5)
    assert all_there[RNA].all()
    assert torch.equal(x[RNA], batch().x[RNA])
    alone = without(batch(), ATAC)
    assert hidden(alone, 0.5, seed=5)[1][RNA].all()  # what is alone is never hidden
    _, half = hidden(batch(), 0.5, seed=5)
    assert (half[RNA] ^ half[ATAC]).all()
    with pytest.raises(ValidationError, match=r"less than or equal to 0\.5"):
        options(modality_dropout=0.6)


@pytest.mark.parametrize("attend", ["token", "cells"])
@pytest.mark.parametrize("missing", [RNA, ATAC])
def test_what_stands_where_a_modality_is_missing_changes_nothing(missing, attend):
    network = filled(net(attend=attend))
    cells = without(batch(12), missing, slice(4))
    noise = {**cells.x, missing: cells.x[missing].clone()}
    noise[missing][:4] = 1e3
    other = Batch(noise, {}, cells.present, cells.y, cells.domain, cells.key)
    torch.testing.assert_close(scores(network, cells), scores(network, other))
    assert not torch.allclose(scores(network, cells)[:4], scores(network, batch(12))[:4])


def test_the_transformers_have_half_of_the_scores_and_of_atac_alone_their_atac_share():
    network = net(atac_share=0.2)
    nn.init.normal_(network.linear.maps["both"].weight)
    nn.init.normal_(network.linear.maps["rna"].weight)
    nn.init.normal_(network.linear.maps["atac"].weight)
    for missing, share in {RNA: 0.2, ATAC: 0.5, None: 0.5}.items():
        cells = batch(12) if missing is None else without(batch(12), missing)
        x, there = given(cells)
        with torch.no_grad():
            whole = network.whole(x)
            own = network.final(network.pretrain.fused(whole, there), there)[1]
            linear = network.linear(x, whole, there)
        torch.testing.assert_close(scores(network, cells), share * own + (1 - share) * linear)


# --- attention among cells ------------------------------------------------------------------------


@pytest.mark.parametrize("attend", ["token", "cells"])
def test_an_answer_does_not_depend_on_the_neighbours_nor_on_their_order(attend):
    network, cells = filled(net(attend=attend)), batch(40)
    whole = scores(network, cells)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(scores(network, take(cells, order)), whole[order])
    torch.testing.assert_close(scores(network, take(cells, torch.tensor([7]))), whole[[7]])


def test_without_a_bank_an_answer_depends_on_the_neighbours_as_published():
    network, cells = net(attend="cells", bank=None), batch(40)
    whole = scores(network, cells)
    alone = scores(network, take(cells, torch.tensor([7])))
    assert (whole[[7]] - alone).abs().max() > 1e-3
    other = take(cells, torch.arange(20))
    assert (scores(network, other) - whole[:20]).abs().max() > 1e-3


def test_the_bank_holds_each_type_by_its_share_whatever_the_order_of_the_offers():
    held = []
    for order in (torch.arange(40), torch.arange(39, -1, -1)):
        bank, cells = Bank(8, {RNA: 9, ATAC: 7}), take(batch(), order)
        for rows in torch.arange(40).split(7):
            part = take(cells, rows)
            bank.offer(part.key, part.y, Cells(part.x, part.present), SIZES)
            bank.offer(part.key, part.y, Cells(part.x, part.present), SIZES)  # no cell twice
        held.append(bank)
    first, second = ({*bank.get_buffer("key").tolist()} for bank in held)
    assert first == second
    assert len(first) == 8
    assert np.bincount(held[0].get_buffer("y")).tolist() == [4, 3, 1]
    place = held[0].get_buffer("key")
    torch.testing.assert_close(held[0].cells().x[RNA], batch().x[RNA][place])


def test_a_bank_that_is_not_full_and_unlabelled_cells_do_no_harm():
    bank, cells = Bank(8, {RNA: 9, ATAC: 7}), batch(3)
    y = torch.tensor([0, -1, 1])
    bank.offer(cells.key, y, Cells(cells.x, cells.present), SIZES)
    assert sorted(bank.get_buffer("key").tolist()) == [-1] * 6 + [0, 2]
    network = net(attend="cells")  # an empty bank: a cell attends to itself
    assert torch.isfinite(scores(network, batch(5))).all()


def test_a_reference_without_rna_builds_a_network_that_reads_atac_alone():
    network = get("scmoanno").build({ATAC: 7}, 3, options())
    cells = batch(6)
    alone = Batch(
        {ATAC: cells.x[ATAC]}, {}, {ATAC: cells.present[ATAC]}, cells.y, cells.domain, cells.key
    )
    assert isinstance(network, ScMoAnnoNet)
    assert [*network.linear.maps] == [ATAC]
    assert scores(network.eval(), alone).shape == (6, 3)


def test_options_that_cannot_be_built_are_refused():
    kind = get("scmoanno").Options
    with pytest.raises(ValidationError, match="token 30 must be a multiple of heads 4"):
        kind(token=30)
    with pytest.raises(ValidationError, match="dim 66 must be a multiple of heads 4"):
        kind(dim=66, attend="cells")
    with pytest.raises(ValidationError, match="must hold at least two tokens"):
        kind(dim=32)


def test_the_linear_map_of_a_modality_that_few_cells_have_is_sklearn_s_of_these_cells():
    """60 of 300 cells have ATAC: the penalty is that of all 60, whatever the others."""
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = {
        RNA: torch.tensor(rng.standard_normal((300, 9)), dtype=torch.float64),
        ATAC: torch.tensor(
            np.eye(3)[y] @ rng.standard_normal((3, 7)) + rng.standard_normal((300, 7))
        ),
    }
    there = {RNA: torch.ones(300, dtype=torch.bool), ATAC: torch.arange(300) < 60}
    cells = Batch(x, {}, there, torch.from_numpy(y), torch.zeros(300, dtype=torch.int64),
                  torch.arange(300))  # fmt: skip
    network = net(atac_weight=1.0).double()
    solver = torch.optim.LBFGS(
        network.linear.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_change=0
    )

    def closure():
        solver.zero_grad()
        clock = Clock("linear", 0, 0.0, 1)
        loss = linear_loss(network, cells, clock, n_cells=300, even=Balance())["total"]
        loss.backward()
        return loss

    solver.step(closure)
    theirs = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10).fit(x[ATAC][:60], y[:60])
    ours = network.linear.maps[ATAC].weight.detach().numpy()
    np.testing.assert_allclose(ours, theirs.coef_, atol=1e-4)


def test_a_fit_decides_what_is_auto_before_anything_is_checked():
    parts = simulate_multiome(150, 80, 3, seed=0, n_peaks=160)
    small = {"pretrain_epochs": 1, "epochs": 1, "dim": 16, "token": 8, "heads": 2, "hidden": 16}
    model = cytonym.fit(parts, labels="cell_type", options=small, validation=0, progress=False)
    assert model.method.name == "scmoanno"
    assert model.options.atac_weight != "auto"
    assert len(model.report.chosen) > 1
