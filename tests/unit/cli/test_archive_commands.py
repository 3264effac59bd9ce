"""`halab pack` and `halab replay`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.recorded_runs import copy_run
from support.stage import SEED, Stage

from halab.cli import main
from halab.report.render import render
from halab.scenario.record.folder import RunFolder

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def packed(tmp_path: Path, stage: Stage, capsys: Shown) -> Path:
    """The archive of a run of stop-apiserver, which passed."""
    run = RunFolder(copy_run("stop-apiserver-haproxy", tmp_path / "recorded" / "stopped").path)
    run.lab.write_text("name: mine\n")
    run.logs.mkdir()
    (run.logs / "cp1.log").write_text("token: abcdef.0123456789abcdef\nauth_pass x\n")
    run.check_files.mkdir()
    (run.check_files / "test_control_plane.py").write_text("")
    render(run)
    assert main(["pack", str(run.path)]) == 0
    shown = capsys.readouterr()
    assert shown.out == "stopped.tar.gz\n"
    assert "removed 2 secrets from logs/cp1.log" in shown.err
    return Path("stopped.tar.gz")


def test_a_replay_judges_and_says_whether_the_verdict_is_the_same(packed: Path, capsys: Shown) -> None:
    assert main(["replay", str(packed)]) == 0
    shown = capsys.readouterr()
    assert "PASS stop-apiserver" in shown.out
    assert "the verdict of the archive is the same: pass" in shown.err
    assert Path("stopped/report.html").exists()


def test_the_result_can_be_printed_as_json(packed: Path, capsys: Shown) -> None:
    assert main(["replay", str(packed), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["verdict"], result["recorded_verdict"]) == ("pass", "pass")


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("error", 3)])
def test_a_run_again_is_compared_with_the_archive(
    verdict: str, code: int, packed: Path, stage: Stage, capsys: Shown
) -> None:
    stage.verdicts["stop-apiserver"] = verdict
    assert main(["replay", str(packed), "--again", "--in", "there"]) == code
    seed = json.loads(Path("there/meta.json").read_text())["seed"]
    assert seed != SEED
    assert stage.did[0] == "up" and stage.did[-1] == "down"
    assert f"play stop-apiserver {seed}" in stage.did
    assert f"pass in the archive; run again: {verdict}" in capsys.readouterr().out


def test_runs_again_can_be_printed_as_json(packed: Path, stage: Stage, capsys: Shown) -> None:
    stage.verdicts["stop-apiserver"] = "fail"
    assert main(["replay", str(packed), "--again", "--repeat", "2", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["archive"]["verdict"] == "pass"
    assert [run["verdict"] for run in said["again"]] == ["fail", "fail"]
    assert said["again"][0]["differences"] == []


@pytest.mark.parametrize("words", [["--keep"], ["--repeat", "2"]])
def test_options_of_a_run_again_need_it(words: list[str], packed: Path, stage: Stage, capsys: Shown) -> None:
    assert main(["replay", str(packed), *words]) == 2
    assert "need --again" in capsys.readouterr().err
    assert not Path("stopped").exists()


def test_a_campaign_is_not_packed(tmp_path: Path, stage: Stage, capsys: Shown) -> None:
    campaign = tmp_path / "20261123-101500-campaign"
    campaign.mkdir()
    (campaign / "campaign.json").write_text("{}")
    assert main(["pack", str(campaign)]) == 2
    assert "pack one of its runs" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["pack", "nowhere"], ["replay", "nowhere"]])
def test_what_does_not_exist_is_a_usage_error(words: list[str], stage: Stage, capsys: Shown) -> None:
    assert main(words) == 2
    assert "nowhere" in capsys.readouterr().err
