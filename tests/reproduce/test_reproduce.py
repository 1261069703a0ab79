"""Every published experiment runs its protocol on stand-ins, and goes on after it was stopped."""

import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from filelock import FileLock

from command import run as command
from cytonym.datasets import DATA_SETS
from cytonym.errors import CytonymError, DataError, OptionError
from cytonym.methods import get
from cytonym.reproduce import EXPERIMENTS, Beside, on_files, run
from cytonym.reproduce.divide import cut_type, labels, pairs, uneven
from cytonym.reproduce.lines import Lines
from cytonym.reproduce.record import Data
from cytonym.reproduce.tables import summary

BRIEF = {
    **{"epochs": 1, "pretrain_epochs": 1, "trunk_epochs": 1},
    **{"sub_vector": 8, "genes": "all", "smooth_k": 1, "dim": 12, "batch_size": 32, "peaks": 300},
    **{"window": 200, "k": 3, "neighbours": 5, "token": 8, "bank": 32, "components": 10},
    **{"rna_components": 8, "atac_components": 8, "rna_hidden": (16,), "epi_hidden": (16,)},
}


def brief(name: str) -> dict:
    """Options that make the methods of an experiment quick."""
    methods = {way.method for way in EXPERIMENTS[name].ways}
    known = {field for method in methods for field in get(method).Options.model_fields}
    every = BRIEF | ({} if name.startswith("sctrans") else {"dim": 16})
    return {option: value for option, value in every.items() if option in known}


def given(name: str, here) -> tuple[list[Path], Beside]:
    """The stand-in's files for an experiment."""
    paper = name.split("-")[0]
    if name == "dcca-missing":
        return [here.methylation], Beside(batch="stage")
    if paper == "sctrans":
        files = [here.rna, here.other] if EXPERIMENTS[name].together else [here.rna]
        return files, Beside(batch="batch", markers=here.markers)
    if paper == "seqalign":
        return here.atac, Beside(genome=here.dna)
    files = {"genome": here.genome, "genes": here.genes, "known": here.known}
    return [here.both], Beside(**files, motifs=here.motifs)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_stopped_after_its_first_line_goes_on_and_writes_its_tables(
    name, stand_ins, tmp_path
):
    files, beside = given(name, stand_ins)
    experiment = EXPERIMENTS[name]
    asked = []

    def measure(case, way, seed):
        if len(asked) == 1:
            raise KeyboardInterrupt
        asked.append((dict(case.key), way.name, seed))
        return experiment.measure(case, way, seed)

    data = on_files(experiment, files, beside)
    several = len([*experiment.divide(data, 0)]) > 1
    ways = [way.name for way in experiment.ways[: 1 if several else 2]]
    how = {"seeds": [0], "ways": ways, "options": brief(name)}
    stopped = replace(experiment, measure=measure)
    with pytest.raises(KeyboardInterrupt):
        run(stopped, data, tmp_path / "out", **how, progress=False)
    assert len(Lines(tmp_path / "out" / "lines.jsonl").found) == 1
    first, asked[:] = list(asked), [None] * 2  # from now on it is not stopped
    found = run(replace(experiment, measure=measure), data, tmp_path / "out", **how, progress=False)
    again = asked[2:]
    assert not [one for one in again if one in first]
    assert len(first) + len(again) == len(Lines(tmp_path / "out" / "lines.jsonl").found)
    assert {*found.frame["way"]} == {*ways}
    shown = [figure for figure in experiment.figures if figure in found.frame]
    assert len(shown) >= min(2, len(experiment.figures))
    assert np.isfinite(pd.to_numeric(found.frame[shown[0]])).any()
    page = (tmp_path / "out" / "table.md").read_text()
    assert experiment.what in page
    assert ("## Published" in page) == bool(experiment.published)
    assert all(note in page for note in experiment.notes)
    assert (tmp_path / "out" / "figure.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_experiment_names_its_data_its_source_and_finite_published_numbers():
    assert len(EXPERIMENTS) == 25
    for one in EXPERIMENTS.values():
        assert {*one.data} <= {*DATA_SETS}
        assert one.seeds
        assert {way.name for way in one.ways}
        assert all(0 < v < 1 for given in one.published for v in given.figures.values())
        assert all(given.source for given in one.published)
    table = {(one.data, one.way): one.figures for one in EXPERIMENTS["sctrans-table-2"].published}
    assert len(table) == 70
    assert table["zheng68k", "SCTrans"] == {"accuracy": 0.817, "macro_f1": 0.717}
    assert table["lung", "scmap_cell"] == {"accuracy": 0.574, "macro_f1": 0.287}


def test_a_run_that_is_killed_goes_on_from_the_last_whole_line(stand_ins, tmp_path):
    out = tmp_path / "out"
    words = ["reproduce", "sctrans-figure-4", "--on", str(stand_ins.rna), "--out", str(out)]
    words += ["--seeds", "0", "--way", "linear", "--quiet"]
    killer = (
        "import os, signal, cytonym.reproduce.lines as lines\n"
        "from cytonym.cli import main\n"
        "add = lines.Lines.add\n"
        "def then_die(self, *a, **k):\n"
        "    if len(self.found) == 2:\n"
        "        self.path.open('a').write('{\"key\": {\"half')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    add(self, *a, **k)\n"
        "lines.Lines.add = then_die\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", killer, *words], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    before = (out / "lines.jsonl").read_text()
    assert before.endswith('{"key": {"half')
    said = command(*words)
    assert "linear" in said.stdout
    lines = (out / "lines.jsonl").read_text().splitlines()
    assert lines[:2] == before.splitlines()[:2]
    assert [json.loads(line)["key"]["share"] for line in lines] == [0.1, 0.3, 0.5, 0.7, 0.9]


def test_the_query_s_labels_are_not_seen_by_the_fit_or_the_answer(stand_ins, monkeypatch):
    import cytonym
    from cytonym.annotator import Annotator
    from cytonym.reproduce.measures.naming import naming

    seen = []
    fit, annotate = cytonym.fit, Annotator.annotate

    def watched_fit(reference, **how):
        seen.append(how["query"])
        return fit(reference, **how)

    def watched(self, data, **how):
        seen.append(data)
        return annotate(self, data, **how)

    monkeypatch.setattr(cytonym, "fit", watched_fit)
    monkeypatch.setattr(Annotator, "annotate", watched)
    experiment = EXPERIMENTS["seqalign-table-1"]
    data = on_files(experiment, stand_ins.atac, Beside(genome=stand_ins.dna))
    case = next(experiment.divide(data, 0))
    way = replace(experiment.ways[0], options={"epochs": 1, "trunk_epochs": 1, "window": 200})
    naming(case, way, 0)
    assert len(seen) == 2
    assert all(one["atac"].obs.shape[1] == 0 for one in seen)
    assert "cell_type" in case.query["atac"].obs  # the caller's cells are as they were


def test_a_peer_runs_beside_our_methods_and_not_where_more_than_names_is_asked(stand_ins, tmp_path):
    experiment = EXPERIMENTS["sctrans-table-2"]
    data = on_files(experiment, [stand_ins.rna], Beside())
    how = {"seeds": [0], "ways": ["linear"], "progress": False}
    found = run(experiment, data, tmp_path / "out", peers=["lr_pcs"], **how)
    assert found.frame["way"].tolist() == ["linear", "peer lr_pcs"]
    with pytest.raises(CytonymError, match="is a method of ours"):
        run(experiment, data, tmp_path / "out", peers=["sctrans"], **how)
    with pytest.raises(CytonymError, match="reads rna and atac, and sctrans-table-2 has rna"):
        run(experiment, data, tmp_path / "out", peers=["multivi"], **how)
    assert found.frame["accuracy"].min() > 0.8
    other = EXPERIMENTS["sctrans-figure-9"]
    with pytest.raises(CytonymError, match="asks for more than names"):
        run(other, data, tmp_path / "other", peers=["lr_pcs"], seeds=[0])
    assert not (tmp_path / "other").exists()


def test_a_trial_and_a_run_in_one_folder_are_not_averaged(stand_ins, tmp_path):
    experiment = EXPERIMENTS["sctrans-table-2"]
    data = on_files(experiment, [stand_ins.rna], Beside())
    how = {"seeds": [0], "ways": ["linear"], "progress": False}
    trial = run(experiment, data, tmp_path, options={"genes": 20}, **how)
    said = "**A trial, not a result**: on rna (labels: cell_type); seeds 0; set genes=20"
    assert said in (tmp_path / "table.md").read_text()
    whole = run(experiment, data, tmp_path, **how)
    assert len(Lines(tmp_path / "lines.jsonl").found) == 2
    assert [len(trial.frame), len(whole.frame)] == [1, 1]
    assert "A trial" not in (tmp_path / "table.md").read_text()


def test_an_option_for_every_way_leaves_what_makes_a_way_what_it_is(stand_ins, tmp_path):
    experiment = EXPERIMENTS["sctrans-table-3"]
    data = on_files(experiment, [stand_ins.rna], Beside())
    how = {"seeds": [0], "ways": ["sctrans, no contrast"], "progress": False}
    run(experiment, data, tmp_path, options={**brief("sctrans-table-3"), "contrast": 0.5}, **how)
    (line,) = Lines(tmp_path / "lines.jsonl").found
    assert line["key"]["options"]["contrast"] == 0.0
    with pytest.raises(OptionError, match="No method here has an option 'epohcs'"):
        run(experiment, data, tmp_path, options={"epohcs": 5}, **how)


def test_published_numbers_are_printed_with_the_digits_of_the_paper():
    (one,) = EXPERIMENTS["seqalign-ablations"].published
    assert one.text == "0.9015 / 0.7694"
    assert EXPERIMENTS["sctrans-figure-8"].published[0].text == "0.67"


def test_two_files_with_the_same_batches_are_all_measured():
    found = []
    for name in ("x", "y"):
        cells = _cells(np.repeat(["a", "b"], 10))
        cells.obs["batch"] = np.tile(["u", "v"], 10)
        found.append(Data(name, {"rna": cells}))
    names = [case.key["data"] for case in pairs(found, 0)]
    assert len({*names}) == 4
    assert "u (x) to v (x)" in names


def test_uneven_types_keep_their_proportions_where_cells_are_few():
    y = np.repeat(["a", "b", "c"], [300, 90, 40])
    data = Data("x", {"rna": _cells(y)})
    (case,) = uneven({"a": 200, "b": 20, "c": 20}, test=10)([data], 0)
    taught = pd.Series(labels(case.reference)).value_counts().to_dict()
    assert taught == {"a": 200, "b": 20, "c": 20}
    (case,) = uneven({"a": 2000, "b": 200, "c": 20}, test=10)([data], 0)
    taught = pd.Series(labels(case.reference)).value_counts().to_dict()
    assert taught == {"a": 290, "b": 29, "c": 3}
    assert not {*case.reference["rna"].obs_names} & {*case.query["rna"].obs_names}


def test_the_smallest_type_with_enough_cells_is_cut_and_the_query_stays():
    y = np.repeat(["a", "b", "c"], [100, 80, 20])
    cases = list(cut_type(10, 50)([Data("x", {"rna": _cells(y)})], 0))
    assert [case.key["cut"] for case in cases] == ["b", "b"]
    assert [int((labels(case.reference) == "b").sum()) for case in cases] == [10, 50]
    queries = [[*case.query["rna"].obs_names] for case in cases]
    assert queries[0] == queries[1]


def test_two_batches_of_one_file_stand_in_for_two_data_sets():
    cells = _cells(np.repeat(["a", "b"], 10))
    cells.obs["batch"] = np.tile(["u", "v"], 10)
    found = list(pairs([Data("x", {"rna": cells})], 0))
    assert [case.key["data"] for case in found] == ["u to v", "v to u"]
    assert found[0].reference["rna"].n_obs == 10


def test_means_are_over_folds_first_and_spreads_over_seeds():
    experiment = EXPERIMENTS["dcca-generation"]
    keys = [(fold, seed) for fold in (0, 1) for seed in (0, 1)]
    rows = [
        {"data": "x", "direction": "d", "by": "model", "way": "dcca", "fold": fold, "seed": seed}
        | {"type": 0.2 * fold + 0.1 * seed}
        for fold, seed in keys
    ]
    table = summary(experiment, pd.DataFrame(rows))
    assert table["seeds"].tolist() == [2]
    assert table["type"].tolist() == [f"0.150 ± {0.1 / math.sqrt(2):.3f}"]


def test_other_data_in_the_same_folder_are_refused(stand_ins, tmp_path):
    experiment = EXPERIMENTS["sctrans-table-2"]
    how = {"seeds": [0], "ways": ["linear"], "progress": False}
    run(experiment, on_files(experiment, [stand_ins.rna], Beside()), tmp_path, **how)
    first = on_files(experiment, [stand_ins.rna], Beside())[0]
    changed = [replace(first, sha256={stand_ins.rna.name: "0" * 64})]
    with pytest.raises(DataError, match=r"another rna.h5ad \(SHA-256\)"):
        run(experiment, changed, tmp_path, **how)
    columns = on_files(experiment, [stand_ins.rna], Beside(labels="batch"))
    with pytest.raises(DataError, match=r"rna with 'cell_type' as labels, not 'batch'"):
        run(experiment, columns, tmp_path, **how)
    other = EXPERIMENTS["sctrans-figure-4"]
    with pytest.raises(DataError, match="give another folder"):
        run(other, on_files(other, [stand_ins.rna], Beside()), tmp_path, **how)


def test_all_problems_of_all_files_are_told_at_once(stand_ins, tmp_path):
    experiment = EXPERIMENTS["scmoanno-accuracy"]
    damaged = tmp_path / "damaged.h5ad"
    damaged.write_bytes(stand_ins.rna.read_bytes()[:5000])
    with pytest.raises(DataError) as told:
        on_files(experiment, [stand_ins.rna, damaged, tmp_path / "absent.h5ad"], Beside())
    text = str(told.value)
    assert "rna: it has rna" in text
    assert "scmoanno-accuracy reads rna and atac" in text
    assert "damaged.h5ad" in text
    assert "absent.h5ad" in text


def test_files_beside_the_cells_are_asked_for_by_their_options(stand_ins):
    with pytest.raises(OptionError, match="dcca-network needs genome and genes") as told:
        on_files(EXPERIMENTS["dcca-network"], [stand_ins.both], Beside())
    assert "--genome FILE" in str(told.value)


def test_reproduce_lists_all_and_says_the_nearest_name():
    listed = command("reproduce").stdout
    assert all(name in listed for name in EXPERIMENTS)
    rows = json.loads(command("reproduce", "--json").stdout)
    assert [row["name"] for row in rows] == [*EXPERIMENTS]
    wrong = command("reproduce", "sctrans-table2", code=2).stderr
    assert "sctrans-table-2" in wrong


def test_seeds_that_are_no_seeds_are_told(stand_ins, tmp_path):
    words = ("reproduce", "sctrans-table-2", "--on", stand_ins.rna, "--out", tmp_path / "x")
    assert "'a-b' names no seeds" in command(*words, "--seeds", "a-b", code=2).stderr
    assert not (tmp_path / "x").exists()


def test_columns_without_a_file_of_one_s_own_are_refused(tmp_path):
    words = ("reproduce", "sctrans-table-2", "--out", tmp_path / "x", "--labels", "kind")
    said = command(*words, "--batch", "donor", code=2).stderr
    assert "--labels kind and --batch donor" in said
    assert "--on FILE" in said


def test_a_refused_run_leaves_nothing_that_refuses_the_next(stand_ins, tmp_path):
    experiment, how = EXPERIMENTS["sctrans-figure-6"], {"seeds": [0], "ways": ["linear"]}
    without = on_files(experiment, [stand_ins.rna], Beside())
    with pytest.raises(DataError, match="--batch COLUMN"):
        run(experiment, without, tmp_path / "out", progress=False, **how)
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text('{"experiment": "another"}')  # no line was written
    table = EXPERIMENTS["sctrans-table-2"]
    run(table, on_files(table, [stand_ins.rna], Beside()), tmp_path / "out", progress=False, **how)
    assert (tmp_path / "out" / "table.md").exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("run.json", '{"experiment"', "run.json is missing or damaged"),
        ("run.json", '{"experiment": "sctrans-table-2"}', "run.json is missing or damaged"),
        ("lines.jsonl", '{"a": 1}\n', "line 1 is no result"),
        ("lines.jsonl", "[1, 2]\n", "line 1 is no result"),
    ],
)
def test_damaged_files_of_an_earlier_run_are_told(stand_ins, tmp_path, name, text, said):
    experiment = EXPERIMENTS["sctrans-table-2"]
    data = on_files(experiment, [stand_ins.rna], Beside())
    how = {"seeds": [0], "ways": ["linear"], "progress": False}
    run(experiment, data, tmp_path, **how)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=said):
        run(experiment, data, tmp_path, **how)


def test_lines_without_what_they_are_of_are_refused(stand_ins, tmp_path):
    experiment = EXPERIMENTS["sctrans-table-2"]
    data = on_files(experiment, [stand_ins.rna], Beside())
    how = {"seeds": [0, 0], "ways": ["linear", "linear"], "progress": False}
    run(experiment, data, tmp_path, **how)
    assert len(Lines(tmp_path / "lines.jsonl").found) == 1  # what is asked for twice is run once
    (tmp_path / "run.json").unlink()
    with pytest.raises(DataError, match=r"run.json is missing"):
        run(experiment, data, tmp_path, **how)


def test_the_default_folder_is_made_where_the_command_is_called(stand_ins, tmp_path):
    words = ("reproduce", "sctrans-table-2", "--way", "linear", "--seeds", "0", "--quiet")
    command(*words, "--on", stand_ins.rna, cwd=tmp_path)
    assert (tmp_path / "reproduce" / "sctrans-table-2" / "table.md").exists()


def test_two_runs_into_one_folder_are_refused(stand_ins, tmp_path):
    experiment = EXPERIMENTS["sctrans-table-2"]
    data = on_files(experiment, [stand_ins.rna], Beside())
    with FileLock(tmp_path / ".lock"), pytest.raises(CytonymError, match="another run writes"):
        run(experiment, data, tmp_path, seeds=[0], ways=["linear"], progress=False)
    assert not (tmp_path / "lines.jsonl").exists()


def test_logged_values_and_cells_without_a_label_are_told_on_the_page(stand_ins, tmp_path):
    cells = ad.read_h5ad(stand_ins.rna)
    x = cells.X.toarray().astype(np.float64)
    cells.X = np.log1p(x / x.sum(1, keepdims=True) * 1e4).astype(np.float32)
    cells.obs["cell_type"] = cells.obs["cell_type"].astype(object)
    cells.obs.loc[cells.obs_names[:7], "cell_type"] = None
    cells.write_h5ad(tmp_path / "logged.h5ad")
    experiment = EXPERIMENTS["sctrans-table-2"]
    data = on_files(experiment, [tmp_path / "logged.h5ad"], Beside())
    run(experiment, data, tmp_path / "out", seeds=[0, 1], ways=["linear"], progress=False)
    page = (tmp_path / "out" / "table.md").read_text()
    assert "logged: no raw counts; X is log1p(CP10k)" in page
    assert f"logged: 7 of {cells.n_obs:,} cells have no label" in page
    assert "on logged (labels: cell_type); seeds 0, 1" in page


def test_json_has_means_and_deviations_as_numbers(stand_ins, tmp_path):
    words = ("reproduce", "sctrans-table-2", "--on", stand_ins.rna, "--way", "linear", "--json")
    (row,) = json.loads(command(*words, "--seeds", "0-1", "--out", tmp_path / "x").stdout)
    assert row["seeds"] == 2
    assert 0 < row["accuracy"]["mean"] <= 1
    assert row["accuracy"]["sd"] >= 0


def test_a_table_of_markers_that_is_not_there_is_named(stand_ins, tmp_path):
    words = ("reproduce", "sctrans-figure-8", "--on", stand_ins.rna, "--out", tmp_path / "x")
    said = command(*words, "--markers", tmp_path / "nofile.tsv", code=2).stderr
    assert said.startswith("cytonym: nofile.tsv cannot be used")


def test_a_folder_that_is_a_file_or_is_not_there_is_told(stand_ins, tmp_path):
    words = ("reproduce", "sctrans-table-2", "--way", "linear")
    on = ("--on", stand_ins.rna)
    assert "is a file" in command(*words, *on, "--out", stand_ins.rna, code=2).stderr
    deep = command(*words, *on, "--out", tmp_path / "a" / "b", code=2).stderr
    assert "there is no folder" in deep
    assert "no such folder" in command(*words, "--folder", tmp_path / "no", code=2).stderr
    both = command(*words, *on, "--folder", tmp_path, code=2).stderr
    assert "--on was given" in both


def test_without_the_paper_s_files_each_is_named_with_its_place(tmp_path):
    env = {"CYTONYM_CACHE": str(tmp_path / "cache"), "CYTONYM_OFFLINE": "1"}
    said = command("reproduce", "sctrans-figure-6", env=env, cwd=tmp_path, code=2).stderr
    for word in ("baron", "muraro", "segerstolpe", "xin", "GSE84133", "--on FILE"):
        assert word in said
    assert os.listdir(tmp_path) in ([], ["cache"])


def _cells(y: np.ndarray) -> ad.AnnData:
    obs = pd.DataFrame({"cell_type": y.astype(object)}, [f"c{i}" for i in range(len(y))])
    return ad.AnnData(np.ones((len(y), 3), np.float32), obs)
