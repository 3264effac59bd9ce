"""The process that plays a lab on a host, without machines."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from support.fake_fleet import PARCEL
from support.fakes import Recorded, brought_up
from support.recorded_runs import copy_run
from support.stage import result_of

from halab.campaign import play as campaigns
from halab.campaign.outcome import CampaignOutcome, CampaignRun
from halab.errors import HostProblem, LabProblem
from halab.lifecycle.lab import LabDir
from halab.lifecycle.temporary_lab import LabDeps
from halab.matrix.hosts import player
from halab.matrix.hosts.place import Place
from halab.matrix.lab_process import EndedLab


class Room:
    """A place with a lab, whose runs end with these verdicts. `did` is what happened to the lab."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = Place(folder / "haproxy")
        self.place.accept(PARCEL)
        self.did: list[str] = []
        self.shown = Recorded()
        self.errors: dict[str, BaseException] = {}
        self.is_interrupted = self.is_over_limit = False
        self.input, self.output = os.pipe()
        monkeypatch.setattr(campaigns, "play", self._play_runs)

    def _do(self, what: str) -> None:
        self.did.append(what)
        if what in self.errors:
            raise self.errors[what]

    def _play_runs(
        self, lab_dir: LabDir, planned: Any, *args: object, on_run: Any, **options: Any
    ) -> object:
        self._do("play")
        outcome = CampaignOutcome(42, planned, datetime.now().astimezone())
        for run in planned:
            folder = copy_run("stop-apiserver-haproxy", lab_dir.work.runs / "one")
            result = result_of(str(run), "pass")
            object.__setattr__(result, "is_interrupted", self.is_interrupted)
            on_run(CampaignRun(run, folder, result, self.is_over_limit))
        return outcome

    def _require(self, lab_dir: LabDir) -> None:
        self._do("doctor")

    def play(self) -> EndedLab:
        deps = LabDeps(up=lambda *_: self._do("up"), down=lambda *_: self._do("down"))
        return player.play(self.place, self.shown, lambda file: deps, self._require, self.input)

    @property
    def kept(self) -> list[str]:
        return [run.cell for run in self.place.waiting(())]


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_home: None) -> Iterator[Room]:
    room = Room(tmp_path, monkeypatch)
    signals: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: signals.append(number))
    yield room
    os.close(room.output)
    for thread in threading.enumerate():
        if thread.name == player.THREAD:
            thread.join(10)
    os.close(room.input)
    # the end of the input interrupts the process
    assert signals == [signal.SIGTERM]


def test_a_lab_is_built_played_and_removed_and_its_runs_wait(room: Room) -> None:
    end = room.play()
    assert room.did == ["doctor", "up", "play", "down"]
    assert room.kept == ["stop-apiserver"] and end == room.place.ended()
    assert end.why == "" and end.built_seconds is not None
    assert not room.place.is_played


@pytest.mark.parametrize(("is_over_limit", "kept"), [(False, []), (True, ["stop-apiserver"])])
def test_a_run_that_was_interrupted_says_nothing_unless_it_hung(
    is_over_limit: bool, kept: list[str], room: Room
) -> None:
    room.is_interrupted, room.is_over_limit = True, is_over_limit
    room.play()
    assert room.kept == kept


def test_a_lab_that_is_left_is_removed_first(room: Room) -> None:
    brought_up(room.place.lab_file.parent)
    room.play()
    assert room.did == ["down", "doctor", "up", "play", "down"]


def test_a_host_that_fails_its_doctor_builds_nothing(room: Room) -> None:
    room.errors["doctor"] = HostProblem("no engine answers", hint="start docker")
    assert room.play() == EndedLab("no engine answers", is_unfit=True)
    assert room.did == ["doctor"] and "no engine answers\nstart docker" in room.shown.lines


@pytest.mark.parametrize(
    ("step", "error", "end"),
    [
        (
            "up",
            LabProblem("kubeadm init took longer than 4 min"),
            EndedLab("kubeadm init took longer than 4 min"),
        ),
        ("up", KeyboardInterrupt(), EndedLab("interrupted", was_interrupted=True)),
        ("doctor", ZeroDivisionError("zero"), EndedLab("internal error: ZeroDivisionError: zero")),
    ],
)
def test_whatever_ends_a_lab_is_said(step: str, error: BaseException, end: EndedLab, room: Room) -> None:
    room.errors[step] = error
    assert room.play() == end == room.place.ended()
