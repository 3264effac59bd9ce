"""A lab with a load balancer on every node: who asks whom, by which name, and at which port."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from support.fakes import lab_of

from halab.topology import balancer, files
from halab.topology.files import HostValues
from halab.topology.lab import Lab

HOST = HostValues("/work", "here", "box", "key", "pub", {})


def local(**written: Any) -> Lab:
    return lab_of(**{"load_balancer": {"kind": "local"}, "workers": 1, **written})


def test_the_nodes_have_the_load_balancers_and_no_machine_is_one() -> None:
    lab = local()
    assert not lab.balancers and lab.virtual_address is None
    assert [machine.name for machine in lab.balancing_machines] == ["cp1", "cp2", "cp3", "w1"]
    assert lab_of().balancing_machines == lab_of().balancers


def test_a_node_asks_its_own_load_balancer_and_others_have_all_addresses() -> None:
    lab = local(etcd={"topology": "external"})
    everywhere = tuple(machine.address for machine in lab.control_planes)
    assert lab.endpoint == "api.ha.internal:7445"
    assert lab.endpoint_addresses(lab.machine("w1")) == (IPv4Address("127.0.0.1"),)
    assert lab.endpoint_addresses(lab.machine("etcd1")) == lab.api_addresses == everywhere
    assert (lab.api_host, lab.endpoint_address) == ("api.ha.internal", "10.213.7.11:6443")


def test_a_machine_reaches_the_api_at_its_own_load_balancer_or_at_a_control_plane() -> None:
    lab = local(etcd={"topology": "external"})
    assert lab.way_from(lab.machine("cp2")) == ("127.0.0.1", 7445)
    assert lab.way_from(lab.machine("etcd1")) == (str(lab.control_planes[0].address), 6443)
    other = lab_of(load_balancer={"port": 7443})
    assert other.way_from(other.machine("cp2")) == (str(other.balancer.address), 7443)


def test_the_name_may_be_chosen_and_is_one_that_dns_allows() -> None:
    assert local(endpoint="api.lab.example").endpoint == "api.lab.example:7445"
    assert local(name="a-").endpoint_name == "api.a.internal"


def test_other_labs_have_one_address_for_all() -> None:
    lab = lab_of(endpoint="api.lab.example")
    assert not lab.has_several_addresses
    assert lab.api_host == "10.213.7.10"
    assert lab.endpoint_addresses(lab.machine("cp1")) == (IPv4Address("10.213.7.10"),)


def test_no_other_machine_reaches_the_load_balancer_of_a_node_or_its_statistics() -> None:
    binds = [line.strip() for line in balancer.configuration(local()).text.splitlines() if " bind " in line]
    assert binds == ["bind 127.0.0.1:7445", "bind 127.0.0.1:8404"]


def test_nginx_on_a_node_serves_this_node_alone() -> None:
    written = balancer.configuration(lab_of(load_balancer={"kind": "local-nginx"}))
    assert (written.service, written.others) == ("nginx.service", ("haproxy.service",))
    listening = [line.strip() for line in written.text.splitlines() if "listen " in line]
    assert listening == ["listen 127.0.0.1:7445;"]
    assert f"error_log {balancer.CONNECTION_LOG} info;" in written.text
    outside = balancer.configuration(lab_of(load_balancer={"kind": "nginx"})).text
    assert balancer.CONNECTION_LOG not in outside


@pytest.mark.parametrize(
    ("kind", "server"), [("local", "{0.name} {0.address}"), ("local-nginx", "{0.address}")]
)
def test_every_node_has_all_control_planes_as_servers(kind: str, server: str) -> None:
    lab = local(load_balancer={"kind": kind})
    written = files.work_files(lab, HOST)
    for node in lab.nodes:
        script = written[files.balancer_script(node)]
        assert all(f"server {server.format(cp)}:6443" in script for cp in lab.control_planes)


def test_an_etcd_machine_has_no_load_balancer() -> None:
    lab = local(etcd={"topology": "external"})
    assert files.balancer_script(lab.machine("etcd1")) not in files.work_files(lab, HOST)
