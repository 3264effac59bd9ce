"""A lab grows and shrinks while it runs; a scale that was killed continues; `down` leaves nothing."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from support.cli_driver import UserLab, engine_names, lab_in

SCALE = "e2e-scale"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    yield from lab_in(tmp_path_factory.mktemp("scale"), f"name: {SCALE}\ncontrol_planes: 1\n")
    for kind in ("container", "network"):
        assert engine_names(kind, SCALE) == ""
    assert volumes() == ""


def volumes() -> str:
    argv = ["docker", "volume", "ls", "--quiet", "--filter", f"label=halab.lab={SCALE}"]
    return subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def nodes(lab: UserLab) -> dict[str, list[str]]:
    """Node → the keys of its taints."""
    items = json.loads(lab.ok("kubectl", "--", "get", "nodes", "-o", "json"))["items"]
    return {
        item["metadata"]["name"]: [taint["key"] for taint in item["spec"].get("taints", ())]
        for item in items
    }


def members(lab: UserLab) -> list[dict[str, Any]]:
    folder = "/etc/kubernetes/pki/etcd"
    keys = f"--cacert={folder}/ca.crt --cert={folder}/server.crt --key={folder}/server.key"
    keys += " --endpoints=https://127.0.0.1:2379"
    listed = lab.ok("ssh", "cp1", "--", f"sudo etcdctl {keys} member list --write-out=json")
    return list(json.loads(listed)["members"])


def servers(lab: UserLab) -> list[str]:
    lines = lab.ok("ssh", "lb1", "--", "grep -E '^  server ' /etc/haproxy/haproxy.cfg").splitlines()
    return [line.split()[1] for line in lines]


def pod_routes(lab: UserLab, machine: str) -> int:
    return lab.ok("ssh", machine, "--", "ip route show root 10.244.0.0/16").count(" via ")


def require_interrupted(lab: UserLab) -> None:
    refused = lab.halab("up")
    assert refused.code == 3 and "was interrupted" in refused.errors and "halab scale" in refused.errors
    assert any("scaling the lab" in line for line in lab.status()["missing"])


@pytest.mark.nightly
def test_a_growth_that_was_killed_continues(lab: UserLab) -> None:
    lab.ok("snapshot", "save", "small")
    lab.kill_at("kubeadm join on cp2", "scale", "control_planes=2", "workers=1")
    require_interrupted(lab)
    lab.ok("scale")
    assert lab.status()["steady"]
    assert nodes(lab) == {
        "cp1": ["node-role.kubernetes.io/control-plane"],
        "cp2": ["node-role.kubernetes.io/control-plane"],
        "w1": [],
    }
    assert len(members(lab)) == 2 and not any(member.get("isLearner") for member in members(lab))
    assert servers(lab) == ["cp1", "cp2"]
    assert (pod_routes(lab, "cp1"), pod_routes(lab, "w1")) == (2, 2)


@pytest.mark.nightly
def test_a_second_up_keeps_the_size(lab: UserLab) -> None:
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0
    assert len(lab.status()["machines"]) == 4
    lab.ok("reset")
    assert len(nodes(lab)) == 3


@pytest.mark.nightly
def test_a_snapshot_of_another_size_is_not_restored(lab: UserLab) -> None:
    refused = lab.halab("snapshot", "restore", "small")
    assert refused.code == 3 and "cp2, w1 missing" in refused.errors


@pytest.mark.nightly
def test_a_lab_shrinks_though_the_scale_was_killed_and_the_lead_moves_first(lab: UserLab) -> None:
    if lab.status()["leaders"]["etcd"] == "cp1":
        lab.ok("inject", "move-etcd-leader", "--on", "cp1")
    assert lab.status()["leaders"]["etcd"] == "cp2"
    lab.kill_at("remove cp2", "scale", "control_planes=1", "workers=0")
    require_interrupted(lab)
    lab.ok("scale")
    assert lab.status()["steady"] and lab.status()["leaders"]["etcd"] == "cp1"
    assert nodes(lab) == {"cp1": []}
    assert len(members(lab)) == 1
    assert servers(lab) == ["cp1"]
    assert pod_routes(lab, "cp1") == 0
    assert len(engine_names("container", SCALE).splitlines()) == 2
    work = lab.folder / ".halab"
    assert not (work / "provision/cp2").exists() and not (work / ".vagrant/machines/cp2").exists()
    lab.ok("snapshot", "restore", "small")


@pytest.mark.nightly
def test_an_impossible_size_is_refused_and_changes_nothing(lab: UserLab) -> None:
    for words, code in (
        (("control_planes=0",), 2),
        (("control_planes=6",), 2),
        (("cps=3",), 2),
        ((), 2),
    ):
        assert lab.halab("scale", *words).code == code
    assert lab.status()["steady"]
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


@pytest.mark.nightly
def test_down_removes_what_a_killed_scale_has_made(lab: UserLab) -> None:
    lab.kill_at("boot", "scale", "control_planes=3")
    lab.ok("down", "--runs")
    assert (
        engine_names("container", SCALE) == "" and engine_names("network", SCALE) == "" and volumes() == ""
    )
    assert not (lab.folder / ".halab").exists()
