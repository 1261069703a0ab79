"""The scripts of the accuracy benchmark: what is planned, what the page says."""

import importlib
from pathlib import Path

import pytest

from cytonym.errors import CytonymError
from cytonym.reproduce.lines import read_lines

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("accuracy"), importlib.import_module("table")


def line(task, method, seed, f1, fold=0, digest="0a"):
    return {
        "task": task, "fold": fold, "method": method, "seed": seed, "macro_f1": f1,
        "accuracy": f1 / 2, "n_train": 80, "n_test": 20, "seconds": 10.0 * f1, "cpu_seconds": 4.0,
        "peak_mib": 500.0, "versions": {"python": "3.11.7"}, "machine": "1 × a processor",
        "sha256": {task: digest},
    }  # fmt: skip


def rows(page, heading):
    part = page.split(f"### {heading}\n\n")[1].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in part]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


def test_the_ratio_is_ours_over_the_best_peer_and_a_miss_is_bold_with_a_sign(scripts):
    _, table = scripts
    lines = [line("pbmc3k", "sctrans", seed, 0.6 + seed / 5) for seed in (0, 1)]
    lines += [line("pbmc3k", "lr", 0, 0.5), line("pbmc3k", "knn", 0, 0.4)]
    lines += [line("kang", "sctrans", 0, 0.72), line("kang", "scanvi", 0, 0.8)]
    page = table.page(lines, "make bench DATA=DIR")
    found = rows(page, "Macro-F1, RNA")
    assert found["pbmc3k"]["`sctrans`"] == "0.700 ± 0.141"
    assert found["pbmc3k"]["best peer"] == "`lr`"
    assert found["pbmc3k"]["ours / best peer"] == "1.400"
    assert found["pbmc3k"]["`scanvi`"] == "–"
    assert found["kang"]["ours / best peer"] == "**⊖ 0.900**"
    assert "Behind the best peer (⊖) in 1 of 2 tasks; mean ratio 1.150." in page
    assert rows(page, "Wall time of the whole process (s), RNA")["pbmc3k"]["`sctrans`"] == "7"
    assert [*rows(page, "Files (SHA-256)")] == ["kang", "pbmc3k"]


def test_the_mean_is_of_methods_in_all_tasks_and_each_lost_task_has_its_reason(
    scripts, monkeypatch, tmp_path
):
    _, table = scripts
    why = tmp_path / "losses.toml"
    why.write_text('kang = "cells of another state"\n')
    monkeypatch.setattr(table, "WHY", why)
    lines = [line("pbmc3k", "sctrans", 0, 0.9), line("kang", "sctrans", 0, 0.7)]
    lines += [line("pbmc3k", "lr", 0, 0.5), line("kang", "lr", 0, 0.8)]
    lines += [line("pbmc3k", "knn", 0, 0.95)]
    page = table.page(lines, "-", "Two at a time.")
    mean = rows(page, "Macro-F1, RNA")["**mean**"]
    assert [mean[name] for name in ("`sctrans`", "`lr`", "`knn`")] == ["0.800", "0.650", "–"]
    assert (mean["best peer"], mean["ours / best peer"]) == ("`lr`", "1.231")
    assert "- `kang`, 0.700 against 0.800 of `lr`: cells of another state." in page
    assert "- `pbmc3k`, 0.900 against 0.950 of `knn`: not found yet." in page
    assert "Two at a time." in page


def test_the_page_is_that_of_the_lines_beside_the_scripts(scripts):
    _, table = scripts
    path = Path(__file__).parents[2] / "docs" / "benchmarks.md"
    lines = read_lines(SCRIPTS / "accuracy.jsonl")
    table.check(lines, SCRIPTS / "accuracy.jsonl")
    note = path.read_text(encoding="utf-8").split("\n\n")[2]
    made = table.page(lines, "make bench DATA=DIR", note)
    assert made == path.read_text(encoding="utf-8"), "run: python benchmarks/table.py"


def test_folds_are_averaged_before_the_spread_over_seeds(scripts):
    _, table = scripts
    lines = [
        line("panc8", "sctrans", seed, f1, fold)
        for seed, both in enumerate([(0.2, 0.6), (0.4, 0.8)])
        for fold, f1 in enumerate(both)
    ]
    lines.append(line("panc8", "lr", 0, 0.5))
    found = rows(table.page(lines, "-"), "Macro-F1, RNA")["panc8"]
    assert found["`sctrans`"] == "0.500 ± 0.141"
    assert found["ours / best peer"] == "1.000"


def test_peers_of_rna_alone_compete_in_the_task_of_both_modalities(scripts):
    _, table = scripts
    lines = [line("snare", "scmoanno", 0, 0.7), line("snare", "multivi", 0, 0.5)]
    lines += [line("snare_rna", "lr", 0, 0.8), line("snare_rna", "scmoanno", 0, 0.1)]
    found = rows(table.page(lines, "-"), "Macro-F1, RNA and ATAC of the same cells")["snare"]
    assert found["best peer"] == "`lr`"
    assert found["`scmoanno`"] == "0.700"
    assert found["ours / best peer"] == "**⊖ 0.875**"


def test_lines_of_two_files_of_one_name_and_lines_of_an_earlier_form_are_refused(scripts):
    _, table = scripts
    two = [line("pbmc3k", "lr", 0, 0.5), line("pbmc3k", "lr", 1, 0.5, digest="0b")]
    with pytest.raises(CytonymError, match="two files called pbmc3k"):
        table.check(two, Path("lines.jsonl"))
    old = [{key: value for key, value in two[0].items() if key != "peak_mib"}]
    with pytest.raises(CytonymError, match=r"1 lines, 1 of them without fold, time or memory"):
        table.check(old, Path("lines.jsonl"))


def test_a_seed_is_run_once_where_it_changes_nothing_and_every_fold_is_run(scripts):
    accuracy, _ = scripts
    planned = accuracy.plan(["pbmc3k", "panc8"], ["lr", "sctrans"], [0, 1, 2])
    pairs = [(task, method) for task, _, method, _ in planned]
    wanted = [("pbmc3k", "lr"), ("panc8", "lr"), ("pbmc3k", "sctrans"), ("panc8", "sctrans")]
    assert [pairs.count(pair) for pair in wanted] == [3, 5, 3, 15]
    assert not accuracy.competes("seqalign", "bm0828")
    assert accuracy.competes("seqalign:lsi", "bm0828")
    assert not accuracy.competes("lr", "snare")
    assert not accuracy.competes("multivi", "snare_rna")


def test_folds_that_failed_and_lines_of_two_versions_are_refused(scripts, tmp_path):
    _, table = scripts
    lines = [line("panc8", "lr", 0, 0.5, fold) for fold in (0, 1, 2, 4)]
    with pytest.raises(CytonymError, match=r"lr on panc8, seed 0, lacks the folds \[3\]"):
        table.check(lines, tmp_path)
    lines = [line("kang", "linear", seed, 0.5) for seed in (0, 1)]
    for one, number in zip(lines, ("0.1.0", "0.2.0"), strict=True):
        one["versions"] = {"cytonym": number}
    with pytest.raises(CytonymError, match=r"of cytonym 0\.1\.0 and 0\.2\.0"):
        table.check(lines, tmp_path)


def test_a_line_that_a_kill_cut_short_is_dropped_from_the_file(tmp_path):
    path = tmp_path / "lines.jsonl"
    path.write_text('{"task": "kang"}\n{"task": "pb')
    assert read_lines(path) == [{"task": "kang"}]
    assert path.read_text() == '{"task": "kang"}\n'
