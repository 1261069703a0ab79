"""cytonym names cells: learn from labelled ones, name the rest, say how sure and why.

Importing does nothing else: what a name needs is loaded when it is first used.
"""

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

# Not lazy: the folder of the same name would take its place when it is first imported.
from cytonym.methods import registry as methods

if TYPE_CHECKING:
    from cytonym import datasets
    from cytonym.annotator import Annotator, load
    from cytonym.counting import count
    from cytonym.data.read import open_cells as read
    from cytonym.fitting import fit
    from cytonym.inspecting import inspect
    from cytonym.networking import motif_activity, network
    from cytonym.ontology import map_labels
    from cytonym.publishing import export
    from cytonym.result import Annotation
    from cytonym.several import Consensus, consensus
    from cytonym.view.report import report

__version__ = version("cytonym")
__all__ = [
    "Annotation",
    "Annotator",
    "Consensus",
    "consensus",
    "count",
    "datasets",
    "export",
    "fit",
    "inspect",
    "load",
    "map_labels",
    "methods",
    "motif_activity",
    "network",
    "read",
    "report",
]

_WHERE = {
    "Annotation": ("cytonym.result", "Annotation"),
    "Annotator": ("cytonym.annotator", "Annotator"),
    "Consensus": ("cytonym.several", "Consensus"),
    "consensus": ("cytonym.several", "consensus"),
    "count": ("cytonym.counting", "count"),
    "datasets": ("cytonym.datasets", None),
    "export": ("cytonym.publishing", "export"),
    "fit": ("cytonym.fitting", "fit"),
    "inspect": ("cytonym.inspecting", "inspect"),
    "load": ("cytonym.annotator", "load"),
    "map_labels": ("cytonym.ontology", "map_labels"),
    "motif_activity": ("cytonym.networking", "motif_activity"),
    "network": ("cytonym.networking", "network"),
    "read": ("cytonym.data.read", "open_cells"),
    "report": ("cytonym.view.report", "report"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'cytonym' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)


def __dir__() -> list[str]:
    return sorted([*globals(), *_WHERE])
