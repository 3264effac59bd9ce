"""The faults of a soak: real ones of the catalogue, on machines that the lab may lose."""

from __future__ import annotations

import pytest
from support.fakes import lab_of

from halab.config.targets import FaultTarget
from halab.errors import BadUsage, LabProblem
from halab.faults.catalogue import FAULTS
from halab.soak.menu import ACTS, FAULT_NAMES, Act, Group, Part, acts_of, groups_of

THREE = groups_of(lab_of(name="ha"))


def act_of(fault: str, part: Part) -> Act:
    return next(act for act in ACTS if (act.fault, act.part) == (fault, part))


@pytest.mark.parametrize("act", ACTS, ids=lambda act: f"{act.fault} of {act.part}")
def test_every_fault_is_in_the_catalogue_and_takes_its_options(act: Act) -> None:
    assert list(FAULTS[act.fault].problems_with(act.options)) == []


@pytest.mark.parametrize(("control_planes", "may_lose"), [(3, 1), (4, 1), (5, 2)])
def test_etcd_keeps_its_majority(control_planes: int, may_lose: int) -> None:
    [group] = groups_of(lab_of(name="ha", control_planes=control_planes))
    assert group.may_lose == may_lose
    assert group.machines == tuple(f"cp{number}" for number in range(1, control_planes + 1))
    assert group.probe == "ready-direct"


def test_with_external_etcd_members_and_api_servers_are_lost_separately() -> None:
    etcd, api_servers = groups_of(lab_of(name="ha", control_planes=2, etcd={"topology": "external"}))
    assert (etcd.machines, etcd.may_lose, etcd.probe) == (("etcd1", "etcd2", "etcd3"), 1, "etcd-direct")
    assert (api_servers.machines, api_servers.may_lose) == (("cp1", "cp2"), 1)
    freeze = act_of("freeze", Part.MACHINE)
    assert (etcd.shown(freeze)["probe"], api_servers.shown(freeze)["probe"]) == (
        "etcd-direct",
        "ready-direct",
    )
    assert not api_servers.takes(act_of("kill-process", Part.ETCD))
    assert etcd.takes(freeze) and api_servers.takes(freeze)


@pytest.mark.parametrize("control_planes", [1, 2])
def test_a_lab_that_may_lose_no_machine_is_refused(control_planes: int) -> None:
    with pytest.raises(LabProblem, match="may lose none"):
        groups_of(lab_of(name="ha", control_planes=control_planes))


def test_a_lab_takes_only_the_faults_that_it_supports() -> None:
    names = {act.fault for act in acts_of(THREE, {"netem": "the kernel cannot delay packets"})}
    assert names == set(FAULT_NAMES) - {"delay-packets"}


def test_only_chosen_faults_are_used() -> None:
    assert {act.fault for act in acts_of(THREE, {}, ["freeze", "starve-cpu"])} == {"freeze", "starve-cpu"}


def test_a_fault_that_no_soak_uses_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(BadUsage, match="does not use this fault: partitions; did you mean partition"):
        acts_of(THREE, {}, ["partitions"])


def test_a_chosen_fault_that_the_lab_does_not_support_is_refused_with_the_reason() -> None:
    with pytest.raises(LabProblem, match="does not support delay-packets: the kernel cannot delay packets"):
        acts_of(THREE, {"netem": "the kernel cannot delay packets"}, ["delay-packets"])


def test_faults_of_which_none_shows_for_certain_are_refused() -> None:
    with pytest.raises(BadUsage, match="delay-packets or starve-cpu alone is not enough"):
        acts_of(THREE, {}, ["starve-cpu", "delay-packets"])


def test_two_faults_of_one_part_or_one_with_a_stopped_machine_do_not_join() -> None:
    pause, kill = act_of("pause-process", Part.ETCD), act_of("kill-process", Part.ETCD)
    other, freeze = act_of("pause-process", Part.API_SERVER), act_of("freeze", Part.MACHINE)
    assert pause.can_join([]) and freeze.can_join([]) and other.can_join([pause])
    assert not kill.can_join([pause])
    assert not freeze.can_join([pause])
    assert not pause.can_join([freeze])


def test_a_fault_without_a_certain_effect_has_no_expectation() -> None:
    group = Group(("cp1",), ("any-cp",), frozenset({FaultTarget.CONTROL_PLANE}), 1)
    assert group.shown(act_of("starve-cpu", Part.PROCESSOR)) == {}
