"""Commands that a page starts: real processes of halab, one at a time, interrupted at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from halab import process
from halab.serve.jobs import Job, Jobs


@pytest.fixture
def ended() -> threading.Event:
    return threading.Event()


@pytest.fixture
def jobs(ended: threading.Event) -> Jobs:
    def changed() -> None:
        if made.last and not made.last.is_running:
            ended.set()

    made = Jobs(changed)
    return made


def shell(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Run a script in the place of halab."""
    real = process.background

    def background(argv: object, **given: object) -> object:
        return real(["sh", "-c", script], **given)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "background", background)


def test_a_command_of_halab_runs_and_its_error_is_told(
    jobs: Jobs, ended: threading.Event, tmp_path: Path
) -> None:
    missing = tmp_path / "missing.yml"
    assert jobs.begin(Job("Checking", ["drill", "check", "--file", str(missing)], False))
    assert ended.wait(60)
    jobs.stop()
    assert jobs.last
    assert jobs.last.code == 2
    assert jobs.last.output.startswith(f"error: no such lab file: {missing}")


def test_a_command_tells_the_step_that_it_is_in_and_at_the_end_what_it_said(
    jobs: Jobs, ended: threading.Event, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    shell(
        monkeypatch, f"echo '… check the tasks'; until [ -e {go_on} ]; do sleep 0.05; done; echo 0 %; exit 1"
    )
    steps: list[str] = []
    seen = threading.Event()

    def watch(before: Callable[[], None]) -> Callable[[], None]:
        def changed() -> None:
            if jobs.last and jobs.last.output == "check the tasks":
                steps.append(jobs.last.output)
                seen.set()
            before()

        return changed

    jobs._changed = watch(jobs._changed)
    jobs.begin(Job("Checking", [], False))
    assert seen.wait(30)
    assert not jobs.begin(Job("Another", [], False))
    go_on.touch()
    assert ended.wait(30)
    assert jobs.last
    assert (jobs.last.what, jobs.last.code, jobs.last.output) == ("Checking", 1, "0 %")


def test_a_command_is_interrupted_at_the_end_and_no_other_begins(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    jobs._changed = lambda: begun.set() if jobs.last and jobs.last.output else None
    shell(
        monkeypatch, "trap 'echo interrupted; exit 130' TERM; echo '… go on'; while :; do sleep 0.05; done"
    )
    end_group, graces = process.end_group, []

    def end(child: Any, *, grace_seconds: float = 5) -> None:
        graces.append(grace_seconds)
        end_group(child, grace_seconds=grace_seconds)

    monkeypatch.setattr(process, "end_group", end)
    jobs.begin(Job("Checking", [], False))
    assert begun.wait(30)
    jobs.stop()
    assert jobs.last
    # a game day heals everything before it ends
    assert graces[0] >= 300
    assert jobs.last.code == 130
    assert jobs.last.output.endswith("interrupted")
    assert not jobs.begin(Job("Another", [], False))


def test_a_command_that_cannot_run_is_told(
    jobs: Jobs, ended: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def background(*given: object, **named: object) -> object:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(process, "background", background)
    jobs.begin(Job("Checking", [], False))
    assert ended.wait(30)
    assert jobs.last
    assert (jobs.last.code, "Cannot allocate memory" in jobs.last.output) == (3, True)
