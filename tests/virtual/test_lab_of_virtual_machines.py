"""A lab of virtual machines, with emulated processors so that it runs everywhere: one control plane behind HAProxy.

More need more cores than most machines without KVM have: scripts/nightly has them.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
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
"""


# What a lab of one can promise when etcd is killed, however slow its processors: the catalogue's `kill-all-etcd`
# promises how long clients are without it besides, and patience does not stretch that. That it does not answer is not
# promised: the kubelet starts it again at once, and an emulated lab is asked once a second.
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


VIRSH = ("virsh", "--quiet", "--connect", os.environ.get("LIBVIRT_DEFAULT_URI", "qemu:///system"))


def virsh(*words: str) -> list[str]:
    done = subprocess.run([*VIRSH, *words], capture_output=True, text=True, check=True, timeout=60)
    return [word for word in done.stdout.split() if f"halab-{NAME}" in word]


def belongings() -> list[str]:
    """What libvirt has of the lab: machines, networks, disks."""
    return [
        *virsh("list", "--all", "--name"),
        *virsh("net-list", "--all", "--name"),
        *virsh("vol-list", "default"),
    ]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    folder: Path = tmp_path_factory.mktemp("it's virtual")
    forget_bases()
    yield from lab_in(folder, LAB, before=end_twice)
    # asserted here, and not in a test: it must hold whatever the tests did
    assert belongings() == []
    assert not (folder / ".halab/keys").exists()


def forget_bases() -> None:
    """As on a host where halab has never been: the disks that machines of its boxes start from are copied anew.

    Not where somebody else has machines: theirs may start from them.
    """
    argv = [*VIRSH, "list", "--all", "--name"]
    there = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.split()
    for name in bases() if not there else []:
        subprocess.run([*VIRSH, "vol-delete", name, "default"], check=True, timeout=60, capture_output=True)


def bases() -> list[str]:
    done = subprocess.run(
        [*VIRSH, "vol-list", "default"], capture_output=True, text=True, check=False, timeout=60
    )
    return [word for word in done.stdout.split() if word.startswith("halab-VAGRANTSLASH-")]


def end_twice(lab: UserLab) -> None:
    """Ctrl-C in the middle of the box's copy, and with machines that run and nobody has logged in to."""
    child = lab.begin("up")
    await_that(child, lambda: bases() != [], 300)
    interrupt(child)
    assert set(belongings()) <= {f"halab-{NAME}", f"halab-{NAME}-ssh"}
    child = lab.begin("up")
    await_that(child, lambda: virsh("list", "--name") != [], 300)
    interrupt(child)


def await_that(child: subprocess.Popen[str], holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)


def verdict(lab: UserLab) -> str:
    return json.loads((lab.last_run() / "result.json").read_text())["verdict"]


def test_kubernetes_runs_on_a_virtual_machine(lab: UserLab) -> None:
    assert lab.status()["steady"]
    nodes = lab.ok("kubectl", "--", "get", "nodes", "--no-headers").splitlines()
    assert [line.split()[:2] for line in nodes] == [["cp1", "Ready"]]
    pods = lab.ok("kubectl", "--", "get", "pods", "-n", "kube-system", "--no-headers")
    assert {line.split()[2] for line in pods.splitlines()} == {"Running"}
    assert lab.ok("ssh", "cp1", "--", "systemd-detect-virt").strip() in ("qemu", "kvm")


def test_a_second_up_changes_nothing(lab: UserLab) -> None:
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


def test_the_plug_of_the_lab_is_not_the_way_in(lab: UserLab) -> None:
    lab.ok("inject", "cut-link", "--on", "cp1")
    try:
        said = lab.ok("ssh", "cp1", "--", "ip", "-brief", "address", "show", "dev", "eth1")
        # the address stays, as on a host whose cable is pulled
        assert "DOWN" in said and "/24" in said
        assert not lab.status()["steady"]
    finally:
        lab.ok("heal")
    lab.wait_until_steady()


def test_processors_are_taken_or_that_is_refused(lab: UserLab) -> None:
    done = lab.halab("inject", "starve-cpu", "--on", "lb1", "--with", "cpus=0.5")
    if done.code:
        # the libvirt of a bare host has no control groups
        assert "libvirt limits no processors here" in done.errors
    else:
        lab.ok("heal")
    assert not lab.status()["open_faults"]


def test_power_over_libvirt_keeps_its_promises(lab: UserLab) -> None:
    """One after another on the balancer, and steady once at the end: a look at an emulated lab takes its time."""
    power = lab.power()
    for promise in PROMISES:
        promise(power, "lb1")
    lab.wait_until_steady()


def test_a_process_is_killed_and_the_verdict_is_pass(lab: UserLab) -> None:
    (lab.folder / "killed.yml").write_text(KILLED)
    lab.ok("run", "./killed.yml")
    assert verdict(lab) == "pass"


def test_all_machines_lose_their_power_and_the_verdict_is_pass(lab: UserLab) -> None:
    lab.ok("run", "cut-power-of-all")
    assert verdict(lab) == "pass"


def test_reset_goes_back_to_what_up_has_made(lab: UserLab) -> None:
    """Machines go on where they were when they were saved, minutes ago: with clocks that are right again."""
    lab.ok("kubectl", "--", "create", "namespace", "made-later")
    lab.ok("reset")
    lab.wait_until_steady()
    assert "made-later" not in lab.ok("kubectl", "--", "get", "namespaces", "-o", "name")
    behind = float(lab.ok("ssh", "cp1", "--", "date", "+%s.%N")) - time.time()
    # the question takes its time, too
    assert abs(behind) < 10
