"""`halab bugs`: the list, one bug, and whether a bug was reproduced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.stage import Stage

from halab.bugs import library
from halab.cli import main
from halab.errors import HostProblem

Shown = pytest.CaptureFixture[str]
NAME = "etcd-log-blocks-reads"


@pytest.mark.parametrize("words", [["bugs"], ["bugs", "list"]])
def test_the_list_has_every_bug_with_its_report(words: list[str], capsys: Shown) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", *library.names()]
    assert any("etcd-io/etcd#22214" in line for line in lines)


@pytest.mark.parametrize("words", [["bugs", "--json"], ["bugs", "list", "--json"]])
def test_the_list_can_be_printed_as_json(words: list[str], capsys: Shown) -> None:
    assert main(words) == 0
    bugs = {bug["name"]: bug for bug in json.loads(capsys.readouterr().out)}
    assert list(bugs) == library.names()
    assert bugs[NAME]["references"][0] == {
        "issue": "etcd-io/etcd#22214",
        "url": "https://github.com/etcd-io/etcd/issues/22214",
    }


def test_a_bug_is_shown_with_its_report_its_lab_and_its_scenario(capsys: Shown) -> None:
    assert main(["bugs", "show", NAME]) == 0
    shown = capsys.readouterr().out
    for words in (
        "https://github.com/etcd-io/etcd/issues/22214",
        "control_planes: 1",
        "Losing twin",
        "Measured",
    ):
        assert words in shown


def test_a_bug_can_be_shown_as_json(capsys: Shown) -> None:
    assert main(["bugs", "show", NAME, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["scenario"]["twin"]["verdict"] == "fail"
    assert "control_planes: 1" in shown["lab"]


@pytest.mark.parametrize(
    ("name", "said"),
    [("etcd-log-blocks-read", "did you mean etcd-log-blocks-reads?"),
     ("./nowhere", "no such folder: ./nowhere"), ("./", "no bug.yml in the folder: ./")],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["show", "reproduce"])
def test_an_unknown_bug_is_a_usage_error(
    verb: str, name: str, said: str, stage: Stage, capsys: Shown
) -> None:
    assert main(["bugs", verb, name]) == 2
    assert said in capsys.readouterr().err
    assert stage.did == []


def test_a_wrong_scenario_is_reported_before_the_lab_is_built(
    tmp_path: Path, stage: Stage, capsys: Shown
) -> None:
    own = tmp_path / "mine"
    own.mkdir()
    for file in library.find(NAME).folder.iterdir():
        (own / file.name).write_text(
            file.read_text().replace("inject: edit-manifest", "inject: edit-manifests")
        )
    assert main(["bugs", "reproduce", "./mine"]) == 2
    assert "scenario.yml:9: steps[1].inject: no such fault: edit-manifests" in capsys.readouterr().err
    assert stage.did == []


def test_a_bug_that_shows_in_every_run_is_a_success(stage: Stage, capsys: Shown) -> None:
    assert main(["bugs", "reproduce", NAME, "--repeat", "2", "--seed", "7"]) == 0
    played = [line for line in stage.did if line not in ("open", "heal")]
    assert played == ["up", f"play {NAME} 7", f"play {NAME} 8", "down"]
    assert f"{NAME}: the bug was reproduced in 2 of 2 runs\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verdict", "code", "said"),
    [
        ("pass", 0, "the bug was reproduced"),
        ("fail", 1, "the bug was not reproduced"),
        ("error", 3, "the run ended in an error or was skipped"),
        ("skip", 3, "the run ended in an error or was skipped"),
    ],
)
def test_the_verdict_says_whether_the_bug_showed(
    verdict: str, code: int, said: str, stage: Stage, capsys: Shown
) -> None:
    stage.verdicts[NAME] = verdict
    assert main(["bugs", "reproduce", NAME]) == code
    assert f"{NAME}: {said}\n" in capsys.readouterr().out
    assert stage.did[-1] == "down"


def test_runs_that_show_nothing_are_counted_separately(stage: Stage, capsys: Shown) -> None:
    stage.verdicts[NAME] = "skip"
    assert main(["bugs", "reproduce", NAME, "--repeat", "2"]) == 3
    words = "the bug was reproduced in 0 of 2 runs; 2 ended in an error or were skipped"
    assert f"{NAME}: {words}\n" in capsys.readouterr().out


def test_results_can_be_printed_as_json(stage: Stage, capsys: Shown) -> None:
    stage.verdicts[NAME] = "fail"
    assert main(["bugs", "reproduce", NAME, "--repeat", "2", "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert {name: printed[name] for name in ("bug", "runs", "showed")} == {
        "bug": NAME,
        "runs": 2,
        "showed": 0,
    }
    assert [result["showed"] for result in printed["results"]] == [False, False]


def test_runs_end_when_the_bug_has_shown(stage: Stage, capsys: Shown) -> None:
    assert main(["bugs", "reproduce", NAME, "--repeat", "3", "--until-shown", "--seed", "7"]) == 0
    assert [line for line in stage.did if line.startswith("play")] == [f"play {NAME} 7"]
    stage.verdicts[NAME] = "fail"
    assert main(["bugs", "reproduce", NAME, "--repeat", "3", "--until-shown"]) == 1
    assert "the bug was reproduced in 0 of 3 runs" in capsys.readouterr().out


def test_what_ran_before_the_bug_showed_does_not_count(stage: Stage, capsys: Shown) -> None:
    class InTurn(dict[str, str]):
        verdicts = iter(["error", "fail", "pass"])

        def get(self, name: str, default: object = None) -> str:
            return next(self.verdicts)

    stage.verdicts = InTurn()
    assert main(["bugs", "reproduce", NAME, "--repeat", "5", "--until-shown"]) == 0
    assert "reproduced in 1 of 3 runs; 1 ended in an error" in capsys.readouterr().out


def test_a_bug_is_found_by_its_report(capsys: Shown) -> None:
    for report in ("etcd#22214", "etcd-io/etcd#22326"):
        assert main(["bugs", "show", report, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["name"] == NAME


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("etcd#1", "no bug has this report: etcd#1"),
        # also part of a number is another report
        ("etcd#2221", "no bug has this report"),
        ("kubeadm#3052", "several bugs have this report: kubeadm#3052"),
    ],
)
def test_a_report_of_no_bug_or_of_several_is_a_usage_error(report: str, said: str, capsys: Shown) -> None:
    assert main(["bugs", "show", report]) == 2
    assert said in capsys.readouterr().err


def test_an_interrupted_run_takes_the_lab_down(stage: Stage, capsys: Shown) -> None:
    stage.errors[f"play {NAME}"] = KeyboardInterrupt()
    assert main(["bugs", "reproduce", NAME]) == 130
    assert stage.did[-1] == "down"


def test_a_lab_that_does_not_come_up_is_an_error(stage: Stage, tmp_path: Path, capsys: Shown) -> None:
    stage.errors["up"] = HostProblem("no docker engine answers", hint="start docker")
    assert main(["bugs", "reproduce", NAME, "--in", "there"]) == 3
    assert "error: no docker engine answers" in capsys.readouterr().err
    assert stage.did == ["up", "down"]
    assert not (tmp_path / "there").exists()


OF_A_VERSION = "member-update-forgets-learner"


def test_the_versions_of_a_bug_are_listed_and_shown(capsys: Shown) -> None:
    assert main(["bugs"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "etcd 3.6.0 to 3.6.11, fixed in 3.6.12" in lines[OF_A_VERSION]
    assert main(["bugs", "show", OF_A_VERSION]) == 0
    assert "etcd 3.6.0 to 3.6.11, fixed in 3.6.12" in capsys.readouterr().out
    assert main(["bugs", "show", OF_A_VERSION, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["affects"] == [
        {"component": "etcd", "first_bad": "3.6.0", "last_bad": "3.6.11", "fixed": "3.6.12"}
    ]
    assert {"reproduced", "reproduced_when_fixed"} <= set(shown)


@pytest.mark.parametrize(
    ("verdict", "code", "said"),
    [
        ("fail", 0, "the bug was not reproduced"),
        ("pass", 1, "the bug was reproduced"),
        ("error", 3, "the run ended in an error or was skipped"),
    ],
)
def test_on_the_fixed_version_the_bug_must_not_show(
    verdict: str, code: int, said: str, stage: Stage, capsys: Shown
) -> None:
    # in a folder of that version, from which the scenario gets its name
    stage.verdicts[f"{OF_A_VERSION}-3.6.12"] = verdict
    assert main(["bugs", "reproduce", OF_A_VERSION, "--fixed"]) == code
    assert f"{OF_A_VERSION}: etcd 3.6.12, in which the bug is fixed: {said}\n" in capsys.readouterr().out


@pytest.mark.parametrize(("version", "code"), [("3.6.7", 1), ("3.6.16", 0)])
def test_whether_the_bug_must_show_depends_on_the_version(
    version: str, code: int, stage: Stage, capsys: Shown
) -> None:
    stage.verdicts[f"{OF_A_VERSION}-{version}"] = "fail"
    assert main(["bugs", "reproduce", OF_A_VERSION, "--version", version, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["is_fixed"] is (code == 0)


def test_the_fixed_version_is_not_chosen_twice(capsys: Shown) -> None:
    assert main(["bugs", "reproduce", OF_A_VERSION, "--fixed", "--version", "3.6.16"]) == 2
    assert "use only one of --fixed and --version" in capsys.readouterr().err


def test_a_bug_of_a_configuration_has_no_fixed_version(stage: Stage, tmp_path: Path, capsys: Shown) -> None:
    assert main(["bugs", "reproduce", "tcp-check-keeps-hung-apiserver", "--fixed"]) == 2
    assert "has another cause" in capsys.readouterr().err
    assert stage.did == []
    assert not list(tmp_path.glob("tcp-check*"))


def test_a_kept_lab_stays(stage: Stage, tmp_path: Path) -> None:
    assert main(["bugs", "reproduce", NAME, "--keep", "--in", "there"]) == 0
    assert "down" not in stage.did
