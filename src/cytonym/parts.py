"""Naming many cells part by part: what is done is kept, so a killed run or another machine goes on.

A folder holds ``job.json`` (what is named, by which model, how) and a file for each part. Parts can
be named in any order, by any number of processes; the folder is the only thing that they share.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from cytonym.annotator import Annotator
from cytonym.disk.files import replacing
from cytonym.disk.hdf5 import hdf5
from cytonym.disk.stamps import Stamp
from cytonym.errors import CytonymError, OptionError
from cytonym.opening import Opened
from cytonym.result import Annotation
from cytonym.stacked import Stacked
from cytonym.trust.read import asked
from cytonym.trust.tally import Tally
from cytonym.types import CellSource

CELLS = 65_536
"""Cells of a part, at most: of about 100 MB while it is named."""

JOB = "job.json"


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """An annotation in parts.

    Attributes
    ----------
    folder
        Where they are kept.
    model, opened
        What names, and what is named.
    shares
        ``coverage`` and ``reject``.
    count
        Parts in all.
    """

    folder: Path
    model: Annotator
    opened: Opened
    shares: Mapping[str, float]
    count: int

    @classmethod
    def begin(
        cls,
        folder: Path,
        model: Annotator,
        opened: Opened,
        *,
        coverage: float,
        reject: float,
        shards: int | None = None,
    ) -> Parts:
        """Make the folder, or go on in that of the same job.

        Parameters
        ----------
        shards
            The number of parts is a multiple of it; None: as the folder has it, else 1.

        Raises
        ------
        CytonymError
            The folder is of another job, or holds something else.
        OptionError
            The model judges cells by the majority of all others, so they cannot be parted.
        """
        shares = {"coverage": coverage, "reject": reject}
        n = len(opened.feed.rows)
        each = shards or 1
        if model.trust is not None and model.trust.moved and reject:
            if each > 1:
                raise OptionError(
                    f"A {model.method.name} model judges a cell by the majority of all cells, "
                    "which shards do not see; annotate without --shard, or with --reject 0."
                )
            count = 1
        else:
            count = each * max(-(-n // (each * CELLS)), 1)
        job = {
            "cytonym": "annotation in parts",
            "model": model.facts(),
            "cells": n,
            "data": _digest(opened.feed.source),
            "spaces": {name: len(one) for name, one in opened.feed.source.spaces.items()},
            **shares,
        }
        before = _job(folder)
        marks, job["file"] = _content(opened.cells.stamp, before or {})
        if before is None and (before := _job(folder)) is None:  # another shard may have begun it
            _make(folder, {**job, "marks": marks, "parts": count})
            before = _job(folder)
            assert before is not None
        other = [name for name, value in job.items() if before.get(name) != value]
        if other or (shards and before["parts"] % shards):
            what = f"another {', '.join(other)}" if other else f"{before['parts']} parts"
            raise CytonymError(
                f"{folder} holds parts of another annotation ({what})\n"
                "    → remove it, or give the result another name (--out)"
            )
        return cls(folder, model, opened, shares, before["parts"])

    @staticmethod
    def begun(folder: Path) -> bool:
        """Whether there are parts of an earlier run."""
        return (folder / JOB).exists()

    @staticmethod
    def pay(folder: Path, opened: Opened) -> bool:
        """Whether there are cells for more than one part, or parts of an earlier run."""
        return len(opened.feed.rows) > CELLS or Parts.begun(folder)

    def rows(self, number: int) -> np.ndarray:
        """Cells of a part."""
        return np.array_split(self.opened.feed.rows, self.count)[number]

    def path(self, number: int) -> Path:
        """The file of a part."""
        return self.folder / f"part-{number + 1:05d}-of-{self.count:05d}.h5"

    def missing(self, shard: tuple[int, int] | None = None) -> list[int]:
        """Parts that are not done, all or those of a shard ``(i, n)``, the first is 1."""
        first, step = (shard[0] - 1, shard[1]) if shard else (0, 1)
        return [one for one in range(first, self.count, step) if not self.path(one).exists()]

    def name(
        self,
        numbers: Iterable[int],
        *,
        batch_size: int = 512,
        device: str = "auto",
        progress: bool = True,
    ) -> None:
        """Name the cells of these parts; each appears when it is complete."""
        numbers = [*numbers]
        total = sum(len(self.rows(one)) for one in numbers)
        with tqdm(total=total, desc="naming", unit="cell", disable=not progress) as bar:
            for number in numbers:
                calls = self.model.answer(
                    self.opened.of(self.rows(number)),
                    **self.shares,
                    batch_size=batch_size,
                    device=device,
                    progress=False,
                )
                with replacing(self.path(number)) as partial:
                    _write(partial, calls)
                bar.update(len(calls))

    def whole(self) -> Annotation:
        """All parts as one answer, whose embedding stays on disk.

        Raises
        ------
        CytonymError
            Parts are missing, or one is damaged.
        """
        if missing := self.missing():
            listed = ", ".join(str(one + 1) for one in missing[:10]) + ", ..." * (len(missing) > 10)
            raise CytonymError(
                f"{self.folder} lacks {len(missing)} of {self.count} parts ({listed})\n"
                "    → run their shards again; what is done is kept"
            )
        files = [self.path(one) for one in range(self.count)]
        read = [_read(one) for one in files]
        tally = sum((one["tally"] for one in read), Tally())
        cells = self.opened.feed.cells
        names = self.model.label_names
        chances = np.concatenate([one["probabilities"] for one in read])

        def joined(name: str) -> np.ndarray | None:
            found = [one[name] for one in read]
            return None if found[0] is None else np.concatenate(found)

        return Annotation(
            cells=cells,
            labels=np.concatenate([one["labels"] for one in read]),
            confidence=np.concatenate([one["confidence"] for one in read]),
            probabilities=pd.DataFrame(chances, index=cells, columns=pd.Index(names)),
            sets=joined("sets"),
            strange=joined("strange"),
            embedding=Stacked(files, "embedding"),  # type: ignore[arg-type]
            coverage=self.opened.coverage,
            notes=self.model.notes(self.opened, tally, **self.shares),
            model=self.model.facts() | asked(self.model.trust, **self.shares),
            tally=tally,
            stamp=self.opened.cells.stamp,
        )

    def remove(self) -> None:
        """Delete the folder, once the answer is written."""
        shutil.rmtree(self.folder)


def _digest(source: CellSource) -> str:
    """Of the names of cells and features, and of the values of 256 cells."""
    digest = hashlib.sha256()
    n = len(source.cells)
    for name in (source.cells, *(space.names for space in source.spaces.values())):
        digest.update("\n".join(map(str, name)).encode())
    some = np.arange(0, n, max(n // 256, 1))
    for modality in source.spaces:
        digest.update(source.read(modality, some).data.tobytes())
    return digest.hexdigest()


def _content(stamp: Stamp, before: Mapping[str, Any]) -> tuple[list[list[int]], str]:
    """Sizes and times of the files, and their checksum: that of ``before`` where sizes and times
    are, so that not every shard reads all of them.
    """
    marks = [[size, changed] for _, (size, changed, _) in sorted(stamp.marks.items())]
    if before.get("marks") == marks:
        return marks, str(before["file"])
    return marks, stamp.checksum


def _make(folder: Path, job: Mapping[str, Any]) -> None:
    folder.mkdir(exist_ok=True)
    foreign = [one.name for one in folder.iterdir() if JOB not in one.name]
    if (folder / JOB).exists():
        return
    if foreign:
        raise CytonymError(
            f"{folder} is in the way: parts go there, and it holds {', '.join(foreign[:5])}\n"
            "    → move it, or change --out"
        )
    with replacing(folder / JOB) as partial:
        partial.write_text(json.dumps(job, indent=1), encoding="utf-8")


def _job(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / JOB).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CytonymError(f"{folder / JOB} is damaged ({error})\n    → remove {folder}") from error


def _write(path: Path, calls: Annotation) -> None:
    """Everything of an answer that differs from part to part."""
    with hdf5(path, "w") as file:
        ad.io.write_elem(file, "labels", pd.Categorical(calls.labels))
        for name in ("confidence", "strange", "embedding"):
            if (one := getattr(calls, name)) is not None:
                ad.io.write_elem(file, name, np.asarray(one))
        ad.io.write_elem(file, "probabilities", calls.probabilities.to_numpy())
        file.attrs["tally"] = json.dumps(calls.tally.to_dict())
        if calls.sets is not None:
            codes, kinds = pd.factorize(calls.sets)
            ad.io.write_elem(file, "sets", codes.astype(np.int32))
            file.attrs["kinds"] = json.dumps([*map(list, kinds)])


def _read(path: Path) -> dict[str, Any]:
    """What :func:`_write` wrote, the embedding left out."""
    try:
        with h5py.File(path, "r") as file:
            found: dict[str, Any] = {
                name: ad.io.read_elem(file[name]) if name in file else None  # type: ignore[arg-type]
                for name in ("labels", "confidence", "strange", "probabilities", "sets")
            }
            found["tally"] = Tally(**json.loads(str(file.attrs["tally"])))
            kinds = json.loads(str(file.attrs.get("kinds", "[]")))
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise CytonymError(
            f"{path} is damaged ({error})\n    → remove it; only this part is named again"
        ) from error
    labels = found["labels"]
    found["labels"] = labels.categories.to_numpy(dtype=object)[labels.codes]
    if found["sets"] is not None:
        known = np.empty(len(kinds), dtype=object)
        known[:] = [tuple(one) for one in kinds]
        found["sets"] = known[found["sets"]]
    return found
