"""The reference pages match the code."""

from __future__ import annotations

import subprocess
import sys
from enum import StrEnum
from pathlib import Path

import pytest

from halab.config.expectation import FactName
from halab.config.probe import ProbeName

ROOT = Path(__file__).parents[2]


def test_no_reference_page_is_stale() -> None:
    argv: list[str | Path] = [sys.executable, ROOT / "scripts" / "reference", "--check"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (
        f"{done.stdout}{done.stderr}\nrun scripts/reference, and read the difference"
    )


@pytest.mark.parametrize(("section", "names"), [("Probes", ProbeName), ("Facts", FactName)])
def test_the_tables_of_the_scenario_file_have_all_probes_and_facts(
    section: str, names: type[StrEnum]
) -> None:
    path = Path("docs", "reference", "scenario-file.md")
    _, _, text = (ROOT / path).read_text().partition(f"\n## {section}\n")
    lines = text.partition("\n## ")[0].splitlines()
    rows = [line.split("|")[1] for line in lines if line.startswith("| `")]
    missing = [str(name) for name in names if not any(f"`{name}`" in row for row in rows)]
    assert not missing, f"add to {section} in {path}: {', '.join(missing)}"
