"""Unit tests do not touch the user's files: they have their own folders for state and cache, and no proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.process import PROXIES


@pytest.fixture(autouse=True)
def user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder with the state and the cache of a test."""
    folder = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("HALAB_CACHE", str(folder / "cache"))
    monkeypatch.setenv("VAGRANT_HOME", str(folder / "vagrant"))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    return folder
