"""Several models of one reference that name cells together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from importlib.metadata import version
from operator import or_
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cytonym.annotator import Annotator, load
from cytonym.data.read import Reading
from cytonym.device import pick
from cytonym.errors import OptionError
from cytonym.opening import Data
from cytonym.result import Annotation
from cytonym.trust.jury import Jury
from cytonym.trust.read import asked, read, told


@dataclass(frozen=True, slots=True, eq=False)
class Consensus:
    """Models that answer together; made by :func:`consensus`.

    Attributes
    ----------
    models
        By name.
    jury
        What each counts, and how their answers are read; learned on the cells that all held out.
    """

    models: Mapping[str, Annotator]
    jury: Jury

    def __repr__(self) -> str:
        shares = zip(self.models, self.jury.weights, strict=True)
        listed = ", ".join(f"{name} {share:.2f}" for name, share in shares)
        return f"<consensus of {len(self.models)} models: {listed}>"

    @property
    def label_names(self) -> list[str]:
        """The types, in the order of the probabilities."""
        return self.lead.label_names

    @property
    def lead(self) -> Annotator:
        """The model that counts most."""
        return [*self.models.values()][int(self.jury.weights.argmax())]

    def annotate(
        self,
        data: Data,
        *,
        genes: str | None = None,
        layer: str | None = None,
        modalities: Mapping[str, str] | None = None,
        genome: str | Path | None = None,
        coverage: float = 0.9,
        reject: float = 0.05,
        batch_size: int = 512,
        device: str = "auto",
        progress: bool = True,
    ) -> Annotation:
        """Name the cells of ``data``; the arguments are those of :meth:`Annotator.annotate`.

        Returns
        -------
        Annotation
            Of the mixture; ``answers`` are those of each model, ``agreement`` says how many agree.
            The embedding is that of the model that counts most.
        """
        pick(device)
        how = Reading(genes, layer, modalities, genome)
        opened = [one.opened(data, how) for one in self.models.values()]
        said = [
            model.asked(one, batch_size=batch_size, device=device, progress=progress)
            for model, one in zip(self.models.values(), opened, strict=True)
        ]
        shares = {"coverage": coverage, "reject": reject}
        found = read(said, self.label_names, self.jury, **shares)
        names = np.array(self.label_names, dtype=object)
        answers = {
            name: names[trust.probabilities(one).argmax(1)]
            for name, trust, one in zip(self.models, self.jury.trusts, said, strict=True)
        }
        best = names[found.probabilities.argmax(1)]
        alike = np.stack([one == best for one in answers.values()]).astype(np.float32)
        own = [note for one in opened for note in (*one.notes, *one.tally.lacking())]
        first = int(self.jury.weights.argmax())
        return Annotation(
            cells=said[0].cells,
            labels=found.labels,
            confidence=found.confidence,
            probabilities=pd.DataFrame(
                found.probabilities, index=said[0].cells, columns=pd.Index(self.label_names)
            ),
            sets=found.sets,
            strange=found.strange,
            embedding=said[first].z,
            coverage=opened[first].coverage,
            notes=(*dict.fromkeys(own), *told(found.tally, self.label_names, self.jury, **shares)),
            model=self.facts() | asked(self.jury, **shares),
            tally=found.tally,
            answers=answers,
            agreement=(self.jury.weights @ alike).astype(np.float32),
            stamp=reduce(or_, (one.cells.stamp for one in opened)),
        )

    def facts(self) -> dict[str, Any]:
        """What identifies the models, for ``uns``."""
        shares = zip(self.models, self.jury.weights, strict=True)
        names = "".join(one.facts()["hash"] for one in self.models.values())
        return {
            "method": "consensus",
            "version": version("cytonym"),
            "hash": sha256(names.encode()).hexdigest(),
            "weights": {name: float(share) for name, share in shares},
            "models": {name: one.facts() for name, one in self.models.items()},
        }


def consensus(models: Sequence[Annotator | str | Path]) -> Consensus:
    """Let several models of one reference name cells together.

    How much each counts is learned on the cells that all of them held out.

    Parameters
    ----------
    models
        Two or more, or their folders; fitted on the same reference with the same seed and
        ``validation``. They are called by their methods, numbered where two have the same.

    Raises
    ------
    OptionError
        Fewer than two, other types, a model that held nothing out, or other cells held out.
    """
    models = [models] if isinstance(models, str | Path | Annotator) else models
    opened = [one if isinstance(one, Annotator) else load(one) for one in models]
    if len(opened) < 2:
        raise OptionError(f"A consensus needs two models or more; {len(opened)} given.")
    named: dict[str, Annotator] = {}
    for one in opened:
        name, number = one.method.name, 2
        while name in named:
            name, number = f"{one.method.name}_{number}", number + 1
        named[name] = one
    if len({one.facts()["hash"] for one in opened}) < len(opened):
        raise OptionError("A model is given twice: a consensus needs different ones.")
    first = opened[0].label_names
    for name, one in named.items():
        if one.label_names != first:
            other = ", ".join(sorted({*first} ^ {*one.label_names})[:5])
            raise OptionError(
                f"{name} knows other types than {opened[0].method.name} ({other}): a consensus is "
                "for models of the same reference."
            )
    trusts = [one.trust for one in opened if one.trust is not None]
    if len(trusts) < len(opened):
        lacking = ", ".join(name for name, one in named.items() if one.trust is None)
        raise OptionError(
            f"{lacking}: too few cells were held out to know how much it counts; fit with "
            "validation=0.1 and a reference with 500 labelled cells or more."
        )
    return Consensus(named, Jury.of(trusts))
