"""`halab status`, from an observation."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from support.fakes import lab_of

from halab.cluster.steady import Observation
from halab.config.component_settings import SourceState
from halab.config.own_file import OwnFile
from halab.faults.journal import Entry
from halab.lifecycle.status import Status
from halab.machines.provider import MachineInfo

LEADERS: dict[str, str | None] = {"etcd": "cp1", "kube-scheduler": "cp1", "kube-controller-manager": "cp2"}
FROZEN = Entry("42", "freeze", "cp1")


def status(*missing: str, open_faults: tuple[Entry, ...] = (), stopped: str = "", gone: str = "") -> Status:
    containers = {
        name: MachineInfo("ha", name, f"halab-ha-{name}", name != stopped, IPv4Address("172.17.0.2"))
        for name in ("lb1", "cp1", "cp2", "cp3")
        if name != gone
    }
    seen = Observation(missing, LEADERS, {}, {"cp1": "up", "cp2": "up", "cp3": "down (L4CON)"})
    return Status(lab_of(), containers, seen, open_faults)


def test_every_machine_has_a_row_with_its_roles() -> None:
    assert status(stopped="cp2", gone="cp3").rows() == [
        ("lb1", "10.213.7.10", "running", "haproxy"),
        ("cp1", "10.213.7.11", "running", "etcd leader, kube-scheduler leader, backend up"),
        ("cp2", "10.213.7.12", "stopped", "kube-controller-manager leader, backend up"),
        ("cp3", "10.213.7.13", "missing", "backend down (L4CON)"),
    ]


def test_a_machine_is_shown_with_its_host_name() -> None:
    named = replace(status(), lab=lab_of(machines={"cp2": {"hostname": "beta"}}))
    assert [row[0] for row in named.rows()] == ["lb1", "cp1", "cp2 (beta)", "cp3"]


def test_a_lab_with_an_open_fault_is_not_steady() -> None:
    assert status().steady
    assert not status("node cp1 is not Ready").steady
    assert not status(open_faults=(FROZEN,)).steady


def test_the_whole_status_is_in_the_json() -> None:
    data = json.loads(json.dumps(status("no node w1", open_faults=(FROZEN,)).as_json()))
    assert (data["lab"], data["endpoint"], data["steady"]) == ("ha", "10.213.7.10:6443", False)
    assert (data["missing"], data["open_faults"]) == (["no node w1"], ["freeze on cp1"])
    assert data["machines"][1] == {
        "name": "cp1", "hostname": "cp1", "address": "10.213.7.11", "state": "running",
    }  # fmt: skip


def test_the_status_says_that_a_drill_is_on_for_programs_too() -> None:
    assert replace(status(), drill_is_on=True).as_json()["drill_is_on"] is True
    assert status().as_json()["drill_is_on"] is False


def test_the_status_says_which_versions_the_lab_file_chooses() -> None:
    lab = lab_of(kubernetes={"version": "1.36", "etcd": "3.6.8", "components": {"kube-scheduler": "1.35.8"}})
    found = replace(status(), lab=lab)
    assert found.notes == (
        "the lab file chooses other versions than those of Kubernetes 1.36.5: etcd 3.6.8, kube-scheduler 1.35.8",
    )
    assert found.as_json()["versions"] == {
        "kubernetes": "1.36.5",
        "etcd": "3.6.8",
        "containerd": "2.2.9",
        "kube-scheduler": "1.35.8",
    }
    assert status().as_json()["versions"]["etcd"] == lab_of().release.etcd


def test_the_status_says_which_source_code_was_built() -> None:
    state = SourceState("./etcd", "1a2b3c4d5e6f70", is_dirty=True, digest="0123456789abcdef")
    found = replace(status(), sources={"etcd": state})
    assert found.notes == (
        "etcd is built from ./etcd at 1a2b3c4d5e6f, with changes that are not committed (content 0123456789ab)",
    )
    sources = json.loads(json.dumps(found.as_json()))["sources"]
    assert sources["etcd"]["revision"] == "1a2b3c4d5e6f70" and sources["etcd"]["is_dirty"] is True
    assert status().as_json()["sources"] == {}


def test_the_status_says_which_backends_haproxy_does_not_check() -> None:
    seen = Observation((), LEADERS, {}, {"cp1": "up", "cp2": "up", "cp3": "up"}, ("cp1", "cp3"))
    asked = replace(status(), seen=seen)
    assert asked.notes == ("haproxy does not check cp1, cp3: halab asked for /readyz itself",)
    assert asked.as_json()["unchecked_backends"] == ["cp1", "cp3"]
    assert status().notes == ()
    # NGINX never checks
    assert replace(asked, lab=lab_of(load_balancer={"kind": "nginx"})).notes == ()


def test_the_status_of_an_upgraded_lab_names_both_versions() -> None:
    lab = lab_of(kubernetes={"version": "1.37.2"})
    assert replace(status(), lab=lab, built_with="1.36.5").notes == (
        "the lab was upgraded from Kubernetes 1.36.5 to 1.37.2",
    )
    # a snapshot has brought the old version back
    assert replace(status(), lab=lab, built_with="1.37.2").notes == ()


def test_the_status_names_a_configuration_of_the_user_s_own() -> None:
    own = replace(lab_of(), balancer_file=OwnFile(Path("labs/haproxy.cfg.j2"), "global\n"))
    assert replace(status(), lab=own).rows()[0] == (
        "lb1",
        "10.213.7.10",
        "running",
        "haproxy with haproxy.cfg.j2",
    )


def test_the_status_says_which_load_balancer_has_the_virtual_address() -> None:
    pair = replace(
        status(), lab=lab_of(load_balancer={"machines": 2}), seen=Observation((), LEADERS, holders=("lb2",))
    )
    assert [(row[0], row[3]) for row in pair.rows()[:2]] == [
        ("lb1", "haproxy"),
        ("lb2", "has 10.213.7.100, haproxy"),
    ]
    data = pair.as_json()
    assert (data["endpoint"], data["vip_holders"]) == ("10.213.7.100:6443", ["lb2"])
    assert "vip_holders" not in status().as_json()


def test_the_status_says_which_api_server_a_node_has_chosen() -> None:
    lab = lab_of(load_balancer={"kind": "local"}, control_planes=1, workers=1)
    chosen = replace(status(), lab=lab, choices={"w1": "cp1"})
    assert chosen.rows()[1] == ("w1", "10.213.7.21", "missing", "haproxy, kubelet uses cp1")
    assert chosen.as_json()["backends_of"] == {"w1": "cp1"}
    assert "backends_of" not in status().as_json()


def test_with_dns_the_status_shows_the_records_and_no_backends() -> None:
    lab = lab_of(load_balancer={"kind": "dns"})
    seen = Observation((), LEADERS, records=("cp1", "cp3"))
    found = replace(status(), lab=lab, seen=seen)
    assert [row[3] for row in found.rows()] == [
        "dnsmasq",
        "etcd leader, kube-scheduler leader, record of api.ha.internal",
        "kube-controller-manager leader",
        "record of api.ha.internal",
    ]
    assert found.as_json()["records"] == ["cp1", "cp3"]
    assert found.as_json()["endpoint"] == "api.ha.internal:6443"
    assert "records" not in status().as_json()
    assert found.notes == ()
