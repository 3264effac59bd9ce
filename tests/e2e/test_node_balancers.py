"""A lab with a load balancer on every node: each node chooses an API server, and clients outside have all addresses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

NAME = "e2e-local"
CONTROL_PLANES = ("cp1", "cp2", "cp3")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {NAME}\nworkers: 1\nload_balancer: {{kind: local}}\n"
    yield from lab_in(tmp_path_factory.mktemp("local"), text)
    assert engine_names("container", NAME) == ""


@pytest.mark.nightly
def test_a_node_leaves_an_api_server_that_is_silent(lab: UserLab) -> None:
    status = lab.status()
    assert status["steady"], status["missing"]
    assert {machine["name"] for machine in status["machines"]} == {*CONTROL_PLANES, "w1"}
    # the kubelet of a control plane asks its own API server
    chosen = status["backends_of"]
    assert {name: chosen[name] for name in CONTROL_PLANES} == {name: name for name in CONTROL_PLANES}
    lab.require_proof("cut-off-api-server-of-node")


@pytest.mark.nightly
def test_kubectl_works_while_the_first_control_plane_is_off(lab: UserLab) -> None:
    lab.ok("inject", "cut-power", "--on", "cp1")
    try:
        assert "w1" in lab.ok("kubectl", "--", "get", "nodes")
    finally:
        lab.ok("heal")


@pytest.mark.nightly
def test_what_needs_a_load_balancer_on_a_machine_is_skipped_or_refused_with_the_reason(lab: UserLab) -> None:
    lab.require_skip(
        "stop-load-balancer", "a load balancer on a machine of its own, and a lab with local has none"
    )
    refused = lab.halab("inject", "cut-power", "--on", "lb")
    assert refused.code == 2
    assert "every node of this lab has a load balancer of its own: lb" in refused.errors


@pytest.mark.nightly
def test_a_second_up_changes_nothing(lab: UserLab) -> None:
    assert "nothing to change" in lab.halab("up").errors
