"""A lab with kube-vip: its machines, its address, and the manifests on its control planes."""

from __future__ import annotations

from typing import Any

import yaml
from support.fakes import lab_of

from halab.config.lab import Acceleration, ProviderKind
from halab.topology import kube_vip
from halab.topology.lab import Lab


def lab_with(provider: ProviderKind = ProviderKind.DOCKER, **settings: Any) -> Lab:
    return lab_of(provider=provider, load_balancer={"kind": "kube-vip", **settings})


def environment(manifest: str) -> dict[str, str]:
    (container,) = yaml.safe_load(manifest)["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def kubeconfig(manifest: str) -> str:
    (volume,) = yaml.safe_load(manifest)["spec"]["volumes"]
    return str(volume["hostPath"]["path"])


def test_no_machine_has_a_load_balancer_and_the_control_planes_share_an_address() -> None:
    lab = lab_with()
    assert [machine.name for machine in lab.machines] == ["cp1", "cp2", "cp3"]
    assert lab.balancers == ()
    assert str(lab.api_address) == "10.213.7.100"
    assert lab.endpoint == "10.213.7.100:6443"
    assert lab.address_machines == lab.control_planes


def test_one_load_balancer_has_no_address_to_share_and_two_share_theirs() -> None:
    assert lab_of().address_machines == ()
    pair = lab_of(load_balancer={"machines": 2})
    assert pair.address_machines == pair.balancers


def test_the_address_may_be_chosen() -> None:
    assert str(lab_with(address="10.213.7.200").api_address) == "10.213.7.200"


def test_the_first_control_plane_begins_with_the_super_admin() -> None:
    lab = lab_with()
    assert kubeconfig(kube_vip.first_manifest(lab)) == "/etc/kubernetes/super-admin.conf"
    assert kubeconfig(kube_vip.manifest(lab)) == "/etc/kubernetes/admin.conf"
    first = kube_vip.first_manifest(lab)
    assert first.replace("super-admin", "admin") == kube_vip.manifest(lab)


def test_the_manifest_has_the_address_and_the_times_of_the_lease() -> None:
    seen = environment(kube_vip.manifest(lab_with(kube_vip={"lease_duration": 20, "renew_deadline": 12})))
    assert seen["address"] == "10.213.7.100"
    assert (seen["vip_leaseduration"], seen["vip_renewdeadline"], seen["vip_retryperiod"]) == (
        "20",
        "12",
        "1",
    )
    assert "lb_enable" not in seen


def test_balancing_is_a_setting() -> None:
    assert environment(kube_vip.manifest(lab_with(kube_vip={"balancing": True})))["lb_enable"] == "true"


def test_a_lease_lasts_longer_on_emulated_processors_unless_it_is_set() -> None:
    def times(**settings: Any) -> tuple[str, str, str]:
        lab = lab_of(
            provider=ProviderKind.LIBVIRT,
            accel=Acceleration.TCG,
            load_balancer={"kind": "kube-vip", "kube_vip": settings},
        )
        seen = environment(kube_vip.manifest(lab))
        return seen["vip_leaseduration"], seen["vip_renewdeadline"], seen["vip_retryperiod"]

    assert times() == ("25", "15", "5")
    assert times(retry_period=2) == ("5", "3", "2")


def test_its_manifest_is_expected_on_control_planes_only() -> None:
    lab = lab_of(workers=1, load_balancer={"kind": "kube-vip"})
    assert lab.manifests(lab.machine("cp1")) == (*lab.static_pods(lab.machine("cp1")), "kube-vip")
    assert lab.manifests(lab.machine("w1")) == ()
    haproxy = lab_of()
    assert haproxy.manifests(haproxy.machine("cp1")) == haproxy.static_pods(haproxy.machine("cp1"))
