"""Give a data set the reference's columns: genes and sites by their names, peaks by place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from cytonym.data.coverage import DNA, Coverage
from cytonym.data.ids import id_type, is_known, species, without_version
from cytonym.data.peaks import match_peaks, unlike
from cytonym.data.rates import METHYLATION
from cytonym.data.sites import averaged, match_sites, repeats
from cytonym.dna.intervals import has_interval_library, intervals
from cytonym.errors import DataError, Problem, suggest
from cytonym.types import CellSource, FeatureSpace

SMALL_PANEL = 200
"""A reference with fewer genes is a panel, of which only a share can be asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """A data set with the reference's columns; a :class:`cytonym.types.CellSource`.

    ``selection`` is, by modality, a 0/1 matrix ``(query features, reference features)``: one
    sparse product puts a block in order, drops what the reference lacks and adds up repeats.
    Repeats of rates are averaged. Where the columns of a modality are the reference's as they
    are (``straight``), nothing is done.
    """

    source: CellSource
    spaces: Mapping[str, FeatureSpace]
    values: Mapping[str, str]
    selection: Mapping[str, csr_matrix] = field(repr=False)
    own: frozenset[str] = frozenset()
    straight: frozenset[str] = frozenset()

    @property
    def cells(self) -> np.ndarray:
        """``(cells,)`` str: cell names."""
        return self.source.cells

    def present(self, modality: str) -> np.ndarray:
        """``(cells,)`` bool; all False where the data set lacks the modality."""
        if modality not in self.selection and modality not in self.own:
            return np.zeros(len(self.source.cells), bool)
        return self.source.present(modality)

    def read(self, modality: str, rows: np.ndarray) -> csr_matrix:
        """``(rows, reference features)`` float32, not logged; nothing is stored if not measured."""
        if modality in self.own:
            return self.source.read(modality, rows)
        if modality not in self.selection:
            return csr_matrix((len(rows), len(self.spaces[modality])), dtype=np.float32)
        if self.values[modality] == "rates":
            return averaged(self.source.read(modality, rows), self.selection[modality])
        block = self.source.read(modality, rows)
        if modality in self.straight and block.has_canonical_format:
            block.eliminate_zeros()  # a stored zero is no value, as after the product
            return block
        block = csr_matrix(block @ self.selection[modality])
        block.sort_indices()
        return block


def align(
    source: CellSource,
    spaces: Mapping[str, FeatureSpace],
    *,
    genes: str | None = None,
    own: Collection[str] = (),
    min_shared: int = 50,
    min_share: float = 0.2,
) -> tuple[Aligned, dict[str, Coverage]]:
    """Read ``source`` in the columns of ``spaces``.

    Parameters
    ----------
    source
        The data set.
    spaces
        By modality, the reference's features; its names are unique.
    genes
        The identifier column of the data set to match by; default: the one that matches most.
    own
        Modalities that are not matched: their columns stay those of the data set.
    min_shared, min_share
        The least number of shared features, and the least share of the reference's. The number
        is not asked of a reference with fewer than 200 features.

    Returns
    -------
    tuple
        The aligned source and, for each modality that the data set has, the coverage.

    Raises
    ------
    DataError
        When no modality is shared, or too few features are, with examples of both sides.
    """
    name = getattr(source, "name", "the data")
    found = {
        m: match(source.spaces[m], s, genes=genes if m == "rna" else None)
        for m, s in spaces.items()
        if m in source.spaces and m not in own
    }
    kept = frozenset(m for m in spaces if m in source.spaces and m in own)
    problems = [
        problem
        for m, (_, coverage) in found.items()
        if (problem := misfit(source.spaces[m], spaces[m], coverage, min_shared, min_share))
    ]
    if not found and not kept:
        what = f"it has {', '.join(source.spaces)}, the reference has {', '.join(spaces)}"
        problems.append(Problem(what, "give data with a modality of the reference"))
    if problems:
        raise DataError(problems, subject=name)
    aligned, values = {}, {}
    for modality, space in spaces.items():
        measured = np.zeros(len(space), bool)
        usual = "rates" if modality == METHYLATION else "counts"
        values[modality] = source.values.get(modality, usual)
        if modality in found:
            measured = np.diff(found[modality][0].tocsc().indptr) > 0
        aligned[modality] = replace(space, measured=measured)
        if modality in kept:
            aligned[modality] = source.spaces[modality]
    selection = {modality: matrix for modality, (matrix, _) in found.items()}
    coverage = {m: c for m, (_, c) in found.items()}
    for modality in kept:
        n = len(source.spaces[modality])
        coverage[modality] = Coverage(modality, n, n, n, DNA, np.empty(0, dtype=str))
    straight = frozenset(m for m, matrix in selection.items() if _is_identity(matrix))
    return Aligned(source, aligned, values, selection, kept, straight), coverage


def _is_identity(matrix: csr_matrix) -> bool:
    n, wide = matrix.shape  # pyright: ignore[reportGeneralTypeIssues]
    one_each = n == wide == matrix.nnz and bool((np.diff(matrix.indptr) == 1).all())
    return one_each and bool((matrix.indices == np.arange(n)).all() and (matrix.data == 1).all())


def match(
    query: FeatureSpace, reference: FeatureSpace, *, genes: str | None = None
) -> tuple[csr_matrix, Coverage]:
    """Match peaks by their coordinates, else features by the pair of identifiers that agrees most.

    Sites of methylation have the same name, in the same case, or the same coordinates, whichever
    more of them share.

    Returns
    -------
    tuple
        The selection matrix ``(query features, reference features)`` float32 of 0 and 1, and
        the coverage.
    """
    if query.modality == "atac" and (found := match_peaks(query, reference)) is not None:
        return found
    rates = query.modality == METHYLATION
    placed = match_sites(query, reference) if rates else None
    mine = identifiers(query)
    if genes is not None:
        if genes not in mine:
            problem = Problem(f"there is no gene column {genes!r}", suggest(genes, list(mine)))
            raise DataError(problem)
        mine = {genes: mine[genes]}
    theirs, notes = identifiers(reference), []
    by, target = _best(mine, theirs)
    # Case is a last resort, and never a bridge between species: Cd3d is not CD3D.
    few = not rates and (target >= 0).sum() < 0.2 * len(reference)
    if few and not _two_species(query, reference):
        folded_by, folded = _best(_lower(mine), _lower(theirs))
        if (folded >= 0).sum() > 2 * (target >= 0).sum():
            by, target = folded_by, folded
            notes.append("upper and lower case were ignored, for want of exact matches")
    kept = np.flatnonzero(target >= 0)
    shared = np.unique(target[kept])
    if placed is not None and placed[1].shared >= len(shared):
        return placed
    if rates:
        notes += repeats(len(kept) - len(shared))
    elif len(kept) > len(shared):
        notes.append(f"{len(kept) - len(shared):,} repeated features were added up")
    ones = np.ones(len(kept), np.float32)
    selection = csr_matrix((ones, (kept, target[kept])), shape=(len(query), len(reference)))
    missing = np.delete(reference.names, shared)
    sizes = len(reference), len(query), len(shared)
    return selection, Coverage(query.modality, *sizes, by, missing, tuple(notes))


def misfit(
    query: FeatureSpace,
    reference: FeatureSpace,
    coverage: Coverage,
    min_shared: int = 50,
    min_share: float = 0.2,
) -> Problem | None:
    """What is wrong if too few features are shared: both sides, side by side; else None."""
    enough = coverage.shared >= min_shared or len(reference) < SMALL_PANEL
    enough = coverage.shared > 0 and enough and coverage.share >= min_share
    chance = coverage.chance
    if chance is not None and chance < 0.5 and coverage.share < 2 * chance:
        enough = False  # as many as on any genome
    peaks, sites = query.modality == "atac", query.modality == METHYLATION
    if peaks:
        told = not enough or has_interval_library()
    else:  # sites with the same names may lie elsewhere: of others the build can be the reason
        placed = all(intervals(one) is not None for one in (query, reference))
        told = sites and placed and not enough and has_interval_library()
    if told:
        problem = unlike(query, reference)
        if problem is not None:
            return problem
    if enough:
        return None
    sides = []
    for label, space in (("the data", query), ("the reference", reference)):
        for name, values in identifiers(space).items():
            examples = ", ".join(str(v) for v in values[:: max(1, len(values) // 5)][:5])
            sides.append(f"\n      {label}, {name}: {examples} ({id_type(values)})")
    what = (
        f"only {coverage.shared:,} of the reference's {coverage.reference:,} {coverage.modality} "
        f"features ({coverage.share:.1%}) are among the {coverage.query:,} of the data "
        f"(at least {min_shared} and {min_share:.0%} are needed):{''.join(sides)}"
    )
    if chance is not None:
        what += (
            f"\n      moved by 1,000,000 bp, the data's peaks overlap {chance:.1%} of the "
            "reference's (twice as many are needed where they lie)"
        )
        remedy = (
            "count the fragments on the reference's peaks (cytonym count), or fit with query= "
            "(--query)"
        )
    elif sites:
        remedy = (
            "name the sites as the reference does (chr1:100-600), on the same genome build, or "
            "fit with query= (--query)"
        )
    elif coverage.modality == "atac":
        remedy = (
            "count the fragments on the reference's peaks (cytonym count), or name cells by the "
            "DNA of their peaks (--method seqalign --genome)"
        )
    elif _two_species(query, reference):
        ours, theirs = species(query.names)[0], species(reference.names)[0]
        remedy = f"the data look like {ours}, the reference like {theirs}: use one of your species"
    elif not any(is_known(id_type(values)) for values in identifiers(query).values()):
        remedy = "put gene symbols or Ensembl IDs into var_names or a column of var"
    elif coverage.query < 0.5 * coverage.reference:
        remedy = "give the data before genes were selected, or fit with query= (--query)"
    else:
        remedy = (
            "name the column with the right identifiers (genes= or --genes), or add one of the "
            "same type"
        )
    return Problem(what, remedy)


def space_of(source: CellSource, *, genes: str | None = None) -> dict[str, FeatureSpace]:
    """The spaces of a reference: unique names, repeats as one feature, by its best identifier.

    The names are those of the column ``genes``; without one the data set's own where these are
    symbols, Ensembl IDs or intervals, else the first of its columns that is.
    ``align(source, space_of(source))`` adds up the repeats.
    """
    spaces = {}
    for modality, space in source.spaces.items():
        columns = identifiers(space)
        best = next((c for c, v in columns.items() if is_known(id_type(v))), "names")
        best = genes if modality == "rna" and genes in columns else best
        names = columns[best]
        if best != "names":
            facts = {"var_names": space.names, **space.columns}
            space = FeatureSpace(modality, names, space.measured, facts, space.genome)
        first = ~pd.Index(names).duplicated() & (names != "")
        spaces[modality] = space.take(np.flatnonzero(first))
    return spaces


def identifiers(space: FeatureSpace) -> dict[str, np.ndarray]:
    """The names and those text columns that could identify a feature, ``(features,)`` str each."""
    found = {"names": space.names}
    for name, values in space.columns.items():
        if values.dtype.kind == "U" and len(np.unique(values)) > 0.5 * len(values):
            found[name] = values
    return found


def _two_species(query: FeatureSpace, reference: FeatureSpace) -> bool:
    """Whether the names say that the species differ (mouse and rat look alike)."""
    ours, theirs = species(query.names)[0], species(reference.names)[0]
    return "unknown" not in (ours, theirs) and ours[:5] != theirs[:5]


def _lower(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.char.lower(values) for name, values in columns.items()}


def _best(
    mine: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> tuple[str, np.ndarray]:
    """For every query feature the reference feature (-1: none), by the pair that shares most."""
    best, most, by = np.empty(0), -1, ""
    plain = {name: without_version(values) for name, values in mine.items()}
    for their, targets in theirs.items():
        index = pd.Index(without_version(targets))
        first = np.flatnonzero(~index.duplicated() & (index != ""))
        index = index[first]
        for my, values in plain.items():
            place = index.get_indexer(pd.Index(values))
            found = np.where(place >= 0, first[place], -1)
            shared = len(np.unique(found[found >= 0]))
            if shared > most:
                best, most, by = found, shared, f"{my} → {their}"
    return by, best
