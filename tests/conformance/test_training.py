"""What every method promises about being trained."""

import copy
from dataclasses import replace

import pytest
import torch

from cytonym.train.loop import train
from cytonym.train.weights import only
from cytonym.types import Clock


class Killed(Exception):  # noqa: N818
    pass


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_the_loss_of_every_stage_is_lower_after_it_than_before(kit):
    net, stages, feed = kit.setup()
    for stage in stages:
        begin(net, stage, feed)
        if not stage.steps:  # takes cells in, and learns nothing
            continue
        moments = list(feed.epoch(stage, seed=(9,), rank=0, world=1))

        def total(net, stage=stage, moments=moments):
            clock = Clock(stage.name, stage.epochs, 1.0, 77)
            losses = [s.loss(net, batch, clock)["total"] for s in stage.steps for batch in moments]
            return sum(losses).item() / len(moments)

        before = total(net)
        train(net, [stage], feed, seed=0)
        least = 1.0 if stage.unlabelled else 0.9  # a likelihood has no natural zero
        assert total(net.train()) < least * before


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(kit):
    found = []
    for seed in (0, 0, 1):
        net, stages, feed = kit.setup(seed=seed)
        short = [replace(one, epochs=1) for one in stages]
        train(net, short, feed, seed=seed)
        found.append(weights(net))
    assert_same(found[0], found[1])
    if any(step.optim.solver != "lbfgs" for stage in stages for step in stage.steps):
        assert any(not torch.equal(found[0][name], found[2][name]) for name in found[0])


def test_a_fit_stopped_after_any_epoch_goes_on_to_bit_identical_weights(kit, tmp_path):
    net, stages, feed = kit.short()
    whole = copy.deepcopy(net)
    history = train(whole, stages, feed, seed=5)
    total = sum(stage.epochs for stage in stages)
    assert len(history.records) == total
    for last in range(1, total + 1):
        state = tmp_path / f"{last}.safetensors"

        def stop(done, facts, last=last):
            if done == last:
                raise Killed

        first, second = copy.deepcopy(net), copy.deepcopy(net)
        with pytest.raises(Killed):
            train(first, stages, feed, seed=5, state=state, on_epoch=stop)
        # Draws from the global generator in between must not matter.
        torch.rand(last)
        resumed = train(second, stages, feed, seed=5, state=state)
        assert_same(weights(second), weights(whole))
        assert resumed.records == history.records
        assert resumed.best_epochs == history.best_epochs


def begin(net, stage, feed):
    """What the loop does before a stage."""
    if stage.before is not None:
        stage.before(net.eval(), feed.whole(stage))
        net.train()


def each_step(kit):
    """Every step of every stage, with batches of an epoch and the clocks of the loop."""
    net, stages, feed = kit.setup()
    for stage in stages:
        begin(net, stage, feed)
        batches = [*feed.epoch(stage, seed=(0, 0, 0), rank=0, world=1)]
        clocks = [Clock(stage.name, 0, 0.5, 1000 + i) for i in range(len(batches))]
        for step in stage.steps:
            fresh = copy.deepcopy(net).train()
            yield fresh, step, [*zip(batches, clocks, strict=True)]


def test_gradients_reach_every_parameter_of_a_step_s_part_and_no_other(kit):
    for net, step, moments in each_step(kit):
        part = [*step.part(net).parameters()]
        own = {id(parameter) for parameter in part}
        with only(net, part):
            for batch, clock in moments:
                step.loss(net, batch, clock)["total"].backward()
        named = dict(net.named_parameters())
        reached = {n for n, p in named.items() if p.grad is not None and p.grad.abs().sum() > 0}
        wanted = {name for name, parameter in named.items() if id(parameter) in own}
        assert wanted
        assert sorted(wanted - reached) == []
        assert sorted(name for name in named.keys() - wanted if named[name].grad is not None) == []
        assert all(parameter.requires_grad for parameter in named.values())


def test_bfloat16_autocast_gives_finite_losses_and_gradients_near_those_of_float32(kit):
    for net, step, moments in each_step(kit):
        batch, clock = moments[0]
        with only(net, [*step.part(net).parameters()]):
            exact = step.loss(net, batch, clock)["total"]
            with torch.autocast("cpu", torch.bfloat16):
                rough = step.loss(net, batch, clock)["total"]
            rough.backward()
        assert torch.isfinite(rough)
        assert rough.item() == pytest.approx(exact.item(), rel=0.05, abs=0.02)
        grads = [p.grad for p in net.parameters() if p.grad is not None]
        assert grads
        assert all(torch.isfinite(grad).all() for grad in grads)


def test_every_loss_of_a_step_has_a_total_and_scalars_only(kit):
    for net, step, moments in each_step(kit):
        losses = step.loss(net, *moments[0])
        assert "total" in losses
        assert all(value.ndim == 0 for value in losses.values())
