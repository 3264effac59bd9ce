"""etcd's room: filled until the alarm tells of it, and made again for every member."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fakes import FakeGuests, captured
from support.site_builder import heal, inject, site_of

from halab.errors import BadUsage, CommandFailed, LabProblem, TimedOut, Unreachable
from halab.faults.journal import Entry
from halab.process import Completed

MANIFEST = "spec:\n  containers:\n  - command:\n    - etcd\n    - --name=cp2\n"
ENTRY = Entry("1", "exhaust-etcd-quota", "cp2", {})


def status(*problems: str) -> str:
    said = json.loads(captured("endpoint-status.json"))
    said[0]["Status"].update(dbSize=4 << 20, errors=list(problems))
    return json.dumps(said)


def full_after(values: int) -> FakeGuests:
    """A member whose alarm is raised by the value of that number."""
    answers: dict[str, Any] = {
        "cat /etc/kubernetes/manifests/etcd.yaml": MANIFEST,
        "pgrep -o -x etcd": ["runs\n", "runs\nchanged\n"],
        "endpoint status": [status()] * values + [status("memberID:1  alarm:NOSPACE ")],
    }
    return FakeGuests(answers)


def test_values_are_written_until_an_alarm_is_raised() -> None:
    guests = full_after(values=4)
    entry, seen = inject(site_of(guests), "exhaust-etcd-quota")
    puts = [command for command in guests.commands("cp2") if " put " in command]
    assert len(puts) == 4
    assert len(set(puts)) == 4
    assert all(f"/halab/fill/{entry.id}/" in command for command in puts)
    assert seen.startswith("memberID:1 alarm:NOSPACE: etcd on cp2 has 4194304 of 12582912 bytes")


def test_a_member_gets_a_quota_of_little_more_than_it_has() -> None:
    guests = full_after(values=1)
    inject(site_of(guests), "exhaust-etcd-quota")
    (written,) = [call.input for call in guests.calls if call.input]
    assert "--quota-backend-bytes=12582912" in written


def test_a_member_that_accepts_all_values_is_an_error() -> None:
    guests = full_after(values=10_000)
    with pytest.raises(LabProblem, match="accepted 16 values, but raised no alarm"):
        inject(site_of(guests), "exhaust-etcd-quota")


def test_the_value_that_is_refused_is_what_raises_the_alarm() -> None:
    guests = full_after(values=2)
    guests.answers = {" put .*1;": Completed(1, "", "mvcc: database space exceeded"), **guests.answers}
    _, seen = inject(site_of(guests), "exhaust-etcd-quota")
    assert "alarm:NOSPACE" in seen


def test_other_problems_of_a_member_are_no_alarm() -> None:
    guests = full_after(values=1)
    guests.answers["endpoint status"] = [
        status(),
        status("etcdserver: no leader"),
        status("memberID:1 alarm:NOSPACE "),
    ]
    inject(site_of(guests), "exhaust-etcd-quota")
    assert sum(" put " in command for command in guests.commands("cp2")) == 2


def test_nothing_is_written_before_the_member_serves_with_its_quota() -> None:
    guests = full_after(values=1)
    starting = CommandFailed("on cp2\nconnection refused", code=1)
    guests.answers["endpoint health"] = [starting, starting, ""]
    inject(site_of(guests), "exhaust-etcd-quota")
    commands = guests.commands("cp2")
    served = max(number for number, command in enumerate(commands) if "endpoint health" in command)
    assert sum("endpoint health" in command for command in commands) == 3
    assert all(number > served for number, command in enumerate(commands) if " put " in command)


def test_a_manifest_that_another_fault_has_keeps_its_quota() -> None:
    guests = FakeGuests({"ls -d": "/etc/kubernetes/halab-held/etcd.yaml\n"})
    with pytest.raises(BadUsage, match="another fault has changed the manifest of etcd on cp2"):
        inject(site_of(guests), "exhaust-etcd-quota")


def test_without_values_the_heal_disturbs_no_member() -> None:
    guests = FakeGuests({"del --prefix": "0\n", "alarm list": ""})
    heal(site_of(guests), ENTRY)
    commands = [call.command for call in guests.calls]
    assert not any(part in command for command in commands for part in ("compaction", "defrag", "disarm"))
    # a value may still be on its way
    assert "flock 9" in commands[0]
    assert commands[-1].startswith("if [ -e /etc/kubernetes/halab-held/1/etcd.yaml ]")


def test_a_quota_stays_small_until_there_is_room() -> None:
    guests = FakeGuests({"etcdctl": Unreachable("no member answers")})
    with pytest.raises(TimedOut, match="etcd to have free space and no alarm; last seen: no member answers"):
        heal(site_of(guests), ENTRY)
    assert not any("halab-held" in call.command for call in guests.calls)


def test_another_member_is_asked_where_the_full_one_is_down() -> None:
    guests = FakeGuests(
        {
            "cp2: .*etcdctl": Unreachable("cp2"),
            "del --prefix": "0\n",
            "alarm list": "",
            "endpoint status": status(),
        }
    )
    heal(site_of(guests), ENTRY)
    assert any("del --prefix /halab/fill/1/" in command for command in guests.commands("cp1"))


def test_space_is_freed_in_the_right_order() -> None:
    guests = FakeGuests({"del --prefix": ["4\n", "0\n"], "alarm list": "", "endpoint status": status()})
    heal(site_of(guests), ENTRY)
    asked = [f"{call.machine}: {call.command}" for call in guests.calls]
    kinds = ("del --prefix", "compaction", "defrag", "alarm disarm", "rm -rf")
    order = [kind for line in asked for kind in kinds if kind in line]
    # one after another on all three; then all is looked at once more, and the quota comes last
    assert order == [
        "del --prefix",
        "compaction",
        "defrag",
        "defrag",
        "defrag",
        "alarm disarm",
        "del --prefix",
        "rm -rf",
    ]
    assert [line[:3] for line in asked if "defrag" in line] == ["cp1", "cp2", "cp3"]


def test_an_alarm_that_is_raised_again_is_disarmed_again() -> None:
    alarms: list[Any] = ["memberID:1 alarm:NOSPACE\n", "memberID:1 alarm:NOSPACE\n", ""]
    guests = FakeGuests({"del --prefix": "0\n", "alarm list": alarms, "endpoint status": status()})
    heal(site_of(guests), ENTRY)
    assert sum("alarm disarm" in call.command for call in guests.calls) == 2


def test_an_earlier_compaction_is_not_repeated() -> None:
    refused = CommandFailed("on cp2", code=1, output="mvcc: required revision has been compacted")
    guests = FakeGuests(
        {
            "del --prefix": ["4\n", "0\n"],
            "compaction": refused,
            "alarm list": "",
            "endpoint status": status(),
        }
    )
    heal(site_of(guests), ENTRY)
    assert sum("alarm disarm" in call.command for call in guests.calls) == 1


def test_a_compaction_that_fails_otherwise_is_tried_again() -> None:
    busy = CommandFailed("on cp2", code=1, output="etcdserver: request timed out")
    guests = FakeGuests(
        {
            "del --prefix": ["4\n", "0\n"],
            "compaction": [busy, busy, busy, ""],
            "alarm list": ["memberID:1 alarm:NOSPACE\n", ""],
            "endpoint status": status(),
        }
    )
    heal(site_of(guests), ENTRY)
    kinds = ("compaction", "defrag")
    order = [kind for call in guests.calls for kind in kinds if kind in call.command]
    # asked of all three in turn, and no room is made before it is done
    assert order == ["compaction"] * 4 + ["defrag"] * 3


def test_a_member_that_does_not_answer_is_asked_again() -> None:
    busy = CommandFailed("on cp3", code=1, output="context deadline exceeded")
    guests = FakeGuests(
        {
            "del --prefix": ["4\n", "0\n"],
            "cp3: .*defrag": [busy, Completed(0, "", "")],
            "alarm list": ["memberID:1 alarm:NOSPACE\n", ""],
            "endpoint status": status(),
        }
    )
    heal(site_of(guests), ENTRY)
    assert sum("defrag" in call.command for call in guests.calls if call.machine == "cp3") == 2
