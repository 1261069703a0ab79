"""The pages say what the program does: names, commands, options, columns, links.

``python tests/test_docs.py`` writes the option tables of the docs anew from the code.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import typer.main
from anndata import AnnData
from typer import BadParameter

import cytonym
from cytonym.annotator import Annotator
from cytonym.cli import app
from cytonym.fitting.fit import pick_method
from cytonym.methods import Completes, Explains, Generates, get, registry
from cytonym.options import parse
from cytonym.types import Batch, Clock
from cytonym.view.text import method_page
from pages import FENCE, PAGES, ROOT, commands, fences, ids

CODE = ROOT / "src" / "cytonym"
TEXTS = [*PAGES, ROOT / "CITATION.cff"]

REFERENCE = re.compile(r"\[([\w/]+\.py)::([\w.]+)\]")
LINK = re.compile(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"")
PLACE = re.compile(r"`((?:src|tests|docs|benchmarks|\.ci)(?:/[\w.*-]+)*)`")
HOSTS = {"keepachangelog.com", "semver.org"}
ADDRESS = re.compile(r"\b(?:[\w-]+\.)+(?:com|org|net|io|ai|dev|edu)\b")
LOCAL = re.compile(r"(?<![\w.:/])/(?:home|work|root|mnt|media|opt|srv|tmp|Users|data)\b")
BOASTS = re.compile(
    r"\b(state[- ]of[- ]the[- ]art|cutting-edge|powerful|seamless|effortless|blazing|robust|novel"
    r"|revolutionary|unparalleled|superior|game-changing|best-in-class|world-class|unleash)"
)
WRITTEN = re.compile(
    r"(<!-- (cytonym methods|cytonym datasets|preset|needs|auto) ([\w ]+) -->\n)"
    r"(.*?)(<!-- end -->)",
    re.DOTALL,
)

GROUP = typer.main.get_command(app)


# --- names in the code -------------------------------------------------------------------------


def names(tree: ast.AST, head: str = "") -> set[str]:
    """Dotted names of all classes, functions and assigned names of a module."""
    found = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found |= {head + node.name} | names(node, f"{head}{node.name}.")
        elif isinstance(node, ast.Assign):
            found |= {head + t.id for t in node.targets if isinstance(t, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(head + node.target.id)
    return found


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_object_that_a_page_names_is_in_the_file_that_it_names(page):
    for file, name in REFERENCE.findall(page.read_text(encoding="utf-8")):
        path = CODE / file
        assert path.is_file(), f"{page.name}: no file {file}"
        known = names(ast.parse(path.read_text(encoding="utf-8")))
        assert name in known, f"{page.name}: no {name} in {file}"


def test_the_sctrans_page_names_at_least_one_object_for_each_of_the_nine_equations():
    rows = (ROOT / "docs" / "sctrans.md").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows if row[:1] == "|"]
    found = {row[0] for row in cells if len(row) == 3 and REFERENCE.search(row[2])}
    assert {str(number) for number in range(1, 10)} <= found


# --- commands ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_on_a_page_is_understood_as_it_stands(page):
    lines = [line for _, body in fences(page, "bash") for line in commands(body)]
    for words in lines:
        if words == ["--version"]:
            continue
        assert words[0] in GROUP.commands, f"no command {words[0]}"
        command = GROUP.commands[words[0]]
        try:
            context = command.make_context(words[0], words[1:])
        except BadParameter as error:
            pytest.fail(f"cytonym {' '.join(words)}: {error}")
        if words[0] == "fit":
            named = context.params["method"]
            method = get("sctrans" if named == "auto" else named)  # as for RNA alone
            parse(method.Options, context.params["settings"], presets=method.presets)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_command_named_in_a_sentence_exists_with_its_options(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for line in re.findall(r"`cytonym ([^`]+)`", text):
        words = re.sub(r"[\[\]|…]", " ", line).split()
        if words[0].startswith("-"):
            command = GROUP
        else:
            assert words[0] in GROUP.commands, f"{page.name}: cytonym {line}"
            command = GROUP.commands[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}


def test_the_page_on_the_command_line_names_every_command_and_each_of_its_options_and_no_other():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"\n## (\w+)\n(.*?)(?=\n## |\Z)", text, re.DOTALL))
    synopsis = fences(ROOT / "docs" / "cli.md", "text")[0][1]
    lines = dict(re.findall(r"cytonym (\w+) (.*?)(?=\ncytonym|\Z)", synopsis, re.DOTALL))
    assert set(lines) == set(GROUP.commands)
    for name, command in GROUP.commands.items():
        options = {o for p in command.params for o in p.opts if o.startswith("--")}
        for place in (sections[name], lines[name]):
            said = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", place)) - {"--help"}
            assert said == options, f"{name}: {sorted(said ^ options)}"


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_make_target_on_a_page_is_in_the_makefile(page):
    known = set(
        re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    text = page.read_text(encoding="utf-8")
    said = set(re.findall(r"`make (\w+)`", text))
    for _, body in fences(page, "bash"):
        said |= set(re.findall(r"^(?:\w+=\S+ )?make (\w+)", body, re.MULTILINE))
    assert said <= known


# --- Python ------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [ROOT / "README.md"], ids=ids)
def test_the_python_of_the_readme_compiles_and_calls_what_exists_with_known_arguments(page):
    blocks = fences(page, "python")
    assert blocks
    owners = {"cytonym": cytonym, "model": Annotator, "calls": cytonym.Annotation}
    for _, body in blocks:
        tree = ast.parse(body)
        compile(tree, page.name, "exec")
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert isinstance(node.func.value, ast.Name)
                function = getattr(owners[node.func.value.id], node.func.attr)
                code = function.__code__
                known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
                assert {keyword.arg for keyword in node.keywords} <= set(known)


def test_every_attribute_that_the_pages_name_of_the_package_the_model_and_the_answer_exists():
    owners = {"cytonym": cytonym, "model": Annotator, "calls": cytonym.Annotation}
    owners |= {"Annotator": Annotator, "Annotation": cytonym.Annotation}
    for page in PAGES:
        for owner, name in re.findall(r"`(\w+)\.(\w+)[(.`]", page.read_text(encoding="utf-8")):
            if owner in owners and name != "cytonym":
                slots = getattr(owners[owner], "__slots__", ())
                found = hasattr(owners[owner], name) or name in slots
                found = found or importlib.util.find_spec(f"cytonym.{name}") is not None
                assert found, f"{page.name}: {owner}.{name}"


def test_the_page_on_python_names_everything_that_the_package_offers():
    said = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"auto(?:function|class):: cytonym\.(\w+)", said))
    assert set(cytonym.__all__) <= named


def test_the_lines_of_linear_that_contributing_shows_stand_in_its_file_in_this_order():
    file = (CODE / "methods" / "linear.py").read_text(encoding="utf-8")
    whole = [line.strip() for line in file.splitlines()]
    blocks = [b for m, b in fences(ROOT / "CONTRIBUTING.md", "python") if m == "methods/linear.py"]
    assert len(blocks) >= 5
    place = 0
    for line in "".join(blocks).splitlines():
        line = line.strip()
        if line:
            assert line in whole[place:], f"not in methods/linear.py, or above: {line!r}"
            place = whole.index(line, place)


def test_the_skeleton_of_contributing_is_a_method_that_names_8_cells_of_3_types(tmp_path):
    (body,) = [b for m, b in fences(ROOT / "CONTRIBUTING.md", "python") if m == "skeleton"]
    file = tmp_path / "mlp.py"
    file.write_text(body, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("skeleton_of_contributing", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        method = module.Mlp()
        options = method.Options(genes=5, dim=4, epochs=1)
        assert [*method.features(options)] == ["rna"]
        net = method.build({"rna": 5}, 3, options)
        here, zero = torch.ones(8, dtype=torch.bool), torch.zeros(8, dtype=torch.int64)
        batch = Batch(
            {"rna": torch.randn(8, 5)},
            {},
            {"rna": here},
            torch.arange(8) % 3,
            zero,
            torch.arange(8),
        )
        (stage,) = method.stages(options, [3, 3, 2])
        losses = stage.steps[0].loss(net, batch, Clock("fit", 0, 0.0, 1))
        assert torch.isfinite(losses["total"])
        assert method.predict(net, batch).scores.shape == (8, 3)
    finally:
        del sys.modules[spec.name]


# --- what comes out ----------------------------------------------------------------------------


def test_the_columns_on_the_pages_are_those_that_an_answer_writes():
    cells, types = np.array(["a", "b"]), ["B/NK", "T"]
    chances = pd.DataFrame([[0.9, 0.1], [0.2, 0.8]], cells, types, np.float32)
    facts = {"method": "sctrans", "version": "0", "seed": 0, "options": "{}", "hash": "0a"}
    answer = cytonym.Annotation(
        cells,
        np.array(["B/NK", "T"]),
        np.float32([0.9, 0.8]),
        chances,
        np.eye(2),
        {},
        (),
        facts,
        sets=np.array([("B/NK",), ("T", "B/NK")], dtype=object),
    )
    adata = answer.to(AnnData(np.eye(2), pd.DataFrame(index=cells)))
    places = {f'obs["{name}"]' for name in adata.obs} | {f'obsm["{name}"]' for name in adata.obsm}
    places |= {f'uns["{name}"]' for name in adata.uns}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    table = readme.split("## What comes out")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)) == places
    assert [*adata.obsm["cell_type_pred_probabilities"]] == ["B|NK", "T"]
    assert [*adata.uns["cell_type_pred"]["types"]] == types
    contract = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
    row = next(line for line in contract.splitlines() if line.startswith("| `uns[key]`"))
    assert set(re.findall(r"`(\w+)`", row)) == set(adata.uns["cell_type_pred"])
    for column in answer.table():
        assert f"`{column}`" in contract


# --- what is written from the code -------------------------------------------------------------


def written(kind: str, name: str) -> str:
    """What stands between the marks: the output of ``cytonym methods``, or a table."""
    if kind == "cytonym datasets":
        return data_set_table()
    if kind == "needs":
        return needs_table()
    if kind == "auto":
        return auto_table()
    if kind == "cytonym methods":
        return f"```text\n{method_page(get(name))}\n```\n"
    method, preset = get(name.split()[0]), name.split()[1]
    usual = method.Options().model_dump()

    def word(value: object) -> str:
        if isinstance(value, list | tuple):
            return ",".join(map(str, value)) or "(empty)"
        return "none" if value is None else str(value)

    rows = [
        f"| `{key}` | {word(usual[key])} | {word(value)} |"
        for key, value in method.presets[preset].items()
    ]
    head = f"| option | default | `{preset}` |\n|---|---|---|\n"
    return head + "".join(f"{row}\n" for row in rows)


def data_set_table() -> str:
    head = "| name | what | cells | types | modalities | genome | files |\n" + "|---" * 7 + "|\n"
    rows = []
    for one in cytonym.datasets.DATA_SETS.values():
        cells, types = ("?" if n is None else f"{n:,}" for n in (one.n_cells, one.n_types))
        by_hand = any(file.url is None and not file.optional for file in one.files)
        words = (f"`{one.name}`", one.title, cells, types, ", ".join(one.modalities))
        rows.append((*words, one.genome or "", "by hand" if by_hand else "fetched"))
    return head + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def needs_table() -> str:
    """What every method asks for and can do, by its record."""
    heads = ("method", "reads", "may lack", "raw counts", "labels", "query", "can")
    rows = []
    for name, method in registry().items():
        needs, word = method.needs, " and/or " if method.needs.optional else " and "
        reads = word.join(needs.modalities)
        if needs.together:
            reads = " and ".join(" or ".join(group) for group in needs.together)
        able = {"explains": Explains, "generates": Generates, "fills in": Completes}
        can = ", ".join(what for what, kind in able.items() if isinstance(method, kind))
        facts = (needs.optional, needs.counts, needs.labels, needs.query)
        lack, counts, labels, query = ("yes" if one else "no" for one in facts)
        labels = labels if needs.labels else "only to name"
        rows.append((f"[`{name}`]({name}.md)", reads, lack, counts, labels, query, can))
    return as_table(heads, rows)


def auto_table() -> str:
    """What ``auto`` picks for each kind of reference."""
    given = {
        "RNA, with labels": (("rna",), True, False),
        "RNA and ATAC, with labels": (("rna", "atac"), True, False),
        "ATAC alone, with labels": (("atac",), True, False),
        "ATAC alone, with labels and a genome": (("atac",), True, True),
        "RNA and ATAC (or methylation), no labels": (("rna", "atac"), False, False),
    }
    rows = []
    for what, (modalities, labelled, dna) in given.items():
        picked, _ = pick_method("auto", modalities, labelled=labelled, dna=dna)
        rows.append((what, f"`{picked.name}`", picked.summary))
    return as_table(("the reference has", "method", "what it is"), rows)


def as_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def renewed(text: str) -> str:
    return WRITTEN.sub(lambda m: m[1] + written(m[2], m[3]) + m[5], text)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_option_tables_are_those_of_the_code(page):
    text = page.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python tests/test_docs.py"


def test_the_pages_show_all_options_of_their_method_and_one_its_preset():
    found = [m[1:3] for page in PAGES for m in WRITTEN.findall(page.read_text(encoding="utf-8"))]
    assert sorted(found) == [
        ("auto", "all"),
        ("cytonym datasets", "all"),
        ("cytonym methods", "dcca"),
        ("cytonym methods", "linear"),
        ("cytonym methods", "scmoanno"),
        ("cytonym methods", "sctrans"),
        ("cytonym methods", "seqalign"),
        ("needs", "all"),
        ("preset", "sctrans paper"),
    ]


# --- the pages themselves ----------------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_every_link_and_picture_of_a_page_leads_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for one, other in LINK.findall(text):
        target = one or other
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file).resolve() if file else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(path), f"{page.name}: {target}"
    for place in PLACE.findall(text):
        assert [*ROOT.glob(place)], f"{page.name}: {place}"


@pytest.mark.parametrize("page", TEXTS, ids=ids)
def test_no_page_names_a_machine_s_folder_or_an_address_that_it_need_not(page):
    text = page.read_text(encoding="utf-8")
    assert LOCAL.findall(text) == []
    assert set(ADDRESS.findall(text)) <= HOSTS


@pytest.mark.parametrize("page", TEXTS, ids=ids)
def test_no_page_boasts(page):
    assert BOASTS.findall(page.read_text(encoding="utf-8").lower()) == []


def test_the_citation_is_complete_and_has_the_version_of_the_package():
    yaml = pytest.importorskip("yaml")
    facts = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(facts)
    assert facts["version"] == project["version"]
    assert facts["license"] == project["license"] == "BSD-3-Clause"
    assert facts["authors"] == project["authors"]
    (paper,) = facts["references"]
    assert (paper["year"], paper["start"], paper["end"]) == (2024, 5954, 5962)
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{project['version']}]" in changes


if __name__ == "__main__":
    for one in PAGES:
        one.write_text(renewed(one.read_text(encoding="utf-8")), encoding="utf-8")
