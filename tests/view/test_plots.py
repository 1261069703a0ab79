"""Plots draw on the axes that they are given and leave nothing outside of the page."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cytonym.errors import CytonymError
from cytonym.evaluate import scores
from cytonym.view import confusion, embedding, genes, loss
from cytonym.view import plots as plots_file

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
from matplotlib.figure import Figure  # noqa: E402

NAMES = [f"CD{number}+ helper memory T" for number in range(12)]


@pytest.fixture
def axes():
    return Figure(figsize=(10, 6), layout="constrained").add_subplot()


def inside(axes) -> bool:
    figure = axes.figure
    figure.draw_without_rendering()
    page, box = figure.bbox, figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    return bool(box.x0 >= -1 and box.y0 >= -1 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1)


def test_confusion_shows_the_percent_of_each_row_and_clips_no_name(axes):
    frame = scores(["a"] * 4 + ["b"] * 2, list("aaab") + list("bb")).confusion
    frame = frame.rename(index={"a": NAMES[0]}, columns={"a": NAMES[0]})
    assert confusion(axes, frame) is axes
    assert {text.get_text() for text in axes.texts} == {"75", "25", "100"}
    assert axes.get_yticklabels()[0].get_text() == f"{NAMES[0]}  (4)"
    assert inside(axes)


def test_embedding_has_one_legend_entry_for_each_of_12_types_and_one_for_missing(axes):
    labels = pd.Series([*NAMES, None] * 10, dtype=object)
    xy = np.random.default_rng(0).normal(size=(130, 2))
    assert embedding(axes, xy, labels, confidence=np.linspace(0, 1, 130)) is axes
    assert len(axes.get_legend().get_texts()) == 13
    assert inside(axes)


def test_up_to_85_types_differ_in_colour_or_marker():
    assert len(set(plots_file.styles([str(n) for n in range(85)]).values())) == 85


def test_loss_marks_two_stages_and_puts_scores_on_the_right(axes):
    records = [
        {"stage": stage, "epoch": epoch, "total": 1 / (epoch + 1), "score": epoch / 5}
        for stage in ("first", "second")
        for epoch in range(5)
    ]
    assert loss(axes, records) is axes
    assert {text.get_text() for text in axes.texts} >= {"first", "second"}
    assert len(axes.figure.axes) == 2
    assert inside(axes)


def test_loss_of_no_epochs_says_so(axes):
    assert loss(axes, []).texts[0].get_text() == "no epochs"


def test_genes_draws_one_bar_for_each_gene_of_the_type(axes):
    table = pd.DataFrame(
        {"type": ["B"] * 3 + ["T"], "rank": [1, 2, 3, 1], "gene": list("xyzw"), "score": 1.0}
    )
    assert genes(axes, table, "B", top=2) is axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    assert inside(axes)
    with pytest.raises(CytonymError, match="No type 'b'"):
        genes(axes, table, "b")


def test_without_matplotlib_the_error_names_the_extra(axes, monkeypatch):
    monkeypatch.setattr(plots_file, "find_spec", lambda name: None)
    with pytest.raises(CytonymError, match=r"pip install '\.\[report\]' in a clone"):
        loss(axes, [])
