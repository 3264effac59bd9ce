"""Unit tests touch nothing of the user's: state and cache are folders of their own, and no proxy is set."""

from __future__ import annotations

from pathlib import Path

import pytest

from halab.process import PROXIES


@pytest.fixture(autouse=True)
def user_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's state and cache are."""
    folder = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))
    monkeypatch.setenv("HALAB_CACHE", str(folder / "cache"))
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
    return folder
