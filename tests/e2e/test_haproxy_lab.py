"""The main job: a lab of three control planes behind HAProxy, broken in the ways that the README describes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from xml.etree import ElementTree

import pytest
from support.cli_driver import UserLab, end
from support.power_contract import PROMISES, Promise


@pytest.fixture
def lab(haproxy_lab: UserLab) -> UserLab:
    return haproxy_lab


def test_the_nodes_are_ready_and_the_pods_run(lab: UserLab) -> None:
    nodes = json.loads(lab.ok("kubectl", "--", "get", "nodes", "-o", "json"))["items"]
    ready = {
        node["metadata"]["name"]
        for node in nodes
        if {"type": "Ready", "status": "True"}.items()
        <= next(
            condition for condition in node["status"]["conditions"] if condition["type"] == "Ready"
        ).items()
    }
    assert ready == {"cp1", "cp2", "cp3"}
    pods = json.loads(lab.ok("kubectl", "--", "get", "pods", "-n", "kube-system", "-o", "json"))["items"]
    assert {pod["status"]["phase"] for pod in pods} == {"Running"}
    assert len(pods) == 3 * 5 + 2  # four static pods and kube-proxy on each machine, and two of CoreDNS


def test_a_second_up_changes_nothing(lab: UserLab) -> None:
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


def test_vagrant_itself_works_in_the_work_folder(lab: UserLab) -> None:
    work = lab.folder / ".halab"
    status = subprocess.run(
        ["vagrant", "status"], cwd=work, capture_output=True, text=True, timeout=120, check=True
    )
    assert status.stdout.count("running (docker)") == 4, status.stdout
    inside = subprocess.run(
        ["vagrant", "ssh", "cp1", "-c", "hostname"],
        cwd=work,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert inside.stdout.strip() == "cp1"


def test_services_answer_and_names_resolve_across_machines(lab: UserLab) -> None:
    """kube-proxy, CoreDNS and the pod network work, also on a machine that runs no CoreDNS."""
    dns = ("get", "service", "kube-dns", "-n", "kube-system", "-o", "jsonpath={.spec.clusterIP}")
    address = lab.ok("kubectl", "--", *dns)
    for machine in ("cp1", "cp2", "cp3"):
        code = lab.ok(
            "ssh", machine, "--", "curl -sk -o /dev/null -w '%{http_code}' https://10.96.0.1/readyz"
        )
        assert code == "200", machine
        lab.ok("ssh", machine, "--", f"nc -z -w 3 {address} 53")


def test_keys_and_kubeconfig_are_the_owners_alone(lab: UserLab) -> None:
    work = lab.folder / ".halab"
    for path in (work, work / "keys"):
        assert path.stat().st_mode & 0o777 == 0o700, path
    for path in (work / "kubeconfig", work / "keys/id_ed25519", work / "keys/admin.key"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_no_secret_is_in_a_log(lab: UserLab) -> None:
    logs = "".join(path.read_text() for path in (lab.folder / ".halab/logs").glob("*.log"))
    # the key of a join has 64 hexadecimal digits and is stored nowhere; a certificate's hash looks alike but is public
    assert re.findall(r"(?<!sha256:)\b[0-9a-f]{64}\b", logs) == []
    tokens = lab.ok("ssh", "cp1", "--", "sudo kubeadm token list -o jsonpath='{.token}'").split()
    assert tokens
    assert not any(token in logs for token in tokens)


@pytest.mark.parametrize(
    "scenario", ["kill-etcd-member", pytest.param("stop-apiserver", marks=pytest.mark.nightly)]
)
def test_a_scenario_passes_and_leaves_its_evidence(lab: UserLab, scenario: str) -> None:
    lab.require_pass(scenario)
    run = lab.last_run()
    names = {path.name for path in run.iterdir()}
    assert names >= {"scenario.yml", "lab.yml", "meta.json", "timeline.jsonl", "samples.jsonl", "checks.xml",
                     "result.json", "junit.xml", "report.html", "logs"}  # fmt: skip
    assert {path.name for path in (run / "logs").iterdir()} >= {"lb1.log", "cp1.log", "cp2.log", "cp3.log"}
    assert all(
        int(suite.get("failures", 0)) == 0
        for suite in ElementTree.parse(run / "junit.xml").iter("testsuite")
    )
    # judged again from the folder alone
    assert json.loads(lab.ok("report", str(run), "--json"))[0]["verdict"] == "pass"


def test_a_failure_made_by_hand_during_a_run_shows_in_the_verdict(lab: UserLab) -> None:
    known = set(lab.runs())
    child = lab.begin("run", "stop-apiserver")
    try:
        lab.wait_for_event("fault-injected", child, known)
        lab.ok("ssh", "lb1", "--", "sudo systemctl stop haproxy; sleep 8; sudo systemctl start haproxy")
        output, _ = child.communicate(timeout=600)
    finally:
        end(child)
    assert child.returncode == 1, output
    lab.wait_until_steady()


def test_an_interrupted_run_heals_and_has_a_report(lab: UserLab) -> None:
    known = set(lab.runs())
    child = lab.begin("run", "stop-apiserver")
    try:
        run = lab.wait_for_event("fault-injected", child, known)
        os.killpg(child.pid, signal.SIGINT)
        output, _ = child.communicate(timeout=120)
    finally:
        end(child)
    assert child.returncode == 130, output
    assert "Traceback" not in output
    assert '"event": "healed"' in (run / "timeline.jsonl").read_text()
    assert (run / "report.html").exists()
    assert lab.status()["open_faults"] == []
    lab.wait_until_steady()


def test_heal_undoes_the_fault_of_a_halab_that_was_killed(lab: UserLab) -> None:
    known = set(lab.runs())
    child = lab.begin("run", "stop-apiserver")
    try:
        lab.wait_for_event("fault-injected", child, known)
    finally:
        end(child)
    status = lab.halab("status")
    assert status.code == 3
    assert "hold-static-pod" in status.output
    refused = lab.halab("run", "stop-apiserver")
    assert refused.code == 3
    assert "halab heal" in refused.errors
    lab.ok("heal")
    assert lab.status()["open_faults"] == []
    lab.wait_until_steady()


def test_a_configuration_replaces_that_of_the_lab_until_it_is_healed(lab: UserLab) -> None:
    show = ("ssh", "lb1", "--", "cat", "/etc/haproxy/haproxy.cfg")
    before = lab.ok(*show)
    # with other names, without a check of cp2, and without a limit for old workers
    (lab.folder / "other.cfg").write_text(
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n"
        "listen api\n  bind :6443\n  option ssl-hello-chk\n"
        "  server a {cp1}:6443 check\n  server b {cp2}:6443\n  server c {cp3}:6443 check\n"
    )
    lab.ok("inject", "edit-balancer", "--on", "lb", "--with", "config=./other.cfg")
    try:
        assert "listen api" in lab.ok(*show)
        status = lab.status()
        assert set(status["backends"].values()) == {"up"}
        assert status["unchecked_backends"] == ["cp2"]
    finally:
        lab.ok("heal")
    assert lab.ok(*show) == before
    lab.wait_until_steady()


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_power_over_the_engine_keeps_a_promise(lab: UserLab, promise: Promise) -> None:
    """On the load balancer: it starts the quickest, and is no etcd member."""
    promise(lab.power(), "lb1")
    lab.wait_until_steady()


def test_a_lab_is_stopped_and_started(lab: UserLab) -> None:
    lab.ok("stop")
    assert {machine["state"] for machine in lab.status()["machines"]} == {"stopped"}
    lab.ok("start")
    assert lab.status()["steady"]


def test_a_second_command_is_refused_and_names_the_process_that_holds_the_lab(lab: UserLab) -> None:
    known = set(lab.runs())
    child = lab.begin("run", "stop-apiserver", "--twin")
    try:
        lab.wait_for_event("run-started", child, known)
        refused = lab.halab("run", "stop-apiserver")
        assert refused.code == 3
        assert f"process {child.pid}" in refused.errors
        os.killpg(child.pid, signal.SIGINT)
        child.communicate(timeout=120)
    finally:
        end(child)
