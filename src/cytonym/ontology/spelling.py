"""A label as words that do not depend on how it was spelled: ``CD4+ T`` and ``T cells, CD4pos``."""

from __future__ import annotations

import re
import unicodedata
from itertools import combinations

LONGEST = 200
"""Characters that a name of a cell type may have; what is longer is no name."""

Bag = tuple[str, ...]
"""Sorted words."""

GREEK = {"α": " alpha ", "β": " beta ", "γ": " gamma ", "δ": " delta ", "ε": " epsilon "}
DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212\u207b"), "-")

GENES = {
    "fcgr3a": "cd16",
    "ms4a1": "cd20",
    "ncam1": "cd56",
    "itgae": "cd103",
    "ptprc": "cd45",
    "il2ra": "cd25",
    "thbd": "cd141",
}
"""Genes of surface markers, by which labels of RNA data name them."""

LEFT_OUT = frozenset({"cell", "the"})

SHORT = {
    "mono": "monocyte",
    "macro": "macrophage",
    "mac": "macrophage",
    "mph": "macrophage",
    "neutro": "neutrophil",
    "baso": "basophil",
    "eosino": "eosinophil",
    "tcell": "t",
    "bcell": "b",
    "nkcell": "nk",
    "dc": "dendritic",
    "reg": "regulatory",
    "mem": "memory",
    "act": "activated",
    "eff": "effector",
    "cyto": "cytotoxic",
    "prog": "progenitor",
    "prec": "precursor",
    "endo": "endothelial",
    "epi": "epithelial",
    "fibro": "fibroblast",
    "astro": "astrocyte",
    "oligo": "oligodendrocyte",
    "peri": "pericyte",
    "adipo": "adipocyte",
    "hepato": "hepatocyte",
    "ery": "erythrocyte",
    "eryth": "erythroid",
    "lympho": "lymphocyte",
    "melano": "melanocyte",
    "keratino": "keratinocyte",
    "chondro": "chondrocyte",
    "trm": "tissue-resident memory t",
    "gdt": "gamma delta t",
}
"""Words that are commonly cut; a name in which one was completed counts as an abbreviation."""

SHORT_PLURALS = frozenset({"dcs", "ecs", "mks"})

STATES = frozenset({"proliferating", "cycling", "dividing", "resting", "other"})
"""Words that say how a cell is doing, or that the rest of its kind is meant, not which kind."""

MARKER = re.compile(r".+[+\-<>]")
CD = r"cd\d+[a-z]*"
RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"\b(cd\d+)-alpha-(?=positive|negative|low|high)", r"\1a-"),
        (r"\b(\w+)[- ]?(?:positive|pos)\b", r"\1+ "),
        (r"\b(\w+)[- ](?:negative|neg)\b", r"\1¬ "),
        (rf"\b({CD})neg\b", r"\1¬ "),
        (rf"\b(\w+)-(?:hi|high|bright)\b|\b({CD})[ ]?(?:hi|high|bright)\b", r"\1\2> "),
        (rf"\b(\w+)-(?:lo|low|dim)\b|\b({CD})[ ]?(?:lo|low|dim)\b", r"\1\2< "),
        (rf"\b({CD})-(?=cd\d|[\s/,)]|$)", r"\1¬ "),  # a minus; in CD4-positive it is a hyphen
        (r"\b(\w+)-(?=[\s/,)]|$)", r"\1¬ "),
        (r"\b([\w.]+)\+", r"\1+ "),
        (r"(?<=[a-z])-(?=\d)", ""),  # B-1 is B1, and no first cluster of B
        (r"[^\w+¬<>.]+", " "),
        (r"(?<!\d)\.|\.(?!\d)", " "),
    )
)


def words(label: str) -> tuple[str, ...]:
    """The words of a label in their order, without plural, case, or the word "cell".

    Markers become one word with their sign: ``cd4+``, ``cd25-``, ``cd14<`` (low), ``cd56>``.
    """
    if len(label) > LONGEST:
        return ()
    text = unicodedata.normalize("NFKC", label).translate(DASHES).lower()
    text = re.sub("[<>¬_]", " ", text)  # signs of ours, and the underscore, which words may hold
    for letter, name in GREEK.items():
        text = text.replace(letter, name)
    for pattern, new in RULES:
        text = pattern.sub(new, text)
    found = (_singular(word).replace("¬", "-") for word in text.split())
    return tuple(
        word for word in map(_marker, found) if word not in LEFT_OUT and word.strip("+-<>")
    )


def bag(found: tuple[str, ...]) -> Bag:
    """Words without their order."""
    return tuple(sorted(found))


def loose(found: tuple[str, ...]) -> Bag:
    """Words without those that a name may have or not: "alpha-beta", "thymus-derived", "human"."""
    text = f" {' '.join(found)} "
    for part in ("alpha beta", "thymus derived", "human", "stage"):
        text = text.replace(f" {part} ", " ")
    return bag(tuple(text.split()))


def completed(found: tuple[str, ...]) -> tuple[str, ...]:
    """Words with the cut ones completed."""
    return tuple(part for word in found for part in SHORT.get(word, word).split())


def without_markers(found: Bag) -> list[list[Bag]]:
    """What is left when one marker is left out, two, ...: by their number, the fewest first."""
    markers = [place for place, word in enumerate(found) if MARKER.fullmatch(word)]
    if not markers:
        return []
    sizes = range(1, len(markers) + 1) if len(markers) <= 8 else [len(markers)]
    steps = [
        [tuple(w for place, w in enumerate(found) if place not in out) for out in map(set, chosen)]
        for chosen in (combinations(markers, size) for size in sizes)
    ]
    return [[left for left in step if left] for step in steps]


def halves(label: str) -> list[str]:
    """The parts of a label that names several types: ``T/NK``, ``B and plasma``."""
    return [part for part in re.split(r"[/&|]|\s(?:and|or|vs)\s|\s\+\s", label) if part.strip()]


def _singular(word: str) -> str:
    plural = word[-1] == "s" and word[-2:-1] not in tuple("sui")
    return word[:-1] if plural and (len(word) > 3 or word in SHORT_PLURALS) else word


def _marker(word: str) -> str:
    """A CD name without a sign is a marker that is there; a gene has the name of its protein."""
    name = word.rstrip("+-<>")
    sign = word[len(name) :]
    name = GENES.get(name, name)
    if not sign and re.fullmatch(r"cd\d+[a-z]{0,2}", name):
        sign = "+"
    return name + sign[:1]
