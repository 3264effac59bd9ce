"""A lab is saved, broken and restored. If halab is killed on the way, the command that it suggests repairs the lab."""

from __future__ import annotations

import json
import subprocess
import time

import pytest
from support.cli_driver import UserLab, end


def snapshots(lab: UserLab) -> list[str]:
    return [snapshot["name"] for snapshot in json.loads(lab.ok("snapshot", "list", "--json"))]


def namespaces(lab: UserLab) -> set[str]:
    return set(lab.ok("kubectl", "--", "get", "namespaces", "-o", "name").split())


# scripts/test restores the lab that `up` made for drills, four times
@pytest.mark.nightly
def test_reset_restores_the_lab_that_up_made_though_a_machine_is_gone(haproxy_lab: UserLab) -> None:
    assert "up" in snapshots(haproxy_lab)
    haproxy_lab.ok("kubectl", "--", "create", "namespace", "made-later")
    subprocess.run(
        ["docker", "rm", "--force", "--volumes", "halab-e2e-haproxy-cp2"],
        check=True,
        capture_output=True,
        timeout=60,
    )
    haproxy_lab.ok("reset")
    assert haproxy_lab.status()["steady"]
    assert "namespace/made-later" not in namespaces(haproxy_lab)
    # Vagrant knows the machine that it did not make
    assert json.loads(haproxy_lab.ok("up", "--json"))["changes"] == 0


def test_a_kept_lab_comes_back_as_up_saved_it(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("kubectl", "--", "create", "namespace", "made-later")
    haproxy_lab.ok("inject", "cut-link", "--on", "cp1")
    haproxy_lab.ok("down", "--keep")
    status = haproxy_lab.status()
    assert {machine["state"] for machine in status["machines"]} == {"stopped"}
    assert status["missing"] == ["the lab is down and was kept: start it with `halab up`"]
    assert status["open_faults"] == []
    haproxy_lab.ok("up")
    assert haproxy_lab.status()["steady"]
    assert "namespace/made-later" not in namespaces(haproxy_lab)
    assert json.loads(haproxy_lab.ok("up", "--json"))["changes"] == 0


def test_heal_thaws_the_machines_of_a_save_that_was_killed(haproxy_lab: UserLab) -> None:
    child = haproxy_lab.begin("snapshot", "save", "killed")
    deadline = time.monotonic() + 60
    while child.poll() is None and not any(
        "freeze" in fault for fault in haproxy_lab.status()["open_faults"]
    ):
        assert time.monotonic() < deadline
    end(child)
    if haproxy_lab.status()["open_faults"]:
        haproxy_lab.ok("heal")
    haproxy_lab.wait_until_steady()
    if "killed" in snapshots(haproxy_lab):
        haproxy_lab.ok("snapshot", "delete", "killed")
    assert "killed" not in snapshots(haproxy_lab)


def test_a_restore_that_was_killed_can_be_repeated(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("snapshot", "save", "two")
    child = haproxy_lab.begin("snapshot", "restore", "two")
    restoring = haproxy_lab.folder / ".halab/restoring"
    deadline = time.monotonic() + 60
    while child.poll() is None and not restoring.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)
    end(child)
    if restoring.exists():
        refused = haproxy_lab.halab("up")
        assert refused.code == 3 and "to the snapshot two was interrupted" in refused.errors
    haproxy_lab.ok("snapshot", "restore", "two")
    assert haproxy_lab.status()["steady"]


def test_machines_outlive_the_snapshot_that_they_were_restored_from(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("snapshot", "delete", "two")
    assert "two" not in snapshots(haproxy_lab)
    # both ask the engine for the image that the machine was made from
    haproxy_lab.ok("inject", "cut-link", "--on", "cp1")
    haproxy_lab.ok("heal")
    haproxy_lab.wait_until_steady()
    haproxy_lab.ok("snapshot", "save", "three")
    haproxy_lab.ok("snapshot", "delete", "three")


def test_up_saves_the_snapshot_that_an_earlier_up_could_not(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("snapshot", "delete", "up")
    assert json.loads(haproxy_lab.ok("up", "--json"))["changes"] == 0
    assert "up" in snapshots(haproxy_lab)
