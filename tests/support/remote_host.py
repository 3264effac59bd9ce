"""Another host for tests, with an `ssh` in PATH that reaches it: see `tests/support/remote-host`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCRIPT = Path(__file__).with_name("remote-host")
NAME = "farm"


@contextmanager
def remote_host(folder: Path, *what: str) -> Iterator[str]:
    """Start a host that `ssh farm` reaches during the block; its name."""
    path = os.environ["PATH"]
    try:
        subprocess.run([_SCRIPT, "start", folder, *what], check=True, timeout=300)
        os.environ["PATH"] = f"{folder}/bin:{path}"
        yield NAME
    finally:
        os.environ["PATH"] = path
        subprocess.run([_SCRIPT, "stop", folder], check=True, timeout=120)
