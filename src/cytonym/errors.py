"""What can go wrong for a user: every message says what happened, what was seen, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path


class CytonymError(Exception):
    """Base of every error that a user can mend; the command line prints it without a traceback."""


class OptionError(CytonymError, ValueError):
    """An unknown method or option, or a value that an option cannot take."""


class TrainingError(CytonymError, RuntimeError):
    """Training cannot go on: a loss that is not finite, a state of another fit, a lost process."""


class ModelError(CytonymError, ValueError):
    """A model folder that is missing, damaged, or written by a newer version."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the input, with its remedy."""

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n    → {self.remedy}"


class DataError(CytonymError, ValueError):
    """Input that cannot be used; carries all problems found, not only the first.

    Parameters
    ----------
    problems
        What was found, each with numbers and a remedy.
    subject
        The file or object that was read.
    """

    def __init__(self, problems: Problem | Iterable[Problem], *, subject: str = "the data") -> None:
        found = (problems,) if isinstance(problems, Problem) else tuple(problems)
        self.problems: tuple[Problem, ...] = found
        self.subject = subject
        head = f"{subject} cannot be used" + (f" ({len(found)} problems)" if len(found) > 1 else "")
        super().__init__("\n".join([f"{head}:", *(f"  - {problem}" for problem in found)]))


class WriteError(CytonymError, OSError):
    """A result that could not be written: nothing of it is left, and what was there before is."""

    def __init__(self, out: Path, problem: Problem) -> None:
        super().__init__(
            f"{out} could not be written: {problem.what}; nothing of it is left, and what was "
            f"there before is unchanged\n    → {problem.remedy}; then do the same again"
        )


def suggest(name: str, known: Sequence[str]) -> str:
    """The sentence that follows an unknown name: the nearest known one, and all there are."""
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}? " if near else ""
    return f"{hint}Available: {', '.join(sorted(known))}."


def install(extra: str) -> str:
    """The command that installs an extra, until there is a release to name."""
    return f"pip install '.[{extra}]' in a clone"
