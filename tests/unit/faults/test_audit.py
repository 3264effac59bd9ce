"""The audit: what faults have left behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.fakes import FakeGuests
from support.site_builder import FakePower, site_of

from halab.errors import Unreachable
from halab.faults.audit import audit, script
from halab.faults.manifests import MANIFESTS
from halab.faults.scratch import KEPT
from halab.machines.power import PowerState


def test_an_unchanged_lab_has_nothing_left_behind() -> None:
    guests = FakeGuests()
    assert audit(site_of(guests)) == []
    assert sorted(call.machine for call in guests.calls) == ["cp1", "cp2", "cp3", "lb1"]


def test_leftovers_are_reported_with_their_machine() -> None:
    guests = FakeGuests({"cp2": "stopped process etcd\nunit halab-hold-42.service\n"})
    assert audit(site_of(guests)) == ["stopped process etcd on cp2", "unit halab-hold-42.service on cp2"]


def test_a_machine_that_is_off_or_frozen_is_reported() -> None:
    guests = FakeGuests()
    power = FakePower({"cp2": PowerState.OFF, "cp3": PowerState.FROZEN})
    assert audit(site_of(guests, power)) == ["not running: cp2 (off)", "not running: cp3 (frozen)"]
    assert sorted(call.machine for call in guests.calls) == ["cp1", "lb1"]


def test_a_machine_that_does_not_answer_is_reported() -> None:
    guests = FakeGuests({"cp3": Unreachable("cp3 does not answer over SSH")})
    assert audit(site_of(guests)) == ["not audited: cp3 (cp3 does not answer over SSH)"]


@pytest.mark.parametrize("machine", ["lb1", "cp1", "w1"])
def test_every_kind_of_machine_is_checked_for_its_own_role(machine: str) -> None:
    site = site_of(FakeGuests(), workers=1)
    text = script(site, site.lab.machine(machine))
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, timeout=10)
    assert ("balancer configuration" in text) is (machine == "lb1")
    assert ("manifests" in text) is (machine == "cp1")
    assert ("for name in containerd kubelet" in text) is (machine != "lb1")


def test_the_manifest_of_kube_vip_belongs_on_its_control_planes() -> None:
    with_it = site_of(FakeGuests(), load_balancer={"kind": "kube-vip"})
    assert "kube-scheduler kube-vip; do" in script(with_it, with_it.lab.machine("cp1"))
    without = site_of(FakeGuests())
    assert "kube-vip" not in script(without, without.lab.machine("cp1"))


def test_a_pod_of_the_users_own_is_no_leftover(tmp_path: Path) -> None:
    pods = ("etcd", "kube-apiserver", "kube-controller-manager")
    for name in (*(f"{pod}.yaml" for pod in pods), "own.yaml", "kube-apiserver.yaml.bak", ".halab-42"):
        (tmp_path / name).touch()
    site = site_of(FakeGuests())
    text = script(site, site.lab.machine("cp1")).replace(MANIFESTS, str(tmp_path))
    lines = text[text.index(f"for path in {tmp_path}/") :].split("exit 0")[0]
    done = subprocess.run(
        ["bash", "-c", f"shopt -s nullglob\n{lines}"], capture_output=True, text=True, check=True, timeout=10
    )
    assert done.stdout.splitlines() == [
        f"file {tmp_path}/.halab-42",
        f"file {tmp_path}/kube-apiserver.yaml.bak",
        f"missing {tmp_path}/kube-scheduler.yaml",
    ]


def test_what_the_set_up_keeps_on_a_machine_is_no_leftover(tmp_path: Path) -> None:
    kept = tmp_path / "halab"
    for name in ("own-images", "setup-before.sha256", "bundle", "4f2a-of-a-fault"):
        (kept / name).mkdir(parents=True)
    site = site_of(FakeGuests())
    text = script(site, site.lab.machine("cp1")).replace(KEPT, str(kept))
    loop = text[text.index(f"for path in {kept}/*") :].split("done\n")[0]
    done = subprocess.run(
        ["bash", "-c", f"{loop}done"], capture_output=True, text=True, check=True, timeout=10
    )
    assert done.stdout == f"file {kept}/4f2a-of-a-fault\n"


def test_the_load_balancer_of_a_node_is_audited_with_the_node() -> None:
    site = site_of(FakeGuests(), load_balancer={"kind": "local"})
    text = script(site, site.lab.machine("cp1"))
    assert "for name in containerd kubelet haproxy; do" in text
    assert "balancer configuration" in text
