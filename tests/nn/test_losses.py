import math

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import cross_entropy

from cytonym.nn.losses import (
    balance,
    classification,
    classification_bce,
    contrast_eq8,
    distillation,
    supervised_contrast,
)

SCORES = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.5, 0.0], [0.0, 0.0, 3.0], [1.0, 1.0, 1.0]])
Y = torch.tensor([0, 1, 0, 2])

# Three cells on the unit circle: A and B of one type are 60° apart, C of another is at 90°
# from A and at 30° from B. cos: AB 0.5, AC 0, BC √3/2.
CIRCLE = torch.tensor([[1.0, 0.0], [0.5, math.sqrt(3) / 2], [0.0, 1.0]])
TYPES = torch.tensor([0, 0, 1])
TAU = 0.5


def test_cross_entropy_equals_torch_s_and_sklearn_s():
    ours = classification(SCORES, Y)
    torch.testing.assert_close(ours, cross_entropy(SCORES, Y))
    assert ours.item() == pytest.approx(log_loss(Y.numpy(), SCORES.softmax(1).numpy()), rel=1e-5)
    smooth = classification(SCORES, Y, smoothing=0.2)
    torch.testing.assert_close(smooth, cross_entropy(SCORES, Y, label_smoothing=0.2))


@pytest.mark.parametrize("loss", [classification, classification_bce])
def test_a_cell_without_a_label_adds_nothing_and_only_such_cells_give_0(loss):
    some = torch.tensor([0, -1, 0, -1])
    scores = SCORES.clone().requires_grad_(True)
    value = loss(scores, some)
    torch.testing.assert_close(value, loss(SCORES[[0, 2]], Y[[0, 2]]))
    value.backward()
    assert (scores.grad[[1, 3]] == 0).all()
    assert loss(SCORES, torch.full((4,), -1)).item() == 0


def test_bce_of_the_printed_equation_by_hand():
    # Softmax 0.75 and 0.25: cell 0 is right, -2 log 0.75; cell 1 is wrong, -2 log 0.25.
    scores = torch.tensor([[math.log(3.0), 0.0], [math.log(3.0), 0.0]])
    wanted = (-2 * math.log(0.75) - 2 * math.log(0.25)) / 2
    assert classification_bce(scores, torch.tensor([0, 1])).item() == pytest.approx(wanted)


def test_bce_of_a_hopeless_cell_is_large_and_finite():
    value = classification_bce(torch.tensor([[200.0, 0.0]]), torch.tensor([1]))
    assert value.item() == pytest.approx(-2 * math.log(1e-7), rel=0.05)


def test_supervised_contrast_of_three_cells_by_hand():
    # Anchor A: partner B (0.5/τ = 1), all others B and C (0): -1 + log(e¹ + e⁰).
    # Anchor B: partner A (1), all others A (1) and C (√3): -1 + log(e¹ + e^√3). C has none.
    a = -1 + math.log(math.exp(1) + 1)
    b = -1 + math.log(math.exp(1) + math.exp(math.sqrt(3)))
    found = supervised_contrast(3 * CIRCLE, TYPES, temperature=TAU)
    assert found.item() == pytest.approx((a + b) / 2, rel=1e-5)


def test_equation_8_of_three_cells_by_hand():
    # Anchor A: log e⁰ - log e¹ = -1. Anchor B: √3 - 1. C has no partner and is passed over.
    found = contrast_eq8(3 * CIRCLE, TYPES, temperature=TAU)
    assert found.item() == pytest.approx((-1 + math.sqrt(3) - 1) / 2, rel=1e-5)


def test_equation_8_adds_up_partners_above_the_line_where_supcon_takes_their_mean():
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    y = torch.tensor([0, 0, 0, 1])
    # Each of the three anchors: log e⁰ - log(2 e^{1/τ}).
    assert contrast_eq8(z, y, temperature=TAU).item() == pytest.approx(-math.log(2) - 2, rel=1e-5)
    one = -2 + math.log(2 * math.exp(2) + 1)
    assert supervised_contrast(z, y, temperature=TAU).item() == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("loss", [supervised_contrast, contrast_eq8])
@pytest.mark.parametrize("y", [[0, 1, 2], [-1, -1, -1], [0, -1, -1]])
def test_contrast_without_any_pair_is_0_with_gradients_of_0(loss, y):
    z = CIRCLE.clone().requires_grad_(True)
    value = loss(z, torch.tensor(y), temperature=TAU)
    assert value.item() == 0
    value.backward()
    assert (z.grad == 0).all()


@pytest.mark.parametrize("loss", [supervised_contrast, contrast_eq8])
def test_contrast_looks_at_labelled_cells_only_and_its_gradients_are_finite(loss):
    torch.manual_seed(0)
    z = torch.randn(10, 4)
    y = torch.tensor([0, 0, 1, 1, 2, -1, -1, 0, 1, -1])
    seen = y >= 0
    every = z.clone().requires_grad_(True)
    value = loss(every, y, temperature=0.1)
    torch.testing.assert_close(value, loss(z[seen], y[seen], temperature=0.1))
    value.backward()
    assert torch.isfinite(every.grad).all()
    assert (every.grad[~seen] == 0).all()


def test_distillation_is_the_divergence_of_the_student_from_the_teacher():
    torch.manual_seed(0)
    student, teacher = torch.randn(6, 4), torch.randn(6, 4)
    wanted = kl_divergence(Categorical(logits=teacher), Categorical(logits=student)).mean()
    torch.testing.assert_close(distillation(student, teacher), wanted)
    assert distillation(teacher, teacher).item() == pytest.approx(0, abs=1e-6)
    other = kl_divergence(Categorical(logits=student), Categorical(logits=teacher)).mean()
    assert abs(other - wanted) > 1e-3


def test_losses_of_bfloat16_scores_are_computed_in_float32():
    rough = SCORES.bfloat16()
    exact = [classification_bce(SCORES, Y), distillation(SCORES, SCORES.flip(0))]
    found = [classification_bce(rough, Y), distillation(rough, rough.flip(0))]
    np.testing.assert_allclose([f.item() for f in found], [e.item() for e in exact], rtol=1e-2)


def test_weights_are_those_of_sklearn_and_logits_shift_by_the_log_of_the_shares():
    sizes = [6, 3, 1]
    y = np.repeat([0, 1, 2], sizes)
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=y)
    np.testing.assert_allclose(balance(sizes, "weights").weight, theirs, rtol=1e-6)
    ours = classification(SCORES, Y, even=balance(sizes, "weights"))
    each = cross_entropy(SCORES, Y, reduction="none")
    wanted = (each * torch.tensor(theirs)[Y]).mean().float()
    torch.testing.assert_close(ours, wanted)
    shares = torch.tensor([0.6, 0.3, 0.1])
    ours = classification(SCORES, Y, even=balance(sizes, "logits"))
    torch.testing.assert_close(ours, cross_entropy(SCORES + shares.log(), Y))
    plain = classification(SCORES, Y)
    torch.testing.assert_close(classification(SCORES, Y, even=balance(sizes, "none")), plain)


def test_a_type_without_cells_has_a_finite_weight_and_offset():
    assert torch.isfinite(balance([5, 0], "weights").weight).all()
    assert torch.isfinite(balance([5, 0], "logits").offset).all()
