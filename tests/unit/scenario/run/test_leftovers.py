"""`halab heal` removes what a run that was killed has left in the API and in etcd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeGuests, Recorded, brought_up

from halab.errors import CommandFailed, Unreachable
from halab.lifecycle import access
from halab.lifecycle.lab import LabDir, open_file
from halab.scenario.run import by_hand, probe_objects


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    brought_up(tmp_path)
    return open_file(tmp_path / "lab.yml")


def healed(
    lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch, guests: FakeGuests, *, answers: bool
) -> list[str]:
    @contextmanager
    def api(here: LabDir, lab: Any) -> Iterator[None]:
        if not answers:
            raise Unreachable("the API does not answer")
        yield

    monkeypatch.setattr(access, "api", api)
    monkeypatch.setattr(access, "guests", lambda here: guests)
    monkeypatch.setattr(probe_objects, "remove_leftovers", lambda api: ["halab-1"])
    progress = Recorded()
    assert by_hand.heal(lab_dir, progress) == []
    return progress.lines


def test_namespaces_and_keys_are_removed_and_counted(
    lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = healed(lab_dir, monkeypatch, FakeGuests({"del --prefix /halab/": "3\n"}), answers=True)
    assert lines == [
        "no open faults",
        "removed the namespace of an earlier run: halab-1",
        "removed 3 keys of an earlier run from etcd",
    ]


def test_without_keys_nothing_is_said_of_them(lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = healed(lab_dir, monkeypatch, FakeGuests({"del": "0\n"}), answers=True)
    assert not any("key" in line for line in lines)


@pytest.mark.parametrize("answers", [True, False])
def test_a_lab_that_does_not_answer_is_left_to_the_next_run(
    lab_dir: LabDir, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    guests = FakeGuests({"": CommandFailed("etcd does not answer", code=1, output="")})
    lines = healed(lab_dir, monkeypatch, guests, answers=answers)
    assert not any("key" in line for line in lines)
    assert bool(guests.calls) is answers
