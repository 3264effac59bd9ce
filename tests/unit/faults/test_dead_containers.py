"""Which containers a kubelet would take for the latest ones though they are dead: the rest is left alone."""

from __future__ import annotations

import json
import subprocess

import pytest
from support.fakes import FakeGuests
from support.site_builder import site_of

from halab.config.lab import ProviderKind
from halab.faults import dead_containers

HEADER = "TASK    PID     STATUS"
AT_FIRST = "2026-11-26T19:25:26.92987809Z"
BEHIND = "2026-11-24T19:41:54.18428936Z"
LATER = "2026-11-26T20:14:00.1Z"


def container(identity: str, created: str, name: str = "kube-scheduler", pod: str = "4011") -> str:
    labels = {"io.kubernetes.pod.uid": pod, "io.kubernetes.container.name": name}
    return json.dumps({"ID": identity, "Labels": labels, "CreatedAt": created})


def tasks(*running: str, stopped: str = "") -> list[str]:
    lines = [f"{each}    1234    RUNNING" for each in running]
    return [HEADER, *lines, *([f"{stopped}    1235    STOPPED"] if stopped else []), ""]


def test_a_dead_container_with_a_newer_time_hides_the_running_one() -> None:
    seen = [container("dead", AT_FIRST), container("runs", BEHIND)]
    assert dead_containers.mistaken(tasks("runs"), seen) == ["dead"]
    assert dead_containers.mistaken(tasks("runs", stopped="dead"), seen) == ["dead"]


def test_if_no_container_runs_all_are_removed() -> None:
    """The kubelet would count on from the first, and the second has that name."""
    seen = [container("first", AT_FIRST), container("second", BEHIND)]
    assert dead_containers.mistaken(tasks(), seen) == ["first", "second"]


@pytest.mark.parametrize(
    "seen",
    [
        [],
        [container("dead", AT_FIRST), container("runs", LATER)],
        [container("runs", BEHIND)],
        # a container that has done its work, as those that initialize a pod
        [container("dead", LATER)],
        [container("runs", BEHIND), container("dead", LATER, pod="4012")],
        [container("runs", BEHIND), container("dead", LATER, name="etcd")],
    ],
)  # fmt: skip
def test_other_containers_are_left_alone(seen: list[str]) -> None:
    assert dead_containers.mistaken(tasks("runs"), seen) == []


def test_dead_containers_are_removed_and_containerd_restarts() -> None:
    told = "\n".join([*tasks("runs"), "=", container("dead", AT_FIRST), container("runs", BEHIND), ""])
    guests = FakeGuests({"tasks ls": told})
    dead_containers.forget(site_of(guests, provider=ProviderKind.LIBVIRT), "cp2")
    looked, removed = guests.calls
    assert "containers rm" not in looked.command
    assert "in dead; do" in removed.command
    assert removed.timeout_seconds > 20


@pytest.mark.parametrize(
    ("removes", "is_there", "code", "said"),
    [(0, 0, 0, "restart containerd"), (1, 1, 0, "restart containerd"), (1, 0, 1, "")],
    ids=["removed", "gone meanwhile", "still there"],
)
def test_a_container_that_the_kubelet_removed_meanwhile_is_no_failure(
    removes: int, is_there: int, code: int, said: str
) -> None:
    told = "\n".join([*tasks("runs"), "=", container("dead", AT_FIRST), container("runs", BEHIND), ""])
    guests = FakeGuests({"tasks ls": told})
    dead_containers.forget(site_of(guests, provider=ProviderKind.LIBVIRT), "cp2")
    stand_ins = (
        f'ctr() {{ case "$4" in rm) return {removes} ;; info) return {is_there} ;; esac; }}; '
        'systemctl() { echo "$@"; }; '
    )
    done = subprocess.run(
        ["bash", "-c", stand_ins + guests.calls[1].command], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (code, said)


def test_without_containerd_there_is_nothing_to_repair() -> None:
    guests = FakeGuests()
    dead_containers.forget(site_of(guests, provider=ProviderKind.LIBVIRT), "cp2")
    assert len(guests.calls) == 1
