"""Where types share the probability, the term above them is given, and never too shallow a one."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cytonym.errors import DataError, OptionError
from cytonym.ontology import back_off, map_labels
from cytonym.ontology.terms import SAYS_NOTHING, UPPER, cell_ontology

LABELS = ["CD4 T", "CD8 T", "B", "NK", "Mono", "Oligo", "Astro", "c7"]
MAP = map_labels(LABELS)


def table(rows):
    whole = np.zeros((len(rows), len(LABELS)), np.float32)
    for cell, row in enumerate(rows):
        for label, value in row.items():
            whole[cell, LABELS.index(label)] = value
    return pd.DataFrame(whole, columns=pd.Index(LABELS))


@pytest.mark.parametrize(
    ("row", "name", "probability"),
    [
        ({"CD4 T": 1}, "CD4-positive, alpha-beta T cell", 1),
        ({"CD4 T": 0.95, "Astro": 0.05}, "CD4-positive, alpha-beta T cell", 0.95),
        ({"CD4 T": 0.5, "CD8 T": 0.45, "Astro": 0.05}, "mature alpha-beta T cell", 0.95),
        ({"CD4 T": 0.5, "NK": 0.5}, "lymphocyte", 1),
        ({"CD4 T": 0.5, "Mono": 0.5}, "mononuclear leukocyte", 1),
        ({"Oligo": 0.5, "Astro": 0.5}, "macroglial cell", 1),
        ({"CD4 T": 0.5, "Astro": 0.5}, "", 0),  # only cell, eukaryotic cell are above both
        ({"c7": 1}, "", 0),  # a type without a term
        ({"c7": 0.2, "CD4 T": 0.8}, "", 0),
    ],
)
def test_the_deepest_term_with_nine_tenths_is_given(row, name, probability):
    found = back_off(table([row]), MAP)
    assert found.names[0] == name
    assert found.probability[0] == pytest.approx(probability, abs=1e-6)
    assert (found.ids[0] == "") == (name == "")
    assert found.own[0] == (name == "CD4-positive, alpha-beta T cell")


def test_a_lower_level_is_reached_deeper():
    row = table([{"CD4 T": 0.6, "CD8 T": 0.3, "NK": 0.1}])
    names = [back_off(row, MAP, level=level).names[0] for level in (1.0, 0.9, 0.6)]
    assert names == ["lymphocyte", "mature alpha-beta T cell", "CD4-positive, alpha-beta T cell"]


def test_a_plain_dict_of_ids_does_as_well_and_a_type_above_another_has_its_probability_too():
    chances = pd.DataFrame([[0.5, 0.5]], columns=pd.Index(["T", "CD4"]))
    found = back_off(chances, {"T": "CL:0000084", "CD4": "CL:0000624", "unused": ""})
    assert (found.names[0], found.probability[0]) == ("T cell", 1)


def test_an_upper_class_is_given_only_where_a_type_has_it_and_cell_never():
    columns = pd.Index(["a", "b"])
    chances = pd.DataFrame([[1.0, 0.0]], columns=columns)
    assert back_off(chances, {"a": "CL:0000034", "b": ""}).names[0] == "stem cell"
    assert back_off(chances, {"a": "CL:0000000", "b": ""}).ids[0] == ""


def test_equally_deep_terms_are_settled_by_probability_then_by_the_terms_below():
    terms = cell_ontology()
    many = "CL:0000235"  # macrophage
    deep = [
        one for one in terms.depth if terms.depth[one] == terms.depth[many] and one not in UPPER
    ]
    few = min(deep, key=lambda one: (terms.n_below[one], one))
    assert terms.n_below[few] < terms.n_below[many]
    chances = pd.DataFrame([[0.5, 0.5], [0.6, 0.4]], columns=pd.Index(["many", "few"]))
    found = back_off(chances, {"many": many, "few": few}, level=0.4)
    assert [*found.ids] == [few, many]


IDS = sorted(set(cell_ontology().names) - SAYS_NOTHING)


@st.composite
def worlds(draw):
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=8, unique=True))
    weights = draw(
        st.lists(
            st.lists(st.floats(0, 1), min_size=len(ids), max_size=len(ids)).filter(
                lambda row: sum(row) > 0.01
            ),
            min_size=1,
            max_size=6,
        )
    )
    values = np.array(weights)
    values /= values.sum(axis=1, keepdims=True)
    columns = pd.Index([f"type {place}" for place in range(len(ids))])
    return pd.DataFrame(values, columns=columns), dict(zip(columns, ids, strict=True))


@settings(max_examples=80, deadline=None)
@given(worlds(), st.floats(0.05, 1))
def test_the_term_given_has_the_level_summed_over_the_types_below_it(world, level):
    chances, ids = world
    terms = cell_ontology()
    found = back_off(chances, ids, level=level)
    for row, term in enumerate(found.ids):
        if term:
            below = [name for name, one in ids.items() if one == term or terms.above(term, one)]
            mass = chances[below].iloc[row].sum()
            assert mass >= level - 2e-6
            assert found.probability[row] == pytest.approx(mass, abs=1e-5)
            assert term not in SAYS_NOTHING
            assert term not in UPPER or term in ids.values()
        else:
            assert found.probability[row] == 0


@settings(max_examples=60, deadline=None)
@given(worlds(), st.floats(0.05, 1), st.floats(0.05, 1))
def test_a_lower_level_never_gives_a_shallower_term(world, one, other):
    chances, ids = world
    depth = {**cell_ontology().depth, "": -1}
    low = [depth[term] for term in back_off(chances, ids, level=min(one, other)).ids]
    high = [depth[term] for term in back_off(chances, ids, level=max(one, other)).ids]
    assert all(deep >= shallow for deep, shallow in zip(low, high, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(IDS), min_size=1, max_size=10, unique=True), st.floats(0.05, 1))
def test_all_probability_on_one_type_gives_that_type_s_own_term(ids, level):
    columns = pd.Index([f"type {place}" for place in range(len(ids))])
    found = back_off(
        pd.DataFrame(np.eye(len(ids)), columns=columns), dict(zip(columns, ids, strict=True)), level
    )
    assert [*found.ids] == ids
    assert found.own.all()


def test_100000_cells_of_50_types_take_less_than_10_seconds():
    rng = np.random.default_rng(0)
    columns = pd.Index([f"type {place}" for place in range(50)])
    ids = dict(zip(columns, rng.choice(IDS, 50, replace=False), strict=True))
    values = rng.dirichlet(np.full(50, 0.05), 100_000).astype(np.float32)
    start = time.perf_counter()
    found = back_off(pd.DataFrame(values, columns=columns), ids)
    assert time.perf_counter() - start < 10
    few = back_off(pd.DataFrame(values[19_990:20_010], columns=columns), ids)
    assert [*few.ids] == [*found.ids[19_990:20_010]]  # cells do not depend on one another


@pytest.mark.parametrize(
    ("chances", "ids", "told"),
    [
        ([[0.5, 0.5]], {"a": ""}, "1 of 2 types are not in the mapping: 'b'"),
        ([[0.5, 0.5]], {"a": "", "b": "T cell"}, "1 ids are no terms in use"),
        ([[0.5, 0.5], [2.0, 3.0]], {"a": "", "b": ""}, "1 of 2 rows do not sum to 1"),
        ([[np.nan, 1.0]], {"a": "", "b": ""}, "1 of 1 rows have values that are negative or not"),
        ([[-1.0, 2.0]], {"a": "", "b": ""}, "1 of 1 rows have values that are negative or not"),
        ([["x", "y"]], {"a": "", "b": ""}, "the table holds text"),
    ],
)
def test_what_are_no_probabilities_is_an_error_with_numbers(chances, ids, told):
    with pytest.raises(DataError, match=told):
        back_off(pd.DataFrame(chances, columns=pd.Index(["a", "b"])), ids)


@pytest.mark.parametrize("level", [0, -1, 1.01, float("nan")])
def test_a_level_out_of_range_is_refused(level):
    with pytest.raises(OptionError, match="is no share"):
        back_off(table([{"NK": 1}]), MAP, level=level)


def test_no_cells_give_an_empty_answer():
    found = back_off(table([]), MAP)
    assert len(found.ids) == len(found.names) == len(found.probability) == 0
