"""A lab without a load balancer: its endpoint is a name in DNS with the addresses of all API servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

NAME = "e2e-dns"
RECORD = "remove-dns-record"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: {NAME}\nworkers: 1\nload_balancer: {{kind: dns, ttl: 10s}}\n"
    yield from lab_in(tmp_path_factory.mktemp("dns"), text)
    assert engine_names("container", NAME) == ""


@pytest.mark.nightly
def test_all_machines_know_the_name_and_kubectl_leaves_an_address_without_a_record(lab: UserLab) -> None:
    status = lab.status()
    assert status["steady"], status["missing"]
    assert (status["endpoint"], status["records"]) == (f"api.{NAME}.internal:6443", ["cp1", "cp2", "cp3"])
    machines = {machine["name"]: machine["address"] for machine in status["machines"]}
    for machine in machines:
        known = lab.ok(
            "ssh", machine, f"getent ahostsv4 api.{NAME}.internal | awk '/STREAM/ {{ print $1 }}'"
        )
        assert sorted(known.split()) == [machines[name] for name in ("cp1", "cp2", "cp3")], machine
    lab.ok("inject", RECORD, "--on", "cp1")
    assert lab.status()["missing"] == [f"api.{NAME}.internal has no record of cp1"]
    for _ in range(3):
        lab.ok("kubectl", "--", "get", "nodes")
        assert machines["cp1"] not in lab.ok("kubectl", "--", "config", "view")
    lab.ok("heal")
    assert lab.status()["steady"]


@pytest.mark.nightly
@pytest.mark.parametrize("scenario", ["keep-dead-dns-record", "stop-dns-server"])
def test_the_scenarios_for_dns_pass_and_their_twins_lose(lab: UserLab, scenario: str) -> None:
    lab.require_proof(scenario)


@pytest.mark.nightly
def test_what_needs_a_load_balancer_is_skipped_or_refused_with_the_reason(lab: UserLab) -> None:
    lab.require_skip(
        "stop-load-balancer", "a load balancer on a machine of its own, and a lab with dns has none"
    )
    refused = lab.halab("inject", "edit-balancer", "--on", "lb", "--with", "check=tcp")
    assert "a lab with dns has no load balancer whose settings could change" in refused.errors


@pytest.mark.nightly
def test_a_second_up_changes_nothing(lab: UserLab) -> None:
    assert "nothing to change" in lab.halab("up").errors
