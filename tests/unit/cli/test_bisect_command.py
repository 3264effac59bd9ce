"""`halab bisect` and `halab bisect-step`, with labs that come up at once and scripted verdicts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import pytest
from support.stage import Stage

from halab.cli import bisect_step, main
from halab.cli import lab as lab_commands
from halab.config.component_settings import SourceState
from halab.errors import BadFile, HalabError, HostProblem, LabProblem, Problem
from halab.images import component
from halab.images.checkout import Checkout
from halab.lifecycle import components
from halab.machines.host import allocation
from halab.trials.log import locked

Shown = pytest.CaptureFixture[str]
NAME = "stop-apiserver"
SEARCH = ["bisect", NAME, "--component", "etcd", "--good", "3.6.4", "--bad", "3.6.9", "--seed", "1"]
STATE = SourceState("./etcd", "1a2b3c4d5e6f", is_dirty=False, digest="0" * 64)


@pytest.fixture
def labs(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """By version of etcd: the verdict of every run, or the error of `up`. All others pass."""
    scripted: dict[str, Any] = {}

    def build(lab_dir: Any, progress: Any, *, is_temporary: bool) -> None:
        version = lab_dir.written.kubernetes.etcd or "source"
        stage.did.append(f"up {version}")
        said = scripted.get(version, "pass")
        if isinstance(said, BaseException):
            raise said
        stage.verdicts[NAME] = said

    monkeypatch.setattr(lab_commands, "build", build)
    monkeypatch.setattr(component, "released", lambda name: [f"3.6.{number}" for number in range(12)])
    Path("lab.yml").write_text("name: mine\nkubernetes: {version: '1.36'}\n")
    return scripted


def ups(stage: Stage) -> list[str]:
    return [did.removeprefix("up ") for did in stage.did if did.startswith("up ")]


def test_the_version_is_found_and_both_sides_are_shown(
    stage: Stage, labs: dict[str, Any], capsys: Shown
) -> None:
    labs |= {"3.6.7": "fail", "3.6.8": "fail", "3.6.9": "fail"}
    assert main(SEARCH) == 0
    shown = capsys.readouterr()
    assert ups(stage) == ["3.6.9", "3.6.4", "3.6.6", "3.6.7"]
    assert stage.did.count("down") == 4
    assert "the bug came with etcd 3.6.7 (confidence " in shown.out
    assert "etcd 3.6.6: good, the bug showed in 0 of 1 run\n" in shown.out
    folder = Path(f"bisect-{NAME}-etcd")
    assert f"side by side: {folder / 'comparison.html'}" in shown.err
    page = (folder / "comparison.html").read_text()
    assert "3.6.6" in page and "3.6.7" in page
    assert (folder / "3.6.6/lab.yml").exists() and not (folder / "3.6.5").exists()
    # the same command again has nothing to do
    assert main(SEARCH) == 0
    assert len(ups(stage)) == 4
    assert "go on with" in capsys.readouterr().err


def test_a_search_goes_on_without_the_proxy_and_with_its_own_versions(
    stage: Stage, labs: dict[str, Any], capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs |= {"3.6.9": KeyboardInterrupt()}
    assert main(SEARCH) == 130
    labs |= {"3.6.8": "fail", "3.6.9": "fail"}

    def away(name: str) -> list[str]:
        raise HostProblem("the proxy does not answer")

    monkeypatch.setattr(component, "released", away)
    assert main(SEARCH) == 0
    assert "the bug came with etcd 3.6.8" in capsys.readouterr().out
    # another search needs its own list
    assert main([*SEARCH, "--in", "other"]) == 3
    assert "the proxy does not answer" in capsys.readouterr().err


def test_the_result_can_be_printed_as_json(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    labs |= {"3.6.5": LabProblem("etcd does not start"), "3.6.6": "fail", "3.6.9": "fail"}
    assert main([*SEARCH, "--json", "--in", "there"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert (said["first_bad"], said["last_good"], said["suspects"]) == (None, "3.6.4", ["3.6.5", "3.6.6"])
    assert 0 < said["confidence"] < 1 and said["problem"] is None
    by_version = {version["version"]: version for version in said["versions"]}
    assert by_version["3.6.5"]["why"] == "etcd does not start"
    # an error may have passed the second time
    assert ups(stage).count("3.6.5") == 2
    assert (by_version["3.6.6"]["shown"], by_version["3.6.6"]["judged"]) == (1, 1)
    assert len(by_version["3.6.6"]["runs"]) == 1


def test_a_version_without_an_answer_is_named(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    labs |= {"3.6.5": "error", "3.6.6": "fail", "3.6.9": "fail"}
    assert main([*SEARCH, "--repeat", "2"]) == 3
    shown = capsys.readouterr()
    assert "the bug came with one of etcd 3.6.5, 3.6.6: those before 3.6.6 could not be tested" in shown.out
    assert "to test 3.6.5 again, remove the lines of" in shown.err
    # both of its runs ended in errors
    assert stage.did.count(f"play {NAME} 1") >= 1


def test_ends_that_do_not_differ_are_no_search(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    assert main([*SEARCH, "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert said["problem"] == "3.6.9 is good, but the command says that it is bad"
    assert said["confidence"] is None and said["suspects"] == []
    assert main(SEARCH) == 3
    assert "no search is possible: 3.6.9 is good" in capsys.readouterr().out


def test_ctrl_c_says_how_the_search_goes_on(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    labs["3.6.9"] = "fail"
    stage.errors[f"play {NAME}"] = KeyboardInterrupt()
    assert main(SEARCH) == 130
    assert "the same command goes on from here" in capsys.readouterr().err
    assert stage.did[-1] == "down"


def test_a_problem_of_the_host_ends_the_search(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    labs["3.6.9"] = HostProblem("this host cannot run the lab")
    assert main(SEARCH) == 3
    assert "this host cannot run the lab" in capsys.readouterr().err
    log = (Path(f"bisect-{NAME}-etcd") / "bisect.jsonl").read_text()
    assert len(log.splitlines()) == 1


def test_a_problem_of_the_host_during_the_runs_is_no_answer(
    stage: Stage, labs: dict[str, Any], capsys: Shown
) -> None:
    labs["3.6.9"] = "fail"
    stage.damages[NAME] = "no leader"
    stage.errors["mend"] = HostProblem("the disk is full")
    assert main([*SEARCH, "--repeat", "2"]) == 3
    assert "the disk is full" in capsys.readouterr().err
    log = (Path(f"bisect-{NAME}-etcd") / "bisect.jsonl").read_text()
    assert "why" not in log and stage.did[-1] == "down"


def test_a_lab_that_a_killed_search_has_left_is_removed_first(
    stage: Stage, labs: dict[str, Any], capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    labs["3.6.9"] = KeyboardInterrupt()
    assert main(SEARCH) == 130
    work = (Path(f"bisect-{NAME}-etcd") / "3.6.9/.halab").resolve()
    allocation.allocate("left", "auto", work, taken=[])
    stage.did.clear()
    assert main(SEARCH) == 130
    assert stage.did == ["down", "up 3.6.9", "down"]
    assert "which is still up: an earlier halab was killed" in capsys.readouterr().err


def test_only_one_command_searches_in_a_folder(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    with locked(Path(f"bisect-{NAME}-etcd")):
        assert main(SEARCH) == 3
    assert f"another halab process searches in bisect-{NAME}-etcd" in capsys.readouterr().err
    assert ups(stage) == []


def test_the_result_is_told_without_the_runs_at_the_boundary(
    stage: Stage, labs: dict[str, Any], capsys: Shown
) -> None:
    labs |= {"3.6.7": "fail", "3.6.8": "fail", "3.6.9": "fail"}
    assert main(SEARCH) == 0
    shutil.rmtree(stage.folder / ".halab/runs")
    capsys.readouterr()
    assert main(SEARCH) == 0
    shown = capsys.readouterr()
    assert "the bug came with etcd 3.6.7" in shown.out
    assert "the runs at the boundary cannot be shown side by side" in shown.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--at-least", "2"], "--at-least 2 is more than --repeat 1"),
        (["--good", "3.6.10"], "3.6.10 is not older than 3.6.9"),
        (["--component", "containerd"], "'containerd' is not one of"),
    ],
)
def test_a_wrong_command_line_is_refused(
    words: list[str], said: str, stage: Stage, labs: dict[str, Any], capsys: Shown
) -> None:
    assert main([*SEARCH, *words]) == 2
    assert said in capsys.readouterr().err
    assert ups(stage) == []


def test_a_lab_with_a_checkout_has_one_version(stage: Stage, labs: dict[str, Any], capsys: Shown) -> None:
    Path("lab.yml").write_text("source: {etcd: ./etcd}\n")
    assert main(SEARCH) == 2
    shown = capsys.readouterr().err
    assert "lab.yml builds etcd from ./etcd, which has one version" in shown
    assert "git bisect run halab bisect-step" in shown


@pytest.fixture
def from_source(labs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """A lab whose etcd is built from a checkout."""
    Path("lab.yml").write_text("name: mine\nsource: {etcd: ./etcd}\n")
    wanted = component.named("etcd@3.7.3")
    built = [replace(wanted, checkout=Checkout(tmp_path, {}, STATE))]
    monkeypatch.setattr(components, "needed", lambda lab_dir: built)
    return labs


@pytest.mark.parametrize(
    ("result", "code", "said"),
    [
        ("pass", 0, "./etcd at 1a2b3c4d5e6f: good, the bug showed in 0 of 1 run"),
        ("fail", 1, "./etcd at 1a2b3c4d5e6f: bad, the bug showed in 1 of 1 run"),
        (
            "error",
            125,
            "./etcd at 1a2b3c4d5e6f: skipped, the bug showed in 0 of 0 runs, and 2 more runs ended in",
        ),
        (LabProblem("no leader"), 125, "./etcd at 1a2b3c4d5e6f: skipped, no leader"),
        (
            BadFile([Problem("etcd/main.go", 3, "", "undefined: x")]),
            125,
            "./etcd at 1a2b3c4d5e6f: skipped, etcd/main.go:3: undefined: x",
        ),
    ],
)
def test_a_step_tells_git_what_the_commit_is(
    result: Any, code: int, said: str, stage: Stage, from_source: dict[str, Any], capsys: Shown
) -> None:
    from_source["source"] = result
    assert main(["bisect-step", NAME]) == code
    assert said in capsys.readouterr().err
    line = json.loads(Path("bisect-steps.jsonl").read_text())
    assert line["sources"]["etcd"]["revision"] == "1a2b3c4d5e6f"
    assert line["answer"] == {0: "good", 1: "bad", 125: "skipped"}[code]
    assert stage.did[-1] == "down"


def test_a_checkout_that_cannot_be_read_is_skipped(
    stage: Stage, from_source: dict[str, Any], capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def needed(lab_dir: Any) -> None:
        raise BadFile([Problem("lab.yml", 2, "source.etcd", "no go.mod in ./etcd")])

    monkeypatch.setattr(components, "needed", needed)
    from_source["source"] = BadFile([Problem("lab.yml", 2, "source.etcd", "no go.mod in ./etcd")])
    assert main(["bisect-step", NAME]) == 125
    assert "the commit: skipped, lab.yml:2: source.etcd: no go.mod in ./etcd" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([NAME, "--repeat", "many"], "'many' is not a valid integer"),
        (["no-such-scenario"], "no such scenario"),
        ([NAME, "-f", "none.yml"], "no such lab file"),
        ([NAME, "--at-least", "2"], "--at-least 2 is more than --repeat 1"),
    ],
)
def test_a_mistake_ends_the_bisect_of_git(
    words: list[str], said: str, stage: Stage, from_source: dict[str, Any], capsys: Shown
) -> None:
    """git takes every code below 125 for a bad commit."""
    assert main(["bisect-step", *words]) == 128
    assert said in capsys.readouterr().err
    assert ups(stage) == []


def test_a_step_needs_a_checkout_and_a_lab_that_is_not_up(
    stage: Stage, from_source: dict[str, Any], capsys: Shown, tmp_path: Path
) -> None:
    allocation.allocate("mine", "auto", tmp_path / ".halab", taken=[])
    assert main(["bisect-step", NAME]) == 128
    assert "the lab mine exists already" in capsys.readouterr().err
    Path("lab.yml").write_text("name: mine\n")
    assert main(["bisect-step", NAME]) == 128
    assert "lab.yml builds no component from a checkout" in capsys.readouterr().err


def test_what_every_commit_would_meet_ends_the_bisect_of_git(
    stage: Stage, from_source: dict[str, Any], capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    from_source["source"] = HostProblem("no engine")
    assert main(["bisect-step", NAME]) == 128
    from_source["source"] = KeyboardInterrupt()
    assert main(["bisect-step", NAME]) == 130


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a defect"), "ValueError: a defect"),
        # of a library, such as that of docker or libvirt
        (Exception("no engine"), "Exception: no engine"),
        (RuntimeError("a defect"), "RuntimeError: a defect"),
        (click.ClickException("cannot open"), "cannot open"),
    ],
)
def test_a_defect_is_no_bad_commit(
    error: Exception,
    said: str,
    stage: Stage,
    from_source: dict[str, Any],
    capsys: Shown,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def defect(*words: object) -> None:
        raise error

    monkeypatch.setattr(bisect_step, "_step", defect)
    assert main(["bisect-step", NAME]) == 128
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("error", [HalabError("cannot remove"), HostProblem("no engine")])
def test_runs_are_an_answer_when_their_lab_cannot_be_removed(
    error: HalabError, stage: Stage, from_source: dict[str, Any], capsys: Shown
) -> None:
    from_source["source"] = "fail"
    stage.errors["down"] = error
    assert main(["bisect-step", NAME]) == 1
    shown = capsys.readouterr().err
    assert error.message in shown and "was not removed; remove it with `halab down" in shown
    assert json.loads(Path("bisect-steps.jsonl").read_text())["answer"] == "bad"
