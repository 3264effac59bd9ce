"""A folder with a `go` that is a shell script."""

from __future__ import annotations

from pathlib import Path


def write(folder: Path, script: str) -> Path:
    """Make a folder with the script as its `go`, and return the folder."""
    folder.mkdir()
    (folder / "go").write_text(script)
    (folder / "go").chmod(0o755)
    return folder
