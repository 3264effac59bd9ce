"""A lab on the docker engine of another host, reached only over SSH: this host has no route to its networks.

It is also the lab with kube-vip: the virtual address is on that host, too, and no machine is a load balancer.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli_driver import UserLab, engine_names, lab_in
from support.remote_host import remote_host

NAME = "e2e-remote"


@pytest.fixture(scope="module")
def remote_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with remote_host(tmp_path_factory.mktemp("remote")) as host, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"ssh://{host}")
        yield host


@pytest.fixture(scope="module")
def lab(remote_engine: str, tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("it's remote")
    yield from lab_in(folder, f"name: {NAME}\ncontrol_planes: 1\nload_balancer: {{kind: kube-vip}}\n")
    # asserted here and not in a test: it must hold whatever the tests did
    assert engine_names("container", NAME) == ""
    assert engine_names("network", NAME) == ""
    assert tunnels() == []


def tunnels() -> list[str]:
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=30)
    return [line for line in done.stdout.splitlines() if "ssh" in line and "ExitOnForwardFailure" in line]


def test_the_lab_is_on_the_other_host_only(lab: UserLab, monkeypatch: pytest.MonkeyPatch) -> None:
    status = lab.status()
    assert (status["steady"], status["vip_holders"]) == (True, ["cp1"])
    assert len(engine_names("container", NAME).split()) == 1
    network = status["machines"][0]["address"].rpartition(".")[0]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert network not in routes
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


def test_the_lab_can_be_used_from_this_host(lab: UserLab, remote_engine: str) -> None:
    assert lab.ok("ssh", "cp1", "--", "hostname").strip() == "cp1"
    nodes = lab.ok("kubectl", "--", "get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in nodes] == [["cp1", "Ready"]]
    assert lab.halab("kubectl", "--", "get", "node", "none").code == 1
    assert "ssh -o BatchMode=yes" in lab.halab("kubeconfig").errors
    inside = subprocess.run(
        ["vagrant", "ssh", "cp1", "-c", "hostname"], cwd=lab.folder / ".halab", capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert inside.stdout.strip() == "cp1", inside.stderr


def test_the_record_of_a_run_says_that_its_samples_went_through_a_tunnel(
    lab: UserLab, remote_engine: str
) -> None:
    lab.require_pass("take-rights-from-kube-vip")
    run = lab.last_run()
    assert json.loads((run / "meta.json").read_text())["tunnel"] == remote_engine
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert {each["ok"] for each in samples} == {True, False}


def test_commands_are_refused_while_docker_host_names_another_engine(
    lab: UserLab, remote_engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    for verb in ("down", "status", "kubectl"):
        refused = lab.halab(verb)
        assert refused.code == 3
        assert f"is up on {remote_engine}, but the settings now name this host" in refused.errors
        assert f"hint: export DOCKER_HOST=ssh://{remote_engine}" in refused.errors


@pytest.mark.parametrize(
    ("address", "why"),
    [("ssh://root@farm:2223", "Connection refused"), ("ssh://nobody@farm", "Permission denied"),
     ("ssh://", "names no host")],
)  # fmt: skip
def test_a_host_that_cannot_be_reached_is_named_with_the_reason(
    remote_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    (tmp_path / "lab.yml").write_text("name: nowhere\ncontrol_planes: 1\n")
    refused = UserLab(tmp_path).halab("up")
    assert refused.code == 3
    assert why in refused.errors and "hint:" in refused.errors
    assert not (tmp_path / ".halab/keys").exists()
