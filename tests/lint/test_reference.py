"""The reference pages match the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from halab.config.probe import ProbeName

ROOT = Path(__file__).parents[2]


def test_no_reference_page_is_stale() -> None:
    argv: list[str | Path] = [sys.executable, ROOT / "scripts" / "reference", "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\nrun scripts/reference, and read the difference"
    )


@pytest.mark.parametrize("page", ["run-folder.md", "scenario-file.md"])
def test_a_table_of_probes_has_them_all(page: str) -> None:
    path = Path("docs", "reference", page)
    rows = [line.split("|")[1] for line in (ROOT / path).read_text().splitlines() if line.startswith("| `")]
    missing = [str(probe) for probe in ProbeName if not any(f"`{probe}`" in row for row in rows)]
    assert not missing, f"add to the table of probes in {path}: {', '.join(missing)}"
