"""etcd's room: filled until the alarm tells of it, and made again for every member."""

from __future__ import annotations

import json

import pytest
from fakes import FakeGuests, captured
from made_site import heal, inject, site_of

from halab.errors import CommandFailed, LabProblem
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
    return FakeGuests(
        {
            "cat /etc/kubernetes/manifests/etcd.yaml": MANIFEST,
            "pgrep -o -x etcd": ["runs\n", "runs\nchanged\n"],
            "endpoint status": [status()] * values + [status("memberID:1  alarm:NOSPACE ")],
        }
    )


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


def test_a_member_that_takes_everything_is_no_endless_work() -> None:
    guests = full_after(values=10_000)
    with pytest.raises(LabProblem, match="took 16 values, and raised no alarm"):
        inject(site_of(guests), "exhaust-etcd-quota")


def test_room_is_made_in_the_order_that_keeps_it() -> None:
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
    alarms = ["memberID:1 alarm:NOSPACE\n", "memberID:1 alarm:NOSPACE\n", ""]
    guests = FakeGuests({"del --prefix": "0\n", "alarm list": alarms, "endpoint status": status()})
    heal(site_of(guests), ENTRY)
    assert sum("alarm disarm" in call.command for call in guests.calls) == 2


def test_what_was_compacted_before_needs_no_compaction() -> None:
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
