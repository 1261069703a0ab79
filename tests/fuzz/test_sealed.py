"""Models whose checksums are right and whose parts are not are refused, or answer."""

import copy
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cytonym
import releases
from cytonym.bundle import Bundle, write_bundle
from cytonym.errors import ModelError

sys.path.append(str(Path(__file__).parent))
from sealed import Model

MODELS = {name: Model.of(name) for name in sorted({one.model.stem for one in releases.kept()})}


@pytest.mark.parametrize("method", MODELS)
def test_the_model_itself_names_cells(method):
    assert MODELS[method].ask(MODELS[method].bundle) == "named"


@pytest.mark.parametrize("method", MODELS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
def test_a_model_of_odd_parts_names_cells_or_is_refused(method, seed):
    bundle, _ = MODELS[method].changed(np.random.default_rng(seed))
    assert MODELS[method].ask(bundle) in ("named", "refused")


def refused(method: str, tmp_path: Path, *, weights=None, arrays=None, **facts) -> str:
    """What is said of the kept model with other parts."""
    one = MODELS[method].bundle
    bundle = Bundle(one.facts | facts, one.weights | (weights or {}), one.arrays | (arrays or {}))
    write_bundle(tmp_path / "model", bundle)
    with pytest.raises(ModelError, match="does not hold together") as found:
        cytonym.load(tmp_path / "model")
    return str(found.value)


GRAPH = "domains.0.graph"
CELLS = len(MODELS["seqalign"].bundle.weights[f"{GRAPH}.start"]) - 1


@pytest.mark.parametrize("beyond", [-1, CELLS, 2**40])
def test_an_edge_that_leads_out_of_a_graph_is_not_followed(beyond, tmp_path):
    """torch would read, and the process end by a segmentation fault."""
    column = MODELS["seqalign"].bundle.weights[f"{GRAPH}.column"].clone()
    column[-1] = beyond
    said = refused("seqalign", tmp_path, weights={f"{GRAPH}.column": column})
    assert "col_indices" in said


def test_row_pointers_of_a_graph_that_go_back_are_not_followed(tmp_path):
    start = MODELS["seqalign"].bundle.weights[f"{GRAPH}.start"].clone()
    start[1] = start[-1] + 5
    said = refused("seqalign", tmp_path, weights={f"{GRAPH}.start": start})
    assert "crow_indices" in said


def test_a_reference_cell_of_a_type_that_is_none(tmp_path):
    y = MODELS["linear"].bundle.arrays["trust/rejector/reference/near/y"].copy()
    y[-1] = 3
    said = refused("linear", tmp_path, arrays={"trust/rejector/reference/near/y": y})
    assert "a cell is of none of the 3 types" in said


def test_weights_that_are_not_finite(tmp_path):
    weights = {"scores.bias": torch.full((3,), torch.nan)}
    said = refused("linear", tmp_path, weights=weights)
    assert "What the model says of 2 of 2 cells is not finite" in said


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("temperatures", None),
        ("temperatures", {"": -1.0}),
        ("patterns", "word"),
        ("least", {"rna": "many"}),
    ],
)
def test_facts_of_another_kind_are_named(part, value, tmp_path):
    trust = MODELS["linear"].bundle.facts["trust"] | {part: value}
    assert re.search(part, refused("linear", tmp_path, trust=trust))


def test_features_without_names(tmp_path):
    names = np.arange(80)
    said = refused("linear", tmp_path, arrays={"space/rna/names": names})
    assert "the features of rna have no names" in said


def test_a_number_of_steps_that_never_ends(tmp_path):
    options = MODELS["seqalign"].bundle.facts["options"] | {"target_steps": 10**9}
    assert "target_steps" in refused("seqalign", tmp_path, options=options)


def test_a_bank_that_would_fill_the_memory_is_not_made(tmp_path):
    options = MODELS["scmoanno"].bundle.facts["options"] | {"attend": "cells", "bank": 10**9}
    said = refused("scmoanno", tmp_path, options=options)
    assert "there are no weights of pretrain.bank" in said
    weights = {"pretrain.bank.key": torch.zeros(4, dtype=torch.int64)}
    said = refused("scmoanno", tmp_path, options=options, weights=weights)
    assert "pretrain.bank.key is (4,), where the options want (1000000000,)" in said


def test_types_and_mean_of_a_data_set_that_are_not_those_of_its_cells(tmp_path):
    weights = MODELS["seqalign"].bundle.weights
    y, mean = weights["domains.0.y"].clone(), weights["domains.1.mean"]
    y[-1] = 99
    said = refused("seqalign", tmp_path, weights={"domains.0.y": y})
    assert "types or mean of data set 0" in said
    said = refused("seqalign", tmp_path, weights={"domains.1.mean": mean.repeat(7, 1)})
    assert "types or mean of data set 1" in said


def test_weights_that_make_a_cell_infinite_are_found_where_it_is_named():
    one = MODELS["linear"].bundle
    weight = torch.zeros_like(one.weights["scores.weight"])
    mean = one.arrays["transform/rna/3.mean"]
    near = int(np.abs(np.log1p(1e4 / 80) - mean).argmin())  # the made-up cell is least there
    weight[0, near] = 3e38
    bundle = Bundle(one.facts, one.weights | {"scores.weight": weight}, one.arrays)
    assert MODELS["linear"].ask(bundle) == "refused"


def test_salience_of_other_types(tmp_path):
    arrays = {"salience/features": np.zeros((2, 24))}
    assert "salience of features" in refused("sctrans", tmp_path, arrays=arrays)


def test_trust_that_does_not_say_on_how_many_cells(tmp_path):
    trust = MODELS["linear"].bundle.facts["trust"] | {"facts": {}}
    assert "facts.n: Field required" in refused("linear", tmp_path, trust=trust)


def test_a_loaded_model_can_be_copied():
    for one in releases.kept():
        model = cytonym.load(one.model)
        assert copy.deepcopy(model).facts() == model.facts()
