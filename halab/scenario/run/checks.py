"""Run a scenario's testinfra files in a separate process with a time limit."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from halab import process
from halab.errors import Corrupted, TimedOut
from halab.machines.work import Work
from halab.scenario.record import check_results
from halab.scenario.record.check_results import CheckState
from halab.scenario.record.events import Checks
from halab.scenario.record.folder import RunFolder

_SECONDS = 300
# pytest's exit code for failed tests; any other code but 0 means that something else went wrong
_TESTS_FAILED = 1


def run(
    work: Work, names: Sequence[str], *, folder: RunFolder, patience: float, limit_seconds: float = _SECONDS
) -> Checks:
    """Run the check files in the run's folder against a lab; their results go to the same folder."""
    root = folder.check_files.resolve()
    argv: list[str | Path] = [
        sys.executable, "-m", "pytest", "-q", "-p", "halab.scenario.run.check_fixtures", "-p", "no:cacheprovider",
        # a pytest configuration around the user's files must not apply to this run
        "-c", os.devnull, "--rootdir", root, "--confcutdir", root, f"--junitxml={folder.checks}",
        "--halab-work", work.path, "--halab-run", folder.path, *(root / name for name in names),
    ]  # fmt: skip
    log = folder.logs / "checks.log"
    env = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTHONDONTWRITEBYTECODE": "1"}
    limit = limit_seconds * patience
    try:
        code = process.run(argv, timeout_seconds=limit, log=log, env=env, check=False).code
    except TimedOut:
        return Checks(0, 0, f"the checks did not end within {limit:.0f} s (see logs/checks.log)")
    try:
        counted = Counter(result.state for result in check_results.read(folder.checks) or ())
    except Corrupted as error:
        return Checks(0, 0, error.message)
    why = None
    if code not in (0, _TESTS_FAILED):
        last = (log.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
        why = f"pytest exited with code {code}: {last} (see logs/checks.log)"
    return Checks(counted[CheckState.PASSED], counted[CheckState.FAILED], why)
