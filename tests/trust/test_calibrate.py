"""Temperature and calibration error against numbers worked by hand."""

import numpy as np
import pytest
from scipy.special import softmax

from cytonym.evaluate.reliability import calibration_error
from cytonym.trust import temperature, tempered


@pytest.fixture(scope="module")
def world():
    """Scores of 4,000 cells whose types were drawn by them; then made three times too sure."""
    rng = np.random.default_rng(0)
    scores = 2 * rng.standard_normal((4000, 5))
    y = np.array([rng.choice(5, p=p) for p in softmax(scores, axis=1)])
    return 3 * scores, y


def test_the_temperature_undoes_what_made_scores_too_sure(world):
    scores, y = world
    assert temperature(scores, y) == pytest.approx(3, rel=0.05)


def test_the_error_falls_with_the_temperature_and_no_name_changes(world):
    scores, y = world
    before, after = (tempered(scores, t) for t in (1.0, temperature(scores, y)))
    np.testing.assert_array_equal(before.argmax(1), after.argmax(1))
    error = [calibration_error(p.argmax(1) == y, p.max(1)) for p in (before, after)]
    assert error[0] > 0.15
    assert error[1] < 0.02


def test_a_temperature_for_each_cell(world):
    scores, _ = world
    t = np.array([1.0, 2.0, 4.0])
    want = [softmax(scores[i] / t[i]) for i in range(3)]
    np.testing.assert_allclose(tempered(scores[:3], t), want)


def test_the_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False, False, True])
    # bins of a tenth: 4 cells .95 sure and .75 right, 2 cells .55 sure and .5 right
    want = (4 * 0.2 + 2 * 0.05) / 6
    assert calibration_error(right, confidence, bins=10) == pytest.approx(want)


def test_without_errors_the_temperature_stays_in_its_bounds():
    y = np.arange(100) % 3
    scores = 2.0 * np.eye(3)[y]
    t = temperature(scores, y)
    assert 0.1 < t < 1
    assert tempered(scores, t).max() < 0.9999
