"""Faults of leaving and joining: real when they return, refused where it makes no sense, and healed by a join."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.fake_power import FakePower
from support.fakes import Answer, Call, FakeClock, FakeGuests, lab_of

from halab.cluster.join import JoinOptions
from halab.errors import BadUsage, LabProblem, ScriptFailed, TimedOut
from halab.faults import injection, membership
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.machines.power import PowerState

MEMBER = "10.213.7.12:2379"
EXPIRED = 'error downloading the secret: Secret "kubeadm-certs" was not found in the "kube-system" Namespace'
NAMES = [fault.name for fault in membership.FAULTS]
REASONS = {"join-without-removing": f"dial tcp {MEMBER}: refused", "join-with-expired-key": EXPIRED}


@dataclass
class Recreations:
    """The machines that were created again, and the options of their joins. `failure` is raised by a sabotaged join."""

    power: FakePower
    failure: Exception | None = None
    calls: list[tuple[str, JoinOptions | None]] = field(default_factory=list)
    at_once: list[str] = field(default_factory=list)

    def __call__(self, machine: str, *, join: JoinOptions | None = None, in_turn: bool = True) -> None:
        self.power.states[machine] = PowerState.RUNNING
        self.calls.append((machine, join))
        if not in_turn:
            self.at_once.append(machine)
        if self.failure and join:
            raise self.failure


@dataclass
class Stage:
    recreations: Recreations
    guests: FakeGuests
    site: Site

    def inject(self, fault: str, machine: str = "cp2") -> str:
        return FAULTS[fault].inject(self.site, injection.plan(self.site, fault, machine, {}))

    def heal(self, fault: str, machine: str = "cp2", **options: str) -> None:
        FAULTS[fault].heal(self.site, Entry("a1", fault, machine, options))

    def did(self, machine: str, what: str) -> list[str]:
        return [command for command in self.guests.commands(machine) if what in command]


def status(leader: int = 1) -> str:
    header = {"member_id": 1, "revision": 5}
    return json.dumps([{"Status": {"header": header, "leader": leader, "raftTerm": 2, "raftIndex": 9}}])


def members(*names: str) -> str:
    numbers = {"cp1": 11, "cp2": 12, "cp3": 13}
    listed = [
        {"ID": number, "name": name, "peerURLs": [f"https://10.213.7.{number}:2380"]}
        for name, number in numbers.items()
        if name in names
    ]
    return json.dumps({"members": listed})


def stage(answers: Mapping[str, Answer | list[Answer]] | None = None, **written: Any) -> Stage:
    power = FakePower(lab_of(**written))
    recreations = Recreations(power)
    usual = {"endpoint status": status(), "member list": members("cp1", "cp3")}
    guests = FakeGuests({**usual, **(answers or {})})
    return Stage(recreations, guests, Site(power.lab, guests, FakeClock(), power, recreations))


def test_a_lost_machine_is_created_again() -> None:
    found = stage()
    assert found.inject("lose-machine", "lb1") == "lb1 is gone"
    found.heal("lose-machine", "lb1")
    assert found.recreations.calls == [("lb1", None)]


@pytest.mark.parametrize("fault", NAMES)
def test_the_only_control_plane_does_not_leave(fault: str) -> None:
    found = stage(control_planes=1)
    with pytest.raises(BadUsage, match="cp1"):
        found.inject(fault, "cp1")
    assert found.guests.calls == []


@pytest.mark.parametrize("fault", NAMES)
def test_a_fault_that_never_happened_is_healed_by_a_join_without_changes(fault: str) -> None:
    found = stage()
    found.heal(fault)
    assert found.recreations.calls == [("cp2", None)]


# joins that must fail


@pytest.mark.parametrize("fault", REASONS)
def test_a_sabotaged_join_fails_and_the_effect_says_why(fault: str) -> None:
    found = stage()
    output = f"19:31:02 [preflight] Running\n19:31:10 {REASONS[fault]}\n19:31:10 To see the stack trace, use --v=5"
    found.recreations.failure = ScriptFailed("no", script="join.sh", output=output)
    effect = found.inject(fault)
    assert effect.startswith("the join ")
    assert effect.endswith(MEMBER if fault == "join-without-removing" else f"failed: {EXPIRED}")
    found.heal(fault)
    (first, options), second = found.recreations.calls
    assert (first, second) == ("cp2", ("cp2", None))
    assert options is not None and options.limit_seconds == 60


def test_the_stale_member_is_not_removed_before_the_join() -> None:
    found = stage()
    with pytest.raises(LabProblem):
        found.inject("join-without-removing")
    (_, options) = found.recreations.calls[0]
    assert options is not None and not options.forget_lost and options.before_join is None


def test_the_key_expires_on_the_control_plane_that_issued_the_join_command() -> None:
    found = stage()
    with pytest.raises(LabProblem):
        found.inject("join-with-expired-key")
    (_, options) = found.recreations.calls[0]
    assert options is not None and options.forget_lost and options.before_join
    assert not found.did("cp3", "delete secret kubeadm-certs")
    options.before_join("cp3")
    assert len(found.did("cp3", "delete secret kubeadm-certs")) == 1


@pytest.mark.parametrize("fault", REASONS)
@pytest.mark.parametrize(
    "failure",
    [
        ScriptFailed("no", script="node.sh", output="\n".join(REASONS.values())),
        ScriptFailed("no", script="join.sh", output="no space left on device"),
        LabProblem("no member leads"),
    ],
)
def test_a_join_that_failed_for_another_reason_is_no_effect(fault: str, failure: Exception) -> None:
    found = stage()
    found.recreations.failure = failure
    with pytest.raises(type(failure)):
        found.inject(fault)


@pytest.mark.parametrize("fault", REASONS)
def test_a_join_that_succeeds_is_no_effect(fault: str) -> None:
    with pytest.raises(LabProblem, match=f"cp2 joined, but {fault} should"):
        stage().inject(fault)


# leaving


def test_a_leaving_machine_is_drained_through_another_one_reset_and_deleted() -> None:
    found = stage()
    effect = found.inject("leave-cluster")
    assert effect == "cp2 is drained and reset, and is neither a node nor an etcd member"
    did = [(call.machine, call.command) for call in found.guests.calls]
    (drain,) = (
        number
        for number, (_, command) in enumerate(did)
        if "kubectl" in command and " drain cp2 " in command
    )
    (reset,) = (number for number, (_, command) in enumerate(did) if "kubeadm reset" in command)
    (delete,) = (number for number, (_, command) in enumerate(did) if " delete node cp2;" in command)
    assert drain < reset < delete
    assert [did[number][0] for number in (drain, reset, delete)] == ["cp1", "cp2", "cp1"]


def test_the_mark_of_a_joined_machine_is_removed_first() -> None:
    """Killed in the middle, the machine is joined again; one that has the mark would be left as it is."""
    found = stage()
    found.inject("leave-cluster")
    did = [call.command for call in found.guests.calls]
    (unmark,) = (
        number for number, command in enumerate(did) if "rm -f /etc/kubernetes/halab-joined" in command
    )
    (drain,) = (number for number, command in enumerate(did) if " drain cp2 " in command)
    assert unmark < drain
    found.heal("leave-cluster")
    assert found.recreations.calls == [("cp2", None)]


def test_a_heal_waits_for_a_reset_that_still_runs() -> None:
    found = stage()
    found.heal("leave-cluster")
    (wait,) = found.guests.calls
    assert (wait.machine, wait.timeout_seconds) == ("cp2", 120)
    assert "flock" in wait.command


def test_the_heal_does_not_wait_for_a_machine_that_is_gone() -> None:
    found = stage()
    found.recreations.power.states["cp2"] = PowerState.GONE
    found.heal("lose-machine")
    assert found.guests.calls == []


def test_a_machine_that_is_still_a_member_has_not_left() -> None:
    found = stage({"member list": members("cp1", "cp2", "cp3")})
    with pytest.raises(TimedOut, match="its member is still listed"):
        found.inject("leave-cluster")


def test_a_member_that_takes_a_moment_to_go_is_waited_for() -> None:
    found = stage({"member list": [members("cp1", "cp2", "cp3"), members("cp1", "cp3")]})
    assert found.inject("leave-cluster").startswith("cp2 is drained")


def test_no_machine_leaves_a_cluster_without_a_leader() -> None:
    found = stage({"endpoint status": status(leader=0)})
    with pytest.raises(LabProblem, match="no other etcd member has a leader, so cp2 cannot rejoin"):
        found.inject("leave-cluster")
    assert not found.did("cp2", "kubeadm reset")


def test_several_leave_one_after_another() -> None:
    """Each is drained by another one, which must not be about to leave itself."""
    others: list[threading.Thread] = []

    def drain(call: Call) -> str:
        if not others:
            others.append(threading.Thread(target=found.inject, args=("leave-cluster", "cp3")))
            others[0].start()
            others[0].join(timeout=0.1)
        return ""

    found = stage({" drain cp2 ": drain, "member list": members("cp1")})
    found.inject("leave-cluster", "cp2")
    others[0].join()
    resets = [call.machine for call in found.guests.calls if "kubeadm reset" in call.command]
    assert resets == ["cp2", "cp3"]
    before = [call.machine for call in found.guests.calls if "halab-joined" in call.command]
    assert before == ["cp2", "cp3"]
    unmarked = next(
        number
        for number, call in enumerate(found.guests.calls)
        if call.machine == "cp3" and "halab-joined" in call.command
    )
    deleted = next(
        number for number, call in enumerate(found.guests.calls) if " delete node cp2;" in call.command
    )
    assert deleted < unmarked


@pytest.mark.parametrize(
    ("options", "at_once"), [({}, []), ({"join": "in-turn"}, []), ({"join": "at-once"}, ["cp2"])]
)
def test_machines_that_left_join_in_turn_or_at_once(options: dict[str, str], at_once: list[str]) -> None:
    found = stage()
    found.heal("leave-cluster", **options)
    assert found.recreations.calls == [("cp2", None)]
    assert found.recreations.at_once == at_once
