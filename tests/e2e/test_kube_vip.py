"""A lab without a load balancer: kube-vip gives the address to a control plane, and to another one when it must."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

NAME = "e2e-kube-vip"
CONTROL_PLANES = {"cp1", "cp2", "cp3"}
# The hostPath of kube-vip's kubeconfig: with the first control plane's own, it would use the super-admin for ever.
KUBECONFIG = "sudo grep -c 'path: /etc/kubernetes/admin.conf' /etc/kubernetes/manifests/kube-vip.yaml"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {NAME}\nload_balancer: {{kind: kube-vip}}\n"
    yield from lab_in(tmp_path_factory.mktemp("kube-vip"), text)
    assert engine_names("container", NAME) == ""


@pytest.mark.nightly
def test_the_address_leaves_a_control_plane_that_lost_power(lab: UserLab) -> None:
    status = lab.status()
    assert status["steady"], status["missing"]
    assert {machine["name"] for machine in status["machines"]} == CONTROL_PLANES
    assert len(status["vip_holders"]) == 1
    for machine in CONTROL_PLANES:
        assert lab.ok("ssh", machine, KUBECONFIG).strip() == "1"
    lab.require_proof("cut-power-of-kube-vip-holder")
    assert len(lab.status()["vip_holders"]) == 1


@pytest.mark.nightly
def test_what_needs_a_load_balancer_is_skipped_or_refused_with_the_reason(lab: UserLab) -> None:
    lab.require_skip(
        "stop-load-balancer",
        "needs a load balancer on a machine of its own, and a lab with kube-vip has none",
    )
    refused = lab.halab("inject", "cut-power", "--on", "lb")
    assert refused.code == 2
    assert "no machine of this lab has a load balancer: lb" in refused.errors


@pytest.mark.nightly
def test_a_second_up_changes_nothing(lab: UserLab) -> None:
    assert "nothing to change" in lab.halab("up").errors
