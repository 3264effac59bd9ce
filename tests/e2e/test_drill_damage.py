"""What learners may do to a lab: acts that fail a drill at once, and damage after which halab can no longer ask."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from support.cli_driver import UserLab, lab_in

LAB = "e2e-damage"
REPAIR = "sed -i s/:7443$/:6443/ /etc/haproxy/haproxy.cfg && systemctl reload haproxy"
DRILL = """\
title: Nobody reaches the API
difficulty: easy
course: mine
estimated_time: 10m
requires: {load_balancer: haproxy}
initial_situation: kubectl cannot connect.
objective: It can connect again.
break:
  - {inject: edit-balancer, name: door, on: lb, with: {port: 7443}}
  - expect: {probe: ready-via-lb, fails: within 10s}
tasks:
  reachable: {text: The API answers., points: 70, expect: {probe: ready-via-lb, ok: within 15s}}
  member:
    text: etcd has its member.
    points: 20
    needs: [reachable]
    expect: {fact: etcd-member, on: all-cp, value: voter, reached: within 5s}
  kubelet: {text: The kubelet runs., points: 10, needs: [reachable], check: test_kubelet.py}
fail_if: [lost-write, new-cluster, reset-node]
solve:
  - REPAIR
wrong:
  go-back-to-a-snapshot:
    - {on: cp1, run: "ETCDCTL snapshot save /var/backups/old.db"}
    - REPAIR
    - on: cp1
      limit: 4m
      run: |
        # meanwhile, clients write
        sleep 10
        STOP
        etcdutl snapshot restore /var/backups/old.db --data-dir /var/lib/etcd/restored --name cp1 \\
          --initial-cluster cp1=https://{cp1}:2380 --initial-advertise-peer-urls https://{cp1}:2380 \\
          --bump-revision 1000000000 --mark-compacted
        rm -rf /var/lib/etcd/member
        mv /var/lib/etcd/restored/member /var/lib/etcd/
        START
  begin-without-data:
    - REPAIR
    - on: cp1
      limit: 4m
      run: |
        STOP
        rm -rf /var/lib/etcd/member
        START
  set-it-up-again:
    - REPAIR
    - on: cp1
      limit: 4m
      run: |
        set -e
        cd /root
        read_map() {
          kubectl --kubeconfig=/etc/kubernetes/admin.conf -n kube-system get configmap "$1" -o "jsonpath={.data.$2}"
        }
        {
          read_map kubeadm-config ClusterConfiguration
          printf '\\n---\\n'
          read_map kubelet-config kubelet
          printf '\\n---\\napiVersion: kubeadm.k8s.io/v1beta4\\nkind: InitConfiguration\\n'
          printf 'localAPIEndpoint: {advertiseAddress: "{cp1}"}\\n'
          printf 'nodeRegistration: {name: cp1, imagePullPolicy: Never}\\n'
        } >init.yaml
        kubeadm reset --force
        kubeadm init --config init.yaml --ignore-preflight-errors=all --skip-phases=addon
debrief: The load balancer listened on port 7443.
"""
# In place of words in the drill.
SCRIPTS = {
    "REPAIR": f'{{on: lb, run: "{REPAIR}; sleep 5"}}',
    "ETCDCTL": "etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt --cert=/etc/kubernetes/pki/etcd/server.crt "
    "--key=/etc/kubernetes/pki/etcd/server.key",
    "STOP": """\
set -e
        cd /etc/kubernetes
        mkdir -p held
        mv manifests/etcd.yaml manifests/kube-apiserver.yaml held/
        pkill -KILL -x kube-apiserver || true
        while pgrep -x 'etcd|kube-apiserver'; do sleep 1; done""",
    "START": """\
mv held/etcd.yaml held/kube-apiserver.yaml manifests/
        systemctl restart kubelet
        for try in $(seq 90); do curl -skf https://127.0.0.1:6443/readyz && exit; sleep 2; done
        exit 1""",
}
CHECK = """\
def test_the_kubelet_runs(machine):
    said = machine("cp1").run("curl --silent --max-time 3 http://127.0.0.1:10248/healthz").stdout
    assert said == "ok", "it does not"
"""

# New disks, for etcd and for temporary files, that are full: the disk of a container itself is that of the host.
FILL = """\
set -e
mv /etc/kubernetes/manifests/etcd.yaml /root/
while pgrep -x etcd; do sleep 1; done
for folder in /var/lib/etcd /tmp /var/tmp; do
  mount -t tmpfs -o size=64k tmpfs $folder
  cat /dev/zero >$folder/full || true
done
mv /root/etcd.yaml /etc/kubernetes/manifests/
systemctl restart kubelet
"""
DELETE = "rm -rf /etc/kubernetes/pki /etc/kubernetes/*.conf /var/lib/kubelet/pki; pkill -KILL -x 'etcd|kube-apiserver'"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder = tmp_path_factory.mktemp("damage")
    text = DRILL
    for word, script in SCRIPTS.items():
        text = text.replace(word, script)
    (folder / "mine.yml").write_text(text)
    (folder / "test_kubelet.py").write_text(CHECK)
    yield from lab_in(folder, f"name: {LAB}\ncontrol_planes: 1\n")


@pytest.mark.nightly
def test_what_must_not_happen_fails_an_attempt_that_repairs_everything(lab: UserLab) -> None:
    [proof] = json.loads(lab.ok("drill", "prove", "./mine.yml", "--times", "1", "--json"))
    assert proof["verdict"] == "pass", proof
    found = {
        attempt["name"]: {name for name, each in attempt["violations"].items() if each["state"] == "found"}
        for attempt in proof["attempts"]
    }
    assert found == {
        "do nothing": set(),
        "go-back-to-a-snapshot": {"lost-write"},
        "begin-without-data": {"new-cluster"},
        "set-it-up-again": {"new-cluster", "reset-node"},
        "solve": set(),
    }
    # the score alone would pass it
    assert {attempt["name"]: attempt["score"] for attempt in proof["attempts"]}[
        "go-back-to-a-snapshot"
    ] == 100
    assert lab.status()["steady"]


@pytest.mark.nightly
def test_a_check_says_what_it_can_no_longer_ask_and_a_reset_brings_the_lab_back(lab: UserLab) -> None:
    lab.ok("drill", "start", "./mine.yml")
    run_on(lab, "lb1", REPAIR)

    run_on(lab, "cp1", FILL)
    full = checked(lab, code=1)
    assert full["reachable"]["state"] == "not-yet"
    # the machine itself answers, although nothing can be written there
    assert full["kubelet"]["state"] == "waiting"
    assert full["reset-node"]["state"] == "absent"

    run_on(lab, "cp1", DELETE)
    deleted = checked(lab, code=1)
    assert deleted["member"]["state"] == "unchecked"
    for name in ("lost-write", "new-cluster", "reset-node"):
        assert deleted[name]["state"] == "unchecked", name
    assert deleted["reset-node"]["seen"] == "certificates are missing on cp1"

    run_on(lab, "cp1", "systemctl stop ssh.socket ssh.service")
    locked_out = checked(lab, code=1)
    for name in ("kubelet", "reset-node"):
        assert locked_out[name]["state"] == "unchecked", name
    assert locked_out["reset-node"]["seen"].startswith("cp1 does not answer over SSH")

    command = ["docker", "rm", "--force", "--volumes", f"halab-{LAB}-cp1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    gone = checked(lab, code=1)
    assert gone["kubelet"]["state"] == "unchecked"
    assert lab.status()["drill_is_on"]

    lab.ok("drill", "reset")
    status = lab.status()
    assert (status["drill_is_on"], status["steady"]) == (False, True)
    assert json.loads(lab.ok("drill", "history", "--json"))[-1]["ending"] == "reset"


def run_on(lab: UserLab, machine: str, script: str) -> None:
    """Run a script as root over docker, because the learner also ends the SSH server."""
    command = ["docker", "exec", "--interactive", f"halab-{LAB}-{machine}", "bash", "-s"]
    done = subprocess.run(command, input=script, capture_output=True, text=True, timeout=120, check=False)
    print(f"$ on {machine}\n{script}{done.stdout}{done.stderr}")


def checked(lab: UserLab, *, code: int) -> dict[str, Any]:
    """The tasks and what must not happen, by name, after a check that ends nothing."""
    done = lab.halab("drill", "check", "--json")
    assert done.code == code, str(done)
    told = json.loads(done.output)
    assert told["ending"] is None
    return {each["name"]: each for each in (*told["tasks"], *told["must_not_happen"])}
