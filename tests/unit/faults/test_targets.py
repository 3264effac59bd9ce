"""Targets are found when a fault hits, not before."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.fakes import FakeApi, FakeGuests, captured, lab_of

from halab.config.targets import FaultTarget
from halab.errors import BadUsage, LabProblem
from halab.faults.fault import Fault, Option, nothing_to_heal
from halab.faults.targets import Targets, require_target

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
    return Targets(lab_of(**more), guests, api, chosen, seed).machines(target.split(", "))


@pytest.mark.parametrize(
    ("target", "machines"),
    [
        ("cp3", ["cp3"]),
        ("lb1", ["lb1"]),
        ("lb", ["lb1"]),
        ("all", ["lb1", "cp1", "cp2", "cp3"]),
        ("all-cp", ["cp1", "cp2", "cp3"]),
        ("cp3, cp1", ["cp3", "cp1"]),
        ("lb, all-cp, cp2", ["lb1", "cp1", "cp2", "cp3"]),
        ("etcd-followers", ["cp1", "cp3"]),
        ("etcd-leader", ["cp2"]),
        ("kcm-leader", ["cp1"]),
        ("scheduler-leader", ["cp1"]),
    ],
)
def test_a_target_is_a_machine_by_name_or_by_role(
    target: str, machines: list[str], guests: FakeGuests
) -> None:
    assert resolve(target, guests) == machines


@pytest.mark.parametrize(
    ("target", "machines"),
    [
        ("lb", ["lb1", "lb2"]),
        ("all-lb", ["lb1", "lb2"]),
        ("vip-holder", ["lb2"]),
        ("vip-holder, lb1", ["lb2", "lb1"]),
    ],
)
def test_a_pair_of_load_balancers_has_a_holder(target: str, machines: list[str]) -> None:
    guests = FakeGuests({"lb2: ip -4": "3: eth1 inet 10.213.7.100/32\n"})
    assert resolve(target, guests, load_balancer={"machines": 2}) == machines


def test_a_control_plane_has_the_address_of_kube_vip() -> None:
    guests = FakeGuests({"cp2: ip -4": "3: eth1 inet 10.213.7.100/32\n"})
    assert resolve("vip-holder, cp2", guests, load_balancer={"kind": "kube-vip"}) == ["cp2"]


@pytest.mark.parametrize("target", ["lb", "all-lb", "lb1"])
def test_a_lab_with_kube_vip_has_no_machine_with_a_load_balancer(target: str, guests: FakeGuests) -> None:
    with pytest.raises(BadUsage, match=f"no machine of this lab has a load balancer: {target}") as caught:
        resolve(target, guests, load_balancer={"kind": "kube-vip"})
    assert caught.value.hint == "kube-vip runs on the control planes; `vip-holder` has the address"


def test_an_earlier_fault_names_its_machines(guests: FakeGuests) -> None:
    assert resolve("dead-leader", guests, chosen={"dead-leader": ["cp3"]}) == ["cp3"]
    assert guests.calls == []


def test_a_leader_is_found_by_its_host_name(guests: FakeGuests) -> None:
    leases = json.loads(captured("leases.json").replace('"cp1_', '"alpha_'))
    assert resolve("kcm-leader", guests, leases=leases, machines={"cp1": {"hostname": "alpha"}}) == ["cp1"]


def test_a_placeholder_is_an_address_a_name_or_a_host_name(guests: FakeGuests) -> None:
    lab = lab_of(machines={"cp2": {"hostname": "beta"}})
    api: Any = FakeApi({})
    targets = Targets(lab, guests, api, {"dead": ["cp2", "cp3"]}, 1)
    text = targets.filled("{dead} {dead.name} {dead.hostname} {self.hostname}", "cp2")
    assert text == f"{lab.machine('cp2').address},{lab.machine('cp3').address} cp2,cp3 beta,cp3 beta"


def test_a_follower_is_not_the_leader_and_is_the_same_for_the_same_seed(guests: FakeGuests) -> None:
    found = [resolve("etcd-follower", guests, seed=seed)[0] for seed in range(20)]
    assert set(found) == {"cp1", "cp3"}
    assert found == [resolve("etcd-follower", guests, seed=seed)[0] for seed in range(20)]


def test_the_seed_decides_which_control_plane_is_chosen(guests: FakeGuests) -> None:
    assert {resolve("any-cp", guests, seed=seed)[0] for seed in range(20)} == {"cp1", "cp2", "cp3"}
    assert resolve("any-cp", guests, seed=7) == resolve("any-cp", guests, seed=7)


def test_a_lab_of_one_has_no_follower(guests: FakeGuests) -> None:
    alone = FakeGuests({"cp1: ": status(1, 1)})
    with pytest.raises(LabProblem, match="one member"):
        resolve("etcd-follower", alone, control_planes=1)


def test_a_missing_leader_is_a_problem_of_the_lab(guests: FakeGuests) -> None:
    with pytest.raises(LabProblem, match="kube-scheduler has no leader"):
        resolve("scheduler-leader", guests, leases={"items": []})


def test_an_unknown_target_names_the_known_ones(guests: FakeGuests) -> None:
    with pytest.raises(BadUsage, match="no such target: cp9") as caught:
        resolve("cp9", guests)
    assert caught.value.hint == (
        "the lab has lb1, cp1, cp2, cp3, lb, all-lb, vip-holder, all, all-cp, any-cp, etcd-leader, etcd-follower,"
        " etcd-followers, all-etcd, kcm-leader, scheduler-leader"
    )


def fault(**more: Any) -> Fault:
    return Fault("cut", "Cut.", lambda site, entry: "", nothing_to_heal, **more)


FROM = {"from": Option("whom", is_target=True, default="everyone"), "port": Option("a port", default="")}


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("everyone", "everyone"),
        ("others", "lb1,cp1,cp3"),
        ("etcd-followers", "cp1,cp3"),
        ("all-cp", "cp1,cp3"),
        ("earlier", "cp1"),
    ],
)
def test_an_option_that_is_a_target_becomes_the_other_machines_that_it_means(
    given: str, found: str, guests: FakeGuests
) -> None:
    api: Any = FakeApi({})
    targets = Targets(lab_of(), guests, api, {"earlier": ["cp1", "cp2"]}, 1)
    assert targets.options(fault(options=FROM), {"from": given}, "cp2") == {"from": found}


def test_an_option_that_means_the_machine_itself_alone_is_refused(guests: FakeGuests) -> None:
    api: Any = FakeApi({})
    with pytest.raises(
        BadUsage,
        match="etcd-leader means no machine but cp2, the machine of the fault: name another machine",
    ):
        Targets(lab_of(), guests, api, {}, 1).options(fault(options=FROM), {"from": "etcd-leader"}, "cp2")


@pytest.mark.parametrize(
    ("target", "machines"),
    [
        (FaultTarget.ANY, {"lb1", "cp1", "w1"}),
        (FaultTarget.NODE, {"cp1", "w1"}),
        (FaultTarget.CONTROL_PLANE, {"cp1"}),
        (FaultTarget.BALANCER, {"lb1"}),
    ],
)
def test_a_fault_is_refused_on_machines_that_it_makes_no_sense_on(
    target: FaultTarget, machines: set[str]
) -> None:
    fitting = set()
    for machine in ("lb1", "cp1", "w1"):
        try:
            require_target(lab_of(), fault(target=target), {}, machine)
        except BadUsage as error:
            assert str(target) in error.message
        else:
            fitting.add(machine)
    assert fitting == machines


# options


TEXTS = Fault(
    "run",
    "Run it.",
    lambda site, entry: "",
    nothing_to_heal,
    {"script": Option("a script", is_text=True), "patch": Option("a patch", default="", reads=json.loads)},
)


def options(guests: FakeGuests, texts: dict[str, str], **given: str) -> dict[str, str]:
    api: Any = FakeApi({})
    return Targets(lab_of(), guests, api, {"dead": ["cp3", "cp1"]}, 1, texts).options(TEXTS, given, "cp2")


def test_placeholders_are_addresses_and_names_of_this_moment(guests: FakeGuests) -> None:
    given = "{self} {self.name} {etcd-leader} {dead} {dead.name} {lb.name} ${HOME}"
    assert options(guests, {}, script=given)["script"] == (
        "10.213.7.12 cp2 10.213.7.12 10.213.7.13,10.213.7.11 cp3,cp1 lb1 ${HOME}"
    )


def test_the_text_of_a_file_has_placeholders_too(guests: FakeGuests) -> None:
    assert options(guests, {"./a.sh": "ping {cp1}"}, script="./a.sh")["script"] == "ping 10.213.7.11"


def test_placeholders_inside_json_are_filled_and_it_stays_json(guests: FakeGuests) -> None:
    written = json.dumps([{"value": "https://{cp1}:2379"}, r"\{print}", 'a "{lb.name}"'])
    patch = json.loads(options(guests, {}, script="x", patch=written)["patch"])
    assert patch == [{"value": "https://10.213.7.11:2379"}, "{print}", 'a "lb1"']


def test_a_placeholder_of_a_single_fault_is_a_machine_or_a_role(guests: FakeGuests) -> None:
    with pytest.raises(BadUsage, match="no such machine or role: {killed}") as error:
        options(guests, {}, script="ping {killed}")
    assert str(error.value.hint).startswith(r"write \{killed} if it is not a placeholder; the lab has")


def test_a_value_that_is_wrong_once_it_has_an_address_is_refused(guests: FakeGuests) -> None:
    with pytest.raises(BadUsage, match="patch: Extra data"):
        options(guests, {}, script="x", patch="{cp1} {")


ON_NODES: dict[str, Any] = {"load_balancer": {"kind": "local"}, "workers": 1}


def test_the_control_plane_that_a_node_is_connected_to_is_a_target() -> None:
    guests = FakeGuests({"^w1: .*show sess": "cp3\n", "^w2: .*show sess": "10.213.7.11:6443\n"})
    assert resolve("backend-of w1, backend-of w2", guests, **{**ON_NODES, "workers": 2}) == ["cp3", "cp1"]


def test_only_a_node_of_the_lab_is_connected_to_one() -> None:
    with pytest.raises(BadUsage, match="no such node: w2"):
        resolve("backend-of w2", FakeGuests(), **ON_NODES)
    with pytest.raises(LabProblem, match="the kubelet of w1 is connected to no API server"):
        resolve("backend-of w1", FakeGuests(), **ON_NODES)


@pytest.mark.parametrize("target", ["lb", "all-lb", "lb1"])
def test_where_every_node_has_a_load_balancer_a_node_must_be_named(target: str, guests: FakeGuests) -> None:
    with pytest.raises(BadUsage, match=f"every node of this lab has a load balancer of its own: {target}"):
        resolve(target, guests, **ON_NODES)
