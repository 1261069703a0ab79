"""What several commands print, and where the log goes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence


def talk(quiet: bool) -> None:
    """The package's log goes to stderr, line by line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("cytonym")
    log.handlers = [handler]
    log.setLevel(logging.WARNING if quiet else logging.INFO)
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def print_notes(notes: Sequence[str]) -> None:
    """Notes, one after another, under a head; nothing where there are none."""
    from cytonym.view.text import wrap

    if notes:
        print("\nNotes")
    for note in notes:
        print(wrap(note, first="  - ", then="    "))


def one_line(text: str) -> str:
    """A label on one line: it may hold line breaks, or be very long."""
    text = " ".join(text.split())
    return text if len(text) <= 40 else f"{text[:40]}..."
