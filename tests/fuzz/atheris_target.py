"""The same readers under libFuzzer.

    python tests/fuzz/atheris_target.py FORMAT -max_total_time=60

Needs atheris (``pip install atheris``), which is no dependency of the tests. A find is written to
``crash-*`` in the folder where it runs; give that file as the last argument to see it again.
"""

import sys
from pathlib import Path

import atheris

sys.path.append(str(Path(__file__).parent))
with atheris.instrument_imports(include=["cytonym"]):
    from targets import TARGETS, ask


def main() -> None:
    """Start from the true file of the format."""
    target = TARGETS[sys.argv.pop(1)]
    corpus = Path("corpus")
    corpus.mkdir(exist_ok=True)
    (corpus / "true").write_bytes(target.example())

    def one(data: bytes) -> None:
        ask(target, data)

    atheris.Setup([*sys.argv, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
