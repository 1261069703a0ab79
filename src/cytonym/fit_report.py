"""What a fit says about itself: the held-out table, the choices, the notes, the losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import pandas as pd
from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class FitReport:
    """How a fit went.

    Attributes
    ----------
    held_out
        One record a method (this one, ``linear``, ``knn``): accuracy, balanced_accuracy,
        macro_f1 on the same held-out part of the reference; empty where nothing was held out.
    per_type
        One record a type: ``type``, its cells in the reference (``n_reference``) and among those
        held out (``n_held_out``), this method's ``recall`` and ``f1`` on the latter (None where
        none was held out), and whether the type is ``rare`` in the reference.
    n_reference, n_held_out
        Labelled cells of the reference, and how many cells were held out for the table.
    n_unlabelled
        Cells without a label that were learned from.
    refitted
        Whether the model learned from all cells after a first fit without those held out.
    chosen
        What was decided where options were ``auto``, with the probe's score of each candidate.
    notes
        What the user should know, in sentences.
    history
        One record an epoch: losses and, on the held-out part, scores.
    seconds
        Wall time of the fit.
    """

    held_out: tuple[Mapping[str, Any], ...] = ()
    per_type: tuple[Mapping[str, Any], ...] = ()
    n_reference: int = 0
    n_held_out: int = 0
    n_unlabelled: int = 0
    refitted: bool = True
    chosen: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    history: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    seconds: float = 0.0

    @property
    def table(self) -> pd.DataFrame:
        """The held-out comparison, a row a method."""
        if not self.held_out:
            return pd.DataFrame(columns=pd.Index(["accuracy", "balanced_accuracy", "macro_f1"]))
        columns = ["method", "accuracy", "balanced_accuracy", "macro_f1"]
        return pd.DataFrame(self.held_out)[columns].set_index("method")

    def __str__(self) -> str:
        cells = f"{self.n_reference:,} labelled cells"
        if self.n_unlabelled:
            both = f"{cells} and {self.n_unlabelled:,} without a label"
            cells = both if self.n_reference else f"{self.n_unlabelled:,} cells without labels"
        lines = [f"Fitted on {cells} in {self.seconds:.0f} s"]
        if self.held_out:
            of_them = "of them, held out before a first fit:" if self.refitted else "held-out ones:"
            lines[0] += f"; on {self.n_held_out:,} {of_them}"
            lines.append(self.table.to_string(float_format=lambda value: f"{value:.3f}"))
        elif self.n_held_out:
            lines[0] += f"; {self.n_held_out:,} others, held out, said when to stop."
        else:
            lines[0] += "."
        rare = [one for one in self.per_type if one["rare"]]
        if rare:
            lines.append("Rare types, on the held-out cells:")
            columns = ["type", "n_reference", "n_held_out", "recall", "f1"]
            table = pd.DataFrame(rare)[columns].set_index("type")
            table = table.astype({"recall": float, "f1": float})
            lines.append(table.to_string(float_format=lambda value: f"{value:.3f}", na_rep="-"))
        lines += [f"  {note}" for note in self.notes]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Back from :meth:`to_dict`; a key that it does not know is a ValueError."""
        if unknown := {*facts} - {*cls.__slots__}:
            raise ValueError(f"it reports {', '.join(sorted(unknown))}")
        return TypeAdapter(cls).validate_python(dict(facts))
