"""What stands in the margin of the site, in which order; pages that nobody put there come last.

The list is here and not in ``docs/index.md``, which stays plain Markdown.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

CONTENTS: dict[str, list[str]] = {
    "Start": ["README", "docs/quickstart", "docs/choose", "docs/data", "docs/faq"],
    "Tutorials": [
        "docs/tutorials/rna",
        "docs/tutorials/multiome",
        "docs/tutorials/atac",
        "docs/tutorials/network",
        "docs/tutorials/method",
    ],
    "The answer": ["docs/trust", "docs/groups", "docs/ontology", "docs/report"],
    "Methods, paper by paper": [
        "docs/sctrans",
        "docs/scmoanno",
        "docs/dcca",
        "docs/seqalign",
        "docs/regulation",
        "docs/linear",
    ],
    "Measurements": ["docs/benchmarks", "docs/reproduce", "docs/datasets", "docs/peers"],
    "Reference": ["docs/cli", "docs/api", "docs/scale", "docs/formats", "docs/r"],
    "Develop": ["CONTRIBUTING", "docs/contract", "docs/ecosystem", "CHANGELOG", "CODE_OF_CONDUCT"],
}
MORE = "More"


def sections(found: set[str], root: str) -> dict[str, list[str]]:
    """The pages that are there, by section; those that no section names under ``More``."""
    named = {page for pages in CONTENTS.values() for page in pages}
    shown = {title: [p for p in pages if p in found] for title, pages in CONTENTS.items()}
    shown[MORE] = sorted(found - named - {root})
    return {title: pages for title, pages in shown.items() if pages}


def add_contents(app: Any, name: str, source: list[str]) -> None:
    """Append the trees of the margin to the root page, where nobody sees them."""
    root = app.config.root_doc
    if name != root:
        return
    for title, pages in sections({*app.env.found_docs}, root).items():
        entries = "\n".join(f"/{page}" for page in pages)
        source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries}\n```\n"


def forward(app: Any, error: Exception | None) -> None:
    """``index.html`` of the folder leads to the first page."""
    if error is None and app.builder.format == "html":
        first = app.builder.get_target_uri(app.config.root_doc)
        page = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>cytonym</title>'
            f'<meta http-equiv="refresh" content="0; url={first}"></head>'
            f'<body><a href="{first}">cytonym</a></body></html>\n'
        )
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", forward)
    return {"parallel_read_safe": True}
