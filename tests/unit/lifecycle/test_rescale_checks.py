"""What refuses a new size before anything is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.fake_machines import FakeMachines
from support.fake_power import FakePower
from support.fakes import lab_of

from halab.config.own_file import OwnFile
from halab.errors import BadUsage, LabProblem
from halab.lifecycle import rescale_checks as checks
from halab.machines.power import PowerState
from halab.topology.lab import Lab, Machine


def voters(*dead: str, count: int = 5) -> dict[str, bool]:
    return {f"cp{number}": f"cp{number}" not in dead for number in range(1, count + 1)}


def leaving(lab: Lab, *names: str) -> list[Machine]:
    return [lab.machine(name) for name in names]


def test_workers_leave_first_then_dead_members_then_the_last() -> None:
    lab = lab_of(control_planes=5, workers=2)
    order = checks.order(leaving(lab, "cp3", "cp4", "cp5", "w1", "w2"), voters("cp3"))
    assert [machine.name for machine in order] == ["w2", "w1", "cp3", "cp5", "cp4"]


@pytest.mark.parametrize(
    ("dead", "count", "leave"),
    [
        ((), 5, ("cp5", "cp4")),
        ((), 3, ("cp3", "cp2")),
        ((), 2, ("cp2",)),
        # dead members are removed first, and then the others are a majority again
        (("cp4", "cp5"), 5, ("cp5", "cp4")),
        (("cp3",), 3, ("cp3", "cp2")),
        ((), 3, ("w1",)),
    ],
)
def test_a_majority_remains(dead: tuple[str, ...], count: int, leave: tuple[str, ...]) -> None:
    checks.require_quorum(leave, voters(*dead, count=count))


@pytest.mark.parametrize(
    ("dead", "count", "leave", "message"),
    [
        (("cp2",), 3, ("cp3",), "without cp3, etcd needs 2 of cp1, cp2, but only cp1 works"),
        (("cp1", "cp2"), 3, (), "etcd needs 2 of cp1, cp2, cp3, but only cp3 works"),
        (
            ("cp1", "cp2"),
            5,
            ("cp5", "cp4"),
            "without cp5, etcd needs 3 of cp1, cp2, cp3, cp4, but only cp3, cp4 work$",
        ),
        (("cp1",), 2, ("cp2",), "etcd needs 2 of cp1, cp2, but only cp2 works"),
    ],
)
def test_a_lost_majority_is_refused_with_its_members(
    dead: tuple[str, ...], count: int, leave: tuple[str, ...], message: str
) -> None:
    with pytest.raises(LabProblem, match=message):
        checks.require_quorum(leave, voters(*dead, count=count))


def test_nothing_is_added_beside_a_dead_member() -> None:
    checks.require_all_healthy(voters())
    with pytest.raises(LabProblem, match="while an etcd member does not work: cp2"):
        checks.require_all_healthy(voters("cp2"))


def own(text: str, **written: Any) -> Lab:
    return replace(lab_of(**written), balancer_file=OwnFile(Path("lb.cfg.j2"), text))


LOOP = "{% for machine in lab.control_planes %}server {{ machine.address }}:6443;{% endfor %}"


def test_a_template_of_the_user_follows_the_lab() -> None:
    three, five = own(LOOP), own(LOOP, control_planes=5)
    checks.require_known_to_balancers(five, five, checks.new_machines(three, five))
    checks.require_known_to_balancers(five, three, [])
    checks.require_known_to_balancers(lab_of(control_planes=5), lab_of(), [])


@pytest.mark.parametrize("server", ["10.213.7.14:6443", "cp4:6443", " cp4 "])
def test_a_file_of_the_user_may_have_the_new_servers_already(server: str) -> None:
    four = own(f"server {server};", control_planes=4)
    checks.require_known_to_balancers(four, four, leaving(four, "cp4"))


def test_a_file_of_the_user_may_have_a_server_by_its_host_name() -> None:
    four = own("server delta:6443;", control_planes=4, machines={"cp4": {"hostname": "delta"}})
    checks.require_known_to_balancers(four, four, leaving(four, "cp4"))


def test_a_file_of_the_user_that_does_not_follow_the_lab_is_refused() -> None:
    text = "server 10.213.7.140:6443; # cp40"
    four = own(text, control_planes=4)
    with pytest.raises(BadUsage, match="has no server for cp4: lb.cfg.j2") as caught:
        checks.require_known_to_balancers(four, four, leaving(four, "cp4"))
    assert "lab.control_planes" in (caught.value.hint or "")
    with pytest.raises(BadUsage, match="still has cp4"):
        checks.require_known_to_balancers(
            own("server cp4:6443;", control_planes=4), own("server cp4:6443;"), []
        )


def test_a_frozen_machine_that_stays_is_refused() -> None:
    lab = lab_of(name="ha")
    machines: Any = FakeMachines(FakePower(lab, {"cp3": PowerState.FROZEN}), lab)
    checks.require_thawed(machines, lab_of(name="ha", control_planes=1))
    with pytest.raises(LabProblem, match="these machines are frozen: cp3"):
        checks.require_thawed(machines, lab)
