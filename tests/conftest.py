"""What all tests share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder with the real data sets; tests that ask for it are marked ``data``."""
    folder = os.environ.get("CYTONYM_DATA")
    if not folder:
        pytest.skip("set CYTONYM_DATA to the folder with the real data sets")
    return Path(folder)


@pytest.fixture(autouse=True)
def quiet_log() -> Iterator[None]:
    """The command line, called inside a test, sets the log up for its whole process."""
    log = logging.getLogger("cytonym")
    handlers, level = log.handlers, log.level
    yield
    log.handlers, log.level = handlers, level


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker("data")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=3, help="how often each process is killed")
