from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.campaign_builder import LEFT, campaign_of
from support.run_builder import META, STOP, MadeRun

from halab.config.twin import Verdict
from halab.report import junit, overview, table
from halab.report.campaign import Campaign, Spread, most_severe
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.judgement import Unit
from halab.scenario.verdict.result import PromiseKind, PromiseOutcome, PromiseStatus, Result
from halab.scenario.verdict.verdict import judge

Runs = list[tuple[RunFolder, Result]]


@pytest.fixture
def played(tmp_path: Path) -> Callable[..., Runs]:
    """Folders and results of built runs, with the files that an overview reads."""

    def play(*built: MadeRun) -> Runs:
        runs = []
        for number, run in enumerate(built):
            folder = RunFolder(tmp_path / "runs" / f"{number}-{run.meta.scenario}")
            folder.make()
            folder.meta.write_text(run.meta.to_json())
            folder.scenario.write_text(run.text)
            runs.append((folder, judge(run.evidence())))
        return runs

    return play


def recovering(seconds: float) -> MadeRun:
    return MadeRun(recover_seconds=seconds)


def named(name: str, **values: object) -> MadeRun:
    return MadeRun(meta=replace(META, scenario=name), **values)  # type: ignore[arg-type]


FAILING = {"write-via-lb": [(7.0, 13.0)]}
TWIN = MadeRun(
    meta=replace(META, scenario="other", is_twin=True), out={"ready-direct@cp2": []}, expect_seconds=14
)


def test_runs_of_one_scenario_share_a_row_with_percentiles(played: Callable[..., Runs]) -> None:
    campaign = campaign_of(played(*(recovering(seconds) for seconds in (10, 12, 14, 16, 40))))
    (tally,) = campaign.tallies
    recovery = tally.spread("recovery")
    assert recovery is not None
    # counted from the start of the heal, which takes half a second; every percentile is a measured value
    assert recovery.values == pytest.approx((10.5, 12.5, 14.5, 16.5, 40.5))
    assert (recovery.p50, recovery.p95, recovery.worst) == pytest.approx((14.5, 40.5, 40.5))
    assert (recovery.bounds, recovery.unit) == ("90s", Unit.SECONDS)


def test_a_scenario_and_its_twin_have_two_rows(played: Callable[..., Runs]) -> None:
    campaign = campaign_of(played(named("other"), TWIN))
    assert [(tally.scenario, tally.is_twin) for tally in campaign.tallies] == [
        ("other", False),
        ("other", True),
    ]


def test_a_twin_that_lost_ended_as_expected(played: Callable[..., Runs]) -> None:
    campaign = campaign_of(played(TWIN), is_complete=True)
    (tally,) = campaign.tallies
    assert (tally.verdict, tally.expected, tally.as_expected_count) == (Verdict.FAIL, Verdict.FAIL, 1)
    assert campaign.verdict is Verdict.PASS


def test_a_twin_that_passed_fails_the_campaign(played: Callable[..., Runs]) -> None:
    runs = played(replace(TWIN, out={}, expect_seconds=2))
    runs = [(folder, replace(result, verdict=Verdict.PASS)) for folder, result in runs]
    assert campaign_of(runs, is_complete=True).verdict is Verdict.FAIL


def test_one_failed_run_fails_the_campaign(played: Callable[..., Runs]) -> None:
    campaign = campaign_of(played(MadeRun(), MadeRun(out=FAILING), MadeRun()))
    (tally,) = campaign.tallies
    assert (tally.verdict, tally.as_expected_count) == (Verdict.FAIL, 2)
    assert campaign.verdict is Verdict.FAIL
    assert campaign.totals[Verdict.PASS] == 2


def test_a_campaign_with_missing_runs_does_not_pass(played: Callable[..., Runs]) -> None:
    runs = played(MadeRun())
    assert campaign_of(runs, is_complete=True).verdict is Verdict.PASS
    assert campaign_of(runs).verdict is Verdict.ERROR


@pytest.mark.parametrize(
    ("verdicts", "severest"),
    [("skip pass", "pass"), ("error pass", "error"), ("error fail", "fail"), ("skip skip", "skip")],
)
def test_the_most_severe_verdict_stands_for_all(verdicts: str, severest: str) -> None:
    assert most_severe([Verdict(verdict) for verdict in verdicts.split()]) is Verdict(severest)


# the files


def test_all_three_files_are_written(played: Callable[..., Runs], tmp_path: Path) -> None:
    page = overview.write(tmp_path / "campaign", campaign_of(played(MadeRun())))
    assert {path.name for path in page.parent.iterdir()} == {"overview.html", "junit.xml", "campaign.json"}


def test_the_json_file_has_every_figure(played: Callable[..., Runs], tmp_path: Path) -> None:
    folder = tmp_path / "campaign"
    overview.write(folder, campaign_of(played(MadeRun(), MadeRun(out=FAILING), named("other"))))
    written = json.loads((folder / "campaign.json").read_text())
    assert (written["schema"], written["seed"], written["lab"]) == (1, 42, "ha")
    assert written["versions"] == {"kubernetes": "1.37.2", "etcd": "3.7.0", "containerd": "2.2.9"}
    assert written["totals"] == {"pass": 2, "fail": 1, "error": 0, "skip": 0}
    assert written["not_run"] == [{"scenario": LEFT, "why": "interrupted by SIGINT"}]
    first, second = written["scenarios"]
    assert (first["scenario"], first["verdict"], second["scenario"]) == ("made-up", "fail", "other")
    assert [run["folder"] for run in first["runs"]] == ["../runs/0-made-up", "../runs/1-made-up"]
    assert first["runs"][1]["reasons"]
    clients = first["figures"][0]
    assert clients["name"] == "longest outage for clients"
    assert (clients["p50"], clients["p95"], clients["values"]) == (0, 6.02, [0.0, 6.02])
    outage = next(figure for figure in first["figures"] if figure["what"].startswith("write-via-lb"))
    assert (outage["most"], outage["worst"], outage["unit"]) == (5.0, 6.02, "seconds")


def test_the_page_links_the_runs_by_relative_paths(played: Callable[..., Runs], tmp_path: Path) -> None:
    text = overview.html(tmp_path / "runs", campaign_of(played(MadeRun(), named("other"))))
    assert 'href="0-made-up/report.html"' in text
    assert 'href="1-other/report.html"' in text


def test_unexpected_verdicts_come_first_on_the_page(played: Callable[..., Runs], tmp_path: Path) -> None:
    text = overview.html(tmp_path, campaign_of(played(named("good"), named("bad", out=FAILING))))
    assert text.index(">bad</a>") < text.index(">good</a>")


def test_the_page_lists_missing_runs_and_repairs(played: Callable[..., Runs], tmp_path: Path) -> None:
    text = overview.html(tmp_path, campaign_of(played(MadeRun())))
    for words in (LEFT, "interrupted by SIGINT", "restarted the kubelet on cp2", "seed 42", "3.7.0"):
        assert words in text, words


def test_text_of_reasons_is_escaped(played: Callable[..., Runs], tmp_path: Path) -> None:
    runs = [(folder, replace(result, reasons=("<script>",))) for folder, result in played(MadeRun())]
    assert "<script" not in overview.html(tmp_path, campaign_of(runs))


def test_a_campaign_without_runs_has_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    campaign = campaign_of([])
    assert campaign.verdict is Verdict.ERROR
    assert LEFT in overview.write(tmp_path, campaign).read_text()
    assert LEFT in table.overview(campaign)


def test_junit_has_a_suite_per_run_and_one_for_missing_runs(played: Callable[..., Runs]) -> None:
    campaign = campaign_of(played(MadeRun(), MadeRun(out=FAILING), TWIN))
    xml = ElementTree.fromstring(junit.merged(campaign))
    assert [suite.get("name") for suite in xml.iter("testsuite")] == [
        "made-up, 1 of 2",
        "made-up, 2 of 2",
        "other (its losing twin)",
        "not run",
    ]
    runs = [result for _, result in campaign.runs if not result.is_twin]
    # one test case for the losing twin, which lost as it must, and one for the missing run
    assert xml.get("tests") == str(sum(len(result.outcomes) for result in runs) + 2)
    assert [suite.get("failures") for suite in xml.iter("testsuite")] == ["0", "1", "0", "0"]


# the table


def test_the_table_has_a_line_per_scenario(
    played: Callable[..., Runs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    runs = played(recovering(10), recovering(20), named("other", out=FAILING), TWIN)
    lines = table.overview(campaign_of(runs)).splitlines()
    (row,) = [line for line in lines if "made-up" in line]
    assert row.split()[:5] == ["PASS", "made-up", "2", "of", "2"]
    assert "10.5s  20.5s    90s" in row
    (why,) = [line for line in lines if line.startswith("why")]
    assert why.startswith("why other: step 5: write-via-lb was out for 6s")
    assert any(line.startswith("FAIL") and "its losing twin, expected: fail" in line for line in lines)
    assert lines[-1] == "runs: 2 pass, 2 fail, in 15m12s, seed 42"


def test_the_table_fits_a_narrow_terminal(
    played: Callable[..., Runs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "70")
    text = table.overview(campaign_of(played(MadeRun(), TWIN)))
    assert max(map(len, text.splitlines())) <= 70


# figures


def test_a_share_is_not_shown_as_a_time(played: Callable[..., Runs]) -> None:
    text = STOP.replace("longest_outage: 5s", "failed_share: 50%")
    (tally,) = campaign_of(played(MadeRun(text=text, out={"write-via-lb": [(7.0, 8.0)]}))).tallies
    (share,) = [spread for spread in tally.spreads if spread.unit is Unit.SHARE]
    assert share.promised.startswith("write-via-lb failed share at most 50%")
    assert 0 < share.worst < 0.5


def test_percentiles_are_measured_values() -> None:
    spread = Spread("recovery", "", Unit.SECONDS, (5.0, 1.0, 3.0, 2.0, 4.0))
    assert (spread.p50, spread.p95, spread.worst) == (3.0, 5.0, 5.0)


def test_a_promise_that_was_left_out_has_no_figures(played: Callable[..., Runs]) -> None:
    ((folder, result),) = played(MadeRun())
    left = PromiseOutcome(
        PromiseKind.EXPECTATION, "step 9", "read-via-lb ok within 5s", "", PromiseStatus.LEFT_OUT
    )
    campaign: Campaign = campaign_of([(folder, replace(result, outcomes=(*result.outcomes, left)))])
    assert campaign.tallies[0].spread("step 9") is None
