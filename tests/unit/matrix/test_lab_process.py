"""Labs in turn and side by side: what they say, how they are interrupted, and that no process is left."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.stage import result_of

from halab.errors import HostProblem
from halab.matrix.lab_process import EndedLab, EndedRun, LabWork, _play, play_all
from halab.scenario.record.folder import RunFolder

Tell = Callable[[EndedRun], None]


@dataclass
class Heard:
    """What a listener heard, in order. `fails_at` is the name of the run that it cannot keep."""

    lines: list[str] = field(default_factory=list)
    ends: dict[str, EndedLab] = field(default_factory=dict)
    fails_at: str = ""
    at_end: Callable[[], None] = lambda: None

    def on_begin(self, lab: str) -> None:
        self.lines.append(f"begin {lab}")

    def on_run(self, lab: str, run: EndedRun) -> None:
        if run.name == self.fails_at:
            raise HostProblem("no space left on device")
        self.lines.append(f"{run.name} on {lab}: {run.result.verdict}")

    def on_end(self, lab: str, end: EndedLab) -> None:
        self.lines.append(f"end {lab}")
        self.ends[lab] = end
        self.at_end()


def ended(name: str) -> EndedRun:
    return EndedRun(name, 7, RunFolder(Path(f"/runs/{name}")), result_of(name, "pass"))


def lab(name: str, *acts: Callable[[Tell], object]) -> LabWork:
    def play(tell: Tell) -> EndedLab:
        for act in acts:
            act(tell)
        return EndedLab(built_seconds=90.0, repairs=("started cp2",))

    return LabWork(name, play)


def plays(name: str) -> Callable[[Tell], object]:
    return lambda tell: tell(ended(name))


def signals(number: int, of: Callable[[], int] = os.getpid) -> Callable[[Tell], object]:
    return lambda tell: os.kill(of(), number)


def waits_for_a_signal(tell: Tell) -> None:
    """A lab that takes long: Ctrl-C and SIGTERM interrupt it."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)
    tell(ended("started"))
    while True:
        signal.pause()


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    yield
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_every_lab_is_played_and_heard(at_once: int) -> None:
    heard = Heard()
    works = [lab(name, plays("a"), plays("b")) for name in ("one", "two", "three")]
    assert not play_all(works, heard, at_once=at_once)
    for name in ("one", "two", "three"):
        said = [line for line in heard.lines if name in line]
        assert said == [f"begin {name}", f"a on {name}: pass", f"b on {name}: pass", f"end {name}"]
        assert heard.ends[name] == EndedLab(built_seconds=90.0, repairs=("started cp2",))


def test_no_more_labs_than_allowed_are_up(tmp_path: Path) -> None:
    up = tmp_path / "up"
    up.mkdir()

    def count(name: str) -> Callable[[Tell], object]:
        def act(tell: Tell) -> None:
            (up / name).touch()
            tell(ended(str(len(list(up.iterdir())))))
            (up / name).unlink()

        return act

    heard = Heard()
    play_all([lab(name, count(name)) for name in "abcdef"], heard, at_once=2)
    assert {line.split()[0] for line in heard.lines if "pass" in line} <= {"1", "2"}


@pytest.mark.parametrize("at_once", [1, 2])
def test_a_lab_that_the_user_interrupts_is_the_last(at_once: int) -> None:
    heard = Heard()

    def interrupted(tell: Tell) -> EndedLab:
        return EndedLab("interrupted", was_interrupted=True)

    works = [LabWork("one", interrupted), lab("two", plays("a")), lab("three", plays("a"))]
    assert play_all(works, heard, at_once=at_once)
    assert "begin three" not in heard.lines and heard.ends["one"].was_interrupted


def test_an_interrupt_ends_all_labs_and_what_they_say_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()

    def interrupt(name: str, run: EndedRun) -> None:
        heard.lines.append(f"{run.name} on {name}")
        if len([line for line in heard.lines if line.startswith("started")]) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(heard, "on_run", interrupt)
    works = [lab(name, waits_for_a_signal) for name in ("one", "two", "three")]
    assert play_all(works, heard, at_once=2)
    assert {name: end.was_interrupted for name, end in heard.ends.items()} == {"one": True, "two": True}


def test_an_error_ends_all_labs_and_is_raised() -> None:
    heard = Heard(fails_at="started")
    works = [lab(name, waits_for_a_signal) for name in ("one", "two")]
    with pytest.raises(HostProblem, match="no space left"):
        play_all(works, heard, at_once=2)
    assert heard.ends == {}


def test_an_error_while_they_end_is_raised_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = Heard()

    def fail() -> None:
        raise HostProblem("no space left on device")

    def interrupt(name: str, run: EndedRun) -> None:
        heard.at_end = fail
        raise KeyboardInterrupt

    monkeypatch.setattr(heard, "on_run", interrupt)
    with pytest.raises(HostProblem, match="no space left"):
        play_all([lab(name, waits_for_a_signal) for name in ("one", "two")], heard, at_once=2)


def test_a_process_that_was_killed_is_a_lost_lab_and_the_others_go_on() -> None:
    heard = Heard()
    works = [
        lab("one", plays("a"), signals(signal.SIGKILL)),
        lab("two", plays("a")),
        lab("three", plays("a")),
    ]
    assert not play_all(works, heard, at_once=2)
    assert heard.ends["one"] == EndedLab(
        "the process of the lab has ended without a result (exit code -9)", is_lost=True
    )
    assert "a on one: pass" in heard.lines and heard.ends["three"].built_seconds == 90.0


def test_a_process_to_which_nobody_listens_any_more_ends_after_its_run() -> None:
    receiver, sender = multiprocessing.Pipe(duplex=False)
    said: list[str] = []

    def tells(tell: Tell) -> None:
        try:
            tell(ended("a"))
        except OSError as error:
            said.append(str(error))
            raise

    handlers = {int(signal.SIGINT): signal.getsignal(signal.SIGINT)}
    _play(lab("one", tells, lambda tell: said.append("went on")), sender, [receiver], handlers)
    assert len(said) == 1 and "Broken pipe" in said[0]


def test_an_error_or_a_defect_in_a_process_is_said() -> None:
    heard = Heard()

    def unreadable(tell: Tell) -> None:
        raise HostProblem("cannot read lab.yml")

    def broken(tell: Tell) -> None:
        raise ZeroDivisionError("division by zero")

    play_all([lab("one", broken), lab("two", unreadable)], heard, at_once=2)
    assert heard.ends["one"].why == "internal error: ZeroDivisionError: division by zero"
    assert heard.ends["two"].why == "cannot read lab.yml"


def test_an_interrupt_of_one_process_ends_all() -> None:
    heard = Heard()

    def interrupted(tell: Tell) -> None:
        raise KeyboardInterrupt

    assert play_all([lab("one", interrupted), lab("two"), lab("three")], heard, at_once=2)
    assert heard.ends["one"].was_interrupted and "begin three" not in heard.lines
