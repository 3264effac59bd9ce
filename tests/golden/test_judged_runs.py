"""The judged results of recorded runs (tests/support/runs), in two parts: figures, and the texts that explain them.

A change of wording may change the texts. A change of the figures (verdicts, statuses, times, amounts) is a change of
the judge. `pytest tests/golden --regenerate` rewrites both; read the diff.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.recorded_runs import NAMES, copy_run

from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.verdict import judge

FOLDER = Path(__file__).parent / "judged"


def as_recorded(folder: RunFolder) -> None:
    pass


def cut_short(folder: RunFolder) -> None:
    """halab was killed in the middle of the run."""
    lines = folder.timeline.read_text().splitlines(keepends=True)
    folder.timeline.write_text("".join(lines[: len(lines) // 2]))


def without_half_of_the_samples(folder: RunFolder) -> None:
    lines = folder.samples.read_text().splitlines(keepends=True)
    folder.samples.write_text("".join(lines[: len(lines) // 2]))


def with_limits_nobody_keeps(folder: RunFolder) -> None:
    lines = (
        folder.scenario.read_text()
        .replace("fails: within 10s", "fails: within 1ms")
        .splitlines(keepends=True)
    )
    words = "failed_share: 1%, outages: 0, longest_outage: "
    folder.scenario.write_text(
        "".join(
            line if "failed_share" in line else line.replace("longest_outage: ", words) for line in lines
        )
    )


CHANGES: dict[str, Callable[[RunFolder], None]] = {
    change.__name__.replace("_", "-"): change
    for change in (as_recorded, cut_short, without_half_of_the_samples, with_limits_nobody_keeps)
}


def judged(folder: RunFolder, change: Callable[[RunFolder], None]) -> dict[str, Any]:
    """result.json of a recorded run with a change, as it would be written."""
    change(folder)
    values: dict[str, Any] = json.loads(judge(folder.read()).to_json())
    return values


def split(result: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The figures and the texts of a result; every key of the result is in one of them."""
    outcomes = result["outcomes"]
    words = ("promised", "seen", "detail")
    texts = {
        "reasons": result.pop("reasons"),
        "outcomes": [{"name": each["name"], **{key: each.pop(key) for key in words}} for each in outcomes],
    }
    return result, texts


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", NAMES)
def test_recorded_runs_are_judged_as_reviewed(
    name: str, change: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    figures, texts = split(judged(copy_run(name, tmp_path / "run"), CHANGES[change]))
    for part, now in (("figures", figures), ("texts", texts)):
        path = FOLDER / f"{name}.{change}.{part}.json"
        written = json.dumps(now, indent=2, ensure_ascii=False) + "\n"
        if request.config.getoption("--regenerate"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(written)
        assert written == path.read_text(), f"{path.name}: see --regenerate"
