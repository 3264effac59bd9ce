"""From which version of Kubernetes, and of etcd, a cluster may go to which."""

from __future__ import annotations

import pytest

from halab.config import kubernetes


@pytest.mark.parametrize(
    ("before", "after"), [("1.36.5", "1.37.2"), ("1.37.0", "1.37.2"), ("1.36.5", "1.37.0")]
)
def test_a_later_patch_and_the_next_minor_are_allowed(before: str, after: str) -> None:
    assert kubernetes.upgrade_problem(before, after) is None


@pytest.mark.parametrize(
    ("before", "after", "what", "hint"),
    [
        ("1.37.2", "1.37.2", "already has Kubernetes 1.37.2", "halab status"),
        ("1.37.2", "1.36.5", "cannot go back from Kubernetes 1.37.2 to 1.36.5", "restore a snapshot"),
        ("1.37.2", "1.37.1", "cannot go back", "halab down && halab up"),
        (
            "1.35.8",
            "1.37.2",
            "cannot skip a minor version, and Kubernetes 1.37.2 is 2 after",
            "upgrade 1.36`",
        ),
        ("1.9.11", "1.10.0", None, None),
    ],
)
def test_the_skew_policy(before: str, after: str, what: str | None, hint: str | None) -> None:
    problem = kubernetes.upgrade_problem(before, after)
    if what is None or hint is None:
        assert problem is None
    else:
        assert problem and what in problem[0] and hint in problem[1]


def test_etcd_3_7_needs_3_6_11_on_every_member() -> None:
    problem = kubernetes.etcd_upgrade_problem({"cp1": "3.6.11", "cp2": "3.6.8", "cp3": "3.6.8"}, "3.7.3")
    assert problem and problem[0] == (
        "before the upgrade to etcd 3.7.3, every member needs etcd 3.6.11 or later; cp2, cp3 have 3.6.8"
    )
    assert "newest patch" in problem[1]
    running = {"cp1": "3.6.11", "cp2": "3.6.8"}
    assert kubernetes.etcd_upgrade_problem(running, "3.7.3", allow_unsupported=True) is None
    assert kubernetes.etcd_upgrade_problem({"cp1": "3.6.11", "cp2": "3.7.0"}, "3.7.3") is None
    assert kubernetes.etcd_upgrade_problem({"cp1": "3.6.8"}, "3.6.16") is None


@pytest.mark.parametrize("allows", [False, True])
def test_etcd_does_not_go_back(allows: bool) -> None:
    running = {"cp1": "3.7.4", "cp2": "3.6.16"}
    problem = kubernetes.etcd_upgrade_problem(running, "3.7.3", allow_unsupported=allows)
    assert problem and problem[0] == "etcd on cp1 is 3.7.4, and etcd cannot go back to 3.7.3"


def test_every_minor_that_halab_knows_can_go_to_the_next() -> None:
    releases = list(kubernetes.RELEASES.values())
    for before, after in zip(releases, releases[1:], strict=False):
        assert kubernetes.upgrade_problem(before.kubernetes, after.kubernetes) is None
        assert kubernetes.etcd_upgrade_problem({"cp1": before.etcd}, after.etcd) is None
