"""The page itself: facts to one HTML file that asks nothing of a network."""

from __future__ import annotations

import base64
import hashlib
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from cytonym.annotator import Annotator
from cytonym.disk.files import replacing
from cytonym.disk.stamps import Stamp
from cytonym.errors import CytonymError, install
from cytonym.evaluate.metrics import NOT_PREDICTED
from cytonym.memory import Memory
from cytonym.places import check_table
from cytonym.view.plots import PALETTE
from cytonym.view.report import words
from cytonym.view.report.collect import collect
from cytonym.view.report.curves import line, stairs
from cytonym.view.report.facts import Facts

if TYPE_CHECKING:
    from mudata import MuData

HERE = Path(__file__).parent
DARK = (
    *("#56A8E8", "#E69F00", "#1FC79A", "#E08BBB", "#8FD3F5", "#F0772B", "#FFFFFF"),
    *("#D4608F", "#BDBD52", "#9A8CF0", "#C77BC7", "#63C7B8", "#DE8795", "#4FB76E", "#B5E2F7"),
    *("#E6DA94", "#F5EB66"),
)
"""The palette of the plots, each colour lightened until it can be seen on a dark page."""


def report(
    data: str | Path | AnnData | MuData,
    out: str | Path,
    *,
    model: Annotator | str | Path | None = None,
    truth: str | None = None,
    key: str = "cell_type_pred",
    embedding: str | None = None,
    max_memory: Memory | None = None,
) -> Path:
    """Write one HTML page about annotated cells; it needs no network, now or when it is read.

    Parameters
    ----------
    data
        What ``annotate`` wrote: an ``.h5ad``, ``.h5mu`` or Zarr path, an AnnData or a MuData. Its
        matrix is not read.
    out
        The page; ends in ``.html``. An older one is replaced once the new one is complete.
    model
        The model that named the cells, or its folder: adds why each type, and how the fit went.
    truth
        A column of ``obs`` with known labels: adds scores, confusion and reliability.
    key
        The column of the names.
    embedding
        What of ``obsm`` is drawn; default: ``X_umap`` or ``X_tsne``, else two principal
        components of ``X_<method>``.
    max_memory
        What the process may take, as bytes or ``"4GB"``: more is refused before it begins.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    DataError
        The data cannot be read, change meanwhile, or hold no such annotation, truth or embedding.
    ModelError
        No model there, or one of another method than the annotation.
    OptionError
        So many cells take more than ``max_memory``.
    CytonymError
        ``out`` cannot be written, or jinja2 is not installed.
    """
    check_extra()
    out = Path(out).expanduser()
    read = Path(data).expanduser() if isinstance(data, str | Path) else None
    check_table(out, ".html", read, option="out")
    stamp = Stamp.of(read) if read is not None and read.exists() else Stamp()
    with stamp.unchanged():
        how = {"truth": truth, "key": key, "embedding": embedding}
        facts = collect(data, model=model, **how, max_memory=max_memory)
    text = render(facts)
    with replacing(out) as partial:
        partial.write_text(text, encoding="utf-8")
    return out


def check_extra() -> None:
    """Raise a :class:`CytonymError` with the remedy where jinja2 is not installed."""
    if find_spec("jinja2") is None:
        raise CytonymError(
            f"The report needs jinja2, which is not installed.\n    → {install('report')}"
        )


def render(facts: Facts) -> str:
    """The page as text. Every name of the data is escaped by the template."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "n": "{:,}".format,
        "f2": "{:.2f}".format,
        "f3": "{:.3f}".format,
        "percent": words.percent,
    }
    versions = _versions()
    script = (HERE / "script.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    values: dict[str, Any] = {
        "facts": facts,
        "summary": words.summary(facts),
        "warnings": words.warnings(facts),
        "methods": words.methods(facts, versions),
        "options": words.options(facts.method),
        "versions": versions,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "palettes": {"light": PALETTE, "dark": DARK},
        "stairs": stairs,
        "line": line,
        "not_predicted": NOT_PREDICTED,
        "style": Markup((HERE / "style.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        # With this the browser runs our script and no other, whatever a name contains.
        "digest": base64.b64encode(digest).decode("ascii"),
    }
    return environment.get_template("page.html.jinja").render(values)


def _versions() -> dict[str, str]:
    """Of what this page was made with."""
    packages = ("cytonym", "anndata", "numpy", "pandas", "scikit-learn", "torch")
    return {"Python": sys.version.split()[0], **{name: version(name) for name in packages}}
