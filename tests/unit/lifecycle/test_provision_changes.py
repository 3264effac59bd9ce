"""Settings that must not change while a lab is up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.fakes import NETWORK

from halab.config.lab import LabFile, ProviderKind
from halab.errors import LabProblem
from halab.lifecycle import machine_info
from halab.lifecycle.lab import LabDir
from halab.machines.work import Work
from halab.topology.lab import Lab, plan

OWN = {
    "cluster": {"apiServer": {"extraArgs": {"v": "4"}}, "encryptionAlgorithm": "RSA-4096"},
    "kubelet": {"maxPods": 50},
}
PATCHES = {"etcd.yaml": "spec: {}\n", "kube-scheduler.yaml": "spec: {}\n"}


def lab(**written: Any) -> Lab:
    return plan(LabFile.model_validate(written), network=NETWORK, provider=ProviderKind.DOCKER)


@pytest.fixture
def lab_dir(tmp_path: Path) -> LabDir:
    work = Work(tmp_path / ".halab")
    work.make()
    work.write(machine_info.record(work, lab()))
    return LabDir(tmp_path / "lab.yml", LabFile(), work)


def test_the_same_lab_with_more_machines_is_accepted(lab_dir: LabDir) -> None:
    machine_info.require_same(lab_dir.file, lab_dir.work, lab())
    machine_info.require_same(lab_dir.file, lab_dir.work, lab(workers=2))


def test_other_settings_of_the_load_balancer_are_accepted(lab_dir: LabDir) -> None:
    machine_info.require_same(lab_dir.file, lab_dir.work, lab(load_balancer={"check": "tls", "fall": 5}))


def test_a_lab_without_a_record_is_accepted(lab_dir: LabDir) -> None:
    (lab_dir.work.path / "made.json").unlink()
    machine_info.require_same(
        lab_dir.file, lab_dir.work, lab(control_planes=5, kubeadm={"kubelet": {"maxPods": 5}})
    )
    machine_info.require_same_patches(lab_dir.work, "own", PATCHES)


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ({"control_planes": 1}, "cp3 is missing from the file"),
        (
            {"machines": {"cp": {"cpus": 4}}},
            "cp1 is 2 CPUs and 2048 MiB in the lab and 4 CPUs and 2048 MiB in the file",
        ),
        (
            {"machines": {"cp2": {"hostname": "beta"}}},
            "cp2 is 2 CPUs and 2048 MiB in the lab and 2 CPUs and 2048 MiB, host name beta in the file",
        ),
        (
            {"machines": {"cp2": {"disks": [{"mount": "/srv"}, {"mount": "/data"}]}}},
            "cp2 is 2 CPUs and 2048 MiB in the lab and 2 CPUs and 2048 MiB, disks /srv and /data in the file",
        ),
        (
            {"load_balancer": {"port": 7443}},
            "port of the load balancer is 6443 in the lab and 7443 in the file",
        ),
        ({"kubernetes": {"version": "1.36.1"}}, "Kubernetes is 1.37.2 in the lab and 1.36.1 in the file"),
    ],
)
def test_the_error_for_a_changed_lab_names_the_changes(
    lab_dir: LabDir, written: dict[str, Any], what: str
) -> None:
    with pytest.raises(LabProblem) as caught:
        machine_info.require_same(lab_dir.file, lab_dir.work, lab(**written))
    assert what in caught.value.message
    assert "halab down" in (caught.value.hint or "")


@pytest.fixture
def own(lab_dir: LabDir) -> LabDir:
    """A lab that was built with settings and patches of the user's own for kubeadm."""
    lab_dir.work.write(machine_info.record(lab_dir.work, lab(kubeadm=OWN), PATCHES))
    return lab_dir


def test_the_same_settings_for_kubeadm_are_accepted(own: LabDir) -> None:
    machine_info.require_same(own.file, own.work, lab(kubeadm=OWN))
    machine_info.require_same_patches(own.work, "own", PATCHES)
    assert machine_info.patches(own.work) == PATCHES


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({}, []),
        ({"kubelet": {"maxPods": 60}}, ["kubelet.maxPods is 50 in the lab and 60 in the file"]),
        ({"kubelet": {}}, ["kubelet.maxPods is 50 in the lab and not set in the file"]),
        (
            {"kube_proxy": {"ipvs": {"scheduler": "rr"}}},
            ['kube_proxy.ipvs.scheduler is not set in the lab and "rr" in the file'],
        ),
        (
            {"cluster": {"apiServer": {"extraArgs": {"v": "5", "a": "b"}, "certSANs": ["x"]}}},
            [
                'cluster.apiServer.extraArgs.v is "4" in the lab and "5" in the file',
                'cluster.apiServer.extraArgs.a is not set in the lab and "b" in the file',
                'cluster.apiServer.certSANs is not set in the lab and ["x"] in the file',
                'cluster.encryptionAlgorithm is "RSA-4096" in the lab and not set in the file',
            ],
        ),
        (
            {
                "cluster": {
                    "apiServer": {"extraArgs": [{"name": "v", "value": "4"}, {"name": "v", "value": "5"}]},
                    "encryptionAlgorithm": None,
                }
            },
            [
                'cluster.apiServer.extraArgs is {"v": "4"} in the lab and '
                '[{"name": "v", "value": "4"}, {"name": "v", "value": "5"}] in the file',
                'cluster.encryptionAlgorithm is "RSA-4096" in the lab and null in the file',
            ],
        ),
    ],
)
def test_changed_settings_for_kubeadm_are_named_and_need_a_new_cluster(
    own: LabDir, changes: dict[str, Any], what: list[str]
) -> None:
    now = lab(kubeadm={**OWN, **changes})
    if not what:
        machine_info.require_same(own.file, own.work, now)
        return
    with pytest.raises(LabProblem) as caught:
        machine_info.require_same(own.file, own.work, now)
    assert caught.value.message == (
        f"{own.file} does not describe the lab that is up: {'; '.join(f'kubeadm.{line}' for line in what)}"
    )
    assert "when it makes the cluster: rebuild the lab with `halab down && halab up`" in str(
        caught.value.hint
    )


def test_a_lab_of_an_older_halab_has_no_settings_for_kubeadm(lab_dir: LabDir) -> None:
    path = lab_dir.work.path / "made.json"
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps({name: recorded[name] for name in recorded if "kubeadm" not in name}))
    machine_info.require_same(lab_dir.file, lab_dir.work, lab())
    with pytest.raises(LabProblem, match="kubeadm.kubelet.maxPods is not set in the lab"):
        machine_info.require_same(lab_dir.file, lab_dir.work, lab(kubeadm=OWN))


@pytest.mark.parametrize(
    ("now", "changed"),
    [
        ({**PATCHES, "etcd.yaml": "spec: {priority: 1}\n"}, "etcd.yaml"),
        ({**PATCHES, "etcd1.yaml": "spec: {}\n"}, "etcd1.yaml"),
        ({}, "etcd.yaml, kube-scheduler.yaml"),
    ],
)
def test_changed_patches_need_a_new_cluster(own: LabDir, now: dict[str, str], changed: str) -> None:
    with pytest.raises(LabProblem, match=f"have changed since the lab was built: {changed}$") as caught:
        machine_info.require_same_patches(own.work, "own", now)
    assert "`halab down && halab up`, or undo the change in own" in str(caught.value.hint)
