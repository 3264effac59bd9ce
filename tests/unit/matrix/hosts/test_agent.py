"""What a worker does for a matrix: its processes are Python programs that print a line."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_fleet import PARCEL
from support.fakes import brought_up
from support.recorded_runs import copy_run
from support.stage import result_of

from halab.machines.host import allocation
from halab.matrix.hosts import agent
from halab.matrix.hosts.place import Place
from halab.matrix.lab_process import EndedLab, EndedRun


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocation, "state_folder", lambda: tmp_path / "state")


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """What runs instead of Python with halab: it waits until its standard input is closed."""
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\necho "$@"\ncat\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    yield program


def test_a_host_says_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    socket = tmp_path / "docker.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{socket}")
    assert "docker" not in agent.describe().providers
    socket.touch()
    facts = agent.describe()
    assert facts.cores >= 1 and "docker" in facts.providers and facts.code == agent.code()
    assert facts.refusal(agent.describe()) == ""


def test_each_folder_of_a_matrix_has_a_name_of_its_own(tmp_path: Path) -> None:
    names = {agent.name_of(tmp_path / name) for name in ("one", "two", "one")}
    assert len(names) == 2 and {name.split("-")[0] for name in names} == {"one", "two"}


def test_a_lab_is_played_by_a_process_that_ends_when_it_is_stopped(program: Path) -> None:
    place = Place.of("matrix", "haproxy")
    ends: list[EndedLab] = []
    thread = threading.Thread(target=lambda: ends.append(agent.play(PARCEL)))
    thread.start()
    while thread.is_alive():
        agent.stop("matrix", "haproxy")
    thread.join()
    why = "the process of the lab has ended without a result (exit code 0)"
    assert ends == [EndedLab(why, is_lost=True)]
    assert place.log.read_text() == f"-m halab matrix play-lab {place.path}\n"
    assert agent.labs("matrix") == ["haproxy"]
    agent.stop("matrix", "haproxy")


def test_news_are_what_was_printed_and_the_runs_that_wait(state_home: None) -> None:
    place = Place.of("matrix", "haproxy")
    place.accept(PARCEL)
    for name in ("one", "two"):
        folder = copy_run("stop-apiserver-haproxy", place.lab_file.parent / ".halab/runs" / name)
        place.keep(EndedRun("stop-apiserver", 42, folder, result_of("stop-apiserver", "pass")), "f1")
    place.log.write_text("… up\n")
    news = agent.news("matrix", "haproxy", (), 0, 1)
    ((run, content),) = news.runs
    assert (news.printed, news.is_running, news.is_complete) == ("… up\n".encode(), False, False)
    assert content == place.archive_of(run)
    more = agent.news("matrix", "haproxy", {run.name}, len(news.printed), 10**9)
    assert len(more.runs) == 1 and more.is_complete and more.printed == b""
    with place.played():
        assert agent.news("matrix", "haproxy", (), 0, 1).is_running


def test_a_lab_without_machines_is_only_forgotten() -> None:
    Place.of("matrix", "haproxy").accept(PARCEL)
    assert agent.clean("matrix", "haproxy") == EndedLab()
    assert agent.labs("matrix") == [] and agent.labs("another") == []


def test_a_lab_with_machines_is_not_forgotten() -> None:
    place = Place.of("matrix", "haproxy")
    place.accept(PARCEL)
    work = brought_up(place.lab_file.parent)
    assert not agent.forget("matrix", "haproxy") and place.path.exists()
    allocation.release(work.path)
    assert agent.forget("matrix", "haproxy") and not place.path.exists()


def test_machines_that_are_left_are_removed_first(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program.write_text("#!/bin/sh\nexit 0\n")
    Place.of("matrix", "haproxy").accept(PARCEL)
    answers = iter([True, False])
    monkeypatch.setattr(Place, "has_lab", property(lambda place: next(answers)))
    assert agent.clean("matrix", "haproxy") == EndedLab() and agent.labs("matrix") == []


def test_machines_that_cannot_be_removed_are_said(program: Path) -> None:
    program.write_text("#!/bin/sh\nexit 3\n")
    place = Place.of("matrix", "haproxy")
    place.accept(PARCEL)
    brought_up(place.lab_file.parent)
    assert agent.clean("matrix", "haproxy") == EndedLab(f"the lab was not removed; the log is {place.log}")
    assert agent.labs("matrix") == ["haproxy"]
