"""Targets are found when a fault hits, not before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeApi, FakeGuests, captured, lab_of

from halab.errors import BadUsage, LabProblem
from halab.faults import targets

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases"


def status(member: int, leader: int) -> str:
    return json.dumps(
        [{"Status": {"header": {"member_id": member}, "leader": leader, "raftTerm": 2, "raftIndex": 1}}]
    )


@pytest.fixture
def guests() -> FakeGuests:
    return FakeGuests({f"cp{number}: ": status(number, 2) for number in (1, 2, 3)})


def resolve(target: str, guests: FakeGuests, *, seed: int = 1, **more: Any) -> list[str]:
    api: Any = FakeApi({LEASES: more.pop("leases", json.loads(captured("leases.json")))})
    chosen = more.pop("chosen", {})
    return targets.resolve(target, lab=lab_of(**more), guests=guests, api=api, chosen=chosen, seed=seed)


@pytest.mark.parametrize(
    ("target", "machines"),
    [
        ("cp3", ["cp3"]),
        ("lb1", ["lb1"]),
        ("lb", ["lb1"]),
        ("all-cp", ["cp1", "cp2", "cp3"]),
        ("etcd-leader", ["cp2"]),
        ("kcm-leader", ["cp1"]),
        ("scheduler-leader", ["cp1"]),
    ],
)
def test_a_target_is_a_machine_by_name_or_by_role(
    target: str, machines: list[str], guests: FakeGuests
) -> None:
    assert resolve(target, guests) == machines


def test_an_earlier_fault_names_its_machines(guests: FakeGuests) -> None:
    assert resolve("dead-leader", guests, chosen={"dead-leader": ["cp3"]}) == ["cp3"]
    assert guests.calls == []


def test_a_follower_is_not_the_leader_and_is_the_same_for_the_same_seed(guests: FakeGuests) -> None:
    found = [resolve("etcd-follower", guests, seed=seed)[0] for seed in range(20)]
    assert set(found) == {"cp1", "cp3"}
    assert found == [resolve("etcd-follower", guests, seed=seed)[0] for seed in range(20)]


def test_any_control_plane_is_drawn_by_the_seed(guests: FakeGuests) -> None:
    assert {resolve("any-cp", guests, seed=seed)[0] for seed in range(20)} == {"cp1", "cp2", "cp3"}
    assert resolve("any-cp", guests, seed=7) == resolve("any-cp", guests, seed=7)


def test_a_lab_of_one_has_no_follower(guests: FakeGuests) -> None:
    alone = FakeGuests({"cp1: ": status(1, 1)})
    with pytest.raises(LabProblem, match="one control plane"):
        resolve("etcd-follower", alone, control_planes=1)


def test_nobody_who_leads_is_a_problem_of_the_lab(guests: FakeGuests) -> None:
    with pytest.raises(LabProblem, match="nobody leads kube-scheduler"):
        resolve("scheduler-leader", guests, leases={"items": []})


def test_an_unknown_target_names_the_known_ones(guests: FakeGuests) -> None:
    with pytest.raises(BadUsage, match="no such target: cp9") as caught:
        resolve("cp9", guests)
    assert caught.value.hint == (
        "the lab has lb1, cp1, cp2, cp3, lb, all-cp, any-cp, etcd-leader, etcd-follower, kcm-leader, scheduler-leader"
    )
