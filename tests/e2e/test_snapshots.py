"""A lab is saved, broken and put back; whatever kills halab meanwhile, a command that it names makes all well."""

from __future__ import annotations

import json
import subprocess
import time

from support.cli_driver import UserLab, end


def snapshots(lab: UserLab) -> list[str]:
    return [each["name"] for each in json.loads(lab.ok("snapshot", "list", "--json"))]


def namespaces(lab: UserLab) -> set[str]:
    return set(lab.ok("kubectl", "--", "get", "namespaces", "-o", "name").split())


def test_reset_goes_back_to_what_up_has_made_though_a_machine_is_gone(haproxy_lab: UserLab) -> None:
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
    # Vagrant knows the machines that it did not make
    assert json.loads(haproxy_lab.ok("up", "--json"))["changes"] == 0


def test_a_save_that_is_killed_leaves_a_lab_that_heal_thaws(haproxy_lab: UserLab) -> None:
    child = haproxy_lab.begin("snapshot", "save", "killed")
    deadline = time.monotonic() + 60
    while child.poll() is None and not any("freeze" in each for each in haproxy_lab.status()["open_faults"]):
        assert time.monotonic() < deadline
    end(child)
    if haproxy_lab.status()["open_faults"]:
        haproxy_lab.ok("heal")
    haproxy_lab.wait_until_steady()
    if "killed" in snapshots(haproxy_lab):
        haproxy_lab.ok("snapshot", "delete", "killed")
    assert "killed" not in snapshots(haproxy_lab)


def test_a_restore_that_is_killed_is_done_again(haproxy_lab: UserLab) -> None:
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
        assert refused.code == 3 and "was being put back to its snapshot two" in refused.errors
    haproxy_lab.ok("snapshot", "restore", "two")
    assert haproxy_lab.status()["steady"]


def test_machines_outlive_the_snapshot_that_they_were_restored_from(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("snapshot", "delete", "two")
    assert "two" not in snapshots(haproxy_lab)
    # both ask the engine for what the machine was made from
    haproxy_lab.ok("inject", "cut-link", "--on", "cp1")
    haproxy_lab.ok("heal")
    haproxy_lab.wait_until_steady()
    haproxy_lab.ok("snapshot", "save", "three")
    haproxy_lab.ok("snapshot", "delete", "three")


def test_an_up_saves_what_one_before_it_could_not(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("snapshot", "delete", "up")
    assert json.loads(haproxy_lab.ok("up", "--json"))["changes"] == 0
    assert "up" in snapshots(haproxy_lab)
