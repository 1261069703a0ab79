"""Which factors regulate which genes: from a data set, a genome and a table of genes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import csr_matrix

from cytonym.annotator import Annotator
from cytonym.data.loader import SourceBlocks
from cytonym.data.read import Reading
from cytonym.data.source import Cells
from cytonym.errors import DataError
from cytonym.networking.given import Given, given
from cytonym.opening import Data
from cytonym.prep import Components, Depth, Log1p, Panel, Scale, fit_chain
from cytonym.regulation import (
    Network,
    enrichment,
    infer,
    log_normalised,
    peaks_of_genes,
    regulons,
)
from cytonym.regulation.regulons import How

GENES, COMPONENTS = 3000, 30
"""Without a model: variable genes, and their principal components, by which metacells are made."""


@dataclass(frozen=True, slots=True, eq=False)
class Regulation:
    """A network of factors and genes, with the cells that it comes from.

    Attributes
    ----------
    network
        Edges, and genes that were left out; see :class:`cytonym.regulation.Network`.
    obs
        Facts of the cells that were used.
    enrichment
        Agreement with known edges; None where none were given or no factor is in both. See
        :func:`cytonym.regulation.enrichment`.
    notes
        What the user should know.
    """

    network: Network
    obs: pd.DataFrame
    enrichment: pd.DataFrame | None
    notes: tuple[str, ...]
    _rna: csr_matrix = field(repr=False)
    _genes: np.ndarray = field(repr=False)

    def __repr__(self) -> str:
        edges = self.network.edges
        return (
            f"<Regulation: {len(edges):,} edges of {edges['factor'].nunique():,} factors and "
            f"{edges['gene'].nunique():,} genes, from {len(self.obs):,} cells>"
        )

    def activity(self, *, how: How = "mean") -> pd.DataFrame:
        """Cells × factors, float32: how active a factor is, by its targets' expression.

        Raises
        ------
        OptionError, DataError
            As of :func:`cytonym.regulation.regulons`.
        """
        found = regulons(self._rna, self._genes, self.network.edges, how=how)
        return found.set_axis(self.obs.index, axis=0)

    def to_anndata(self) -> AnnData:
        """Cells × factors with their activity in X, and in ``var`` their number of ``targets``."""
        activity = self.activity()
        targets = self.network.edges.groupby("factor")["gene"].nunique()
        names = pd.Index(activity.columns.astype(str))
        var = pd.DataFrame({"targets": targets.reindex(names).to_numpy()}, index=names)
        return AnnData(activity.to_numpy(), self.obs.copy(), var)

    def factors(self) -> pd.DataFrame:
        """``type, factor, genes`` (how many), ``coefficient`` and ``r2`` (their means); by type,
        the factors with the most genes first.
        """
        edges = self.network.edges
        found: Any = edges.groupby(["type", "factor"], sort=True).agg(
            genes=("gene", "nunique"), coefficient=("coefficient", "mean"), r2=("r2", "mean")
        )
        found = found.reset_index()
        return found.sort_values(
            ["type", "genes", "r2"], ascending=[True, False, False], kind="stable"
        ).reset_index(drop=True)

    def to_dict(self, *, top: int = 10) -> dict[str, Any]:
        """Sizes, the ``top`` factors of each type, enrichment and notes."""
        edges = self.network.edges
        first = self.factors().groupby("type", sort=False).head(top)
        known = self.enrichment
        return {
            "cells": len(self.obs),
            "edges": len(edges),
            "factors": int(edges["factor"].nunique()),
            "genes": int(edges["gene"].nunique()),
            "top": {
                str(name): rows.drop(columns="type").to_dict(orient="records")
                for name, rows in first.groupby("type", sort=False)
            },
            "enrichment": None if known is None else known.to_dict(orient="index"),
            "notes": list(self.notes),
        }


def network(
    data: Data,
    *,
    genome: str | Path,
    genes: str | Path,
    motifs: str | Path | None = None,
    labels: str | None = None,
    model: Annotator | str | Path | None = None,
    upstream: int = 2000,
    distance: int | None = None,
    signed: bool = False,
    known: str | Path | None = None,
    gene_column: str | None = None,
    layer: str | None = None,
    modalities: Mapping[str, str] | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Regulation:
    """Infer which factors regulate which genes, from RNA and ATAC of the same cells.

    Cells that lack one of the two are left out. The counts of the others are read into memory.

    Parameters
    ----------
    data
        A file, AnnData or MuData, or ``{"rna": ..., "atac": ...}``, with raw counts of both.
    genome
        FASTA of the genome that the peaks lie on, plain or bgzip.
    genes
        BED file of six columns: where genes lie, named as in the RNA.
    motifs
        File in the MEME format; None: the vertebrates of JASPAR inside pyjaspar.
    labels
        Column of ``obs``: a network for each of its types with 60 cells or more. None: one for
        all cells, whose correlations are mostly those between types.
    model
        A fitted model, or its folder: cells are joined to metacells in its joint embedding.
        None: in 30 principal components of the RNA.
    upstream, distance
        Which peaks belong to a gene (bp); see :func:`cytonym.regulation.peaks_of_genes`.
    signed
        Let factors repress too.
    known
        Tab-separated table of known factors and targets, to compare with.
    gene_column, layer, modalities
        The column of ``var`` with the names of genes, where the values lie, and what the parts of
        a MuData are called; found by evidence otherwise.

    Raises
    ------
    DataError
        What is wrong with any of the files, before anything is inferred; or that there is nothing
        to infer, such as no linked peak.
    OptionError
        A negative distance.
    """
    how = Reading(gene_column, layer, modalities)
    have = given(
        data,
        how,
        genome=genome,
        genes=genes,
        motifs=motifs,
        labels=labels,
        model=model,
        known=known,
    )
    cells = have.cells
    rna, atac = cells.read("rna", have.rows), cells.read("atac", have.rows)[:, have.peaks.columns]
    some = (np.asarray(rna.sum(axis=1)).ravel() > 0) & (np.asarray(atac.sum(axis=1)).ravel() > 0)
    rows, rna, atac = have.rows[some], rna[some], atac[some]
    notes = [*cells.notes, *cells.read_as(("rna", "atac")), *have.peaks.note]
    notes.append(f"{len(rows):,} of {len(cells):,} cells have counts of RNA and ATAC: only these")
    types = None
    if have.labels is not None:
        words = np.array([*have.labels.names, None], dtype=object)  # -1: none
        types = words[have.labels.codes[some]]
        notes += have.labels.notes
    if have.model is None:
        embedding = _components(cells, rows, seed)
    else:
        embedding = _embedded(have.model, data, how, cells.cells[rows], progress)
        notes.append(f"metacells are made in the joint embedding of {have.model.method.name}")
    names = cells.spaces["rna"].names
    found = infer(
        rna,
        atac,
        genes=names,
        peaks=have.peaks.table,
        sequences=[*have.sequences],
        motifs=have.motifs,
        places=have.places,
        embedding=embedding,
        groups=types,
        upstream=upstream,
        distance=distance,
        signed=signed,
        seed=seed,
        progress=progress,
    )
    compared = _compared(have, found, upstream, distance, notes)
    obs = cells.obs.iloc[rows]
    return Regulation(found, obs, compared, (*notes, *found.notes), log_normalised(rna), names)


def _components(cells: Cells, rows: np.ndarray, seed: int) -> np.ndarray:
    """``(rows, components)`` float32: principal components of variable genes, scaled."""
    chain = (Depth(), Log1p(), Panel(GENES), Scale(), Components(COMPONENTS, seed=seed))
    blocks = [np.asarray(block) for block in fit_chain(chain, SourceBlocks(cells, "rna", rows))]
    return np.concatenate(blocks)


def _embedded(
    model: Annotator, data: Data, how: Reading, wanted: np.ndarray, progress: bool
) -> np.ndarray:
    """The joint embedding of the cells ``wanted``, in their order."""
    found = model.embed(
        data, genes=how.genes, layer=how.layer, modalities=how.modalities, progress=progress
    )
    return found.joint[pd.Index(found.cells).get_indexer(pd.Index(wanted))]


def _compared(
    have: Given, found: Network, upstream: int, distance: int | None, notes: list[str]
) -> pd.DataFrame | None:
    """Agreement with the known edges, among the genes with a peak; else a note why not."""
    if have.known is None:
        return None
    pairs = peaks_of_genes(have.peaks.table, have.places, upstream=upstream, distance=distance)
    measured = have.cells.spaces["rna"].names
    try:
        return enrichment(found.edges, have.known, measured[np.isin(measured, pairs["gene"])])
    except DataError as error:
        notes.append(f"no comparison with known edges: {error.problems[0].what}")
        return None
