"""Parsing of etcdctl's output, captured on a real lab."""

from __future__ import annotations

import json

import pytest
from support.fakes import FakeGuests, captured, lab_of

from halab.cluster import etcd
from halab.cluster.etcd import Member
from halab.config.lab import ProviderKind
from halab.errors import LabProblem, Unreachable

STATUS = captured("endpoint-status.json")


def status(member: int, leader: int, *, index: int = 100, **more: object) -> str:
    content = {"header": {"member_id": member, "revision": 1}, "leader": leader, "raftTerm": 2,
            "raftIndex": index, "raftAppliedIndex": index, **more}  # fmt: skip
    return json.dumps([{"Endpoint": "https://127.0.0.1:2379", "Status": content}])


def test_the_status_of_a_leader_is_read() -> None:
    member = etcd.parse_status("cp1", STATUS)
    assert (member.machine, member.term, member.index, member.applied_index) == ("cp1", 2, 2441, 2441)
    assert member.revision == 1966
    assert member.leads
    assert not member.is_learner
    assert member.problems == ()


def test_a_member_without_a_leader_does_not_lead() -> None:
    content = json.loads(STATUS)
    del content[0]["Status"]["leader"]
    assert not etcd.parse_status("cp1", json.dumps(content)).leads


def test_a_learner_and_its_problems_are_read() -> None:
    member = etcd.parse_status("cp2", status(2, 1, isLearner=True, errors=["etcdserver: no leader"]))
    assert member.is_learner
    assert member.problems == ("etcdserver: no leader",)


@pytest.mark.parametrize(
    ("accel", "etcdctl", "ssh_seconds"),
    [
        ("kvm", "--dial-timeout=2s --command-timeout=3s", 8),
        ("tcg", "--dial-timeout=8s --command-timeout=8s", 20),
    ],
)
def test_an_emulated_member_gets_more_time(accel: str, etcdctl: str, ssh_seconds: float) -> None:
    guests = FakeGuests({"endpoint status": STATUS})
    etcd.statuses(guests, lab_of(provider=ProviderKind.LIBVIRT, accel=accel))
    assert len(guests.calls) == 3
    for call in guests.calls:
        assert f" {etcdctl} endpoint status" in call.command
        # etcdctl reports its own error before SSH times out
        assert call.timeout_seconds == ssh_seconds


@pytest.mark.parametrize(
    "output", ["", "[]", "{}", "null", '[{"Status": {}}]', "Error: context deadline exceeded"]
)
def test_an_invalid_status_is_a_lab_problem(output: str) -> None:
    with pytest.raises(LabProblem, match="etcdctl on cp1 did not print a valid status"):
        etcd.parse_status("cp1", output)


def test_every_member_has_a_status_or_an_error() -> None:
    gone = Unreachable("cp3 does not answer")
    guests = FakeGuests({"cp1: ": status(1, 2), "cp2: ": status(2, 2), "cp3: ": gone})
    statuses = etcd.statuses(guests, lab_of())
    assert statuses["cp3"] is gone
    assert isinstance(statuses["cp2"], Member)
    assert statuses["cp2"].leads
    assert etcd.leader(guests, lab_of()) == "cp2"


def test_no_leader_is_a_lab_problem() -> None:
    with pytest.raises(LabProblem, match="etcd has no leader"):
        etcd.leader(FakeGuests({"endpoint status": status(1, 0)}), lab_of())


def test_members_are_found_by_name_and_by_address() -> None:
    output = captured("member-list.json")
    for asked in ("cp2", "10.213.0.12"):
        assert [member["ID"] for member in etcd.parse_members_of(output, asked)] == [2151038741264939128]
    assert etcd.parse_members_of(output, "cp9") == []
    assert etcd.parse_members_of(output, "10.213.0.1") == []


def with_member(**member: object) -> FakeGuests:
    content = json.loads(captured("member-list.json"))
    content["members"].append({"ID": 255, "peerURLs": ["https://10.213.0.14:2380"], **member})
    return FakeGuests({"cp1: .*member list": json.dumps(content)})


@pytest.mark.parametrize(
    ("member", "votes"),
    [
        ({"isLearner": True}, False),
        ({}, False),
        ({"name": "cp4", "isLearner": True}, False),
        ({"name": "cp4"}, True),
    ],
)
def test_a_member_votes_when_it_has_started_and_is_no_learner(
    member: dict[str, object], votes: bool
) -> None:
    guests = with_member(**member)
    assert etcd.members_of(guests, "cp1", "10.213.0.14") == ["ff"]
    assert etcd.votes(guests, "cp1", "10.213.0.14") is votes


@pytest.mark.parametrize("output", ["", "{}", "[]", "null", "Error: context deadline exceeded"])
def test_an_invalid_member_list_is_a_lab_problem(output: str) -> None:
    with pytest.raises(LabProblem, match="etcdctl did not print a valid member list"):
        etcd.parse_members_of(output, "cp1")
