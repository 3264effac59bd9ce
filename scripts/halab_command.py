"""The halab command of this Python's environment, for the scripts that run it in the folder of a lab."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HALAB = Path(sys.executable).with_name("halab")
STEADY_SECONDS = 600
# What halab prints only if it has a bug.
SIGNS_OF_A_BUG = ("Traceback", "internal error", "in a way it should not")


def run(
    *words: str, environment: Mapping[str, str] | None = None, show_progress: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run halab to its end. Its messages are in `stderr`, or go to the terminal with `show_progress`."""
    return subprocess.run(
        [HALAB, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=None if show_progress else subprocess.PIPE,
        text=True,
        check=False,
        env=environment,
    )


def status() -> dict[str, Any]:
    """What `halab status --json` prints; empty if it prints nothing."""
    printed: dict[str, Any] = json.loads(run("status", "--json").stdout or "{}")
    return printed


def wait_until_steady() -> dict[str, Any]:
    """Wait until the lab is steady, at most 600 s, and return the last status."""
    deadline = time.monotonic() + STEADY_SECONDS
    while True:
        last = status()
        if last.get("steady") or time.monotonic() > deadline:
            return last
        time.sleep(2)


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file with one JSON object per line; none if there is no such file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
