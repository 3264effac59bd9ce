"""Logs of machines, for `halab logs` and as evidence."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.fakes import FakeGuests, lab_of

from halab.errors import Unreachable
from halab.lifecycle import logs
from halab.machines.work import Work

BEGAN = datetime(2026, 11, 23, 6, 0, 0, 400_000, UTC)


def test_a_machine_without_a_unit_shows_its_journal() -> None:
    guests = FakeGuests({"cp1: ": "the journal\n"})
    assert logs.of_machine(guests, "cp1", None, 7) == "the journal\n"
    assert guests.commands("cp1") == ["journalctl --no-pager -n 7"]


def test_a_unit_may_be_a_static_pod() -> None:
    guests = FakeGuests()
    logs.of_machine(guests, "cp1", "etcd", 7)
    (command,) = guests.commands("cp1")
    assert "tail -q -n 7 /var/log/pods/kube-system_etcd-*/etcd/*.log" in command
    assert "journalctl --no-pager -n 7 -u etcd" in command


def test_the_name_of_a_unit_is_quoted() -> None:
    guests = FakeGuests()
    logs.of_machine(guests, "cp1", "a; id", 7)
    (command,) = guests.commands("cp1")
    assert "-u 'a; id'" in command
    assert "-*/'a; id'/*.log" in command


def test_the_last_lines_of_the_logs_of_up_are_shown(tmp_path: Path) -> None:
    work = Work(tmp_path)
    work.logs.mkdir()
    (work.logs / "vagrant.log").write_text("one\ntwo\nthree\n")
    (work.logs / "cp1.log").write_text("x\n")
    assert logs.of_up(work, 2) == [(work.logs / "cp1.log", "x"), (work.logs / "vagrant.log", "two\nthree")]


def test_the_error_of_a_silent_machine_is_saved(tmp_path: Path) -> None:
    guests = FakeGuests({"cp2: ": Unreachable("cp2 does not answer"), "": "journal of it\n"})
    folder = tmp_path / "run" / "logs"
    logs.collect(guests, lab_of(), folder, BEGAN)
    assert sorted(path.name for path in folder.iterdir()) == ["cp1.log", "cp2.log", "cp3.log", "lb1.log"]
    assert (folder / "cp1.log").read_text() == "journal of it\n"
    assert (folder / "cp2.log").read_text() == "no log: cp2 does not answer\n"


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/Sao_Paulo", "UTC"])
def test_logs_begin_at_the_same_moment_in_every_time_zone(
    zone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        guests = FakeGuests()
        logs.collect(guests, lab_of(), tmp_path, datetime.fromtimestamp(BEGAN.timestamp()).astimezone())
    finally:
        monkeypatch.undo()
        time.tzset()
    for machine in ("lb1", "cp1", "cp2", "cp3"):
        (command,) = guests.commands(machine)
        assert "journalctl --no-pager --utc -o short-iso-precise --since @1795413600 " in command


def test_every_member_says_what_it_is_and_a_silent_one_has_its_error() -> None:
    header = {"member_id": 7, "revision": 42}
    report = {
        "header": header,
        "leader": 7,
        "raftTerm": 3,
        "raftIndex": 90,
        "dbSize": 4096,
        "version": "3.7.3",
    }
    guests = FakeGuests({"cp2: ": Unreachable("cp2 does not answer"), "": json.dumps([{"Status": report}])})
    said = json.loads(logs.members(guests, lab_of()))
    assert sorted(said) == ["cp1", "cp2", "cp3"]
    assert said["cp2"] == {"error": "cp2 does not answer"}
    assert (said["cp1"]["index"], said["cp1"]["version"], said["cp1"]["database_bytes"]) == (
        90,
        "3.7.3",
        4096,
    )
