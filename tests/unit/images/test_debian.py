"""What this host needs to unpack Debian's packages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from halab import packages
from halab.errors import HostProblem
from halab.images import debian


def test_mmdebstrap_needs_the_keys_of_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ubuntu has mmdebstrap without them: apt would refuse every package of Debian after a minute."""
    program, keys = tmp_path / "mmdebstrap", tmp_path / "debian-archive-keyring.gpg"
    program.touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(debian, "_KEYS", [keys])
    with pytest.raises(HostProblem, match=f"the keys of Debian's packages are missing: {keys}") as caught:
        debian.mmdebstrap()
    assert caught.value.hint == packages.install("debian-archive-keyring")
    keys.touch()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert debian.mmdebstrap() == [str(program)]
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert debian.mmdebstrap() == [str(program), "--mode=unshare"]
