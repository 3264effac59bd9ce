"""Faults in a lab whose etcd has machines of its own: where they act, and where they are refused."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from support.fakes import FakeApi, FakeGuests, lab_of
from support.site_builder import inject, site_of

from halab.cluster import etcd, steady
from halab.config.probe import ProbeName
from halab.errors import BadUsage, LabProblem, Unable, Unreachable
from halab.faults import audit, members, snapshot
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Entry
from halab.faults.membership import _require_another
from halab.faults.site import Site
from halab.faults.targets import Targets, require_target
from halab.scenario.sampler import probes
from halab.topology.lab import Lab

EXTERNAL: dict[str, Any] = {"etcd": {"topology": "external"}}


def external(**written: Any) -> Lab:
    return lab_of(**EXTERNAL, **written)


def status(member: int, leader: int) -> str:
    report = {"header": {"member_id": member}, "leader": leader, "raftTerm": 2, "raftIndex": 1}
    return json.dumps([{"Status": report}])


def guests_with_leader(leader: int) -> FakeGuests:
    return FakeGuests({f"^etcd{number}: ": status(number, leader) for number in (1, 2, 3)})


def site(guests: FakeGuests | None = None, **written: Any) -> Site:
    return replace(site_of(guests or FakeGuests()), lab=external(**written))


def entry(fault: str, machine: str) -> Entry:
    return Entry("1a", fault, machine, {})


@pytest.mark.parametrize(
    ("target", "machines"),
    [
        ("etcd-leader", ["etcd2"]),
        ("etcd-followers", ["etcd1", "etcd3"]),
        ("all-etcd", ["etcd1", "etcd2", "etcd3"]),
        ("all-cp", ["cp1", "cp2", "cp3"]),
    ],
)
def test_roles_of_etcd_are_machines_of_its_own(target: str, machines: list[str]) -> None:
    api: Any = FakeApi({})
    assert Targets(external(), guests_with_leader(2), api, {}, 1).machines([target]) == machines


def test_a_fault_of_a_member_is_refused_on_a_control_plane() -> None:
    require_target(external(), FAULTS["corrupt-wal"], {}, "etcd1")
    require_target(lab_of(), FAULTS["corrupt-wal"], {}, "cp1")
    with pytest.raises(
        BadUsage, match="corrupt-wal needs a machine with an etcd member, but .* another machine: cp1"
    ):
        require_target(external(), FAULTS["corrupt-wal"], {}, "cp1")
    with pytest.raises(BadUsage, match="hold-static-pod needs a control plane"):
        require_target(external(), FAULTS["hold-static-pod"], {"pod": "kube-apiserver"}, "etcd1")


def test_etcdctl_asks_members_only() -> None:
    lab, guests = external(), guests_with_leader(1)
    etcd.through_any(guests, lab, "cp1", "get --prefix /x")
    assert [call.machine for call in guests.calls] == ["etcd1"]
    assert list(etcd.statuses(guests, lab)) == ["etcd1", "etcd2", "etcd3"]
    etcd.through_any(guests, lab, "etcd3", "get --prefix /x")
    assert guests.calls[-1].machine == "etcd3"


def test_a_member_has_no_api_server_to_stop() -> None:
    guests = FakeGuests({"test -e": ""})
    members.stop_etcd(site(guests), "etcd2")
    assert not any("kube-apiserver" in command for command in guests.commands("etcd2"))
    assert any("etcd.yaml" in command for command in guests.commands("etcd2"))


def test_a_restore_stops_the_api_servers_of_all_control_planes() -> None:
    names = [machine.name for machine in snapshot._stopped(site())]
    assert names == ["etcd1", "etcd2", "etcd3", "cp1", "cp2", "cp3"]
    assert [machine.name for machine in snapshot._stopped(site_of(FakeGuests()))] == ["cp1", "cp2", "cp3"]


def test_the_only_member_cannot_be_lost() -> None:
    alone = replace(site(), lab=lab_of(etcd={"topology": "external", "members": 1}))
    with pytest.raises(BadUsage, match="the lab's only etcd member cannot leave and join again: etcd1"):
        _require_another(alone, entry("lose-machine", "etcd1"))
    _require_another(site(), entry("lose-machine", "etcd1"))


def test_a_control_plane_leaves_through_another_one() -> None:
    guests = guests_with_leader(1)
    guests.answers = {"^cp1: .*halab-joined": Unreachable("cp1 does not answer"), **guests.answers}
    _, effect = inject(site(guests), "leave-cluster", "cp2")
    assert effect.startswith("cp2 is drained and reset")
    assert any("drain cp2" in command for command in guests.commands("cp3"))
    assert {call.machine for call in guests.calls} == {"cp1", "cp2", "cp3"}


def test_no_control_plane_leaves_if_no_other_is_ready() -> None:
    guests = FakeGuests({"^cp[13]: .*readyz": Unreachable("no answer")})
    with pytest.raises(
        LabProblem, match="no other control plane is ready, so cp2 can neither join nor leave"
    ):
        inject(site(guests), "leave-cluster", "cp2")
    assert guests.commands("cp2") == []


def test_without_a_member_on_the_machine_none_can_stay_in_the_list() -> None:
    with pytest.raises(Unable, match="join-without-removing needs etcd members on the control planes"):
        inject(site(), "join-without-removing", "cp2")


def test_the_audit_expects_on_each_machine_its_own_manifests() -> None:
    here = site()
    of_member, of_control_plane = (audit.script(here, here.lab.machine(name)) for name in ("etcd1", "cp1"))
    for text in (of_member, of_control_plane):
        subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=10)
    assert "for pod in etcd; do" in of_member
    assert "for pod in kube-apiserver kube-controller-manager kube-scheduler; do" in of_control_plane
    assert "for name in containerd kubelet" in of_member


def test_members_are_asked_directly_and_control_planes_for_the_rest() -> None:
    asked = probes.probes(external(), (ProbeName.ETCD_DIRECT,))
    machines = {probe.machine for probe in asked if probe.name == "etcd-direct"}
    assert machines == {"etcd1", "etcd2", "etcd3"}
    assert {probe.machine for probe in asked if probe.name == "ready-direct"} == {"cp1", "cp2", "cp3"}


def test_components_are_looked_for_where_they_belong() -> None:
    lab, guests = external(), FakeGuests({"^cp2: ": "kube-scheduler\n", "^etcd3: ": "10.213.7.41\n"})
    seen = steady._observe_machines(guests, lab)
    assert seen.missing == (
        "kube-scheduler does not run on cp2",
        "data from etcd on etcd3 does not reach etcd on etcd1 yet",
    )
    assert not any("pgrep" in command for command in guests.commands("etcd1"))


def test_a_silent_member_is_missing() -> None:
    guests = guests_with_leader(2)
    guests.answers = {"^etcd3: .*endpoint": Unreachable("etcd3 does not answer"), **guests.answers}
    assert steady._observe_etcd(guests, external()).missing == ("etcd on etcd3 does not answer",)


def test_the_lead_moves_to_another_machine_of_etcd() -> None:
    led = [status(2, leader=2)] * 3
    guests = FakeGuests({
        "etcd2: .*endpoint status": [*led, status(2, leader=3)],
        "etcd[13]: .*endpoint status": status(3, leader=2),
    })  # fmt: skip
    said = FAULTS["move-etcd-leader"].inject(site(guests), entry("move-etcd-leader", "etcd2"))
    assert any("move-leader 3" in command for command in guests.commands("etcd2"))
    assert said.startswith("etcd on etcd")


def test_a_fault_of_a_static_pod_says_that_it_also_acts_on_control_planes() -> None:
    assert FAULTS["hold-static-pod"].place == "a control plane or a machine with an etcd member"
    assert FAULTS["move-etcd-leader"].place == "a machine with an etcd member"
