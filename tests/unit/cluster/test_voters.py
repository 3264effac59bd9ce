"""The voting etcd members, the transfer of the leadership, and the taint of control planes."""

from __future__ import annotations

import json
import re

import pytest
from support.fakes import Call, FakeClock, FakeGuests, lab_of

from halab.cluster import taints, voters
from halab.errors import LabProblem, Unreachable

NUMBERS = {"cp1": 11, "cp2": 12, "cp3": 13}
LAB = lab_of()


class Etcd(FakeGuests):
    """Three members, of which some are dead or learners; `leader` changes with `move-leader`."""

    def __init__(
        self, *, leader: str = "cp3", dead: tuple[str, ...] = (), learners: tuple[str, ...] = ()
    ) -> None:
        super().__init__({"": self._answer})
        self.leader, self.dead, self.learners = leader, dead, learners

    def _answer(self, call: Call) -> str:
        if call.machine in self.dead:
            raise Unreachable(f"{call.machine} is dead")
        if "member list" in call.command:
            listed = [
                {"ID": number, "name": name, "isLearner": name in self.learners,
                 "peerURLs": [f"https://10.213.7.{number}:2380"]}
                for name, number in NUMBERS.items()
            ]  # fmt: skip
            return json.dumps({"members": listed})
        if moved := re.search("move-leader ([0-9a-f]+)", call.command):
            self.leader = next(name for name, number in NUMBERS.items() if f"{number:x}" == moved[1])
        header = {"member_id": NUMBERS[call.machine], "revision": 5}
        status = {
            "header": header,
            "leader": NUMBERS.get(self.leader, 0),
            "raftTerm": 2,
            "raftIndex": 10 * NUMBERS[call.machine],
            "isLearner": call.machine in self.learners,
        }
        return json.dumps([{"Status": status}])


def test_members_with_a_vote_count_dead_or_alive() -> None:
    assert voters.voters(Etcd(dead=("cp1",)), LAB) == {"cp1": False, "cp2": True, "cp3": True}
    assert voters.voters(Etcd(learners=("cp2",)), LAB) == {"cp1": True, "cp3": True}


def test_without_a_leader_nobody_knows_the_voters() -> None:
    with pytest.raises(LabProblem, match="etcd has no leader"):
        voters.voters(Etcd(leader="nobody"), LAB)


def test_the_lead_goes_to_the_most_advanced_of_those_that_stay() -> None:
    guests = Etcd(leader="cp3")
    stay = LAB.control_planes[:2]
    assert voters.hand_over(guests, LAB, FakeClock(), "cp3", to=stay) == "etcd on cp2 leads, in term 2"
    assert guests.leader == "cp2"


def test_a_follower_has_no_leadership_to_hand_over() -> None:
    guests = Etcd(leader="cp1")
    assert voters.hand_over(guests, LAB, FakeClock(), "cp3", to=LAB.control_planes) == ""
    assert guests.leader == "cp1"


def test_the_lead_stays_if_nobody_can_take_it() -> None:
    with pytest.raises(LabProblem, match="no other etcd member can become leader in place of cp3"):
        voters.hand_over(Etcd(dead=("cp1",)), LAB, FakeClock(), "cp3", to=LAB.control_planes[:1])


def test_control_planes_are_tainted_in_a_lab_with_workers_only() -> None:
    guests = FakeGuests()
    taints.apply(guests, lab_of(workers=1), "cp1")
    taints.apply(guests, lab_of(), "cp1")
    tainted, free = guests.commands("cp1")
    assert "taint node cp1 cp2 cp3 node-role.kubernetes.io/control-plane:NoSchedule --overwrite" in tainted
    assert "control-plane:NoSchedule- || exit 1" in free


def test_taints_of_the_user_stay() -> None:
    own: dict[str, object] = {"join": {"nodeRegistration": {"taints": []}}}
    assert taints.are_own(lab_of(kubeadm=own))
    assert not taints.are_own(LAB)
