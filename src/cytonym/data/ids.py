"""What kind of identifier names are, and which species they come from."""

from __future__ import annotations

import re

import numpy as np

_KINDS = {
    "Ensembl human": re.compile(r"^ENSG\d{11}(\.\d+)?(_PAR_Y)?$"),
    "Ensembl mouse": re.compile(r"^ENSMUSG\d{11}(\.\d+)?$"),
    "Ensembl of another species": re.compile(r"^ENS[A-Z]{3,4}G\d{11}(\.\d+)?$"),
    "Ensembl transcript": re.compile(r"^ENS[A-Z]{0,4}T\d{11}(\.\d+)?$"),
    "genomic interval": re.compile(r"^[\w.]+[:_-]\d+[-_]\d+$"),
    "number": re.compile(r"^\d+(\.0)?$"),
    "placeholder": re.compile(r"^(gene|feature|var|peak|g|v)[_-]?\d+$", re.IGNORECASE),
    "symbol": re.compile(r"^[A-Za-z][\w.\-/@:()']{0,30}$"),
}
_VERSION = re.compile(r"^(ENS[A-Z]{0,4}[GT]\d{11})\.\d+")
_NO_LETTER_CASE = re.compile(r"[^A-Za-z]")


def id_type(names: np.ndarray) -> str:
    """The kind of most of ``names``.

    Parameters
    ----------
    names
        ``(features,)`` str.

    Returns
    -------
    str
        ``"symbol"``, ``"Ensembl human"``, ``"Ensembl mouse"``, ``"Ensembl of another species"``,
        ``"Ensembl transcript"``, ``"Entrez"``, ``"numeric"`` (a mere count 0, 1, 2, ...),
        ``"placeholder"`` (gene0, gene1), ``"genomic interval"`` or ``"unknown"``.
    """
    seen = [str(name) for name in names[:: max(1, len(names) // 2000)] if name]
    if not seen:
        return "unknown"
    kinds = [next((kind for kind, shape in _KINDS.items() if shape.match(n)), "?") for n in seen]
    kind = max(_KINDS, key=kinds.count)
    if kinds.count(kind) < 0.6 * len(seen):
        return "unknown"
    if kind != "number":
        return kind
    numbers = np.array([float(n) for n in names if _KINDS["number"].match(str(n))])
    counted = len(numbers) == len(names) and numbers.max() - numbers.min() == len(names) - 1
    return "numeric" if counted and numbers.min() <= 1 else "Entrez"


def is_known(kind: str) -> bool:
    """Whether the kind names genes in a way that other data sets can share."""
    return kind not in ("numeric", "placeholder", "unknown", "Ensembl transcript")


def species(names: np.ndarray) -> tuple[str, str]:
    """Guess the species; ``("human" | "mouse" | "mouse or rat" | "unknown", why)``.

    Ensembl prefixes tell; for symbols, their case does: human ones are capitals (CD3D), those of
    mouse and rat begin with one (Cd3d).
    """
    kind = id_type(names)
    if kind in ("Ensembl human", "Ensembl mouse"):
        return kind.split()[1], f"{kind} gene IDs"
    if kind != "symbol":
        return "unknown", f"the names are of type {kind}"
    letters = [n for name in names if len(n := _NO_LETTER_CASE.sub("", str(name))) > 1]
    if not letters:
        return "unknown", "the names have no letters"
    upper = np.mean([n.isupper() for n in letters])
    title = np.mean([n[0].isupper() and n[1:].islower() for n in letters])
    mito = [sum(str(n).startswith(start) for n in names) for start in ("MT-", "mt-", "Mt-")]
    why = f"{upper:.0%} of the symbols are in capitals, {title:.0%} capitalised"
    if any(mito):
        why += f"; {mito[0]} begin with MT-, {mito[1]} with mt-, {mito[2]} with Mt-"
    if upper > 0.85:
        return "human", why
    if title > 0.6:
        return ("mouse" if mito[1] else "mouse or rat"), why
    return "unknown", why


def without_version(names: np.ndarray) -> np.ndarray:
    """Ensembl IDs without their version (``ENSG00000141510.12`` → ``ENSG00000141510``).

    Other names are given back as they are: ``AL627309.1`` is a symbol of its own.
    """
    if not any(str(name).startswith("ENS") for name in names):
        return names
    return np.array([_VERSION.sub(r"\1", str(name)) for name in names], dtype=str)
