"""Conflicts of the lab's network with others, before `up` and later."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from support.doctor_results import run_check
from support.fake_host import FakeHost, place_of

from halab.doctor import require
from halab.doctor.check import HostCheckState
from halab.errors import HostProblem
from halab.machines.host import routes
from halab.machines.host.allocation import Allocation
from halab.machines.host.neighbours import Neighbour, NetworkKind, Subnet, neighbours
from halab.machines.host.routes import Route
from halab.machines.work import Work

OWN = IPv4Network("10.213.0.0/24")
SSH = IPv4Network("10.214.0.0/24")
WORK = Path("/labs/ha/.halab")
HELD = Allocation("ha", OWN, WORK)


def route(network: str, device: str) -> Neighbour:
    return Neighbour(IPv4Network(network), NetworkKind.ROUTE, device)


def test_the_networks_of_the_lab_itself_are_no_conflict() -> None:
    networks = [Neighbour(OWN, NetworkKind.DOCKER, "halab-ha", own=True), route("192.0.2.0/24", "eth0")]
    result = run_check("network", FakeHost(allocated=HELD, other_networks=networks))
    assert (result.state, result.seen) == (HostCheckState.OK, "10.213.0.0/24")


def test_a_lab_of_virtual_machines_has_two_networks() -> None:
    held = Allocation("ha", OWN, WORK, SSH)
    assert (
        run_check("network", FakeHost(allocated=held), provider="libvirt").seen
        == "10.213.0.0/24, 10.214.0.0/24"
    )
    late = FakeHost(allocated=held, other_networks=[route("10.214.0.0/16", "tun0")])
    assert run_check("network", late, provider="libvirt").seen == (
        "10.214.0.0/24 belongs to this lab, but something else uses it too: "
        "10.214.0.0/16, a VPN route over tun0"
    )


@pytest.mark.parametrize(
    ("other", "who", "remedy"),
    [
        (route("10.213.0.0/16", "wg0"), "a VPN route over wg0", "sudo wg-quick down wg0"),
        (route("10.213.0.128/25", "tun0"), "a VPN route over tun0",
         "sudo ip route del 10.213.0.128/25 dev tun0  # if nothing needs it"),
        (route("10.213.0.0/24", "br-0123456789ab"), "the route of a docker network over br-0123456789ab",
         "docker network rm 0123456789ab  # if nothing needs it"),
        (route("10.213.0.0/24", "virbr1"), "the route of a libvirt network over virbr1",
         "sudo ip route del 10.213.0.0/24 dev virbr1  # if nothing needs it"),
        (route("10.213.0.0/24", "hl0ad50000"), "the route of a lab's network over hl0ad50000",
         "sudo ip route del 10.213.0.0/24 dev hl0ad50000  # if nothing needs it"),
        (route("10.213.0.0/24", "eth1"), "a route over eth1",
         "sudo ip route del 10.213.0.0/24 dev eth1  # if nothing needs it"),
        (Neighbour(OWN, NetworkKind.DOCKER, "shop"), "the docker network shop",
         "docker network rm shop  # if nothing needs it"),
        (Neighbour(OWN, NetworkKind.LIBVIRT, "farm", active=False), "the libvirt network farm, not active",
         "virsh -c qemu:///system net-undefine farm  # if nothing needs it"),
    ],
)  # fmt: skip
def test_a_network_that_appeared_later_fails_with_two_fixes(other: Neighbour, who: str, remedy: str) -> None:
    result = run_check("network", FakeHost(allocated=HELD, other_networks=[other]))
    assert result.state is HostCheckState.FAILED
    assert result.seen == (
        f"10.213.0.0/24 belongs to this lab, but something else uses it too: {other.network}, {who}"
    )
    assert list(result.fixes) == [
        "halab down -f /labs/ha/lab.yml && halab up -f /labs/ha/lab.yml  # the lab gets another network",
        remedy,
    ]


def test_a_network_on_another_host_is_removed_there() -> None:
    networks = [route("10.213.0.0/24", "eth1"), Neighbour(OWN, NetworkKind.LIBVIRT, "farm")]
    uri = "qemu+ssh://barn/system"
    result = run_check(
        "network", FakeHost(allocated=HELD, other_networks=networks), provider="libvirt", provider_uri=uri
    )
    remove_route, remove_network = result.fixes[1:]
    assert remove_route.startswith("ssh ") and remove_route.endswith(
        "barn 'sudo ip route del 10.213.0.0/24 dev eth1'  # if nothing needs it"
    )
    assert (
        remove_network
        == f"virsh -c {uri} net-destroy farm && virsh -c {uri} net-undefine farm  # if nothing needs it"
    )


def test_the_fix_of_a_network_in_the_lab_file_changes_the_file() -> None:
    host = FakeHost(allocated=HELD, other_networks=[route("10.213.0.0/24", "eth1")])
    first, *_ = run_check("network", host, network="10.213.0.0/24").fixes
    assert first == (
        "halab down -f /labs/ha/lab.yml  # then write `network: auto` in /labs/ha/lab.yml, "
        "and run `halab up -f /labs/ha/lab.yml`"
    )


def test_a_network_in_the_lab_file_fails_with_what_uses_it() -> None:
    host = FakeHost(other_networks=[route("10.50.0.0/16", "tun0")])
    result = run_check("network", host, network="10.50.7.0/24")
    assert result.seen == (
        "the network 10.50.7.0/24 is in use on this host: 10.50.0.0/16, a VPN route over tun0"
    )
    assert result.fixes[0] == "network: auto  # in /labs/ha/lab.yml, or a /24 that is free"


def test_a_wide_route_beside_a_lab_that_is_up_is_a_warning() -> None:
    own = Neighbour(OWN, NetworkKind.LIBVIRT, "halab-ha", own=True)
    wide = route("10.0.0.0/8", "tun0")
    result = run_check("network", FakeHost(allocated=HELD, other_networks=[own, wide]))
    assert result.state is HostCheckState.WARNING
    assert result.seen.endswith("the lab's route is narrower and hides this part of the other network")
    inactive = Neighbour(OWN, NetworkKind.LIBVIRT, "halab-ha", own=True, active=False)
    assert (
        run_check("network", FakeHost(allocated=HELD, other_networks=[inactive, wide])).state
        is HostCheckState.FAILED
    )


@pytest.mark.parametrize("provider", ["docker", "libvirt"])
def test_up_stops_at_a_network_that_appeared_later(provider: str) -> None:
    host = FakeHost(allocated=HELD, other_networks=[route("10.213.0.0/24", "eth1")])
    with pytest.raises(HostProblem, match="something else uses it too: 10.213.0.0/24, a route over eth1"):
        require(place_of(provider=provider), host)


def test_up_warns_of_a_wide_route_and_goes_on() -> None:
    own = Neighbour(OWN, NetworkKind.DOCKER, "halab-ha", own=True)
    (result,) = require(
        place_of(), FakeHost(allocated=HELD, other_networks=[own, route("10.0.0.0/8", "tun0")])
    )
    assert (result.name, result.state) == ("network", HostCheckState.WARNING)


def test_the_route_of_a_known_network_is_listed_once() -> None:
    shop, ours = IPv4Network("172.18.0.0/16"), OWN
    subnets = [
        Subnet(NetworkKind.DOCKER, "shop", (shop,), "br-0123456789ab"),
        Subnet(NetworkKind.DOCKER, "halab-ha", (ours,), "hl0ad50000", lab="ha", work=str(WORK)),
    ]
    host_routes = [Route(shop, "br-0123456789ab"), Route(ours, "hl0ad50000"), Route(ours, "tun0")]
    assert neighbours(host_routes, subnets, lab="ha", work=Work(WORK)) == [
        Neighbour(shop, NetworkKind.DOCKER, "shop"),
        Neighbour(ours, NetworkKind.DOCKER, "halab-ha", own=True),
        Neighbour(ours, NetworkKind.ROUTE, "tun0"),
    ]


def test_a_network_of_a_lab_in_another_folder_is_not_our_own() -> None:
    subnet = Subnet(
        NetworkKind.DOCKER, "halab-ha", (OWN,), "hl0ad50000", lab="ha", work="/labs/other/.halab"
    )
    (neighbour,) = neighbours([], [subnet], lab="ha", work=Work(WORK))
    assert not neighbour.own


def test_a_route_has_its_device_or_that_of_its_first_hop() -> None:
    output = [{"dst": "10.1.0.0/16", "dev": "tun0"}, {"dst": "10.2.0.0/16", "nexthops": [{"dev": "eth0"}]},
            {"dst": "10.3.0.0/16"}]  # fmt: skip
    assert [route.device for route in routes.parse(json.dumps(output))] == ["tun0", "eth0", ""]
