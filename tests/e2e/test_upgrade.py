"""A lab goes from one minor to the next; an upgrade that was killed continues; a snapshot brings the old version back.

The bundles of both versions must be in the cache, or halab builds them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from support.cli_driver import UserLab, lab_in

OLD, NEW = "1.36", "1.37"
ETCD = {OLD: "3.6", NEW: "3.7"}

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, state_home: None) -> Iterator[UserLab]:
    text = f"name: e2e-upgrade\ncontrol_planes: 1\nworkers: 1\nkubernetes: {{version: '{OLD}'}}\n"
    for lab in lab_in(tmp_path_factory.mktemp("upgrade"), text):
        lab.ok("bundle", "build", "--kubernetes", NEW)
        yield lab


def kubelets(lab: UserLab) -> dict[str, str]:
    """Node → the minor of its kubelet."""
    items = json.loads(lab.ok("kubectl", "--", "get", "nodes", "-o", "json"))["items"]
    return {
        item["metadata"]["name"]: ".".join(
            item["status"]["nodeInfo"]["kubeletVersion"].removeprefix("v").split(".")[:2]
        )
        for item in items
    }


def images(lab: UserLab) -> dict[str, str]:
    """Pod of kube-system without the name of its node → the tag of its image."""
    items = json.loads(lab.ok("kubectl", "--", "get", "pods", "-n", "kube-system", "-o", "json"))["items"]
    return {
        item["metadata"]["name"].removesuffix("-cp1"): item["spec"]["containers"][0]["image"].split(":")[-1]
        for item in items
    }


def require_version(lab: UserLab, minor: str) -> None:
    status = lab.status()
    assert status["steady"] and status["kubernetes"].startswith(f"{minor}.")
    assert kubelets(lab) == {"cp1": minor, "w1": minor}
    tags = images(lab)
    assert tags["etcd"].startswith(f"{ETCD[minor]}.")
    for pod in ("kube-apiserver", "kube-controller-manager", "kube-scheduler"):
        assert tags[pod].startswith(f"v{minor}.")
    assert json.loads(lab.ok("kubectl", "--", "version", "-o", "json"))["serverVersion"][
        "gitVersion"
    ].startswith(f"v{minor}.")


def test_what_cannot_be_is_refused_and_changes_nothing(lab: UserLab) -> None:
    for words in ((), (OLD,), ("1.35",), ("1.99",)):
        assert lab.halab("upgrade", *words).code == 2
    require_version(lab, OLD)
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0


def test_an_upgrade_that_was_killed_continues(lab: UserLab) -> None:
    lab.ok("snapshot", "save", "before")
    lab.kill_at("upgrade cp1", "upgrade", NEW)
    refused = lab.halab("up")
    assert (
        refused.code == 3
        and "was interrupted at cp1" in refused.errors
        and "halab upgrade" in refused.errors
    )
    assert any("upgrading the lab" in line for line in lab.status()["missing"])
    done = json.loads(lab.ok("upgrade", "--json"))
    assert [machine["name"] for machine in done["machines"]] == ["cp1", "w1"]
    require_version(lab, NEW)


def test_every_command_knows_the_new_version(lab: UserLab) -> None:
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0
    assert lab.halab("upgrade", NEW).code == 2
    lab.ok("reset")
    require_version(lab, NEW)
    # a new machine starts from the old box
    lab.ok("scale", "control_planes=2")
    assert kubelets(lab) == {"cp1": NEW, "cp2": NEW, "w1": NEW}
    lab.ok("scale", "control_planes=1")


def test_a_snapshot_brings_the_old_version_back(lab: UserLab) -> None:
    lab.ok("snapshot", "restore", "before")
    require_version(lab, OLD)
    assert json.loads(lab.ok("up", "--json"))["changes"] == 0
