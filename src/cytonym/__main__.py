"""``python -m cytonym``."""

from cytonym.cli import main

main()
