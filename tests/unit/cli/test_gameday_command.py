"""`halab gameday`: check a file, play it, and tell it something while it is running."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.stage import result_of

from halab.cli import main
from halab.gameday import book, library, notice
from halab.gameday import play as playing
from halab.gameday.library import GameDayScript
from halab.lifecycle.lab import LabDir
from halab.machines.work import Work
from halab.scenario.record.folder import RunFolder
from halab.scenario.verdict.result import Result

Shown = pytest.CaptureFixture[str]
TEXT = """\
title: Two breaks
lasts: 20m
breaks:
  - {name: hung, at: 1m, heal_after: 5m, steps: [{inject: pause-process, on: cp1, with: {process: kube-apiserver}}]}
  - {name: stopped, at: 2m, steps: [{inject: stop-service, on: cp1, with: {service: kubelet}}]}
stop: {outage: {write-via-lb: 60s}}
"""


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: ha\n")
    (tmp_path / "day.yml").write_text(TEXT)
    work = Work(tmp_path / ".halab")
    work.path.mkdir(mode=0o700)
    return work


def played(
    monkeypatch: pytest.MonkeyPatch, work: Work, verdict: str, error: BaseException | None = None
) -> list[tuple[GameDayScript, int]]:
    """The game days that are played from now on, with their seeds; each has this verdict."""
    seen: list[tuple[GameDayScript, int]] = []

    def play(
        lab_dir: LabDir,
        found: GameDayScript,
        progress: Any,
        *,
        seed: int,
        on_result: Callable[[RunFolder, Result], None],
    ) -> Result:
        seen.append((found, seed))
        folder, result = RunFolder(work.runs / "one"), result_of("day", verdict)
        folder.make()
        folder.log.write_text(json.dumps({"log": [{"who": "anna"}]}))
        on_result(folder, result)
        if error:
            raise error
        return result

    monkeypatch.setattr(playing, "play", play)
    return seen


@pytest.mark.parametrize(("verdict", "code"), [("pass", 0), ("fail", 1), ("error", 3), ("skip", 3)])
def test_the_exit_code_is_that_of_the_verdict(
    room: Work, monkeypatch: pytest.MonkeyPatch, capsys: Shown, verdict: str, code: int
) -> None:
    [*seen] = played(monkeypatch, room, verdict)
    assert main(["gameday", "day.yml", "--seed", "7"]) == code
    shown = capsys.readouterr()
    assert "Two breaks: 2 breaks in 20m, seed 7" in shown.err
    assert "what stops it: an outage of write-via-lb above 60s, or a lost acknowledged write" in shown.err
    assert "pause-process" not in shown.err
    assert verdict.upper() in shown.out
    assert not seen


def test_play_passes_the_seed_on_and_prints_json_with_the_log(
    room: Work, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    seen = played(monkeypatch, room, "pass")
    assert main(["gameday", "play", "day.yml", "--seed", "7", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["verdict"], told["log"]) == ("pass", [{"who": "anna"}])
    [(found, seed)] = seen
    assert (seed, found.script.name) == (7, "day")


def test_an_interrupt_shows_the_result_and_exits_with_130(
    room: Work, monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    played(monkeypatch, room, "error", KeyboardInterrupt())
    assert main(["gameday", "day.yml"]) == 130
    assert "ERROR" in capsys.readouterr().out


def test_check_prints_the_plan(room: Work, capsys: Shown) -> None:
    assert main(["gameday", "check", "day.yml", "--seed", "7"]) == 0
    shown = capsys.readouterr().out
    assert [line.split() for line in shown.splitlines()[-2:]] == [
        ["hung", "60s", "6m", "pause-process", "on", "cp1"],
        ["stopped", "2m", "the", "end", "stop-service", "on", "cp1"],
    ]
    assert main(["gameday", "check", "day.yml", "--seed", "7", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(each["name"], each["begins"], each["healed"]) for each in told["breaks"]] == [
        ("hung", 60, 360),
        ("stopped", 120, None),
    ]


def test_a_bad_file_and_an_unknown_command_are_wrong_usage(room: Work, capsys: Shown) -> None:
    (room.path.parent / "day.yml").write_text(TEXT.replace("pause-process", "pause-proces"))
    assert main(["gameday", "check", "day.yml"]) == 2
    assert "day.yml:4: breaks[1].steps[1].inject: no such fault" in capsys.readouterr().err
    assert main(["gameday", "./none.yml"]) == 2
    assert main(["gameday", "nota"]) == 2


def test_people_tell_the_game_day_that_is_on_what_they_do(room: Work, capsys: Shown) -> None:
    assert main(["gameday", "note", "hello"]) == 3
    assert "no game day is running in this lab" in capsys.readouterr().err
    with book.opened(room) as reader:
        assert main(["gameday", "note", "--by", "anna", "cp2", "hangs"]) == 0
        assert main(["gameday", "heal", "hung", "--by", "ben"]) == 0
        assert main(["gameday", "heal", "--by", "ben"]) == 0
        assert main(["gameday", "end", "--by", "trainer"]) == 0
        told = [(entry.kind, entry.by, entry.text) for entry in reader.new()]
    assert told == [
        ("note", "anna", "cp2 hangs"),
        ("heal", "ben", "hung"),
        ("heal", "ben", ""),
        ("end", "trainer", ""),
    ]
    assert "anna: note cp2 hangs" in capsys.readouterr().err


def test_a_name_that_is_no_break_is_wrong_usage_and_nothing_is_asked_for(
    room: Work, capsys: Shown, tmp_path: Path
) -> None:
    with book.opened(room) as reader:
        notice.post(room, notice.of(library.find(tmp_path / "day.yml", 7), 7), RunFolder(room.runs / "one"))
        assert main(["gameday", "heal", "no-such-break"]) == 2
        said = capsys.readouterr().err
        assert "no such break of this game day: no-such-break" in said
        # the names of the breaks are a secret of the trainer
        assert "hung" not in said
        assert main(["gameday", "heal", "hung"]) == 0
        assert main(["gameday", "heal"]) == 0
        assert main(["gameday", "note", "no-such-break"]) == 0
        assert [entry.text for entry in reader.new()] == ["hung", "", "no-such-break"]
