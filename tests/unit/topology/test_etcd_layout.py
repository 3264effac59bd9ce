"""A lab with etcd on machines of its own: its machines, and what is rendered for them."""

from __future__ import annotations

from typing import Any

import yaml
from support.fakes import lab_of

from halab.config.kubeadm import Kubeadm
from halab.config.roles import Role
from halab.topology import container, files, kubeadm
from halab.topology.files import HostValues
from halab.topology.lab import Lab

HOST = HostValues(work="/w", identity="here", base="box", private_key="key", public_key="pub", proxies={})
EXTERNAL: dict[str, Any] = {"etcd": {"topology": "external"}}


def names(lab: Lab, which: str) -> list[str]:
    return [machine.name for machine in getattr(lab, which)]


def test_members_are_on_machines_that_are_no_nodes() -> None:
    lab = lab_of(control_planes=1, workers=1, **EXTERNAL)
    assert names(lab, "members") == names(lab, "etcd_machines") == ["etcd1", "etcd2", "etcd3"]
    assert names(lab, "nodes") == ["cp1", "w1"]
    assert [str(member.address) for member in lab.members] == ["10.213.7.41", "10.213.7.42", "10.213.7.43"]
    assert all(member.has_kubelet and not member.is_node for member in lab.members)
    assert lab.machine("etcd1").role is Role.ETCD


def test_members_of_a_stacked_lab_are_its_control_planes() -> None:
    lab = lab_of()
    assert lab.members == lab.control_planes
    assert not lab.has_external_etcd


def test_kubeadm_makes_other_static_pods_on_each_kind_of_machine() -> None:
    lab = lab_of(workers=1, **EXTERNAL)
    assert lab.static_pods(lab.machine("etcd2")) == ("etcd",)
    assert "etcd" not in lab.static_pods(lab.machine("cp1"))
    assert len(lab.static_pods(lab.machine("cp1"))) == 3
    assert lab.static_pods(lab.machine("w1")) == ()
    assert len(lab_of().static_pods(lab_of().machine("cp1"))) == 4


def test_data_of_a_member_outlives_a_power_cut() -> None:
    lab = lab_of(**EXTERNAL)
    assert "/var/lib/etcd" in container.volumes(lab.machine("etcd1")).values()


def test_api_servers_get_all_endpoints_in_the_order_of_the_members() -> None:
    lab = lab_of(**EXTERNAL)
    cluster, *_ = yaml.safe_load_all(str(kubeadm.init_documents(lab, {})))
    assert cluster["etcd"]["external"]["endpoints"] == [
        f"https://{member.address}:2379" for member in lab.members
    ]
    assert "local" not in cluster["etcd"]


def test_every_member_knows_the_whole_cluster_from_the_start() -> None:
    lab = lab_of(etcd={"topology": "external", "members": 5})
    cluster, init = yaml.safe_load_all(str(kubeadm.etcd_documents(lab, lab.machine("etcd4"), {})))
    flags = {flag["name"]: flag["value"] for flag in cluster["etcd"]["local"]["extraArgs"]}
    assert flags["initial-cluster"].count("https://") == 5
    assert flags["initial-cluster-state"] == "@state@"
    assert init["nodeRegistration"]["name"] == "etcd4"


def test_settings_of_the_cluster_hold_for_members_and_those_of_the_first_control_plane_do_not() -> None:
    written = Kubeadm.model_validate(
        {"cluster": {"certificateValidityPeriod": "24h"}, "init": {"skipPhases": ["addon"]}}
    )
    lab = lab_of(kubeadm=written.model_dump(exclude_unset=True), **EXTERNAL)
    cluster, init = yaml.safe_load_all(str(kubeadm.etcd_documents(lab, lab.machine("etcd1"), {})))
    assert cluster["certificateValidityPeriod"] == "24h"
    assert "skipPhases" not in init


def test_patches_of_etcd_are_where_etcd_is() -> None:
    written = {"etcd0+strategic.yaml": "spec: {}\n", "kube-apiserver0+strategic.yaml": "spec: {}\n"}
    external, stacked = lab_of(**EXTERNAL), lab_of()
    of = {
        machine: [
            name for name in kubeadm.patch_files(lab, lab.machine(machine), written) if name in written
        ]
        for lab, machine in ((external, "etcd1"), (external, "cp1"), (stacked, "cp2"))
    }
    assert of == {
        "etcd1": ["etcd0+strategic.yaml"],
        "cp1": ["kube-apiserver0+strategic.yaml"],
        "cp2": list(written),
    }


def test_a_slow_lab_is_patient_with_each_static_pod_where_it_is() -> None:
    lab = lab_of(patience=4, **EXTERNAL)
    assert list(kubeadm.patch_files(lab, lab.machine("etcd1"), {})) == ["etcd!halab.yaml"]
    assert "etcd!halab.yaml" not in kubeadm.patch_files(lab, lab.machine("cp1"), {})


def test_machines_of_etcd_have_scripts_of_their_own() -> None:
    written = files.work_files(lab_of(**EXTERNAL), HOST)
    assert {path for path in written if "/etcd2/" in path} == {
        f"provision/etcd2/{name}.sh" for name in ("node", "etcd", "etcd-ca", "etcd-client")
    }
    assert "halab-pod-routes" not in written["provision/etcd2/node.sh"]
    assert "/run/halab/etcd-client" in written["provision/cp1/init.sh"]
    assert "external:" in written["provision/cp1/join-material.sh"]
