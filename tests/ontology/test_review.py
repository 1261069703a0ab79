"""The review file goes out, is edited, and comes back; all that is wrong is told at once."""

import csv
from contextlib import suppress

import pytest

from cytonym.errors import DataError
from cytonym.ontology import map_labels
from cytonym.ontology.review import COLUMNS
from cytonym.ontology.terms import cell_ontology

LABELS = ["NK", "CD34+", "c1", "Unknown"]


@pytest.fixture
def review(tmp_path):
    path = tmp_path / "review.tsv"
    map_labels(LABELS).write_review(path)
    return path


def rows(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return [*csv.DictReader(stream, delimiter="\t")]


def put(path, table):
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, delimiter="\t")
        writer.writeheader()
        writer.writerows(table)


def row(label, accepted):
    return dict.fromkeys(COLUMNS, "") | {"label": label, "accepted_id": accepted}


def test_open_labels_come_first_and_only_sure_ones_are_accepted(review):
    table = rows(review)
    assert [(one["label"], one["accepted_id"]) for one in table] == [
        ("CD34+", ""),
        ("c1", ""),
        ("NK", "CL:0000623"),
        ("Unknown", "none"),
    ]
    assert table[0]["proposed_name"] == "hematopoietic precursor cell"
    assert tuple(table[0]) == COLUMNS


def test_a_file_that_came_back_unedited_changes_no_term(review):
    assert map_labels(LABELS, review=review).ids == map_labels(LABELS).ids


def test_what_a_person_decided_goes_before_the_rules(review):
    table = rows(review)
    table[0]["accepted_id"] = " cl_0000037 "
    table[1]["accepted_id"] = "none"
    table[2]["accepted_id"] = ""
    put(review, table)
    found = {match.label: match for match in map_labels(LABELS, review=review).matches}
    assert (found["CD34+"].how, found["CD34+"].name) == ("review", "hematopoietic stem cell")
    assert (found["c1"].how, found["c1"].id) == ("review", "")
    assert (found["NK"].how, found["NK"].id) == ("unsure", "")  # emptied: not decided
    assert [one.label for one in map_labels(LABELS, review=review).open] == ["NK"]


def test_a_label_that_the_file_lacks_follows_the_rules(review):
    assert map_labels([*LABELS, "Mono"], review=review).ids["Mono"] == "CL:0000576"


def test_everything_that_is_wrong_is_told_at_once_with_its_line(review):
    terms = cell_ontology()
    old, new = next((o, n) for o, n in terms.obsolete.items() if n[:3] == "CL:")
    gone = next(o for o, n in terms.obsolete.items() if not n)
    table = [row("NK", "CL:9999999"), row("CD34+", old), row("c1", gone), row("NK", "CL:0000623")]
    put(review, [*table, row("Neuron?", ""), row("c1", "T cell")])
    with pytest.raises(DataError) as caught:
        map_labels(LABELS, review=review)
    told = [str(problem) for problem in caught.value.problems]
    assert len(told) == 7
    assert "line 2" in told[0]
    assert "CL:9999999" in told[0]
    assert f"use {new} ({terms.names[new]})" in told[1]
    assert "obsolete" in told[2]
    assert "stands in line 2 already" in told[3]
    assert "'Neuron?' is not in the data" in told[4]
    assert "stands in line 4 already" in told[5]
    assert "'T cell' is no term" in told[6]


def test_labels_with_tabs_quotes_line_breaks_and_scripts_come_back_as_they_were(tmp_path):
    labels = ["a\tb\nc", "<script>", 'say "x"', "細胞 🧫", "x" * 10_000, " NK ", "a\r\nb"]
    path = tmp_path / "review.tsv"
    map_labels(labels).write_review(path)
    assert {one["label"] for one in rows(path)} == set(labels)
    table = rows(path)
    for one in table:
        one["accepted_id"] = "CL:0000084"
    put(path, table)
    assert set(map_labels(labels, review=path).ids.values()) == {"CL:0000084"}


def test_a_spreadsheet_may_have_saved_it_as_utf_16_or_with_a_mark(review):
    text = review.read_text(encoding="utf-8").replace("CD34+\tCL", "CD34+\tCL")
    for encoding in ("utf-16", "utf-8-sig"):
        review.write_bytes(text.replace("\n", "\r\n").encode(encoding))
        assert map_labels(LABELS, review=review).ids["NK"] == "CL:0000623"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b" \n ", "it is empty"),
        ("label\taccepted_id\nMüller\t\n".encode("latin-1"), "is not UTF-8"),
        (b"\xff\xfel\x00a\x00", "no column"),
        (b"\xff\xfel\x00a\x00b", "is not UTF-16"),
        (b"label,accepted_id\nNK,CL:0000623\n", "no column label and accepted_id"),
        (b"label\tproposed_id\nNK\tCL:0000623\n", "no column accepted_id"),
        (b"label\tscore\taccepted_id\nNK\t1.0\n", "line 2 has 2 of 3 columns"),
        (b'label\taccepted_id\n"NK\tCL:0000623\n', "a quote is not closed"),
        (b"label\taccepted_id\nNK\tCL:00006", "no term of the Cell Ontology"),
        (b"\x89HDF\r\n\x1a\n", "is not UTF-8"),
        (b"label\taccepted_id\nNK\tCL:0000623\tx\n", None),  # what lies beyond is not looked at
    ],
)
def test_a_damaged_file_is_an_error_that_says_where(tmp_path, content, told):
    path = tmp_path / "review.tsv"
    path.write_bytes(content)
    if told is None:
        assert map_labels(["NK"], review=path).matches[0].how == "review"
        return
    with pytest.raises(DataError, match=told) as caught:
        map_labels(["NK"], review=path)
    assert caught.value.subject == "review.tsv"
    assert all(problem.remedy for problem in caught.value.problems)


def test_a_file_that_does_not_exist_or_is_no_review_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        map_labels(["NK"], review=tmp_path / "no.tsv")
    with pytest.raises(DataError, match="there is no file"):
        map_labels(["NK"], review=tmp_path)


def test_a_file_cut_off_anywhere_is_read_or_refused_never_a_traceback(review):
    whole = review.read_bytes()
    for end in range(0, len(whole), 7):
        review.write_bytes(whole[:end])
        with suppress(DataError):
            assert map_labels(LABELS, review=review).ids["NK"] in ("", "CL:0000623")


def test_the_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    found = map_labels(["NK"])
    path = tmp_path / "review.tsv"
    path.write_text("before", encoding="utf-8")
    monkeypatch.setattr("cytonym.ontology.review.csv.writer", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        found.write_review(path)
    assert path.read_text(encoding="utf-8") == "before"
    assert [*tmp_path.iterdir()] == [path]
