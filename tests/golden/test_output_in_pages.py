"""The output that README and tutorial show is that of recorded runs. `pytest tests/golden --regenerate` rewrites it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.recorded_runs import copy_run

from halab.report import table
from halab.scenario.verdict.verdict import judge

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial/first-verdict.md"


def row(text: str, name: str) -> str:
    """One row of a table, with the lines that it was wrapped to."""
    found = re.search(rf"^\S \w+ +{name} .*\n( .*\n)*", text, re.MULTILINE)
    assert found
    return found[0]


@pytest.mark.parametrize("page", [ROOT / "README.md", TUTORIAL], ids=lambda path: path.name)
def test_the_verdict_of_a_first_run(
    page: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    folder = copy_run("stop-apiserver-with-states", tmp_path / "run")
    require(page, r"^PASS stop-apiserver: .*?(?=^```)", table.text(judge(folder.read())), request)


def test_the_broken_promise_behind_nginx(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "118")
    folder = copy_run("kill-etcd-member-nginx", tmp_path / "run")
    # the promise of the tutorial instead of the recorded one
    scenario = folder.scenario.read_text()
    folder.scenario.write_text(
        scenario.replace("longest_outage: 10s, failed_share: 50%", "failed_share: 20%")
    )
    text = row(table.text(judge(folder.read())), "step 12")
    require(TUTORIAL, r"^✗ broken +step 12 .*?(?=^```)", text, request)


def require(page: Path, block: str, output: str, request: pytest.FixtureRequest) -> None:
    """Check that a block of a page is this output, without spaces at line ends."""
    output = "".join(f"{line.rstrip()}\n" for line in output.splitlines())
    written = page.read_text()
    (shown,) = re.findall(block, written, re.DOTALL | re.MULTILINE)
    if request.config.getoption("--regenerate"):
        page.write_text(written.replace(shown, output))
    else:
        assert shown == output, f"{page.name}: see --regenerate"
