"""Commands that a page starts: real processes of halab, one at a time, interrupted at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from halab import process
from halab.serve.deeds import Deed, Deeds


@pytest.fixture
def ended() -> threading.Event:
    return threading.Event()


@pytest.fixture
def deeds(ended: threading.Event) -> Deeds:
    def changed() -> None:
        if made.last and not made.last.is_running:
            ended.set()

    made = Deeds(changed)
    return made


def shell(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Run a script in the place of halab."""
    real = process.background

    def background(argv: object, **given: object) -> object:
        return real(["sh", "-c", script], **given)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "background", background)


def test_a_command_of_halab_runs_and_its_error_is_told(
    deeds: Deeds, ended: threading.Event, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.yml"
    assert deeds.begin(Deed("Checking", ["drill", "check", "--file", str(missing)], False))
    assert ended.wait(60)
    deeds.stop()
    assert deeds.last
    assert deeds.last.code == 2
    assert deeds.last.said.startswith(f"error: no such lab file: {missing}")


def test_a_command_tells_the_step_that_it_is_in_and_at_the_end_what_it_said(
    deeds: Deeds, ended: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    shell(
        monkeypatch, f"echo '… check the tasks'; until [ -e {go_on} ]; do sleep 0.05; done; echo 0 %; exit 1"
    )
    steps: list[str] = []
    seen = threading.Event()

    def watch(before: Callable[[], None]) -> Callable[[], None]:
        def changed() -> None:
            if deeds.last and deeds.last.said == "check the tasks":
                steps.append(deeds.last.said)
                seen.set()
            before()

        return changed

    deeds._changed = watch(deeds._changed)
    deeds.begin(Deed("Checking", [], False))
    assert seen.wait(30)
    assert not deeds.begin(Deed("Another", [], False))
    go_on.touch()
    assert ended.wait(30)
    assert deeds.last
    assert (deeds.last.what, deeds.last.code, deeds.last.said) == ("Checking", 1, "0 %")


def test_a_command_is_interrupted_at_the_end_and_no_other_begins(
    deeds: Deeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    deeds._changed = lambda: begun.set() if deeds.last and deeds.last.said else None
    shell(
        monkeypatch, "trap 'echo interrupted; exit 130' TERM; echo '… go on'; while :; do sleep 0.05; done"
    )
    deeds.begin(Deed("Checking", [], False))
    assert begun.wait(30)
    deeds.stop()
    assert deeds.last
    assert deeds.last.code == 130
    assert deeds.last.said.endswith("interrupted")
    assert not deeds.begin(Deed("Another", [], False))


def test_a_command_that_cannot_run_is_told(
    deeds: Deeds, ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def background(*given: object, **named: object) -> object:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(process, "background", background)
    deeds.begin(Deed("Checking", [], False))
    assert ended.wait(30)
    assert deeds.last
    assert (deeds.last.code, "Cannot allocate memory" in deeds.last.said) == (3, True)
