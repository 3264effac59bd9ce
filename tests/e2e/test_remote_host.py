"""A lab on another host's engine, which is reached over SSH alone: nothing of its networks is routed here."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli_driver import UserLab, engine_names, keep_evidence
from support.remote_host import remote_host

NAME = "e2e-remote"


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with remote_host(tmp_path_factory.mktemp("far")) as host, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"ssh://{host}")
        yield host


@pytest.fixture(scope="module")
def lab(far: str, tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("it's remote")
    (folder / "lab.yml").write_text(f"name: {NAME}\ncontrol_planes: 1\n")
    found = UserLab(folder)
    try:
        found.ok("up")
        yield found
    finally:
        keep_evidence(found)
        found.halab("down")
    # asserted here, and not in a test: it must hold whatever the tests did
    assert engine_names("container", NAME) == ""
    assert engine_names("network", NAME) == ""
    assert tunnels() == []


def tunnels() -> list[str]:
    done = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=30)
    return [line for line in done.stdout.splitlines() if "ssh" in line and "ExitOnForwardFailure" in line]


def test_the_lab_is_there_and_not_here(lab: UserLab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lab.status()["steady"]
    assert len(engine_names("container", NAME).split()) == 2
    network = lab.status()["machines"][0]["address"].rpartition(".")[0]
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert network not in routes
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


def test_people_get_in_through_the_other_host(lab: UserLab, far: str) -> None:
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


def test_a_scenario_is_played_and_its_samples_are_known_to_have_gone_through_a_tunnel(
    lab: UserLab, far: str
) -> None:
    lab.ok("run", "stop-load-balancer")
    run = lab.last_run()
    assert json.loads((run / "result.json").read_text())["verdict"] == "pass"
    assert json.loads((run / "meta.json").read_text())["tunnel"] == far
    samples = [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]
    assert {each["ok"] for each in samples} == {True, False}


def test_another_host_is_not_asked_for_a_lab_that_is_up_here(
    lab: UserLab, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    for verb in ("down", "status", "kubectl"):
        refused = lab.halab(verb)
        assert (refused.code, f"is up on {far}, and this host is asked now" in refused.errors) == (3, True)
        assert f"hint: export DOCKER_HOST=ssh://{far}" in refused.errors


@pytest.mark.parametrize(
    ("address", "why"),
    [("ssh://root@farm:2223", "Connection refused"), ("ssh://nobody@farm", "Permission denied"),
     ("ssh://", "names no host")],
)  # fmt: skip
def test_no_way_there_is_said_plainly(
    far: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, why: str
) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    (tmp_path / "lab.yml").write_text("name: nowhere\ncontrol_planes: 1\n")
    refused = UserLab(tmp_path).halab("up")
    assert refused.code == 3
    assert why in refused.errors and "hint:" in refused.errors
    assert not (tmp_path / ".halab/keys").exists()
