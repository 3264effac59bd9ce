"""Output on a terminal: no text from a file or a machine can control it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from support.hostile_text import HOSTILE, LONG, SHOWN

from halab.cli import console, main
from halab.cli.access import _show_log
from halab.cli.live_view import _styled
from halab.errors import HostProblem
from halab.printable import printable

Shown = pytest.CaptureFixture[str]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lab.yml").write_text("name: ha\n")
    return tmp_path


@pytest.mark.parametrize(
    "words", [["run", "./mine.yml"], ["--debug", "run", "./mine.yml"], ["run", "-f", "mine.yml", "--all"],
              ["render", "-f", "mine.yml"], ["doctor", "-f", "mine.yml"], ["report", "."]],
)  # fmt: skip
def test_an_error_about_a_file_cannot_control_the_terminal(
    words: list[str], lab: Path, capsys: Shown
) -> None:
    (lab / "mine.yml").write_text('"\\e]0;title\\a": 1\nname: "\\e[31mred"\ntitle: "\\u202e"\n')
    (lab / "meta.json").write_text('{"scenario": "\\u001b[31m", "\\u001b[31m": 1}')
    (lab / "scenario.yml").write_text("x")
    (lab / "timeline.jsonl").write_text("")
    assert main(words) in (2, 3)
    shown = capsys.readouterr()
    assert shown.err
    assert printable(shown.err) == shown.err


def test_an_error_is_escaped_and_its_long_words_are_shortened(
    lab: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: object) -> None:
        raise HostProblem(f"it said: {HOSTILE}\n{LONG}", hint=f"{HOSTILE} {LONG}")

    monkeypatch.setattr("halab.lifecycle.lab.open_file", fail)
    assert main(["status"]) == 3
    assert capsys.readouterr().err == (
        f"error: it said: {SHOWN}\n{'x' * 60}… (100000 characters)\n\n"
        f"hint: {SHOWN} {'x' * 60}… (100000 characters)\n"
    )


def test_progress_and_tables_show_escapes(capsys: Shown) -> None:
    shown = console.progress()
    shown.say(HOSTILE)
    with shown.step(HOSTILE) as step:
        step.note(HOSTILE)
        step.done(HOSTILE)
    console.table(["NAME"], [[HOSTILE]])
    console.echo(HOSTILE)
    shown_text = capsys.readouterr()
    for text in (shown_text.out, shown_text.err):
        assert printable(text) == text
        assert "\\x1b[31mred" in text


def test_live_lines_show_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    shown = console.progress()
    with shown.step("x\x1b]0;title\x07") as step:
        step.note("\x1b]0;title\x07\nsecond")
        shown.say("\x1b]0;title\x07")
    assert "\x1b]0;" not in terminal.getvalue()
    assert "\\x1b]0;title\\x07" in terminal.getvalue()


def test_a_state_on_the_live_screen_shows_escapes() -> None:
    assert _styled("\x1b[31m", False).plain == "\\x1b[31m"


def test_logs_are_raw_for_programs_and_escaped_on_a_terminal(
    capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    _show_log(HOSTILE)
    assert capsys.readouterr().out == HOSTILE
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _show_log(HOSTILE)
    assert capsys.readouterr().out == SHOWN
