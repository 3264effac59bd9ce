"""Scenarios of every kind of fault, and losing twins of some: on a real lab, with the verdict that each must have."""

from __future__ import annotations

import json
import time

import pytest
from support.cli_driver import UserLab

# A quick one of most kinds of fault; scripts/nightly runs all, and those whose recovery takes its minutes there alone.
# A process that is killed is in test_haproxy_lab.py, a machine that is lost in test_snapshots.py, power that is lost in
# tests/virtual.
SCENARIOS = {
    "stop-containerd": "a service is stopped",
    "cut-idle-connections": "the load balancer is set up badly",
    "exhaust-connections": "connections are held",
    "partition-etcd-leader": "packets are dropped",
    "unplug-controller-leader": "a network link is cut",
    "reboot-control-plane": "a machine is rebooted",
    "freeze-etcd-leader": "a machine is frozen",
    "move-etcd-leader": "leadership is handed over",
    "fail-closed-webhook": "admission refuses everything",
    "starve-cpu": "a machine has less of something",
    "stall-etcd-member": "a process is stopped where it stands",
}
# Twins with a fault added, and with a setting of the lab. One with a fault replaced is in test_haproxy_lab.py.
TWINS = ("pause-etcd-leader", "hang-apiserver")
# They need a kernel, a clock or a disk of their own.
SKIPPED = {
    "delay-between-members": "netem",
    "fill-etcd-disk": "disk",
    "shift-clock-back": "clock",
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_passes(name: str, haproxy_lab: UserLab) -> None:
    [result] = json.loads(haproxy_lab.ok("run", name, "--json"))
    assert result["verdict"] == "pass", result["reasons"]
    kinds = {outcome["kind"] for outcome in result["outcomes"]}
    assert kinds >= {"expectation", "recovery", "ledger", "members", "audit", "check"}


def test_the_losing_twins_lose_as_they_must(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("prove", *TWINS)


@pytest.mark.parametrize("name", SKIPPED)
def test_what_a_container_cannot_do_is_skipped_with_the_reason(name: str, haproxy_lab: UserLab) -> None:
    done = haproxy_lab.halab("run", name, "--json")
    assert done.code == 3
    [result] = json.loads(done.output)
    assert result["verdict"] == "skip"
    assert SKIPPED[name] in " ".join(result["reasons"])


def test_a_scenario_of_ones_own_runs_with_checks_beside_it(haproxy_lab: UserLab) -> None:
    folder = haproxy_lab.folder
    (folder / "test_mine.py").write_text(
        "def test_the_outage_was_short(outage, timeline):\n"
        "    assert outage('write-via-lb', during='moved').longest_outage_seconds < 60\n"
        "    assert any(record.what.event == 'fault-injected' for record in timeline)\n"
        "def test_the_balancer_runs(lb):\n"
        "    assert lb.service('haproxy').is_running\n"
    )
    (folder / "mine.yml").write_text(
        "title: Mine\nteaches: Something.\n"
        "steps:\n"
        "  - {inject: move-etcd-leader, name: moved, on: etcd-leader}\n"
        "  - expect: {fact: etcd-leader, changed: within 10s}\n"
        "recover: {steady: within 2m}\nchecks: [test_mine.py]\n"
        "twin: {replace: {moved: nothing}}\n"
    )
    haproxy_lab.ok("run", "./mine.yml")
    haproxy_lab.ok("prove", "./mine.yml")


def test_a_fault_by_hand_is_seen_and_undone(haproxy_lab: UserLab) -> None:
    haproxy_lab.ok("inject", "hold-static-pod", "--on", "cp2", "--with", "pod=kube-scheduler")
    assert "hold-static-pod" in " ".join(haproxy_lab.status()["open_faults"])
    refused = haproxy_lab.halab("run", "stop-apiserver")
    assert refused.code == 3
    haproxy_lab.ok("heal", "hold-static-pod")
    haproxy_lab.wait_until_steady()


def test_a_lab_is_not_steady_while_a_leader_that_lost_its_lease_goes_on(haproxy_lab: UserLab) -> None:
    """Such a one tries for 10 s more before it ends itself, and so the checks of a run missed it sometimes."""
    leader = haproxy_lab.status()["leaders"]["kube-scheduler"]
    process = haproxy_lab.ok("ssh", leader, "--", "pgrep -x kube-scheduler")
    haproxy_lab.ok("inject", "pause-process", "--on", "scheduler-leader", "--with", "process=kube-scheduler")
    deadline = time.monotonic() + 120
    while haproxy_lab.status()["leaders"]["kube-scheduler"] == leader:
        assert time.monotonic() < deadline, "nobody took the lease"
    haproxy_lab.ok("heal", "pause-process")
    haproxy_lab.wait_until_steady()
    assert haproxy_lab.ok("ssh", leader, "--", "pgrep -x kube-scheduler") != process


def test_several_runs_have_one_report(haproxy_lab: UserLab) -> None:
    known = set(haproxy_lab.runs())
    results = json.loads(haproxy_lab.ok("run", "move-etcd-leader", "--repeat", "2", "--seed", "7", "--json"))
    assert [result["verdict"] for result in results] == ["pass", "pass"]
    (campaign,) = [folder for folder in set(haproxy_lab.runs()) - known if folder.name.endswith("-campaign")]
    assert {path.name for path in campaign.iterdir()} >= {"overview.html", "campaign.json", "junit.xml"}
    written = json.loads((campaign / "campaign.json").read_text())
    assert written["seed"] == 7
    (played,) = written["scenarios"]
    assert played["scenario"] == "move-etcd-leader"
    assert len(played["runs"]) == 2
    assert all((campaign / run["folder"] / "report.html").exists() for run in played["runs"])
    haproxy_lab.ok("report", str(campaign))
