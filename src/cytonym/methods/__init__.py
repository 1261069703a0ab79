"""The methods: one file each, found by looking into this folder and at installed entry points."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from cytonym.errors import OptionError, suggest
from cytonym.methods.base import (
    Completes,
    Explains,
    Generates,
    Method,
    Needs,
    Views,
    check_compiles,
    with_weights,
)

__all__ = [
    "Completes",
    "Explains",
    "Generates",
    "Method",
    "Needs",
    "Views",
    "check_compiles",
    "get",
    "registry",
    "with_weights",
]


@cache
def registry() -> dict[str, Method]:
    """Every method by name: the classes in this folder, then those that other packages offer
    under the entry point group ``cytonym.methods``.
    """
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")
    classes = [kind for kind in Method.__subclasses__() if kind.__module__.startswith(__name__)]
    classes += [point.load() for point in entry_points(group="cytonym.methods")]
    return {kind.name: kind() for kind in sorted(classes, key=lambda kind: kind.name)}


def get(name: str) -> Method:
    """The method called ``name``; an unknown name is an :class:`OptionError`."""
    if name not in registry():
        raise OptionError(f"No method {name!r}. {suggest(name, [*registry()])}")
    return registry()[name]
