"""The virtual address of two load balancers: where it is, and what the lab lacks to be steady."""

from __future__ import annotations

from typing import Any

import pytest
from support.fakes import FakeGuests, lab_of

from halab.cluster import steady, virtual_address
from halab.cluster.steady import Observation, observe
from halab.errors import LabProblem, Unreachable
from halab.topology.lab import Lab

HAS = "3: eth1    inet 10.213.7.100/32 scope global eth1\n"


def pair(**settings: Any) -> Lab:
    return lab_of(load_balancer={"machines": 2, **settings})


def missing(lab: Lab, lb1: str, lb2: str) -> list[str]:
    """What is missing if the machines print these three words: lines with the address, keepalived, /readyz."""
    guests = FakeGuests({"lb1: ": lb1, "lb2: ": lb2})
    return virtual_address.missing(lab, virtual_address.members(guests, lab))


def test_one_machine_has_the_address_and_both_serve() -> None:
    assert missing(pair(), "1\nactive\n200\n", "0\nactive\n200\n") == []


def test_the_address_must_be_on_exactly_one_machine() -> None:
    assert missing(pair(), "0\nactive\n200\n", "0\nactive\n200\n") == [
        "no load balancer has the address 10.213.7.100"
    ]
    assert missing(pair(), "1\nactive\n200\n", "1\nactive\n200\n") == [
        "lb1 and lb2 have the address 10.213.7.100"
    ]


def test_an_address_that_will_return_to_lb1_is_not_steady_on_lb2() -> None:
    on_lb2 = ("0\nactive\n200\n", "1\nactive\n200\n")
    assert missing(pair(), *on_lb2) == ["the address 10.213.7.100 has not returned to lb1 yet"]
    assert missing(pair(keepalived={"preempt": False}), *on_lb2) == []


def test_the_machine_without_the_address_must_be_able_to_serve_it() -> None:
    assert missing(pair(), "1\nactive\n200\n", "0\ninactive\n000\n") == [
        "keepalived on lb2 is inactive",
        "lb2 does not serve the API: no answer to /readyz through it",
    ]


def test_a_machine_that_is_off_does_not_hide_the_holder() -> None:
    guests = FakeGuests({"lb1: ": Unreachable("lb1 is off"), "lb2: ": HAS})
    assert virtual_address.holder(guests, pair()) == "lb2"


@pytest.mark.parametrize(
    ("lb2", "said"),
    [("", "no load balancer has the address"), (HAS, "lb1 and lb2 have the address 10.213.7.100")],
)
def test_there_is_no_holder_if_none_or_both_have_the_address(lb2: str, said: str) -> None:
    guests = FakeGuests({"lb1: ": HAS if lb2 else "", "lb2: ": lb2})
    with pytest.raises(LabProblem, match=said):
        virtual_address.holder(guests, pair())


def test_one_load_balancer_has_no_holder() -> None:
    with pytest.raises(LabProblem, match="one load balancer and no virtual address"):
        virtual_address.holder(FakeGuests(), lab_of())


def test_the_backends_of_both_are_observed(monkeypatch: pytest.MonkeyPatch) -> None:
    stat = "# pxname,svname,status,check_status,check_desc\n" + "".join(
        f"control-planes,cp{number},UP,L7OK,\n" for number in (1, 2, 3)
    )
    guests = FakeGuests(
        {
            "lb[12]: .*is-active keepalived": "1\nactive\n200\n",
            "lb1: .*show stat": stat,
            "lb2: .*show stat": stat.replace("cp3,UP,L7OK,", "cp3,DOWN,L4TOUT,"),
        }
    )
    api: Any = object()
    for part in ("_observe_nodes", "_observe_pods", "_observe_leases"):
        monkeypatch.setattr(steady, part, lambda *given: Observation())
    seen = observe(guests, api, pair())
    assert "backend cp3 on lb2 is down (L4TOUT)" in seen.missing
    assert seen.holders == ("lb1", "lb2")


# kube-vip


def kube_vip_lab() -> Lab:
    return lab_of(load_balancer={"kind": "kube-vip"})


def missing_with_kube_vip(cp1: str, cp2: str, cp3: str) -> list[str]:
    guests = FakeGuests({"cp1: ": cp1, "cp2: ": cp2, "cp3: ": cp3})
    return virtual_address.missing(kube_vip_lab(), virtual_address.members(guests, kube_vip_lab()))


def test_exactly_one_control_plane_has_the_address_of_kube_vip() -> None:
    has, has_not = "1\nactive\n200\n", "0\nactive\n200\n"
    for holder in range(3):
        assert missing_with_kube_vip(*[has if number == holder else has_not for number in range(3)]) == []
    assert missing_with_kube_vip(has_not, has_not, has_not) == [
        "no control plane has the address 10.213.7.100"
    ]
    assert missing_with_kube_vip(has, has_not, has) == ["cp1 and cp3 have the address 10.213.7.100"]


def test_a_control_plane_without_kube_vip_or_with_a_silent_api_is_not_steady() -> None:
    assert missing_with_kube_vip("1\nactive\n200\n", "0\nstopped\n200\n", "0\nactive\n500\n") == [
        "kube-vip on cp2 is stopped",
        "cp3 does not serve the API: /readyz on it answers 500",
    ]


def test_the_holder_may_be_any_control_plane() -> None:
    assert virtual_address.holder(FakeGuests({"cp3: ": HAS}), kube_vip_lab()) == "cp3"


def test_a_lab_with_kube_vip_has_no_backends_to_observe(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def members(_guests: Any, lab: Lab) -> dict[str, virtual_address.Member]:
        asked.extend(machine.name for machine in lab.address_machines)
        return {"cp2": virtual_address.Member(True, "active", "200")}

    monkeypatch.setattr(virtual_address, "members", members)
    for name in ("_observe_etcd", "_observe_machines", "_observe_nodes", "_observe_pods", "_observe_leases"):
        monkeypatch.setattr(steady, name, lambda *_: Observation())
    monkeypatch.setattr(steady, "_observe_acting_leaders", lambda *_: Observation())
    seen = observe(FakeGuests(), None, kube_vip_lab())  # type: ignore[arg-type]
    assert (seen.steady, seen.holders, seen.backends) == (True, ("cp2",), {})
    assert asked == ["cp1", "cp2", "cp3"]
