"""`halab soak`: its options, what it prints, and its exit code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fakes import lab_of
from support.stage import Stage

from halab.cli import main
from halab.soak import play as soaking
from halab.soak.draw import Choices
from halab.soak.menu import acts_of, groups_of

Shown = pytest.CaptureFixture[str]
SOAK = ["soak", "--for", "1s", "--seed", "42"]


@pytest.fixture
def chosen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The faults and their largest number that the command asked for."""
    asked: list[Any] = []
    groups = groups_of(lab_of(name="ha"))

    def choices(lab_dir: Any, progress: Any, faults: Any, *, seed: int, most_faults: int) -> Choices:
        asked.append((tuple(faults), seed, most_faults))
        return Choices(groups, acts_of(groups, {}, faults), most_faults)

    monkeypatch.setattr(soaking, "choices_of", choices)
    Path("lab.yml").write_text("name: mine\n")
    return asked


@pytest.mark.parametrize("wrong", ["soon", "25h"])
def test_a_wrong_time_is_a_wrong_command_line(wrong: str, chosen: list[Any], capsys: Shown) -> None:
    assert main(["soak", "--for", wrong]) == 2
    assert "--for: should be a" in capsys.readouterr().err
    assert chosen == []


def test_the_options_reach_the_draw(stage: Stage, chosen: list[Any]) -> None:
    stage.verdicts["soak-7-1"] = "fail"
    main(["soak", "--for", "1h", "--seed", "7", "--fault", "freeze", "--most-faults", "2"])
    assert chosen == [(("freeze",), 7, 2)]


def test_a_failed_round_ends_with_the_command_that_plays_it_again(
    stage: Stage, chosen: list[Any], capsys: Shown
) -> None:
    stage.verdicts["soak-42-2"] = "fail"
    assert main(["soak", "--for", "1h", "--seed", "42"]) == 1
    shown = capsys.readouterr()
    assert "PASS soak-42-1" in shown.out and "FAIL soak-42-2" in shown.out
    again = "soak-42-2/scenario.yml --seed 44"
    assert "round 2 failed; to play it again: halab run " in shown.err and again in shown.err
    assert "to make it smaller: halab shrink " in shown.err
    assert "report of all rounds: " in shown.err


def test_json_has_every_round(stage: Stage, chosen: list[Any], capsys: Shown) -> None:
    stage.verdicts["soak-42-1"] = "fail"
    assert main(["soak", "--for", "1h", "--seed", "42", "--json"]) == 1
    [result] = json.loads(capsys.readouterr().out)
    assert (result["scenario"], result["verdict"]) == ("soak-42-1", "fail")


def test_a_soak_that_checks_no_reads_says_so_at_its_end(
    stage: Stage, chosen: list[Any], capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.verdicts["soak-42-1"] = "fail"
    assert main(["soak", "--for", "1h", "--seed", "42"]) == 1
    said = "no round has looked for stale reads"
    assert said not in capsys.readouterr().err
    with_reads = soaking.choices_of

    def choices(*given: Any, **named: Any) -> Choices:
        return replace(with_reads(*given, **named), linearizable=False)

    monkeypatch.setattr(soaking, "choices_of", choices)
    assert main(["soak", "--for", "1h", "--seed", "42"]) == 1
    assert said in capsys.readouterr().err


def test_an_interrupted_soak_says_so(stage: Stage, chosen: list[Any], capsys: Shown) -> None:
    stage.errors["play soak-42-1"] = KeyboardInterrupt()
    assert main(["soak", "--for", "1h", "--seed", "42"]) == 130
    assert "halab: interrupted" in capsys.readouterr().err
