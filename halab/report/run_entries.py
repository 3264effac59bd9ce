"""The runs in the reports of several runs: as entries of a JSON file, and as links."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result


def relative(path: Path, folder: Path) -> str:
    """A path as seen from a folder, for links and for JSON."""
    return Path(os.path.relpath(path, folder)).as_posix()


def entries(runs: Iterable[tuple[RunFolder, Result]], folder: Path) -> list[dict[str, Any]]:
    """Runs for programs. Their paths are relative to `folder`, times are in seconds."""
    return [
        {
            "folder": relative(run.path, folder),
            "verdict": str(result.verdict),
            "reasons": list(result.reasons),
            "seconds": round(result.seconds, 3),
            "recovery_seconds": result.recovery_seconds,
        }
        for run, result in runs
    ]
