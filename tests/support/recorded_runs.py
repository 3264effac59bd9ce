"""Runs that were recorded on real labs, in `tests/support/runs`. Their samples and states are packed."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from halab.scenario.record.folder import RunFolder

RUNS = Path(__file__).parent / "runs"
NAMES = sorted(path.name for path in RUNS.iterdir() if path.is_dir())


def copy_run(name: str, to: Path) -> RunFolder:
    """Copy a recorded run to a folder that does not exist yet, with its samples and its states, if any, unpacked."""
    folder = RunFolder(to)
    shutil.copytree(RUNS / name, folder.path)
    for packed in folder.path.glob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    return folder
