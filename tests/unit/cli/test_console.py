"""Output on the terminal: data on standard output, everything else on standard error."""

from __future__ import annotations

import errno
import io
import re
from collections.abc import Callable

import pytest

from halab.cli import console
from halab.progress import Progress, Quiet


def test_columns_are_aligned_and_have_no_trailing_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(["NAME", "STATE"], [("cp1", "running"), ("halab-ha", "")])
    shown = capsys.readouterr()
    assert shown.out == "NAME      STATE\ncp1       running\nhalab-ha\n"
    assert shown.err == ""


def test_a_step_shows_its_limit_its_time_and_its_outcome(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress().step("boot 4 machines", limit_seconds=300) as step:
        step.note("seen meanwhile")
        step.done("all four")
    shown = capsys.readouterr()
    assert shown.out == ""
    begin, end = shown.err.splitlines()
    assert begin == "… boot 4 machines (≤ 5m)"
    assert re.fullmatch(r"✓ boot 4 machines \d+m?s: all four", end)


@pytest.mark.parametrize("make", [console._Plain, console._Live])
@pytest.mark.parametrize(("is_good", "mark"), [(True, "✓"), (False, "✗"), (None, "?")])
def test_a_step_that_ends_badly_is_marked(
    make: Callable[[], Progress], is_good: bool | None, mark: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with make().step("expect ready-direct") as step:
        step.done("still failed", is_good=is_good)
    assert re.search(rf"{re.escape(mark)} expect ready-direct \d+m?s: still failed", capsys.readouterr().err)


def test_a_failed_step_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(KeyboardInterrupt), console.progress().step("boot"):
        raise KeyboardInterrupt
    assert re.fullmatch(r"✗ boot, after \d+m?s", capsys.readouterr().err.splitlines()[1])


def test_say_prints_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    console.progress().say("hello")
    assert capsys.readouterr() == ("", "hello\n")


def test_steps_on_a_terminal_end_as_lines(capsys: pytest.CaptureFixture[str]) -> None:
    live = console._Live()
    with live.step("boot [bold]", limit_seconds=5) as step, live.step("other"):
        step.note("x")
        live.say("between")
        step.done("well")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "between" in shown.err
    assert re.search(r"✓ other \d+m?s", shown.err)
    assert re.search(r"✓ boot \[bold\] \d+m?s: well", shown.err)


def test_quiet_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Quiet().step("boot") as step:
        step.note("x")
        step.done("y")
    Quiet().say("z")
    assert capsys.readouterr() == ("", "")


class Lost(io.StringIO):
    """A stream whose writes raise an error."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error

    def flush(self) -> None:
        raise self._error


@pytest.mark.parametrize("make", [console._Plain, console._Live])
@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(errno.EPIPE, "Broken pipe"),
        OSError(errno.EIO, "Input/output error"),
        OSError(errno.ENOSPC, "No space left on device"),
        ValueError("I/O operation on closed file"),
        UnicodeEncodeError("ascii", "…", 0, 1, "ordinal not in range(128)"),
    ],
    ids=lambda error: type(error).__name__ + str(getattr(error, "errno", "")),
)
def test_an_error_of_the_display_does_not_stop_the_work(
    make: Callable[[], Progress], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr", Lost(error))
    monkeypatch.setattr(console, "_Plain", lambda label: make())
    shown = console.progress()
    shown.say("begun")
    done = []
    with shown.step("heal") as step:
        step.note("seen")
        step.done("healed")
        done.append("healed")
    assert done == ["healed"]
    with pytest.raises(KeyboardInterrupt), shown.step("heal"):
        raise KeyboardInterrupt
