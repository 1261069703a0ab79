"""What a user gets: names, how sure they are, embeddings; what they become in a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd

from cytonym.additions import Additions, Some
from cytonym.compat import Tool, called, data_ids, method_id
from cytonym.data.contents import unique_names
from cytonym.data.coverage import Coverage
from cytonym.data.read import Reading, open_read
from cytonym.disk.stamps import Stamp
from cytonym.errors import DataError, Problem
from cytonym.groups.overcluster import over_cluster
from cytonym.groups.populations import LEAST, Populations, populations
from cytonym.groups.vote import Vote, vote
from cytonym.ontology.cell_terms import CellTerms, cell_terms
from cytonym.reserved import HETEROGENEOUS, UNKNOWN
from cytonym.taken import CLUSTERS, populations_of
from cytonym.trust.tally import Tally

if TYPE_CHECKING:
    from mudata import MuData


CALLED_SO = (
    f"a type of the model is called {HETEROGENEOUS!r}, as clusters without a majority are: in the "
    "table of votes, an agreement below min_prop tells them apart"
)


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """Names for the cells of one query.

    Attributes
    ----------
    cells
        ``(cells,)`` str cell names.
    labels
        ``(cells,)`` object, of str: the most probable type, or ``Unknown``, ``doublets``, ``junk``.
    confidence
        ``(cells,)`` float32 in [0, 1]: the probability of the most probable type.
    probabilities
        ``(cells, types)`` float32, rows sum to 1; calibrated where the model could be.
    sets
        ``(cells,)`` object: tuples of the types that a cell may be, the most probable first; None
        where the model was not calibrated.
    strange
        ``(cells,)`` float32: how much less than allowed a cell looks like the reference's types;
        above 0 it is ``Unknown``. None where none is rejected.
    votes, populations
        What clusters voted, and the groups among the unknown cells; None unless asked for: see
        :meth:`voted` and :meth:`with_populations`.
    terms
        The Cell Ontology term of each cell; None unless asked for: see :meth:`with_terms`.
    embedding
        ``(cells, dim)`` float32.
    tally
        How many cells the notes speak of.
    coverage
        By modality, how much of the reference's features the query has.
    notes
        What the user should know.
    model
        Facts of the model: method, version, seed, options, hash of its weights.
    answers
        Of a consensus: by model, the ``(cells,)`` names that it alone gives.
    agreement
        Of a consensus: ``(cells,)`` float32 in [0, 1], the weight of the models that give the
        name that the consensus finds most probable.
    stamp
        What the query's files were when they were opened.
    """

    cells: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    probabilities: pd.DataFrame
    embedding: np.ndarray
    coverage: Mapping[str, Coverage]
    notes: tuple[str, ...]
    model: Mapping[str, Any]
    sets: np.ndarray | None = None
    strange: np.ndarray | None = None
    answers: Mapping[str, np.ndarray] = field(default_factory=dict)
    agreement: np.ndarray | None = None
    terms: CellTerms | None = None
    votes: Vote | None = None
    populations: Populations | None = None
    tally: Tally = field(default_factory=Tally)
    stamp: Stamp = field(default_factory=Stamp)

    def __len__(self) -> int:
        return len(self.cells)

    def __repr__(self) -> str:
        names, counts = np.unique(self.labels, return_counts=True)
        common = ", ".join(f"{names[i]} {counts[i]:,}" for i in np.argsort(-counts)[:5])
        more = ", ..." * (len(names) > 5)
        return f"<Annotation of {len(self):,} cells by {self.model['method']}: {common}{more}>"

    def table(self) -> pd.DataFrame:
        """One row a cell: ``label``, ``confidence``, and the runner-up with its probability."""
        values = self.probabilities.to_numpy()
        second = np.argsort(-values, axis=1)[:, min(1, values.shape[1] - 1)]
        return pd.DataFrame(
            {
                "label": self.labels,
                "confidence": self.confidence,
                "second": self.probabilities.columns.to_numpy()[second],
                "second_confidence": values[np.arange(len(values)), second],
            },
            index=pd.Index(self.cells, name="cell"),
        )

    def with_terms(self, review: str | Path | None = None, level: float = 0.9) -> Annotation:
        """The same with Cell Ontology terms: for each cell the deepest one whose probability,
        summed over the types below it, reaches ``level``.

        Cells that are no type of the model (Unknown), or no cell type (doublets), have none. See
        :func:`cytonym.map_labels` and :func:`cytonym.ontology.back_off`.

        Parameters
        ----------
        review
            A review file that settles types whose term is not sure.
        level
            In (0, 1].

        Raises
        ------
        OptionError
            ``level`` is out of its range.
        CytonymError
            The extra ``[onto]`` is not installed.
        DataError
            All that is wrong with the review file.
        """
        terms = cell_terms(self.labels, self.probabilities, review=review, level=level)
        before = self.terms.notes if self.terms is not None else ()
        notes = [note for note in self.notes if note not in before]
        return replace(self, terms=terms, notes=(*notes, *terms.notes))

    def voted(
        self, clusters: Any = None, *, min_prop: float = 0.0, column: str | None = None
    ) -> Annotation:
        """The same with a vote: every cell takes the most common name of its cluster.

        Parameters
        ----------
        clusters
            ``(cells,)`` the cluster of each cell, in the order of ``cells``, or a Series, which
            goes by the names of the cells. None: the embedding is over-clustered (needs igraph).
        min_prop
            A cluster whose most common name has a smaller share of its cells is
            ``Heterogeneous``.
        column
            What the clusters are called in ``obs``; default: the name of the Series.

        Raises
        ------
        OptionError
            igraph is not installed, or ``min_prop`` is no share.
        DataError
            Clusters of other cells, or cells without one.
        """
        if isinstance(clusters, pd.Series):
            column = column or (None if clusters.name is None else str(clusters.name))
            held = pd.Index(unique_names(clusters.index)[0])
            place = self._places(held, f"obs[{column!r}]" if column else "the clusters")
            clusters = clusters.astype(object).to_numpy()[place]
        elif clusters is None:
            order = np.argsort(self.cells.astype(str), kind="stable")
            clusters = np.empty(len(self), dtype=object)
            clusters[order] = over_cluster(self.embedding[order])
        found = vote(
            self.labels, clusters, min_prop=min_prop, confidence=self.confidence, column=column
        )
        notes = [note for note in self.notes if note != CALLED_SO]
        notes += [CALLED_SO] * (HETEROGENEOUS in self.probabilities.columns)
        return replace(self, votes=found, notes=tuple(notes))

    def with_populations(
        self,
        data: Any,
        *,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
    ) -> Annotation:
        """The same with the groups among the cells that are ``Unknown``, and what marks them.

        Without 10 such cells nothing is read, and ``populations`` stays None.

        Parameters
        ----------
        data
            What was annotated; a file is streamed.
        genes, layer, modalities
            As for :meth:`Annotator.annotate`.

        Raises
        ------
        DataError
            The data cannot be read, or are not the cells that were annotated.
        """
        unknown = self.labels == UNKNOWN
        if unknown.sum() < LEAST:
            return replace(self, populations=None)
        source = open_read(data, Reading(genes, layer, modalities))
        rows = self._places(source.obs.index, source.name)
        order = np.argsort(self.cells.astype(str), kind="stable")  # theirs decides nothing
        found = populations(
            unknown[order],
            self.embedding[order[unknown[order]]],
            self.probabilities.iloc[order],
            source,
            rows=rows[order],
        )
        names = np.empty(len(self), dtype=object)
        names[order] = found.names
        before = self.populations.note if self.populations is not None else ""
        notes = [note for note in self.notes if note != before] + [found.note] * bool(found.note)
        return replace(self, populations=replace(found, names=names), notes=tuple(notes))

    def _places(self, names: pd.Index, subject: str) -> np.ndarray:
        """``(cells,)`` int: where each cell lies among ``names``, which must be the same cells."""
        place = names.get_indexer(pd.Index(self.cells))
        if len(names) != len(self) or (place < 0).any():
            problem = Problem(
                f"it has {len(names):,} cells, {len(self):,} were annotated, and "
                f"{int((place >= 0).sum()):,} of their names are among them",
                "give the data that were annotated",
            )
            raise DataError(problem, subject=subject)
        return place

    def to(self, adata: Some, *, key: str = "cell_type_pred", compat: Tool | None = None) -> Some:
        """Put the answer into ``adata`` (AnnData or MuData), in place, and return it.

        Writes ``obs[key]`` (categorical), ``obs[f"{key}_confidence"]``, ``obs[f"{key}_set"]``,
        ``obsm[f"{key}_probabilities"]``, ``obsm["X_<method>"]`` and ``uns[key]``; with terms
        ``obs[f"{key}_ontology_term_id"]`` and ``obs[f"{key}_ontology_term"]`` ("" for none); with
        votes ``obs[f"{key}_majority_voting"]`` and ``obs["over_clustering"]``; with populations
        ``obs[f"{key}_population"]`` and ``uns[f"{key}_populations"]``; of a consensus
        ``obs[f"{key}_<model>"]`` and ``obs[f"{key}_agreement"]``. Nothing else is touched.

        Parameters
        ----------
        compat
            Call the columns as ``celltypist``, ``seurat`` or ``openproblems`` does, where it has
            a name for them; for ``openproblems`` also its ids in ``uns``.

        Raises
        ------
        DataError
            ``adata`` does not hold the cells that were annotated (in any order), or has other
            things under these names; an earlier answer is replaced.
        OptionError
            No such tool.
        """
        return self.additions(key, compat).to(adata)

    def write(
        self,
        query: str | Path | ad.AnnData | MuData | Mapping[str, str | Path | ad.AnnData],
        out: str | Path | None = None,
        *,
        key: str = "cell_type_pred",
        compat: Tool | None = None,
        matrix: bool = True,
    ) -> None:
        """Write ``query`` with the answer to ``out``, or into its own file: see
        :meth:`Additions.write`.
        """
        dataset = Path(query).stem if isinstance(query, str | Path) else ""
        self.additions(key, compat, dataset=dataset).write(query, out, matrix=matrix)

    def additions(self, key: str, compat: Tool | None = None, *, dataset: str = "") -> Additions:
        """What is added to a data set, whose file is called ``dataset``, under ``key``."""
        types = self.probabilities.columns.astype(str)
        others = [one for one in np.unique(self.labels.astype(str)) if one not in types]
        labels = pd.Categorical(self.labels, categories=[*types, *others])
        # A "/" in a key would be a folder in the file; the exact names are in uns[key]["types"].
        names = pd.Index([str(name).replace("/", "|") for name in self.probabilities.columns])
        chances = self.probabilities.set_axis(unique_names(names)[0], axis=1)
        names, matrices = added_names(key, str(self.model["method"]))
        facts = {
            **self.model,
            "types": np.array(self.probabilities.columns, dtype=str),
            "coverage": coverage_facts(self.coverage),
            "notes": np.array(self.notes, dtype=str),
        }
        columns = dict(zip(names, (labels, self.confidence), strict=False))
        if self.sets is not None:
            columns[f"{key}_set"] = pd.Categorical(
                ["|".join(map(set_word, one)) for one in self.sets]
            )
        for name, one in self.answers.items():
            columns[f"{key}_{name}"] = pd.Categorical(one)
        if self.agreement is not None:
            columns[f"{key}_agreement"] = self.agreement
        if self.terms is not None:
            columns[f"{key}_ontology_term_id"] = pd.Categorical(self.terms.ids)
            columns[f"{key}_ontology_term"] = pd.Categorical(self.terms.names)
            facts["ontology"] = self.terms.facts()
        tables, kept = self._group_columns(key, columns, facts)
        added = dict(zip(matrices, (chances, self.embedding), strict=True))
        other = called(key, compat)
        columns = {other.get(name, name): column for name, column in columns.items()}
        ids = (data_ids(dataset), {"method_id": method_id(str(self.model["method"]))})
        lacking, always = ids if compat == "openproblems" else ({}, {})
        always = {**always, **tables}
        return Additions(self.cells, columns, added, key, facts, always, lacking, kept, self.stamp)

    def _group_columns(
        self, key: str, columns: dict[str, Any], facts: dict[str, Any]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Adds what is said of groups to ``columns`` and ``facts``.

        Returns what else comes into ``uns``, and columns that stay.
        """
        tables, kept = {}, ()
        if self.votes is not None:
            columns[f"{key}_majority_voting"] = pd.Categorical(self.votes.labels)
            column = self.votes.column
            if column == CLUSTERS:
                kept = (CLUSTERS,)
            else:
                columns[CLUSTERS] = pd.Categorical(
                    self.votes.clusters, categories=self.votes.table["cluster"]
                )
            facts["votes"] = {
                "column": column or "",
                "min_prop": self.votes.min_prop,
                "table": self.votes.table,
            }
        if self.populations is not None:
            columns[f"{key}_population"] = pd.Categorical(self.populations.names)
            facts["population_markers"] = self.populations.markers
            tables[populations_of(key)] = self.populations.table
        return tables, kept


def set_word(name: str) -> str:
    """A type as it stands in ``obs[f"{key}_set"]``, where "|" parts the types: "¦" for "|"."""
    return name.replace("|", "¦")


def group_names(key: str, clusters: str | None) -> tuple[str, ...]:
    """Columns of ``obs`` for a vote of our own clusters (None) or those of a column."""
    return (f"{key}_majority_voting",) + (CLUSTERS,) * (clusters != CLUSTERS)


def added_names(
    key: str, method: str, *, terms: bool = False, compat: Tool | None = None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What an annotation under ``key`` is called in ``obs`` and in ``obsm``."""
    ends = ("", "_confidence", "_set") + ("_ontology_term_id", "_ontology_term") * terms
    other = called(key, compat)
    columns = tuple(other.get(f"{key}{end}", f"{key}{end}") for end in ends)
    return columns, (f"{key}_probabilities", f"X_{method}")


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """Where the cells of one data set lie in a model's space.

    As an array it is the joint embedding.

    Attributes
    ----------
    cells
        ``(cells,)`` str cell names.
    joint
        ``(cells, dim)`` float32, from all modalities that a cell has.
    views
        By modality ``(cells, dim)`` float32, from it alone, where the method has such; NaN in
        cells that lack it.
    coverage, notes, model, stamp
        As in :class:`Annotation`.
    """

    cells: np.ndarray
    joint: np.ndarray
    views: Mapping[str, np.ndarray]
    coverage: Mapping[str, Coverage]
    notes: tuple[str, ...]
    model: Mapping[str, Any]
    stamp: Stamp = field(default_factory=Stamp)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.joint, dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        rest = f", and of {' and '.join(self.views)}" * bool(self.views)
        return f"<Embedding of {len(self.cells):,} cells, joint {self.joint.shape[1]}-d{rest}>"

    def to(self, adata: Some) -> Some:
        """Put ``obsm["X_<method>"]`` (joint) and ``obsm["X_<method>_<modality>"]`` into ``adata``,
        in place, and return it; facts come into ``uns["X_<method>"]``.

        Raises
        ------
        DataError
            ``adata`` does not hold these cells, or has other things under these names.
        """
        return self.additions().to(adata)

    def write(
        self,
        data: str | Path | ad.AnnData | MuData | Mapping[str, str | Path | ad.AnnData],
        out: str | Path | None = None,
        *,
        matrix: bool = True,
    ) -> None:
        """Write ``data`` with the embedding to ``out``, or into its own file: see
        :meth:`Additions.write`.
        """
        self.additions().write(data, out, matrix=matrix)

    def additions(self) -> Additions:
        """What is added to a data set."""
        key = f"X_{self.model['method']}"
        views = {f"{key}_{name}": matrix for name, matrix in self.views.items()}
        facts = {
            **self.model,
            "coverage": coverage_facts(self.coverage),
            "notes": np.array(self.notes, dtype=str),
        }
        matrices = {key: self.joint, **views}
        return Additions(self.cells, {}, matrices, key, facts, stamp=self.stamp)


def coverage_facts(coverage: Mapping[str, Coverage]) -> dict[str, Any]:
    """By modality, how much of the reference's features the data have."""
    return {
        modality: {
            "reference": found.reference,
            "shared": found.shared,
            "matched_by": found.matched_by,
        }
        for modality, found in coverage.items()
    }
