"""A lab whose endpoint is a name in DNS: its machines, its names, and what the DNS server serves."""

from __future__ import annotations

from typing import Any

from support.fakes import lab_of

from halab.config.lab import ProviderKind
from halab.topology import balancer, dns
from halab.topology.lab import Lab


def lab_with(provider: ProviderKind = ProviderKind.DOCKER, **written: Any) -> Lab:
    return lab_of(provider=provider, **{"load_balancer": {"kind": "dns"}, **written})


def test_the_machine_of_the_load_balancer_has_the_dns_server() -> None:
    lab = lab_with()
    assert [machine.name for machine in lab.machines] == ["lb1", "cp1", "cp2", "cp3"]
    assert lab.has_dns and not lab_of().has_dns
    assert balancer.configuration(lab).service == "dnsmasq.service"
    # neither HAProxy nor NGINX was ever started there
    assert balancer.configuration(lab).others == ()
    others = balancer.configuration(lab_of()).others
    assert "nginx.service" in others
    assert "dnsmasq.service" not in others


def test_clients_reach_the_api_by_a_name_and_this_host_by_one_address() -> None:
    lab = lab_with(endpoint="api.lab.example")
    assert (lab.endpoint, lab.api_host) == ("api.lab.example:6443", "api.lab.example")
    assert lab.endpoint_address == "10.213.7.11:6443"
    assert lab.way_from(lab.machine("cp2")) == ("api.lab.example", 6443)
    assert lab_of().api_host == "10.213.7.10"
    assert lab_of(endpoint="api.lab.example").api_host == "10.213.7.10"


def test_the_time_to_live_is_a_setting() -> None:
    text = balancer.configuration(lab_with(load_balancer={"kind": "dns", "ttl": "2m"})).text
    assert "local-ttl=120\n" in text
    assert "local=/api.ha.internal/\n" in text


def test_other_names_are_asked_of_the_servers_that_the_machine_had() -> None:
    in_container = balancer.configuration(lab_with()).text
    virtual = balancer.configuration(lab_with(ProviderKind.LIBVIRT)).text
    assert "resolv-file=/etc/halab/upstream.conf\n" in in_container
    assert "resolv-file=/run/systemd/resolve/resolv.conf\n" in virtual


def test_every_control_plane_has_a_record() -> None:
    addresses = dns.script_values(lab_with(control_planes=2))["addresses"]
    assert list(map(str, addresses)) == ["10.213.7.11", "10.213.7.12"]
