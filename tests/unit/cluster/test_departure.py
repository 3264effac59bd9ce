"""A machine that leaves the cluster is forgotten, also if the API is away for a moment."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import FakeClock, FakeGuests, lab_of
from support.site_builder import Shell

from halab.cluster import departure
from halab.errors import TimedOut

LAB = lab_of(workers=1)
WORKER = LAB.machine("w1")


def forget(kubectl: str, folder: Path) -> list[str]:
    """Forget a worker through a control plane whose kubectl is this script; what it was asked."""
    machine = Shell(folder / "cp1")
    machine.add_tool("kubectl", kubectl)
    departure.forget(LAB, FakeGuests({"": machine}), FakeClock(), "cp1", WORKER)
    return [line.split(" ", 1)[1] for line in machine.did]


def test_the_node_of_a_machine_that_left_is_deleted_with_its_pods(tmp_path: Path) -> None:
    get, node, pods = forget("echo node/w1", tmp_path)
    assert get.startswith("get node w1 --ignore-not-found")
    assert node == "delete node w1"
    assert pods == "delete pods -A --field-selector spec.nodeName=w1 --force --grace-period=0"


def test_the_pods_of_a_node_that_an_earlier_try_has_deleted_are_deleted(tmp_path: Path) -> None:
    get, pods = forget("", tmp_path)
    assert get.startswith("get node w1")
    assert pods.startswith("delete pods")


def test_an_api_that_is_away_for_a_moment_is_asked_again(tmp_path: Path) -> None:
    once = (
        f'[ -e {tmp_path}/asked ] || {{ touch {tmp_path}/asked; exit 1; }}; [ "$1" != get ] || echo node/w1'
    )
    assert [line.split()[0] for line in forget(once, tmp_path)] == ["get", "get", "delete", "delete"]


@pytest.mark.parametrize("fails", ["get node", "delete node", "delete pods"])
def test_an_api_that_stays_away_is_an_error(fails: str, tmp_path: Path) -> None:
    script = f'case "$*" in "{fails}"*) echo "no route to host" >&2; exit 1;; get*) echo node/w1;; esac'
    with pytest.raises(TimedOut, match="cp1 to delete the node w1.*no route to host"):
        forget(script, tmp_path)
