"""Small files in the layouts of the original ones, and a cache that is not the user's."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setenv("CYTONYM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CYTONYM_OFFLINE", "1")
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "files"
    place.mkdir()
    return place
