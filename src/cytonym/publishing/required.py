"""What CELLxGENE and the Cell Annotation Platform ask of a data set, and how to fill it in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from cytonym.errors import Problem
from cytonym.publishing.changes import Held

CELLXGENE = "7.1.0"
"""The version of the CELLxGENE schema whose fields these are."""

CELLXGENE_OBS: Mapping[str, str] = MappingProxyType(
    {
        "assay_ontology_term_id": "an EFO term, such as EFO:0009922 (10x 3' v3)",
        "cell_type_ontology_term_id": "export with publish (--publish)",
        "development_stage_ontology_term_id": "an HsapDv or MmusDv term, or 'unknown'",
        "disease_ontology_term_id": "a MONDO term, or PATO:0000461 (normal)",
        "donor_id": "a name for each donor, or 'pooled', 'unknown', 'na'",
        "is_primary_data": "True, or False where the cells were published before",
        "self_reported_ethnicity_ontology_term_id": "a HANCESTRO term, 'unknown'; not human: 'na'",
        "sex_ontology_term_id": "PATO:0000383 (female), PATO:0000384 (male), or 'unknown'",
        "suspension_type": "'cell', 'nucleus' or 'na', as the assay asks",
        "tissue_ontology_term_id": "an UBERON term, such as UBERON:0000178 (blood)",
        "tissue_type": "'tissue', 'organoid', 'primary cell culture' or 'cell line'",
    }
)

CELLXGENE_UNS: Mapping[str, str] = MappingProxyType(
    {
        "organism_ontology_term_id": "NCBITaxon:9606 (human), NCBITaxon:10090 (mouse), ...",
        "title": "a title for the data set",
    }
)

CELLXGENE_OWN = frozenset(
    ("assay", "cell_type", "development_stage", "disease", "experimental_condition", "organism")
) | {"observation_joinid", "perturbation_types", "self_reported_ethnicity", "sex", "tissue"}
"""Columns that the portal writes itself and refuses in a file."""

CAP_OBS: Mapping[str, str] = MappingProxyType(
    {
        "organism": "the name, such as Homo sapiens",
        "organism_ontology_term_id": "such as NCBITaxon:9606",
        "disease": "the name of the MONDO term, or normal",
        "disease_ontology_term_id": "a MONDO term, or PATO:0000461 (normal)",
        "assay": "the name of the EFO term, such as 10x 3' v3",
        "assay_ontology_term_id": "an EFO term, such as EFO:0009922",
        "tissue": "the name of the UBERON term, such as blood",
        "tissue_ontology_term_id": "an UBERON term, such as UBERON:0000178",
    }
)

CAP_UNS: Mapping[str, str] = MappingProxyType(
    {
        "title": "a title of at most 200 characters",
        "description": "what the data set is",
        "author_name": "first and last name",
        "author_contact": "an e-mail address",
        "author_orcid": "an ORCID",
        "cap_publication_title": "the title of the publication on the platform",
        "cap_publication_description": "what the publication is about",
    }
)


def missing_for_cellxgene(data: Held, *, written: frozenset[str]) -> tuple[Problem, ...]:
    """What the schema asks for and the data lack, when the columns ``written`` are there too."""
    there = {str(name) for name in data.obs.columns} | written
    found = [*_lacking("obs", CELLXGENE_OBS, there), *_lacking("uns", CELLXGENE_UNS, set(data.uns))]
    own = sorted(CELLXGENE_OWN & {str(name) for name in data.obs.columns})
    own = [name for name in own if f"author_{name}" not in written]
    if own:
        what = f"obs has {', '.join(own)}, which the portal writes itself"
        found.append(Problem(what, "remove them, or rename them to author_..."))
    return (*found, *_features(data), *_embedding(data, least=2))


def missing_for_cap(data: Held) -> tuple[Problem, ...]:
    """What the platform asks for and the data lack; it can also be filled in on its pages."""
    there = {str(name) for name in data.obs.columns}
    found = [*_lacking("obs", CAP_OBS, there), *_lacking("uns", CAP_UNS, set(data.uns))]
    return (*found, *_features(data), *_embedding(data, least=2, most=2))


def _lacking(place: str, wanted: Mapping[str, str], there: set[str]) -> list[Problem]:
    return [
        Problem(f"{place}[{name!r}] is missing", remedy)
        for name, remedy in wanted.items()
        if name not in there
    ]


def _features(data: Held) -> list[Problem]:
    """Genes are called by Ensembl ids."""
    n = sum(re.match(r"ENS[A-Z]*G\d{6}|ERCC-", name) is not None for name in data.features)
    if n >= 0.9 * len(data.features) and data.features:
        return []
    what = f"{n:,} of the first {len(data.features):,} names of var are Ensembl gene ids"
    return [Problem(what, "make Ensembl ids the index of var")]


def _embedding(data: Held, *, least: int, most: int | None = None) -> list[Problem]:
    for name, shape in data.obsm.items():
        wide = shape[1] if len(shape) == 2 else 0
        if re.match(r"X_[A-Za-z]", name) and least <= wide <= (most or wide):
            return []
    size = "two columns" if most else "two columns or more"
    return [Problem(f"obsm has no embedding X_... of {size}", "add one, such as X_umap")]
