import copy
import logging
import math
import os
import signal

import pytest
import torch

from cytonym.errors import TrainingError
from cytonym.train.loop import train
from cytonym.train.stage import learning_rate, mix_seed
from cytonym.types import Optim


class Killed(Exception):  # noqa: N818
    pass


def assert_same(one, other):
    mine, theirs = one.state_dict(), other.state_dict()
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []


@pytest.mark.parametrize("bad", [0, 3])
def test_a_loss_that_is_nan_names_stage_epoch_and_batch(bad, toy):
    stages = [toy.stage("early", 1), toy.stage("late", 4)]
    # The toy's bad batch comes in the second epoch of a stage, so in the second stage.
    where = rf"not finite in stage 'late', epoch 2, batch {bad + 1} \(total nan, names nan\)"
    with pytest.raises(TrainingError, match=where):
        train(toy.net(), stages, toy.cells(bad=bad), seed=0)


def test_patience_of_2_ends_the_stage_and_the_best_epoch_s_weights_are_left(toy):
    scores = iter([0.1, 0.5, 0.4, 0.45, 0.9])
    seen = []

    def monitor(net, stage):
        seen.append(copy.deepcopy(net))
        assert not net.training
        return {"score": next(scores)}

    net = toy.net()
    history = train(net, [toy.stage(epochs=9, patience=2)], toy.cells(), seed=0, monitor=monitor)
    assert [record["score"] for record in history.records] == [0.1, 0.5, 0.4, 0.45]
    assert history.best_epochs == {"one": 2}
    assert_same(net, seen[1])


def test_without_patience_the_last_weights_are_left_whatever_the_scores(toy):
    net, other = toy.net(), toy.net()
    scores = iter([0.9, 0.1, 0.2])
    stage = [toy.stage(epochs=3)]
    history = train(
        net, stage, toy.cells(), seed=0, monitor=lambda net, stage: {"score": next(scores)}
    )
    train(other, stage, toy.cells(), seed=0)
    assert_same(net, other)
    assert history.best_epochs == {"one": 3}


def test_the_learning_rate_warms_up_over_a_tenth_and_falls_as_a_cosine_to_the_floor():
    optim = Optim(2.0, warmup=0.1, floor=0.25)
    assert learning_rate(optim, 0.0, 0) == pytest.approx(2.0 * 0.001 / 0.101)
    assert learning_rate(optim, 0.05, 0) == pytest.approx(2.0 * 0.051 / 0.101)
    assert learning_rate(optim, 0.1, 0) == pytest.approx(2.0)
    # Half of the way down: cos(π/2) = 0, a third of the way: cos(π/3) = 1/2.
    assert learning_rate(optim, 0.55, 0) == pytest.approx(2.0 * (0.25 + 0.75 * 0.5))
    assert learning_rate(optim, 0.4, 0) == pytest.approx(2.0 * (0.25 + 0.75 * 0.75))
    assert learning_rate(optim, 1.0, 0) == pytest.approx(2.0 * 0.25)
    assert learning_rate(Optim(2.0, warmup=0.0), 0.0, 0) == pytest.approx(2.0)


def test_a_learning_rate_in_steps_loses_a_tenth_every_10_epochs_down_to_the_floor():
    optim = Optim(2.0, decay="steps", floor=0.1)
    found = [learning_rate(optim, 0.5, epoch) for epoch in (0, 9, 10, 25, 300)]
    assert found == pytest.approx([2.0, 2.0, 1.8, 1.62, 0.2])


def test_the_average_of_weights_after_two_epochs_is_the_one_by_hand(toy):
    net, kept = toy.net(), []
    start = net.outer.weight.detach().clone()

    def loss(net, batch, clock):
        net.count += 1
        kept.append(net.outer.weight.detach().clone())
        total = torch.nn.functional.cross_entropy(net(batch.x["rna"]), batch.y)
        return {"total": total}

    stage = toy.stage(epochs=2, average=0.2, loss=loss)
    history = train(net, [stage], toy.cells(), seed=0)
    other = toy.net()
    train(other, [toy.stage(epochs=2)], toy.cells(), seed=0)
    after = [*kept[1:], other.outer.weight.detach()]  # weights after each of the 8 steps
    mean = start
    for moment, weight in enumerate(after):
        decay = min(0.2, (1 + moment) / (10 + moment))  # 0.1, 0.182, then 0.2
        mean = decay * mean + (1 - decay) * weight
    torch.testing.assert_close(net.outer.weight.detach(), mean)
    assert net.count.item() == 8  # not a weight: the last value, no mean
    assert len(history.records) == 2


def test_ctrl_c_ends_after_the_epoch_and_keeps_its_weights(toy, caplog):
    def press(done, facts):
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    net, other = toy.net(), toy.net()
    stages = [toy.stage("one", 5)]
    with caplog.at_level(logging.WARNING, "cytonym"):
        history = train(net, stages, toy.cells(), seed=0, on_epoch=press)
    assert history.interrupted
    assert [record["epoch"] for record in history.records] == [1, 2]
    assert history.best_epochs == {"one": 2}
    assert "Ctrl-C again" in caplog.text
    assert signal.getsignal(signal.SIGINT) is before

    def stop(done, facts):
        if done == 2:
            raise Killed

    with pytest.raises(Killed):
        train(other, stages, toy.cells(), seed=0, on_epoch=stop)
    assert_same(net, other)


def test_ctrl_c_before_the_last_stage_keeps_the_state_and_gives_no_network(toy, tmp_path):
    def press(done, facts):
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)

    stages, state = [toy.stage("one", 5), toy.stage("two", 5)], tmp_path / "fit.safetensors"
    net, other = toy.net(), toy.net()
    with pytest.raises(KeyboardInterrupt):
        train(net, stages, toy.cells(), seed=0, on_epoch=press, state=state)
    train(net, stages, toy.cells(), seed=0, state=state)
    train(other, stages, toy.cells(), seed=0)
    assert_same(net, other)


def test_a_second_ctrl_c_ends_at_once(toy):
    def press(done, facts):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(toy.net(), [toy.stage()], toy.cells(), seed=0, on_epoch=press)
    assert signal.getsignal(signal.SIGINT) is before


def test_resuming_keeps_patience_averages_and_two_optimisers_bit_for_bit(toy, tmp_path):
    stages = [
        toy.stage("one", 4, side=True, average=0.9, patience=2),
        toy.stage("two", 3, side=True, patience=9),
    ]

    def monitor(net, stage):
        return {"score": -abs(net.outer.weight.sum().item() - 0.3)}

    whole = toy.net()
    history = train(whole, stages, toy.cells(), seed=3, monitor=monitor)
    done = []
    train(
        toy.net(),
        stages,
        toy.cells(),
        seed=3,
        monitor=monitor,
        on_epoch=lambda d, _: done.append(d),
    )
    for last in done:

        def stop(now, facts, last=last):
            if now == last:
                raise Killed

        state = tmp_path / str(last)
        options = {"seed": 3, "monitor": monitor, "state": state}
        with pytest.raises(Killed):
            train(toy.net(), stages, toy.cells(), on_epoch=stop, **options)
        net = toy.net()
        again = train(net, stages, toy.cells(), **options)
        assert_same(net, whole)
        assert again.records == history.records
        assert again.best_epochs == history.best_epochs


def test_a_step_moves_its_part_and_nothing_else(toy):
    net, before = toy.net(), toy.net()
    train(net, [toy.stage(epochs=1)], toy.cells(), seed=0)
    assert torch.equal(net.side.weight, before.side.weight)
    assert not torch.equal(net.outer.weight, before.outer.weight)
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_a_fit_leaves_the_records_of_each_epoch_with_the_mean_loss_of_its_batches(toy):
    kept = []

    def loss(net, batch, clock):
        total = torch.nn.functional.cross_entropy(net(batch.x["rna"]), batch.y)
        kept.append((total.item(), clock))
        return {"total": total}

    history = train(toy.net(), [toy.stage(epochs=2, loss=loss)], toy.cells(), seed=0)
    means = [record["total"] for record in history.records]
    values, clocks = zip(*kept, strict=True)
    assert means == pytest.approx([math.fsum(values[:4]) / 4, math.fsum(values[4:]) / 4])
    assert [clock.progress for clock in clocks] == [i / 8 for i in range(8)]
    assert len({clock.seed for clock in clocks}) == 8
    assert clocks[5].epoch == 1


def test_mixed_seeds_of_1000_neighbouring_numbers_differ_and_fit_in_63_bits():
    seeds = {mix_seed(a, b, c) for a in range(10) for b in range(10) for c in range(10)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_lbfgs_finds_the_least_squares_answer_in_one_epoch(toy):
    from cytonym.types import Stage, Step

    def loss(net, batch, clock):
        aim = 3.0 * batch.x["rna"][:, :1] - batch.x["rna"][:, 1:] + 0.5
        found = batch.x["rna"] @ net.inner.weight[:1].T + net.inner.bias[:1]
        return {"total": (found - aim).square().mean()}

    net = toy.net()
    step = Step(loss, lambda net: net.inner, Optim(solver="lbfgs", iterations=50))
    train(net, [Stage("solve", (step,), 1, 16)], toy.cells(), seed=0)
    torch.testing.assert_close(net.inner.weight[0], torch.tensor([3.0, -1.0]), atol=1e-3, rtol=0)
    assert net.inner.bias[0].item() == pytest.approx(0.5, abs=1e-3)
