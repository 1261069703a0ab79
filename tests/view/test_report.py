"""The page about an annotation: its figures, its text, what it refuses."""

from __future__ import annotations

import base64
import json
import re
import sys
import warnings
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import cytonym
from cytonym.data.simulate import simulate, simulate_multiome
from cytonym.errors import CytonymError, DataError, ModelError, OptionError
from cytonym.evaluate import scores
from cytonym.evaluate.reliability import reliability
from cytonym.groups import vote
from cytonym.view.report import page as page_file
from cytonym.view.report.collect import collect
from cytonym.view.report.curves import line, stairs
from cytonym.view.report.words import percent

pytest.importorskip("jinja2")

KEY = "cell_type_pred"
HOSTILE = "<script>alert(1)</script>"
CLOSING = "</script><img src=x onerror=alert(2)>"


class Page(HTMLParser):
    """The tags of a page, its tables by caption, its scripts, its ids and headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.scripts: list[str] = []
        self.headings: list[int] = []
        self.text = ""
        self._rows: list[list[str]] = []
        self._open: list[str] = []
        self._caption = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self._rows, self._caption = [], ""
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")
        if tag == "script":
            self.scripts.append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self._open.append(tag)

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass
        if tag == "table":
            self.tables[self._caption] = self._rows

    def handle_data(self, data):
        if "script" in self._open:
            self.scripts[-1] += data
        elif "style" not in self._open:
            self.text += data
        if "caption" in self._open:
            self._caption += data
        elif self._rows and ("td" in self._open or "th" in self._open):
            self._rows[-1][-1] += data

    def table(self, start: str) -> list[list[str]]:
        """The rows of the table whose caption begins so."""
        return next(rows for caption, rows in self.tables.items() if caption.startswith(start))

    def cells(self) -> dict:
        return json.loads(self.scripts[0])


def made(data, tmp_path, **options) -> Page:
    out = cytonym.report(data, tmp_path / "page.html", **options)
    return Page(out.read_text(encoding="utf-8"))


# --- figures -----------------------------------------------------------------------------------


def test_the_composition_is_30_20_6_cells_of_three_types_and_4_unknown_last(annotated, tmp_path):
    rows = made(annotated, tmp_path).table("How many cells have each name")[1:]
    assert [(row[0], row[1], row[2]) for row in rows] == [
        ("B", "30", "50.0%"),
        (HOSTILE, "20", "33.3%"),
        (CLOSING, "6", "10.0%"),
        ("Unknown (no type)", "4", "6.7%"),
        ("all", "60", "100%"),
    ]


def test_the_summary_names_cells_types_unknown_confidence_and_features(annotated, tmp_path):
    page = made(annotated, tmp_path)
    for words in (
        "60 cells of the AnnData were given 3 types by the method sctrans.",
        "4 cells (6.7%) have no type: Unknown 4.",
        f"The mean confidence is {(30 * 0.95 + 20 * 0.65 + 6 * 0.85 + 4 * 0.25) / 60:.2f}; 6.7% of",
        "Of the reference's 400 rna features the data have 300 (75.0%).",
        "Types of the reference that no cell was given: never given.",
        "Only 75.0% of the reference's rna features are in the data",
        "Types with fewer than 10 cells: ",
    ):
        assert words in page.text


def test_a_page_that_takes_more_than_it_may_is_refused(annotated, tmp_path, monkeypatch):
    annotated.write_h5ad(tmp_path / "named.h5ad")
    drawn = 2 * annotated.obsm["X_sctrans"].nbytes
    monkeypatch.setattr("cytonym.view.report.cells.resident", lambda: 1000)
    needed = 1000 + 500 * 60
    for data, least in ((annotated, needed), (tmp_path / "named.h5ad", needed + drawn)):
        assert made(data, tmp_path, max_memory=least).text
        with pytest.raises(OptionError, match=r"A page about 60 cells takes about .* give as much"):
            made(data, tmp_path, max_memory=least - 1)


def test_a_map_in_half_precision_or_far_from_zero_is_drawn_as_in_double(annotated, tmp_path):
    places = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float16)
    drawn = {}
    for name, values in (("half", places), ("double", places.astype(np.float64))):
        for wide in (2, 6):
            annotated.obsm["X_umap"] = values[:, :wide]
            found = collect(annotated, model=None, truth=None, key=KEY, embedding="X_umap").picture
            x, y = (np.frombuffer(base64.b64decode(found.cells[axis]), "<u2") for axis in "xy")
            drawn[name, wide] = np.stack([x, y]).astype(int)
    for wide in (2, 6):
        assert np.abs(drawn["half", wide] - drawn["double", wide]).max() <= 40
    far = places.astype(np.float32) + np.float32(4096)
    annotated.obsm["X_umap"] = far
    found = collect(annotated, model=None, truth=None, key=KEY, embedding="X_umap").picture
    y = np.frombuffer(base64.b64decode(found.cells["y"]), "<u2").astype(int)
    assert abs(np.corrcoef(y, drawn["double", 6][1])[0, 1]) > 0.999


def test_calibration_error_of_four_and_two_cells_is_what_is_worked_out_by_hand():
    found = reliability([1, 1, 1, 0, 1, 0], [0.95] * 4 + [0.65] * 2)
    # 4/6 × |0.95 − 3/4| + 2/6 × |0.65 − 1/2|
    assert found.error == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.15)
    assert found.n.tolist() == [2, 4]
    assert found.accuracy.tolist() == [0.5, 0.75]


def test_a_confidence_of_0_or_1_and_one_class_only_have_a_calibration_error():
    assert reliability([1, 1], [1.0, 1.0]).error == 0
    assert reliability([0, 0], [0.0, 1.0]).error == pytest.approx(0.5)


def test_reliability_is_of_cells_with_a_type_and_a_known_label(annotated):
    truth = collect(annotated, model=None, truth="truth", key=KEY, embedding=None).truth
    assert truth is not None
    assert truth.n_reliability == 56
    # B: 27 of 30 right at .95; hostile 20 of 20 at .65; the third 6 of 6 at .85
    by_hand = (30 * abs(0.95 - 0.9) + 20 * 0.35 + 6 * 0.15) / 56
    assert truth.reliability.error == pytest.approx(by_hand, abs=1e-6)


def test_scores_are_those_of_evaluate_with_unknown_as_wrong_and_apart(annotated, tmp_path):
    page = made(annotated, tmp_path, truth="truth")
    said = annotated.obs[KEY].astype(object).where(annotated.obs[KEY] != "Unknown")
    wanted = scores(annotated.obs["truth"], said, known=annotated.uns[KEY]["types"])
    rows = {row[0]: row[1:] for row in page.table("Scores; macro F1")[1:]}
    assert rows["cells"] == ["59", "56"]
    assert rows["accuracy"] == [f"{wanted.accuracy:.3f}", f"{53 / 56:.3f}"]
    assert rows["macro F1"][0] == f"{wanted.macro_f1:.3f}"
    per_type = {row[0]: row[1:5] for row in page.table("Precision:")[1:]}
    assert per_type["B"] == ["30", "0.900", "0.900", "0.900"]
    heads, *rows = page.table("Cells by known label")
    assert heads[-1] == "without a type"
    counts = {row[0]: dict(zip(heads[1:], row[1:], strict=True)) for row in rows}
    assert counts["B"] == {"B": "27", HOSTILE: "", CLOSING: "", "without a type": "3"}
    assert counts[HOSTILE]["B"] == "3"


def test_batches_have_their_cells_confidence_and_accuracy_and_depth_is_no_batch(
    annotated, tmp_path
):
    page = made(annotated, tmp_path, truth="truth")
    rows = page.table("Cells, confidence and cells without a type, by donor")[1:]
    for row, name in zip(rows, ("D2", "D<i>1</i>"), strict=True):
        mine = annotated.obs[annotated.obs["donor"] == name]
        known = mine[mine["truth"].notna()]
        right = (known[KEY].astype(str) == known["truth"].astype(str)).mean()
        sure = mine[f"{KEY}_confidence"].mean()
        assert row == [name, "30", "6.7%", f"{sure:.2f}", percent(right)]
    assert not any("by depth" in caption for caption in page.tables)


def test_sets_votes_terms_and_populations_are_shown_where_they_are_there(annotated, tmp_path):
    plain = made(annotated, tmp_path)
    assert "Prediction sets" not in plain.text
    assert "New populations" not in plain.text
    annotated.obs[f"{KEY}_set"] = ["B"] * 30 + [f"B|{HOSTILE}"] * 26 + [""] * 4
    annotated.obs[f"{KEY}_majority_voting"] = pd.Categorical(["B"] * 60)
    annotated.obs["over_clustering"] = ["1", "2"] * 30
    annotated.obs[f"{KEY}_ontology_term_id"] = ["CL:0000236"] * 30 + [""] * 30
    markers = {"G<1>": 1.5, "G2": 1.0}
    annotated.uns[f"{KEY}_populations"] = {"new 1": {"cells": 1234, "markers": [*markers]}}
    page = made(annotated, tmp_path, truth="truth")
    sizes = page.table("Cells by the size of their set")[1:]
    assert [row[:2] for row in sizes] == [["0", "4"], ["1", "30"], ["2", "26"]]
    # right sets: 27 of the first 30, 20 hostile ones of the next 26 (the third type is not in it)
    assert f"Of 59 cells with a known label {percent(47 / 59)} have it in their set." in page.text
    assert "(2 clusters), 30 of 60 cells (50.0%) get another name." in page.text
    assert page.table("How many cells")[1][-1] == "CL:0000236"
    heads, row = page.table("New populations")
    assert heads == ["population", "cells", "markers"]
    assert row == ["new 1", "1,234", "G<1>, G2"]


def test_clusters_are_shown_with_their_agreement_the_least_first(annotated, tmp_path):
    names = annotated.obs[KEY].astype(str).to_numpy()
    found = vote(names, ["all"] * 40 + [HOSTILE] * 20)
    annotated.obs[f"{KEY}_majority_voting"] = found.labels
    annotated.uns[KEY]["votes"] = {"column": "", "min_prop": 0.0, "table": found.table}
    page = made(annotated, tmp_path)
    rows = page.table("Clusters that agree least")[1:]
    # 30 B and 10 of a hostile name in the first cluster; 10 of that, 6 and 4 in the second
    assert rows[0] == [HOSTILE, "20", HOSTILE, "50.0%", CLOSING, "30.0%"]
    assert rows[1] == ["all", "40", "B", "75.0%", HOSTILE, "25.0%"]
    assert "In a cluster 66.7% of the cells agree on its name" in page.text


def test_populations_may_be_a_table_or_columns_or_single_facts(annotated, tmp_path):
    frame = pd.DataFrame({"cells": [3, 4], "nearest": ["B", "T"]}, index=["p1", "p2"])
    for held in (
        frame,
        {"cells": [3, 4], "nearest": ["B", "T"]},
        {"cells": 3, "markers": ["a", "b"]},
    ):
        annotated.uns[f"{KEY}_populations"] = held
        assert len(made(annotated, tmp_path).table("New populations")) == 3


def test_the_runner_up_is_the_most_common_second_name_by_its_exact_spelling(annotated, tmp_path):
    chances = np.tile([0.6, 0.1, 0.05, 0.25], (60, 1))
    names = ["B", HOSTILE.replace("/", "|"), CLOSING.replace("/", "|"), "never given"]
    annotated.obsm[f"{KEY}_probabilities"] = pd.DataFrame(
        chances, index=annotated.obs_names, columns=names
    )
    annotated.uns[KEY]["types"] = np.array(["B", HOSTILE, CLOSING, "never/given"])
    assert made(annotated, tmp_path).table("How many cells")[1][4] == "never/given"


# --- the map -----------------------------------------------------------------------------------


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_the_map_holds_every_cell_once_with_its_type_confidence_and_place(annotated, tmp_path):
    annotated.obsm["X_umap"] = np.column_stack([np.arange(60.0), np.zeros(60)])
    page = made(annotated, tmp_path)
    held = page.cells()
    assert sorted(held["cells"]) == sorted(annotated.obs_names)
    (types,) = (one for one in held["columns"] if one["id"] == "type")
    given = [types["names"][code] for code in numbers(types["codes"]["data"], "u1")]
    assert given == annotated.obs.loc[held["cells"], KEY].tolist()
    sure = numbers(held["confidence"], "<u2") / 10_000
    assert np.allclose(sure, annotated.obs.loc[held["cells"], f"{KEY}_confidence"], atol=1e-4)
    x = numbers(held["x"], "<u2")
    assert np.allclose(x / 65535 * 59, annotated.obs_names.get_indexer(held["cells"]), atol=1e-2)
    assert numbers(held["y"], "<u2").max() == 0
    assert "the two columns of X_umap" in page.text


def test_without_a_map_of_its_own_two_principal_components_are_drawn_and_said(annotated, tmp_path):
    text = made(annotated, tmp_path).text
    assert "the first two principal components of X_sctrans (5 dimensions)" in text
    del annotated.obsm["X_sctrans"]
    page = made(annotated, tmp_path)
    assert "The data hold no embedding" in page.text
    assert len(page.scripts) == 1


def test_cells_without_a_place_are_left_out_of_the_map_and_counted(annotated, tmp_path):
    annotated.obsm["X_sctrans"][:3] = np.nan
    page = made(annotated, tmp_path)
    assert page.cells()["n"] == 57
    assert "3 cells have no place in it" in page.text


@pytest.mark.parametrize("case", ["one cell", "all alike", "no numbers", "no confidence"])
def test_data_with_little_in_them_have_a_page(annotated, tmp_path, case):
    cells = annotated[:1].copy() if case == "one cell" else annotated
    if case == "all alike":
        cells.obsm["X_sctrans"][:] = 1
    if case == "no numbers":
        cells.obsm["X_sctrans"][:] = np.nan
    if case == "no confidence":
        cells.obs[f"{KEY}_confidence"] = np.nan
    page = made(cells, tmp_path, truth=None if case == "one cell" else "truth")
    assert page.table("How many cells")[-1][1] == str(cells.n_obs)
    assert ("The data hold no embedding" in page.text) == (case == "no numbers")
    assert ("The mean confidence is" in page.text) == (case != "no confidence")


def test_an_embedding_that_was_asked_for_and_cannot_be_drawn_is_refused(annotated, tmp_path):
    annotated.obsm["X_one"] = np.ones((60, 1))
    annotated.obsm["X_nan"] = np.full((60, 3), np.nan)
    for name, words in (("X_one", "cannot be drawn"), ("X_nan", "no finite numbers")):
        with pytest.raises(DataError, match=words):
            cytonym.report(annotated, tmp_path / "page.html", embedding=name)


def test_more_cells_than_are_drawn_are_sampled_and_the_tables_keep_all(
    annotated, tmp_path, monkeypatch
):
    monkeypatch.setattr("cytonym.view.report.picture.MOST_DRAWN", 10)
    page = made(annotated, tmp_path)
    assert page.cells()["n"] == 10
    assert "10 of 60 cells, chosen at random, are drawn" in page.text
    assert page.table("How many cells")[1][1] == "30"


# --- the file ----------------------------------------------------------------------------------


def test_hostile_names_stay_text_in_the_page_and_inside_its_scripts(annotated, tmp_path):
    annotated.obs.index = [f"{CLOSING}{number}" for number in range(60)]
    annotated.uns[KEY]["method"] = "<b>m</b>"
    page = made(annotated, tmp_path, truth="truth", embedding="X_sctrans")
    assert len(page.scripts) == 2  # the data, and ours
    assert {tag for tag, _ in page.tags} & {"img", "b", "i"} == set()
    assert HOSTILE in page.text
    assert page.cells()["cells"][0].startswith(CLOSING)
    handlers = [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert handlers == []


def test_the_page_names_no_address_and_lets_only_its_own_script_run(annotated, tmp_path):
    page = made(annotated, tmp_path, truth="truth")
    links = [a[k] for _, a in page.tags for k in ("href", "src", "action", "data") if k in a]
    assert {link[:1] for link in links} - {"#"} == {"d"}  # data:, the empty icon
    (policy,) = (a["content"] for _, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert re.search(r"script-src 'sha256-[\w+/]{43}='", policy)
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}  # the name of SVG


def test_headings_are_in_order_tables_have_captions_and_controls_have_names(annotated, tmp_path):
    page = made(annotated, tmp_path, truth="truth")
    assert page.headings[0] == 1
    steps = np.diff(page.headings)
    assert page.headings.count(1) == 1
    assert steps.max() <= 1
    tags = [tag for tag, _ in page.tags]
    assert tags.count("table") == tags.count("caption")
    assert {"header", "nav", "main", "footer"} <= set(tags)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    labels = {attrs.get("for") for tag, attrs in page.tags if tag == "label"}
    for tag, attrs in page.tags:
        if tag == "select" or attrs.get("type") == "range":
            assert attrs["id"] in labels or attrs.get("aria-label")
        if tag == "svg":
            assert "aria-hidden" in attrs or (attrs["role"] == "img" and attrs["aria-label"])
        if tag == "a" and attrs["href"] != "#main":
            assert attrs["href"][1:] in ids


def test_the_methods_paragraph_has_version_seed_hash_features_and_scores(annotated, tmp_path):
    text = made(annotated, tmp_path, truth="truth").text
    paragraph = text.split("A paragraph to paste:")[1].split("Copy the paragraph")[0]
    for words in ("cytonym 0.1.0", "sctrans (Lin et al., IJCAI 2024", "seed 7", "ab" * 32):
        assert words in paragraph
    assert "Of the reference's 400 rna features 300 (75.0%)" in paragraph
    assert "scikit-learn" in paragraph


def test_a_file_and_the_object_give_the_same_page_but_for_the_name(annotated, tmp_path):
    annotated.write_h5ad(tmp_path / "named.h5ad")
    with warnings.catch_warnings():  # zarr remarks on what is written
        warnings.simplefilter("ignore")
        annotated.write_zarr(tmp_path / "named.zarr")
    held = made(annotated, tmp_path, truth="truth")
    for name in ("named.h5ad", "named.zarr"):
        read = made(tmp_path / name, tmp_path, truth="truth")
        assert read.tables == held.tables
        assert read.cells() == held.cells()
        assert f"60 cells of {name}" in read.text


def test_the_matrix_of_a_file_is_not_read(annotated, tmp_path, monkeypatch):
    import h5py

    annotated.write_h5ad(tmp_path / "named.h5ad")
    with h5py.File(tmp_path / "named.h5ad", "r+") as file:
        del file["X"]
    assert made(tmp_path / "named.h5ad", tmp_path).table("How many cells")[1][1] == "30"


def test_a_mudata_that_annotate_wrote_has_a_page(tmp_path):
    parts = simulate_multiome(120, 60, 3, seed=0, n_peaks=90)
    model = cytonym.fit(parts["rna"], labels="cell_type", method="linear", progress=False)
    calls = model.annotate(dict(parts), progress=False)
    with warnings.catch_warnings():  # mudata speaks of its next version
        warnings.simplefilter("ignore")
        calls.write(dict(parts), tmp_path / "named.h5mu")
    page = made(tmp_path / "named.h5mu", tmp_path, truth="cell_type", model=model)
    assert page.table("How many cells")[-1][1] == "120"
    import mudata

    with warnings.catch_warnings():  # mudata speaks of its next version
        warnings.simplefilter("ignore")
        held = mudata.read_h5mu(tmp_path / "named.h5mu")
    assert made(held, tmp_path, truth="cell_type").cells() == page.cells()


def test_only_the_column_of_names_is_needed(tmp_path):
    obs = pd.DataFrame({"guess": ["a", "b", None]}, index=list("xyz"))
    page = made(AnnData(np.zeros((3, 1)), obs), tmp_path, key="guess")
    assert [row[:2] for row in page.table("How many cells")[1:4]] == [
        ["a", "1"],
        ["b", "1"],
        ["(none) (no type)", "1"],
    ]


# --- the model ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted():
    cells = simulate(200, 120, 3, seed=0)
    model = cytonym.fit(cells[:150].copy(), labels="cell_type", method="linear", progress=False)
    query = cells[150:].copy()
    return model, model.annotate(query, progress=False).to(query)


def test_with_the_model_the_page_says_why_and_how_the_fit_went(fitted, tmp_path):
    model, query = fitted
    page = made(query, tmp_path, model=model, truth="cell_type")
    best = model.explain(top=1).set_index("type")["gene"]
    for name in model.label_names:
        assert page.tables[name][1][0].split()[0] == best[name]
    rows = page.table("Scores on 16 cells of the reference")[1:]
    assert [row[0] for row in rows] == [*model.report.table.index]
    assert "The model was fitted on 150 labelled cells." in page.text
    assert "The weights of the model that was given" not in page.text


def test_a_model_with_other_weights_is_said_to_be_another_one(fitted, tmp_path):
    model, query = fitted
    query = query.copy()
    query.uns[KEY]["hash"] = "0" * 64
    text = made(query, tmp_path, model=model).text
    assert "are not those that named these cells" in text
    assert "The model was fitted on" not in text.split("A paragraph to paste:")[1]


def test_a_model_of_another_method_is_refused(annotated, fitted, tmp_path):
    with pytest.raises(ModelError, match=r"of method 'linear'.*named by 'sctrans'"):
        cytonym.report(annotated, tmp_path / "page.html", model=fitted[0])
    assert [*tmp_path.iterdir()] == []


def test_losses_are_broken_where_a_stage_begins_or_a_value_is_missing():
    path = line([1.0, 2.0, None, 3.0, 4.0], [0, 4], 1, 4, width=4, height=3)
    assert path == "M3.00 1.00m-4 0h8M4.00 0.00m-4 0h8M0.00 3.00L1.00 2.00"
    assert stairs([1, 2], 10, 4) == "M0 4V2.00H5.00V0.00H10.00V4Z"


# --- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"key": "cell_type_prd"}, DataError, "Did you mean 'cell_type_pred'"),
        ({"truth": "trut"}, DataError, "no column 'trut'.*Did you mean 'truth'"),
        ({"truth": KEY}, OptionError, "two columns"),
        ({"truth": "donor"}, DataError, "no label of obs\\['donor'\\]"),
        ({"truth": "depth"}, DataError, "measurements"),
        ({"key": "depth"}, DataError, "holds numbers"),
        ({"embedding": "X_sctran"}, DataError, "Did you mean 'X_sctrans'"),
        ({"model": "nowhere.cytonym"}, ModelError, "nowhere.cytonym"),
    ],
)
def test_bad_input_is_refused_with_a_remedy_and_leaves_no_file(
    annotated, tmp_path, options, error, words
):
    with pytest.raises(error, match=re.compile(words, re.DOTALL)):
        cytonym.report(annotated, tmp_path / "page.html", **options)
    assert [*tmp_path.iterdir()] == []


def test_cells_that_were_not_named_are_refused_with_the_command_that_names_them(tmp_path):
    cells = simulate(20, 60, 2, seed=0)
    with pytest.raises(DataError, match=r"have not been named[^$]*cytonym annotate"):
        cytonym.report(cells, tmp_path / "page.html")
    with pytest.raises(DataError, match="no annotated data set"):
        cytonym.report(3, tmp_path / "page.html")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="there is no such file"):
        cytonym.report(tmp_path / "no.h5ad", tmp_path / "page.html")
    (tmp_path / "text.h5ad").write_text("text")
    with pytest.raises(DataError, match="not HDF5"):
        cytonym.report(tmp_path / "text.h5ad", tmp_path / "page.html")


def test_places_that_cannot_take_the_page_are_refused(annotated, tmp_path):
    with pytest.raises(CytonymError, match=r"write out page\.html"):
        cytonym.report(annotated, tmp_path / "page.pdf")
    with pytest.raises(CytonymError, match="create it first"):
        cytonym.report(annotated, tmp_path / "no" / "page.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(CytonymError, match="is a folder"):
        cytonym.report(annotated, tmp_path / "folder.html")


def test_an_error_while_writing_leaves_the_older_page_as_it_was(annotated, tmp_path, monkeypatch):
    (tmp_path / "page.html").write_text("older")

    def fail(facts):
        raise KeyboardInterrupt

    monkeypatch.setattr(page_file, "render", fail)
    with pytest.raises(KeyboardInterrupt):
        cytonym.report(annotated, tmp_path / "page.html")
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert (tmp_path / "page.html").read_text() == "older"


def test_without_jinja2_the_error_names_the_extra(annotated, tmp_path, monkeypatch):
    monkeypatch.setattr(page_file, "find_spec", lambda name: None)
    with pytest.raises(CytonymError, match=r"pip install '\.\[report\]' in a clone"):
        cytonym.report(annotated, tmp_path / "page.html")


def test_the_data_are_left_as_they_are(annotated, tmp_path):
    before = annotated.copy()
    made(annotated, tmp_path, truth="truth")
    pd.testing.assert_frame_equal(annotated.obs, before.obs)
    assert [*annotated.obsm] == [*before.obsm]
    assert [*annotated.uns[KEY]] == [*before.uns[KEY]]
    assert "plotly" not in sys.modules
