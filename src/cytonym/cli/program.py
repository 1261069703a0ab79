"""The program: all commands, and how it ends."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from cytonym.cli.annotate import annotate
from cytonym.cli.datasets import datasets
from cytonym.cli.decode import denoise, embed, generate
from cytonym.cli.fit import fit
from cytonym.cli.judge import evaluate, report
from cytonym.cli.look import count, demo, explain, inspect, methods
from cytonym.cli.publish import export, ontology
from cytonym.cli.regulation import network
from cytonym.cli.reproduce import reproduce
from cytonym.disk.refusals import refusal
from cytonym.errors import CytonymError, Problem

app = typer.Typer(
    help="Names cells: learns cell types from labelled single-cell data and annotates the rest.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback(invoke_without_command=True)
def _top(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"cytonym {installed_version('cytonym')}")
        raise typer.Exit


COMMANDS = (
    inspect,
    fit,
    count,
    annotate,
    embed,
    denoise,
    generate,
    network,
    evaluate,
    ontology,
    export,
    report,
    explain,
    methods,
    reproduce,
    datasets,
    demo,
)
"""In the order in which the help lists them."""

for _command in COMMANDS:
    app.command()(_command)


INTERRUPTED = 130
"""With which typer ends on Ctrl-C."""

KEPT = (
    "cytonym: interrupted; nothing half-written is left, and what was done of a fit or of parts "
    "is kept for the same command"
)


def main() -> None:
    """Entry point: errors that a user can mend end with exit code 2 and no traceback."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is half-written is cleared
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        with _said():
            app()
    except CytonymError as error:
        print(f"cytonym: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:  # a full disk, a lost permission
        problem = refusal(error) or Problem(str(error), "check the disk and its permissions")
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"cytonym: {where}{problem}", file=sys.stderr)
        sys.exit(2)
    except SystemExit as ending:
        if ending.code == INTERRUPTED:
            print(KEPT, file=sys.stderr)
        raise
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already


@contextmanager
def _said() -> Iterator[None]:
    """What was printed is written when the block ends, so that a full disk is told."""
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python tries again
            raise
