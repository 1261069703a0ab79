"""Say what a data set is, and whether it fits a model or a reference."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cytonym.annotator import Annotator, load
from cytonym.data.align import space_of
from cytonym.data.inspect import Inspection, inspect_cells
from cytonym.data.read import Reading, open_cells, open_read
from cytonym.errors import DataError
from cytonym.opening import Data, check_transforms


def inspect(
    data: Data,
    *,
    model: Annotator | str | Path | None = None,
    reference: Data | None = None,
    labels: str | None = None,
    genes: str | None = None,
    layer: str | None = None,
    modalities: Mapping[str, str] | None = None,
    genome: str | Path | None = None,
) -> Inspection:
    """Say what a data set is and whether it can be used; all problems at once.

    Parameters
    ----------
    data
        A file or AnnData.
    model, reference
        What the data should fit: a fitted model, or a labelled reference.
    labels
        Also check this column of ``obs`` as a fit would.
    genes, layer, modalities, genome
        As in :func:`cytonym.fit`.

    Returns
    -------
    Inspection
        ``usable``, ``problems`` with remedies, ``to_dict()``; its text is one page.
    """
    spaces, needed, own = None, None, frozenset()
    if model is not None:
        model = model if isinstance(model, Annotator) else load(model)
        spaces, needed = model.spaces, "counts" if model.method.needs.counts else None
        own = model.method.own(model.options)
    elif reference is not None:
        spaces = space_of(open_cells(reference))
    how = Reading(genes, layer, modalities, genome)
    page = inspect_cells(data, how=how, labels=labels, spaces=spaces, own=own, values_needed=needed)
    if model is not None and own and page.usable:
        try:
            cells = open_read(data, how)
            check_transforms(model.transforms, cells.spaces, cells.name)
            page.notes.extend(
                f"{name}: {len(cells.spaces[name]):,} peaks of the data's own, which the model "
                "reads by their DNA"
                for name in own & cells.spaces.keys()
            )
        except DataError as error:
            page.problems.extend(error.problems)
    return page
