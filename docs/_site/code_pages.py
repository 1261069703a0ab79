"""``[methods/linear.py::Linear]`` on a page leads to that line of the code, on a page too."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer
from sphinx.util.docutils import SphinxRole

CODE = Path(__file__).parents[2] / "src" / "cytonym"
REFERENCE = re.compile(r"(?<!`)\[([\w/]+\.py)::([\w.]+)\]")


def lines(path: Path) -> dict[str, int]:
    """The line of every class, function and assigned name of a module, by its dotted name."""
    found: dict[str, int] = {}

    def walk(tree: ast.AST, head: str) -> None:
        for node in ast.iter_child_nodes(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found[head + node.name] = node.lineno
                walk(node, f"{head}{node.name}.")
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update({head + t.id: t.lineno for t in targets if isinstance(t, ast.Name)})

    walk(ast.parse(path.read_text(encoding="utf-8")), "")
    return found


def page_of(file: str) -> str:
    """``methods/linear.py`` is shown on ``code/methods/linear``."""
    return f"code/{file.removesuffix('.py')}"


class CodeRole(SphinxRole):
    """A link to a line of the code."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The link; an unknown file or name is a warning, which ends the build."""
        file, name = self.text.split("::")
        path = CODE / file
        place = lines(path).get(name) if path.is_file() else None
        shown = nodes.literal(self.text, f"{file}::{name}")
        if place is None:
            problem = self.inliner.reporter.warning(f"no {name} in {file}", line=self.lineno)
            return [shown], [problem]
        node = nodes.reference("", "", shown, internal=True)
        node["code"] = (page_of(file), place)
        return [node], []


def to_roles(app: Any, name: str, source: list[str]) -> None:
    """References become roles before the page is parsed; those in backticks are examples."""
    source[0] = REFERENCE.sub(r"{code-line}`\1::\2`", source[0])


def link(app: Any, doctree: nodes.document, name: str) -> None:
    """Addresses are known once it is known on which page a reference stands."""
    for node in doctree.findall(nodes.reference):
        if "code" in node:
            page, line = node["code"]
            node["refuri"] = f"{app.builder.get_relative_uri(name, page)}#L-{line}"


def pages(app: Any) -> Iterator[tuple[str, dict[str, str], str]]:
    """A page for each file of the package."""
    form = HtmlFormatter(
        cssclass="highlight", linenos="inline", anchorlinenos=True, lineanchors="L"
    )
    for path in sorted(CODE.rglob("*.py")):
        file = path.relative_to(CODE).as_posix()
        body = highlight(path.read_text(encoding="utf-8"), PythonLexer(), form)
        yield page_of(file), {"title": file, "body": f"<h1>{file}</h1>{body}"}, "page.html"


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_role("code-line", CodeRole())
    app.connect("source-read", to_roles)
    app.connect("doctree-resolved", link)
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True}
