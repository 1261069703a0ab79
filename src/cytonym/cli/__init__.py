"""The command line: checks the arguments, calls the Python API, prints; nothing else prints.

What is slow to import is imported inside the commands, after the arguments have been checked.
"""

from cytonym.cli.program import app, main

__all__ = ["app", "main"]
