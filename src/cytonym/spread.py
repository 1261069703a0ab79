"""Parts of an annotation on a Dask cluster: one machine, or many that share a file system."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from cytonym.data.read import Reading
from cytonym.errors import CytonymError, OptionError, install
from cytonym.parts import Parts

RETRIES = 3
"""How often a part is named again whose worker was lost."""


def name_on(
    client: Any,
    parts: Parts,
    numbers: Iterable[int],
    *,
    model: Path,
    data: Path | dict[str, Path],
    how: Reading,
    fast: bool = False,
    compile: bool = False,
    batch_size: int = 512,
    device: str = "auto",
    progress: bool = True,
) -> None:
    """Name ``numbers`` of ``parts`` on the workers of ``client``, each part once.

    A worker that dies is replaced by the others: what it had done is kept, what it was doing is
    named again.

    Parameters
    ----------
    client
        A ``distributed.Client``; its workers see ``model``, ``data`` and the folder of the parts.
    model, data, how
        What ``parts`` were begun with, as paths.
    fast
        Whether they were begun with ``model.fast()``.
    compile
        Whether each worker names with ``model.compiled()``.
    batch_size
        Cells at a time, on each worker.
    device
        On which each worker computes.

    Raises
    ------
    CytonymError
        What went wrong with a part.
    """
    from distributed import as_completed  # pyright: ignore[reportMissingImports]

    job = json.dumps(
        {
            "model": str(model.absolute()),
            "fast": fast,
            "compile": compile,
            "batch_size": batch_size,
            "data": _absolute(data),
            "how": [how.genes, how.layer, how.modalities, how.genome and str(how.genome)],
            "folder": str(parts.folder.absolute()),
            "shares": dict(parts.shares),
            "device": device,
        }
    )
    numbers = [*numbers]
    keys = [f"cytonym-{parts.folder.name}-{number}" for number in numbers]
    futures = client.map(
        _name_one, [job] * len(numbers), numbers, key=keys, retries=RETRIES, pure=False
    )
    with tqdm(total=len(numbers), desc="naming", unit="part", disable=not progress) as bar:
        for future in as_completed(futures):
            if error := future.exception():
                client.cancel(futures)
                raise CytonymError(
                    f"a part could not be named on the cluster: {error}\n"
                    "    → mend that and run the same command again; what is done is kept"
                ) from error
            bar.update()


def _absolute(data: Path | dict[str, Path]) -> Any:
    if isinstance(data, dict):
        return {name: str(one.absolute()) for name, one in data.items()}
    return str(data.absolute())


def _name_one(job: str, number: int) -> int:
    """On a worker: name a part that is not there yet."""
    parts, facts = _opened(job), json.loads(job)
    speed = {"batch_size": facts["batch_size"], "device": facts["device"]}
    if not parts.path(number).exists():
        parts.name([number], **speed, progress=False)
    return number


@lru_cache(maxsize=1)
def _opened(job: str) -> Parts:
    """On a worker: model and data, opened once for all of its parts."""
    from cytonym.annotator import load

    facts = json.loads(job)
    genes, layer, modalities, genome = facts["how"]
    model = load(facts["model"])
    model = model.fast() if facts["fast"] else model
    model = model.compiled(facts["device"]) if facts["compile"] else model
    opened = model.opened(facts["data"], Reading(genes, layer, modalities, genome))
    return Parts.begin(Path(facts["folder"]), model, opened, **facts["shares"])


@contextmanager
def cluster(address: str) -> Iterator[Any]:
    """A client of the scheduler at ``address``, or of workers of this machine (``local``, or
    ``local:4`` for four).

    Raises
    ------
    CytonymError
        dask is not installed, or no scheduler answers there.
    """
    try:
        from distributed import Client, LocalCluster  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise CytonymError(
            f"--dask needs distributed, which is not installed\n    → {install('dist')}"
        ) from error
    kind, _, count = address.partition(":")
    if kind == "local":
        if count and not (count.isdecimal() and int(count)):
            raise OptionError(f"--dask {address}: write local, or local:4 for four workers")
        how: dict[str, Any] = {"threads_per_worker": 1, "dashboard_address": None}
        workers = int(count) if count else None
        with LocalCluster(n_workers=workers, **how) as here, Client(here) as client:
            yield client
        return
    try:
        client = Client(address, timeout=30)
    except (OSError, ValueError) as error:
        raise CytonymError(
            f"--dask {address}: no scheduler answers there ({error})\n"
            "    → give its address, such as tcp://10.0.0.1:8786, or local"
        ) from error
    with client:
        yield client
