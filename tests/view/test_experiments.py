"""Plots of experiments: what is drawn, and what is said of what is not."""

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("matplotlib")

from cytonym.view.experiments import MOST_BARS, figure_of


def test_a_curve_is_the_mean_of_seeds_not_of_their_draws():
    rows = [
        {"data": "x", "way": "a", "seed": seed, "kept": kept, "accuracy": seed + draw}
        for seed, draws in ((0, (0.1, 0.3)), (1, (0.2,)))
        for draw in draws
        for kept in (0.5, 1.0)
    ]
    figure = figure_of("kept", pd.DataFrame(rows), ["accuracy"], ["kept"])
    line = figure.axes[0].lines[0]
    assert line.get_xdata().tolist() == [0.5, 1.0]
    assert line.get_ydata() == pytest.approx([0.7, 0.7])  # of .2 and 1.2


def test_rows_that_do_not_fit_are_counted_on_the_plot():
    names = [f"motif {number}" for number in range(MOST_BARS + 5)]
    frame = pd.DataFrame({"data": "x", "motif": names, "way": "a", "seed": 0, "z": 1.0})
    figure = figure_of("bars", frame, ["z"], ["motif"])
    assert figure.axes[0].get_title(loc="left") == f"the first {MOST_BARS} of {len(names)} rows"


def test_a_confusion_table_has_a_panel_for_each_way_and_shares_of_the_true_type():
    rows = [
        {"data": "x", "way": way, "seed": 0, "known": known, "predicted": named, "cells": cells}
        for way in ("a", "b")
        for known, named, cells in (("B", "B", 3), ("B", "T", 1), ("T", "T", 4), ("T", "B", 0))
    ]
    figure = figure_of("confusion", pd.DataFrame(rows), ["cells"], ["known", "predicted"])
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in panels] == ["x, a", "x, b"]
    assert np.asarray(panels[0].images[0].get_array()) == pytest.approx(
        np.array([[0.75, 0.25], [0, 1]])
    )
