"""Commands about an annotation: evaluate, report."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cytonym.cli.options import Json, Key, MaxMemory, Review
from cytonym.cli.shown import one_line
from cytonym.errors import CytonymError, DataError, Problem, suggest
from cytonym.places import check_table

if TYPE_CHECKING:
    import pandas as pd

    from cytonym.data.labels import Labels


def evaluate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Annotated cells.")],
    truth: Annotated[str, typer.Option(metavar="COLUMN", help="Column of obs: known labels.")],
    key: Key = "cell_type_pred",
    embedding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Cluster obsm[NAME] too, such as X_scmoanno.")
    ] = None,
    by_term: Annotated[
        bool, typer.Option("--ontology", help="Score by Cell Ontology terms too.")
    ] = False,
    review: Review = None,
    batch: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Coverage of the sets by batch too.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score predicted labels against known ones, and an embedding by its clusters."""
    if review is not None and not by_term:
        raise CytonymError("--review is for --ontology\n    → give both")
    from cytonym.data.labels import check_labels
    from cytonym.data.read import read_obs
    from cytonym.evaluate import scores, set_scores
    from cytonym.result import set_word
    from cytonym.view.text import json_text

    if truth == key:
        raise CytonymError(f"--truth and --key are both {key!r}\n    → name two columns")
    obs = read_obs(file)
    named = (
        embedding is None or by_term or key in obs
    )  # an embedding learned without labels has no names
    unknown = [column for column in (truth, key)[: 1 + named] if column not in obs]
    if unknown:
        columns = [str(column) for column in obs.columns]
        remedy = {name: suggest(name, columns) if columns else "obs is empty" for name in unknown}
        problems = [
            Problem(f"there is no column {name!r} in obs", remedy[name]) for name in unknown
        ]
        raise DataError(problems, subject=file.name)
    labels, problems = check_labels(obs, truth)  # as training reads them: "Unknown" is no label
    if not len(labels.names):
        raise DataError(problems, subject=file.name)
    known, said, found, record = _texts(labels), None, None, {}
    if named:
        predicted, _ = check_labels(obs, key)
        alike = bool({*labels.names} & {*predicted.names})
        if not alike and not by_term:
            what = (
                f"no label is in both obs[{truth!r}] ({', '.join(labels.names[:4])}, ...) and "
                f"obs[{key!r}] ({', '.join(predicted.names[:4]) or 'no labels'}, ...)"
            )
            remedy = (
                "name the columns that hold the same types in the same spelling, or compare "
                "them by their terms with --ontology"
            )
            raise DataError(Problem(what, remedy), subject=file.name)
        said = _texts(predicted)
        found = scores(known, said, known=_known_labels(file, key)) if alike else None
        record = found.to_dict() if found is not None else {}
    terms = None
    if by_term and said is not None:
        from cytonym.ontology import label_scores

        ids = obs.get(f"{key}_ontology_term_id")
        terms, mapping = label_scores(known, said, review=review, predicted_ids=ids)
        record["ontology"] = terms.to_dict() | {"open": [one.label for one in mapping.open]}
    held = None
    if said is not None and f"{key}_set" in obs:
        words = [None if one is None else set_word(one) for one in known]
        held = set_scores(words, *_sets(obs, f"{key}_set", batch, file.name))
        record["sets"] = held.to_dict(orient="records")
    elif batch is not None:
        raise DataError(
            Problem(
                f"--batch is for prediction sets, and there is no obs['{key}_set']",
                "annotate with a model for which 50 labelled cells or more were held out",
            ),
            subject=file.name,
        )
    clusters = None
    if embedding is not None:
        from cytonym.data.read import read_obsm
        from cytonym.evaluate.clusters import Clustering, cluster_scores

        by: list[Clustering] = ["kmeans"]
        if find_spec("igraph"):
            by.append("leiden")
        else:
            print("Leiden is left out: it needs igraph (the extra [sc])", file=sys.stderr)
        clusters = cluster_scores(read_obsm(file, embedding), known, predicted=said, by=by)
        record["clusters"] = clusters.to_dict(orient="index")
    if as_json:
        print(json_text(record))
        return
    parts = [str(part) for part in (found, terms) if part is not None]
    if terms is not None and record["ontology"]["open"]:
        parts.append(_open_labels(record["ontology"]["open"]))
    if held is not None:
        shown = held.to_string(index=False, float_format=lambda value: f"{value:.3f}")
        parts.append(f"Prediction sets: how often they hold the known label\n{shown}")
    if parts:
        print("\n\n".join(parts) + "\n" * (clusters is not None))
    if clusters is not None:
        print(f"Clusters of {embedding} against {truth}")
        print(clusters.to_string(float_format=lambda value: f"{value:.3f}"))


def _sets(
    obs: pd.DataFrame, column: str, batch: str | None, subject: str
) -> tuple[list[list[str]], list[str] | None]:
    """The types of each set, and the batches."""
    sets = [[*filter(None, str(one).split("|"))] for one in obs[column]]
    if batch is None:
        return sets, None
    if batch not in obs:
        problem = Problem(
            f"there is no column {batch!r} in obs", suggest(batch, [*map(str, obs.columns)])
        )
        raise DataError(problem, subject=subject)
    return sets, [*obs[batch].astype(str)]


def report(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What cytonym annotate wrote.")],
    out: Annotated[Path, typer.Option(metavar="OUT.html", help="The page to write.")],
    model: Annotated[
        Path | None, typer.Option(help="The model that named the cells: adds why, and its fit.")
    ] = None,
    truth: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Known labels: adds scores.")
    ] = None,
    key: Key = "cell_type_pred",
    embedding: Annotated[
        str | None, typer.Option(metavar="NAME", help="What of obsm to draw, such as X_sctrans.")
    ] = None,
    max_memory: MaxMemory = None,
) -> None:
    """Write one HTML page about annotated cells; it needs no network."""
    check_table(out, ".html", file, model)
    import cytonym

    asked: dict[str, Any] = {"truth": truth, "key": key, "embedding": embedding}
    cytonym.report(file, out, model=model, max_memory=max_memory, **asked)
    print(f"Wrote {out}: {out.stat().st_size / 1e6:.1f} MB")


def _texts(labels: Labels) -> list[str | None]:
    """The label of each cell; None without one."""
    return [str(labels.names[code]) if code >= 0 else None for code in labels.codes]


def _open_labels(names: Sequence[str]) -> str:
    listed = ", ".join(repr(one_line(name)) for name in names[:6]) + ", ..." * (len(names) > 6)
    return (
        f"{len(names)} labels have no sure term: {listed}\n"
        "    → settle them in a review file: cytonym ontology FILE --labels COLUMN --out TSV"
    )


def _known_labels(file: Path, key: str) -> list[str] | None:
    """The labels that the model could give, which annotated files say in ``uns``."""
    import h5py

    if not file.is_file() or not h5py.is_hdf5(file):
        return None
    with h5py.File(file, "r") as content:
        types = content.get(f"uns/{key}/types")
        return list(types.asstr()[:]) if isinstance(types, h5py.Dataset) else None
