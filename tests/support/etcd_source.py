"""A copy of etcd's server module, as Go's module proxy has it, for bugs that tests plant."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from halab.images.go import Go

GO = Go().program


def copy(folder: Path, version: str) -> None:
    """Make the folder, whose files can be changed. Go must be on this host."""
    words = [str(GO), "mod", "download", "-json", f"go.etcd.io/etcd/server/v3@v{version}"]
    # in /, which is no module
    said = subprocess.run(words, cwd="/", check=True, capture_output=True, text=True).stdout
    subprocess.run(["cp", "-r", json.loads(said)["Dir"], folder], check=True)
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def change(path: Path, before: str, after: str) -> None:
    """Replace a text that a file has once."""
    text = path.read_text()
    assert text.count(before) == 1, f"{path}: {text.count(before)} times: {before}"
    path.write_text(text.replace(before, after))
