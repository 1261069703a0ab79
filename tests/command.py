"""The command line in a process of its own, without the seconds that importing takes each time.

A server imports everything once; each command runs in a fork of it, with its own arguments,
environment, folder, output and exit code, through the entry point that is installed.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing import Process, get_context
from pathlib import Path
from subprocess import CompletedProcess

from typer.testing import CliRunner

from cytonym.cli import app, main

FORKS = get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        *("cytonym.annotator", "cytonym.cli", "cytonym.fitting.fit", "cytonym.view.report"),
        *("anndata", "mudata", "sklearn", "torch._dynamo"),  # the last one by every optimiser
    ]
)
os.environ["OMP_NUM_THREADS"] = "1"  # tests run side by side


def run(
    *words: object,
    code: int = 0,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 300,
    first: Callable[[], object] = int,
    meanwhile: Callable[[Process], object] | None = None,
) -> CompletedProcess[str]:
    """Run ``cytonym``; it must end with ``code`` and without a traceback.

    ``first`` is called in its process, before it begins; ``meanwhile`` here, while it runs.
    """
    command = ["cytonym", *map(str, words)]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / name for name in ("out", "err")]
        variables = {**os.environ, **(env or {})}
        process = FORKS.Process(
            target=_inside,
            args=(command, variables, str(cwd or Path.cwd()), *map(str, files), first),
        )
        process.start()
        if meanwhile is not None:
            meanwhile(process)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
        out, err = (file.read_text() for file in files)
    assert "Traceback" not in err, err
    assert process.exitcode == code, f"{process.exitcode}:\n{out}\n{err}"
    return CompletedProcess(command, code, out, err)


def call(*words: object) -> str:
    """The same inside this process, where errors are exceptions: what it prints."""
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def _inside(
    command: list[str],
    env: dict[str, str],
    cwd: str,
    out: str,
    err: str,
    first: Callable[[], object] = int,
) -> None:
    for place, file in enumerate((out, err), 1):
        opened = os.open(file, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, place)
        os.close(opened)
    sys.argv = command
    os.environ.clear()
    os.environ.update(env)
    os.chdir(cwd)
    first()
    main()
