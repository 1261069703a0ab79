"""Which module may import which: down only, and some boxes not at all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cytonym

ROOT = Path(cytonym.__file__).parent
LAYERS = [
    ["errors", "reserved"],
    [
        "types",
        "options",
        "memory",
        "disk",
        "device",
        "fit_report",
        "fetching",
        "compat",
        "stacked",
    ],
    ["dna"],
    ["nn", "prep", "groups"],
    ["data", "methods", "train", "evaluate"],
    ["datasets"],
    [
        "result",
        "additions",
        "copying",
        "taken",
        "dense",
        "bundle",
        "places",
        "explaining",
        "trust",
        "quick",
        "ontology",
        "regulation",
    ],
    ["publishing"],
    [
        "annotator",
        "asking",
        "loading",
        "forecast",
        "opening",
        "decoding",
        "fitting",
        "inspecting",
        "counting",
        "networking",
        "several",
        "parts",
        "spread",
    ],
    ["peers"],
    ["reproduce", "cli", "view", "demo", "__init__", "__main__"],
]
APART = {"data", "methods", "train", "evaluate"}
FORBIDDEN = {
    "methods": {"anndata", "pandas", "scanpy", "matplotlib", "mudata", "h5py", "accelerate"},
    "nn": {"anndata", "pandas", "numpy", "scipy", "sklearn", "accelerate", "scanpy"},
    "prep": {"anndata", "pandas", "scanpy", "sklearn"},
    "train": {"anndata", "pandas", "scanpy", "numpy"},
}
FILES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


def box(parts: tuple[str, ...]) -> str:
    """The first part below the package: ``data`` of ``data/read.py``, ``demo`` of ``demo.py``."""
    return Path(parts[0]).stem if parts else "__init__"


def layer(name: str) -> int:
    found = [level for level, names in enumerate(LAYERS) if name in names]
    assert found, f"{name} is new: say in LAYERS where it belongs"
    return found[0]


def imports(path: Path) -> set[str]:
    """All modules that a file imports at any place; what only type checkers see counts too."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_only_from_lower_layers_or_its_own_folder(path):
    own = box(path.parts)
    for module in imports(path):
        if module.split(".")[0] == "cytonym":
            other = box(tuple(module.split(".")[1:]))
            if other != own:
                assert layer(other) <= layer(own), f"{path} imports {module} from above"
                assert not {own, other} <= APART, f"{path} imports {module} beside it"
        assert module.split(".")[0] not in FORBIDDEN.get(own, ()), f"{path} imports {module}"


def test_importing_cytonym_loads_no_optional_package_writes_nothing_and_sets_no_seed(tmp_path):
    script = (
        "import sys, numpy, torch, logging\n"
        "before = numpy.random.get_state()[1].tolist(), torch.initial_seed()\n"
        "threads = torch.get_num_threads()\n"
        "import cytonym\n"
        "after = numpy.random.get_state()[1].tolist(), torch.initial_seed()\n"
        "assert before == after\n"
        "assert threads == torch.get_num_threads() and not logging.getLogger('cytonym').handlers\n"
        "extras = {'scanpy', 'matplotlib', 'plotly', 'jinja2', 'numba'}\n"
        "extras |= {'cellxgene_ontology_guide'}\n"
        "print(*extras & {*sys.modules})\n"
    )
    home = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=home, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "\n"
    assert [*tmp_path.iterdir()] == []
