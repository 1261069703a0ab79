"""The program: all commands, and how it ends."""

from __future__ import annotations

import signal
import sys
import warnings
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
from cytonym.errors import CytonymError

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


def main() -> None:
    """Entry point: errors that a user can mend end with exit code 2 and no traceback."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is half-written is cleared
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # pyright: ignore[reportAttributeAccessIssue]
    try:
        app()
    except CytonymError as error:
        print(f"cytonym: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # the reader, such as head, has seen enough
        sys.stderr.close()
        sys.exit(0)
    except OSError as error:  # a full disk, a lost permission
        print(f"cytonym: {error}\n    → check the disk and its permissions", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("cytonym: interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends already
