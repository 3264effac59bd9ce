"""Running a scenario's testinfra files, in a process of their own with a time limit."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from halab import process
from halab.errors import TimedOut
from halab.lifecycle.lab import Place

_SECONDS = 300
# pytest's exit codes: what it says of a run of which nothing can be concluded
_TESTS_FAILED = 1


@dataclass(frozen=True)
class Outcome:
    """`error` says why nothing was learned; the results themselves are in the JUnit file."""

    error: str | None


def run(place: Place, files: Sequence[Path], *, folder: Path, patience: float) -> Outcome:
    """Run check files against a lab; `folder` is the run's, where `checks.xml` goes."""
    results = folder / "checks.xml"
    argv = [
        sys.executable, "-m", "pytest", "-q", "-p", "halab.scenario.check_fixtures", "-p", "no:cacheprovider",
        "--rootdir", files[0].parent, "-c", "/dev/null", f"--junitxml={results}",
        "--halab-file", place.file.resolve(), "--halab-run", folder, *files,
    ]  # fmt: skip
    log = folder / "logs" / "checks.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    env = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        code = process.run(argv, timeout_seconds=_SECONDS * patience, log=log, env=env, check=False).code
    except TimedOut:
        return Outcome(f"the checks did not end within {_SECONDS * patience:.0f} s (see logs/checks.log)")
    if code not in (0, _TESTS_FAILED):
        last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
        return Outcome(f"pytest ended with {code}: {last} (see logs/checks.log)")
    return Outcome(None)
