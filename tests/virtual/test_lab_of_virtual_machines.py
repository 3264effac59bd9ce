"""Emulated virtual machines, so that these tests run on every host: one control plane and its load balancer.

The tests of the gate need no cluster. The tests marked `nightly` have one: an `up` takes 10 to 30 minutes of emulated
processors, and scripts/nightly runs them. A lab of three needs more cores than most hosts without KVM have:
scripts/nightly makes one as well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from support.cli_driver import UserLab, interrupt, lab_in
from support.power_contract import PROMISES

NAME = "e2e-virtual"
LAB = f"""\
name: {NAME}
provider: libvirt
accel: tcg
patience: 10
control_planes: 1
machines:
  lb: {{memory: 256M}}
  cp: {{disks: [{{mount: /var/lib/etcd, size: 1G}}]}}
"""


# What a lab with one control plane can promise when etcd is killed, on a host of any speed. The catalogue's
# `kill-all-etcd` also promises how long clients have to wait, and patience does not stretch that time. This scenario
# does not expect etcd to stop answering: the kubelet restarts it at once, and an emulated lab is probed once a second.
KILLED = """\
title: The only etcd member is killed
teaches: What was acknowledged is on disk, and the API is back when the member is.
steps:
  - {inject: kill-process, name: dead, on: all-cp, with: {process: etcd}}
  - expect: {fact: etcd-started, on: dead, changed: within 60s}
  - expect: {probe: etcd-direct, on: dead, ok: within 90s}
  - expect: {probe: write-via-lb, ok: within 3m}
  - heal: dead
recover: {steady: within 6m}
twin: {replace: {dead: nothing}}
"""


# `up` of this lab has taken more than 20 minutes on a busy host with emulated processors.
COMMAND_SECONDS = 2400
VIRSH = ("virsh", "--quiet", "--connect", os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system"))


def virsh(*words: str) -> list[str]:
    done = subprocess.run([*VIRSH, *words], capture_output=True, text=True, check=True, timeout=60)
    return [word for word in done.stdout.split() if f"halab-{NAME}" in word]


def lab_objects() -> list[str]:
    """The lab's objects in libvirt: machines, networks and disks."""
    return [
        *virsh("list", "--all", "--name"),
        *virsh("net-list", "--all", "--name"),
        *virsh("vol-list", "default"),
    ]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    """Machines that are set up, but not yet a cluster."""
    folder: Path = tmp_path_factory.mktemp("it's virtual")
    delete_base_disks()
    yield from lab_in(folder, LAB, create=set_up_machines, command_seconds=COMMAND_SECONDS)
    # asserted here and not in a test: it must hold whatever the tests did
    assert lab_objects() == []
    assert not (folder / ".halab/keys").exists()


@pytest.fixture(scope="module")
def lab(machines: UserLab) -> UserLab:
    """The same machines as a steady lab: `up` continues where it was interrupted."""
    machines.ok("up")
    return machines


def delete_base_disks() -> None:
    """Delete the base disks of halab's boxes, so that `up` copies them again, as on a host that is new to halab.

    If there are other machines, nothing is deleted: their disks may depend on these.
    """
    argv = [*VIRSH, "list", "--all", "--name"]
    machines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    for name in base_disks() if not machines else []:
        subprocess.run([*VIRSH, "vol-delete", name, "default"], check=True, timeout=60, capture_output=True)


def base_disks() -> list[str]:
    done = subprocess.run(
        [*VIRSH, "vol-list", "default"], capture_output=True, text=True, check=False, timeout=60
    )
    return [word for word in done.stdout.split() if word.startswith("halab-VAGRANTSLASH-")]


def set_up_machines(lab: UserLab) -> None:
    """Interrupt `up` three times: while the box is copied, before halab has logged in, and when machines are set up."""
    child = lab.begin("up")
    wait_for(child, lambda: base_disks() != [], 300)
    interrupt(child)
    assert set(lab_objects()) <= {f"halab-{NAME}", f"halab-{NAME}-ssh"}
    child = lab.begin("up")
    wait_for(child, lambda: virsh("list", "--name") != [], 300)
    interrupt(child)
    interrupt(lab.begin("up"), "… kubeadm init on cp1")


def wait_for(child: subprocess.Popen[str], condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if child.poll() is not None or time.monotonic() > deadline:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise AssertionError(child.communicate(timeout=60)[0])
        time.sleep(0.2)


def verdict(lab: UserLab) -> str:
    return str(json.loads((lab.last_run() / "result.json").read_text())["verdict"])


def test_the_machines_are_virtual_and_set_up(machines: UserLab) -> None:
    assert machines.ok("ssh", "cp1", "--", "systemd-detect-virt").strip() in ("qemu", "kvm")
    assert machines.ok("ssh", "cp1", "--", "kubeadm", "version", "-o", "short").startswith("v1.")
    assert machines.ok("ssh", "lb1", "--", "systemctl", "is-active", "haproxy").strip() == "active"
    status = machines.status()
    assert not status["steady"]
    assert {machine["state"] for machine in status["machines"]} == {"running"}


def test_a_disk_is_mounted_with_its_size(machines: UserLab) -> None:
    words = machines.ok(
        "ssh", "cp1", "--", "findmnt -no FSTYPE /var/lib/etcd; df -m --output=size /var/lib/etcd"
    ).split()
    file_system, _, size_mebibytes = words
    # a part of the disk is the file system's own
    assert file_system == "ext4" and 850 < int(size_mebibytes) <= 1024


def test_a_machine_whose_link_to_the_lab_is_cut_can_be_logged_in_to(machines: UserLab) -> None:
    show = ("ssh", "cp1", "--", "ip", "-brief", "address", "show", "dev", "eth1")
    power = machines.power()
    power.link("cp1", up=False)
    try:
        link = machines.ok(*show)
        # the address stays, as on a host whose cable is pulled
        assert "DOWN" in link and "/24" in link
    finally:
        power.link("cp1", up=True)
    assert "UP" in machines.ok(*show)


def test_power_over_libvirt_keeps_its_promises(machines: UserLab) -> None:
    power = machines.power()
    for promise in PROMISES:
        promise(power, "lb1")


@pytest.mark.nightly
def test_kubernetes_runs_on_a_virtual_machine(lab: UserLab) -> None:
    # the API server of an emulated machine that was busy a moment ago may need more time
    lab.wait_until_steady()
    nodes = lab.ok("kubectl", "--", "get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in nodes] == [["cp1", "Ready"]]
    pods = lab.ok("kubectl", "--", "get", "pods", "-n", "kube-system", "--no-headers")
    assert {line.split()[2] for line in pods.splitlines()} == {"Running"}


@pytest.mark.nightly
def test_a_second_up_changes_nothing(lab: UserLab) -> None:
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


@pytest.mark.nightly
def test_processors_are_limited_or_the_fault_is_refused(lab: UserLab) -> None:
    done = lab.halab("inject", "starve-cpu", "--on", "lb1", "--with", "cpus=0.5")
    if done.code:
        # the libvirt of a bare host cannot use control groups
        assert "libvirt cannot limit processors here" in done.errors
    else:
        lab.ok("heal")
    assert not lab.status()["open_faults"]


@pytest.mark.nightly
def test_a_process_is_killed_and_the_verdict_is_pass(lab: UserLab) -> None:
    (lab.folder / "killed.yml").write_text(KILLED)
    lab.ok("run", "./killed.yml")
    assert verdict(lab) == "pass"


@pytest.mark.nightly
def test_all_machines_lose_their_power_and_the_verdict_is_pass(lab: UserLab) -> None:
    lab.ok("run", "cut-power-of-all")
    assert verdict(lab) == "pass"


@pytest.mark.nightly
def test_reset_restores_the_lab_that_up_made(lab: UserLab) -> None:
    """Machines continue from a state that was saved minutes ago, and their clocks are right again."""
    lab.ok("kubectl", "--", "create", "namespace", "made-later")
    lab.ok("reset")
    lab.wait_until_steady()
    assert "made-later" not in lab.ok("kubectl", "--", "get", "namespaces", "-o", "name")
    behind = float(lab.ok("ssh", "cp1", "--", "date", "+%s.%N")) - time.time()
    # the command itself takes seconds
    assert abs(behind) < 10
