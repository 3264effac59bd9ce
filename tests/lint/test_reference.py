"""The reference pages match the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_reference_page_is_stale() -> None:
    argv: list[str | Path] = [sys.executable, ROOT / "scripts" / "reference", "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\nrun scripts/reference, and read the difference"
    )
