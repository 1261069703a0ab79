"""The Cell Ontology as this package asks it: names, synonyms, ancestors, what is obsolete."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from cytonym.errors import CytonymError, install

ROOT = "CL:0000000"

SAYS_NOTHING = frozenset({ROOT, "CL:0000255", "CL:0000548"})
"""``cell``, ``eukaryotic cell``, ``animal cell``: these name no cell type."""

UPPER = SAYS_NOTHING | {
    "CL:0002242",  # nucleate cell
    "CL:0000226",  # single nucleate cell
    "CL:0000228",  # multinucleate cell
    "CL:0000225",  # anucleate cell
    "CL:0000412",  # polyploid cell
    "CL:0000413",  # haploid cell
    "CL:0000219",  # motile cell
    "CL:0000080",  # circulating cell
    "CL:0000183",  # contractile cell
    "CL:0000211",  # electrically active cell
    "CL:0000393",  # electrically responsive cell
    "CL:0000404",  # electrically signaling cell
    "CL:0000151",  # secretory cell
    "CL:0000154",  # protein secreting cell
    "CL:0000424",  # excretory cell
    "CL:0000325",  # stuff accumulating cell
    "CL:0000329",  # oxygen accumulating cell
    "CL:0000422",  # mitogenic signaling cell
    "CL:0000630",  # supporting cell
    "CL:0000064",  # ciliated cell
    "CL:0000234",  # phagocyte
    "CL:0000518",  # phagocyte (sensu Vertebrata)
    "CL:0011115",  # precursor cell
    "CL:0011026",  # progenitor cell
    "CL:0000034",  # stem cell
    "CL:0000048",  # multi fate stem cell
    "CL:0000723",  # somatic stem cell
    "CL:0002321",  # embryonic cell (metazoa)
    "CL:0001034",  # cell in vitro
    "CL:0001061",  # abnormal cell
}
"""Classes by build or function that join unrelated lineages: no answer where types disagree."""


@dataclass(frozen=True, slots=True, eq=False)
class Terms:
    """The terms of one release of the Cell Ontology (CL).

    Attributes
    ----------
    version
        Of the release, such as ``v2026-03-26``.
    names
        Term id to name, terms in use only.
    synonyms
        Term id to its exact synonyms.
    ancestors
        Term id to the ids of all terms above it, itself not among them.
    depth
        Term id to the length of its longest path from ``cell``, which has 0: every term is
        deeper than each of its ancestors.
    n_below
        Term id to the number of terms below it.
    obsolete
        Id of an obsolete term to the id that replaces it, or "".
    """

    version: str
    names: Mapping[str, str]
    synonyms: Mapping[str, tuple[str, ...]]
    ancestors: Mapping[str, frozenset[str]]
    depth: Mapping[str, int]
    n_below: Mapping[str, int]
    obsolete: Mapping[str, str]

    def above(self, upper: str, lower: str) -> bool:
        """Whether ``upper`` is a true ancestor of ``lower``."""
        return upper in self.ancestors[lower]


@lru_cache(maxsize=1)
def cell_ontology() -> Terms:
    """The newest Cell Ontology inside cellxgene-ontology-guide; read once, without a network.

    Raises
    ------
    CytonymError
        The extra ``[onto]`` is not installed.
    """
    try:
        from cellxgene_ontology_guide.ontology_parser import OntologyParser
    except ImportError as error:
        raise CytonymError(
            "Cell Ontology terms need cellxgene-ontology-guide, which is not installed.\n"
            f"    → {install('onto')}"
        ) from error
    parser = OntologyParser()
    every = sorted(parser.cxg_schema.ontology("CL"))
    old = {i for i in every if parser.is_term_deprecated(i)}
    used = [i for i in every if i not in old]
    ancestors = {i: frozenset(parser.get_term_ancestors(i)) - {i} for i in used}
    n_below = dict.fromkeys(used, 0)
    for upper in (a for own in ancestors.values() for a in own):
        n_below[upper] = n_below.get(upper, 0) + 1
    return Terms(
        version=str(parser.cxg_schema.supported_ontologies["CL"]["version"]),
        names=parser.map_term_labels(used),
        synonyms={i: tuple(parser.get_term_synonyms(i)) for i in used},
        ancestors=ancestors,
        depth=_depths(ancestors),
        n_below=n_below,
        obsolete={i: parser.get_term_replacement(i) or "" for i in sorted(old)},
    )


def _depths(ancestors: Mapping[str, frozenset[str]]) -> dict[str, int]:
    """The longest paths; a term has more ancestors than any of these has."""
    depth: dict[str, int] = {}
    for term in sorted(ancestors, key=lambda one: len(ancestors[one])):
        depth[term] = 1 + max((depth[one] for one in ancestors[term] if one in depth), default=-1)
    return depth
