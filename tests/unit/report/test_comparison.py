"""The report of a comparison: which runs count, what differs, and what is said if runs are missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from support.campaign_builder import campaign_of
from support.run_builder import META, MadeRun

from halab.config.twin import Verdict
from halab.report import comparison, table
from halab.report.campaign import CLIENTS, RECOVERY
from halab.report.comparison import Block, ComparedLab, Comparison
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result
from halab.scenario.verdict.verdict import judge

Runs = list[tuple[RunFolder, Result]]
COMMAND = ("halab", "compare", "--set", "load_balancer.kind=haproxy,nginx", "stop-apiserver")


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., Runs]:
    """Runs on a lab that recovered after so many seconds."""

    def play(lab: str, *recoveries: float, kubernetes: str = META.kubernetes) -> Runs:
        runs = []
        for number, seconds in enumerate(recoveries):
            meta = replace(META, scenario="stop-apiserver", kubernetes=kubernetes)
            built = MadeRun(recover_seconds=seconds, meta=meta)
            folder = RunFolder(tmp_path / lab / f"run-{number}")
            folder.make()
            folder.meta.write_text(built.meta.to_json())
            folder.scenario.write_text(built.text)
            runs.append((folder, judge(built.evidence())))
        return runs

    return play


def of(*labs: tuple[str, Runs | None]) -> Comparison:
    compared = [
        ComparedLab(
            name,
            f"load_balancer.kind={name}",
            campaign_of(runs, is_complete=True) if runs else None,
            "" if runs else "the lab did not come up",
        )
        for name, runs in labs
    ]
    return Comparison(compared, COMMAND, "2026-11-29T10:15:00+01:00", 912.5)


def block(compared: Comparison, figure: str) -> Block:
    (found,) = [block for block in compared.blocks if block.figure == figure]
    return found


FAST, SLOW = (10, 11, 12, 11.5, 10.5), (30, 33, 31, 32, 40)


def test_a_clear_difference_is_said_with_its_interval(played: Callable[..., Runs]) -> None:
    compared = of(("haproxy", played("a", *FAST)), ("nginx", played("b", *SLOW)))
    first, second = block(compared, RECOVERY).rows
    assert (first.passed, first.runs, first.against_first) == (5, 5, "")
    assert second.is_clear
    assert second.against_first == "+21s (+19s to +29s)"
    assert (first.p50, second.worst) == ("11.5s", "40.5s")


def test_the_smaller_value_has_a_minus(played: Callable[..., Runs]) -> None:
    compared = of(("nginx", played("a", *SLOW)), ("haproxy", played("b", *FAST)))
    assert block(compared, RECOVERY).rows[1].against_first == "−21s (−29s to −19s)"


def test_no_difference_is_said(played: Callable[..., Runs]) -> None:
    compared = of(("haproxy", played("a", *FAST)), ("nginx", played("b", *FAST)))
    row = block(compared, CLIENTS).rows[1]
    assert (row.against_first, row.is_clear) == ("no difference", False)


def test_noise_is_said_with_the_runs_that_it_takes(played: Callable[..., Runs]) -> None:
    compared = of(("haproxy", played("a", 10, 14, 9, 13)), ("nginx", played("b", 11, 15, 12, 14)))
    row = block(compared, RECOVERY).rows[1]
    assert not row.is_clear
    assert row.against_first.startswith("no clear difference (")
    assert "runs of each lab are needed" in row.against_first


def test_too_few_runs_tell_nothing(played: Callable[..., Runs]) -> None:
    compared = of(("haproxy", played("a", 10, 11, 12)), ("nginx", played("b", 30, 31, 32)))
    row = block(compared, RECOVERY).rows[1]
    assert not row.is_clear
    assert row.against_first == "+20s; too few runs: at least 4 of each lab are needed"


def with_verdict(runs: Sequence[tuple[RunFolder, Result]], verdict: Verdict) -> Runs:
    return [(folder, replace(result, verdict=verdict)) for folder, result in runs]


def test_only_judged_runs_have_figures(played: Callable[..., Runs]) -> None:
    """A run that ended in an error proves nothing, whatever its record says."""
    slow = [*played("b", *SLOW[:4]), *with_verdict(played("c", 900), Verdict.ERROR)]
    compared = of(("haproxy", played("a", *FAST)), ("nginx", slow))
    row = block(compared, RECOVERY).rows[1]
    assert (row.passed, row.runs) == (4, 5)
    assert row.spread is not None and len(row.spread.values) == 4 and row.spread.worst < 100


def test_a_failed_run_counts_with_its_figures(played: Callable[..., Runs]) -> None:
    slow = with_verdict(played("b", *SLOW), Verdict.FAIL)
    row = block(of(("haproxy", played("a", *FAST)), ("nginx", slow)), RECOVERY).rows[1]
    assert (row.passed, row.runs, row.is_clear) == (0, 5, True)


def test_a_lab_without_runs_stays_in_the_report(played: Callable[..., Runs], tmp_path: Path) -> None:
    compared = of(("haproxy", played("a", *FAST)), ("nginx", None))
    row = block(compared, RECOVERY).rows[1]
    assert (row.runs, row.spread, row.against_first) == (0, None, "")
    assert "nginx has no runs: the lab did not come up" in table.comparison(compared)
    assert "the lab did not come up" in comparison.html(tmp_path, compared)


def test_a_scenario_without_any_judged_run_is_listed(played: Callable[..., Runs]) -> None:
    bad = with_verdict(played("a", 10), Verdict.ERROR)
    compared = of(("haproxy", bad), ("nginx", with_verdict(played("b", 10), Verdict.SKIP)))
    (row, _) = block(compared, CLIENTS).rows
    assert (row.passed, row.runs, row.spread) == (0, 1, None)


def test_a_version_that_is_compared_is_not_said_of_all_labs(
    played: Callable[..., Runs], tmp_path: Path
) -> None:
    runs = played("a", *FAST, kubernetes="1.36.9")
    same = comparison.html(tmp_path, of(("first", runs), ("second", runs)))
    assert f"All labs have provider {META.provider}, kubernetes 1.36.9" in same
    newer = played("b", *FAST, kubernetes="1.37.0")
    other = comparison.html(tmp_path, of(("old", runs), ("new", newer)))
    assert f"All labs have provider {META.provider}" in other
    assert "1.36.9" not in other and "1.37.0" not in other


def test_the_files_have_the_same_figures(played: Callable[..., Runs], tmp_path: Path) -> None:
    compared = of(("haproxy", played("a", *FAST)), ("nginx", played("b", *SLOW)))
    page = comparison.write(tmp_path, compared)
    assert "+21s (+19s to +29s)" in page.read_text()
    assert 'href="a/run-0/report.html"' in page.read_text()
    assert "To do the same again, with another folder (--in):" in page.read_text()
    written = json.loads((tmp_path / comparison.JSON).read_text())
    assert written["command"] == list(COMMAND)
    (recovery,) = [figure for figure in written["figures"] if figure["figure"] == RECOVERY]
    first, second = recovery["labs"]
    assert first["difference"] is None
    assert second["difference"] == {
        "shift": pytest.approx(21), "low": pytest.approx(19), "high": pytest.approx(29),
        "is_clear": True, "runs_needed": None,
    }  # fmt: skip
    assert second["values"] == pytest.approx([30.5, 33.5, 31.5, 32.5, 40.5])
