"""Labels find their Cell Ontology term, and what is not sure is not used."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cytonym.errors import CytonymError, DataError
from cytonym.ontology import map_labels
from cytonym.ontology.index import short_rows, term_index
from cytonym.ontology.spelling import LONGEST, words
from cytonym.ontology.terms import SAYS_NOTHING, UPPER, cell_ontology

KNOWN = {
    "T cell": ("name", "T cell"),
    "CL:0000084": ("id", "T cell"),
    "cl_0000084": ("id", "T cell"),
    "T lymphocyte": ("synonym", "T cell"),
    "CD4+ T": ("normalised", "CD4-positive, alpha-beta T cell"),
    "CD4 T cells": ("normalised", "CD4-positive, alpha-beta T cell"),
    "T_CD4": ("normalised", "CD4-positive, alpha-beta T cell"),
    "T cells, CD4pos": ("normalised", "CD4-positive, alpha-beta T cell"),
    "CD4⁺ T": ("normalised", "CD4-positive, alpha-beta T cell"),
    "γδ T": ("abbreviation", "gamma-delta T cell"),
    "NK": ("abbreviation", "natural killer cell"),
    "Mono": ("abbreviation", "monocyte"),
    "pDC": ("abbreviation", "plasmacytoid dendritic cell"),
    "B cells": ("abbreviation", "B cell"),
    "Naive CD4 T": ("normalised", "naive thymus-derived CD4-positive, alpha-beta T cell"),
    "CD14+ Mono": ("abbreviation", "CD14-positive monocyte"),
    "FCGR3A+ Monocytes": ("abbreviation", "CD14-low, CD16-positive monocyte"),
    "CD8+ T CD57+ CD45RO+": ("broader", "CD8-positive, alpha-beta T cell"),
    "Plasmablast IGKC-": ("broader", "plasmablast"),
    "B_1": ("broader", "B cell"),
    "Proliferating NK": ("broader", "natural killer cell"),
    "neurons": ("normalised", "neuron"),
}


@pytest.mark.parametrize("label", KNOWN)
def test_a_label_in_common_spelling_has_its_term(label):
    (match,) = map_labels([label]).matches
    assert (match.how, match.name) == KNOWN[label]
    assert match.sure
    assert match.score >= 0.8


OPEN = [
    "T/NK",  # several types
    "B and plasma",
    "CD4+ CD8+ T",  # two markers, of which each names a type
    "Non-T",
    "dnT",  # thymocytes in a thymus, T cells in blood
    "natural kiler cell",
    "VIPx neuron",
    "DC2",  # acronyms of the ontology that mean something else elsewhere
    "LP",
    "alpha cell",
    "HSC",
    "CD34+",
    "EC",
    "M",
]


@pytest.mark.parametrize("label", OPEN)
def test_what_could_be_several_things_has_no_term_but_proposals_at_most(label):
    (match,) = map_labels([label]).matches
    assert match.how in ("unsure", "none")
    assert (match.id, match.name, match.sure) == ("", "", False)
    assert match.score < 0.99


def test_a_typing_error_is_proposed_and_not_used():
    (match,) = map_labels(["natural kiler cell"]).matches
    assert match.how == "unsure"
    assert match.candidates[0].name == "natural killer cell"


@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (["HSC", "NK", "Mono"], "hematopoietic stem cell"),
        (["HSC", "hepatocyte", "endothelial cell"], "hepatic stellate cell"),
        (["HSC", "hepatocyte", "NK"], ""),  # a liver has both
        (["alpha", "beta", "ductal"], "pancreatic A cell"),
        (["MGC", "Oligo", "Astro"], "microglial cell"),
    ],
)
def test_a_short_name_with_two_meanings_is_settled_by_the_other_labels_or_left_open(labels, name):
    match = map_labels(labels).matches[0]
    assert match.name == name
    assert match.how == ("context" if name else "unsure")


def test_numbers_of_clusters_and_reserved_words_have_neither_term_nor_proposal():
    found = map_labels(["c1", "12", "3.0", "Unknown", "Heterogeneous", "doublets", "junk"])
    assert [match.how for match in found.matches] == ["none"] * 3 + ["reserved"] * 4
    assert not any(match.candidates or match.id for match in found.matches)
    assert [match.label for match in found.open] == ["c1", "12", "3.0"]


def test_an_obsolete_id_as_label_is_open_with_its_replacement():
    old, new = next((o, n) for o, n in cell_ontology().obsolete.items() if n[:3] == "CL:")
    (match,) = map_labels([old]).matches
    assert (match.how, match.id, match.candidates[0].id) == ("unsure", "", new)


HOSTILE = [
    "a\tb\nc",
    "<script>alert(1)</script>",
    "x" * 10_000,
    "CD4+ " * 50,
    "\u0000",
    "ﷺ 細胞 🧫",
    "=1+1",
    "+-<>¬",
    '"',
    "((((",
    "-",
]


def test_hostile_labels_have_no_term_and_no_mishap():
    found = map_labels(HOSTILE)
    assert [match.label for match in found.matches] == HOSTILE
    assert not any(match.sure for match in found.matches)
    assert len(found.table()) == len(HOSTILE)


def test_missing_labels_are_left_out_numbers_are_text_and_each_label_comes_once():
    found = map_labels([None, np.nan, pd.NA, 3, "NK", "NK", np.str_("NK")])
    assert [match.label for match in found.matches] == ["3", "NK"]
    assert found.ids == {"3": "", "NK": "CL:0000623"}
    assert map_labels(pd.Categorical(["NK"])).ids == {"NK": "CL:0000623"}
    assert map_labels("NK").ids == {"NK": "CL:0000623"}


@pytest.mark.parametrize("labels", [[], [None], [np.nan, None]])
def test_no_label_at_all_is_an_error_with_a_remedy(labels):
    with pytest.raises(DataError, match="no label"):
        map_labels(labels)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
@example("T" * (LONGEST + 1))
@example("cd4" * 20)
def test_any_text_gives_a_match_whose_term_is_in_use(label):
    for match in map_labels([label]).matches:
        assert match.label == label
        assert match.id == "" or match.id in cell_ontology().names
        assert 0 <= match.score <= 1
        assert all(word for word in words(label))


def test_every_name_in_the_ontology_finds_itself_and_every_long_synonym_its_term():
    terms = cell_ontology()
    some = [*terms.names][::20]
    found = map_labels([terms.names[one] for one in some])
    assert [match.id for match in found.matches] == some
    pairs = [(word, one) for one in some for word in terms.synonyms[one] if len(word) > 12]
    ids = map_labels([word for word, _ in pairs]).ids
    assert np.mean([ids[word] in (one, "") for word, one in pairs]) == 1
    assert np.mean([ids[word] == one for word, one in pairs]) > 0.97


def test_the_table_of_short_names_names_terms_in_use_by_their_names():
    terms = cell_ontology()
    rows = short_rows()
    assert len(rows) > 100
    for row in rows:
        assert terms.names[row["id"]] == row["name"], row
        assert set(row) == {"short", "id", "name", "where"}
    keys = [(row["short"], row["id"]) for row in rows]
    assert len(keys) == len(set(keys))


def test_a_row_without_a_condition_is_alone_with_its_words():
    for short in term_index().short.values():
        assert len(short) == 1 or all(one.where for one in short), short


def test_every_term_is_deeper_than_each_of_its_ancestors_and_upper_classes_exist():
    terms = cell_ontology()
    for term, above in terms.ancestors.items():
        assert all(terms.depth[one] < terms.depth[term] for one in above)
        assert term not in above
    assert {one for one in UPPER if one not in terms.names} == {"CL:0000548"}  # obsolete by now
    assert SAYS_NOTHING < UPPER
    assert terms.n_below["CL:0000000"] == len(terms.names) - 1


def test_without_the_extra_the_error_names_what_to_install(monkeypatch):
    cell_ontology.cache_clear()
    monkeypatch.setitem(sys.modules, "cellxgene_ontology_guide.ontology_parser", None)
    with pytest.raises(CytonymError, match=r"pip install '\.\[onto\]' in a clone"):
        map_labels(["NK"])
    monkeypatch.undo()
    cell_ontology.cache_clear()
    assert map_labels(["NK"]).ids == {"NK": "CL:0000623"}


def test_importing_the_module_does_not_load_the_ontology_and_mapping_opens_no_connection():
    script = (
        "import sys, socket\n"
        "import cytonym.ontology\n"
        "assert 'cellxgene_ontology_guide' not in sys.modules\n"
        "def refuse(*_, **__): raise AssertionError('network')\n"
        "socket.socket.connect = socket.create_connection = refuse\n"
        "print(cytonym.ontology.map_labels(['NK']).ids['NK'])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "CL:0000623\n", done.stderr
