"""Power: the same promises, kept by the stand-in, by docker's, and by libvirt's over its own test driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_libvirt import libvirt_power
from fake_power import FakeDocker, FakePower
from fakes import lab_of

from halab.errors import LabProblem
from halab.machines import identity
from halab.machines.docker_power import DockerPower
from halab.machines.engine import Engine
from halab.machines.power import Power, State
from halab.machines.work import Work

LAB = lab_of(name="ha")


def docker_power(folder: Path) -> tuple[DockerPower, FakeDocker]:
    work = Work(folder / ".halab")
    work.path.mkdir()
    client: Any = FakeDocker(work.path)
    return DockerPower(LAB, work, Engine(client)), client


@pytest.fixture(params=["fake", "docker", "libvirt"])
def power(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Power]:
    if request.param == "libvirt":
        with libvirt_power(tmp_path) as (found, _):
            yield found
    else:
        yield FakePower(LAB) if request.param == "fake" else docker_power(tmp_path)[0]


def test_a_machine_that_is_cut_is_off_until_it_is_started(power: Power) -> None:
    power.cut("cp2")
    assert power.state("cp2") is State.OFF
    assert power.state("cp1") is State.RUNNING
    power.start("cp2")
    assert power.state("cp2") is State.RUNNING


def test_what_is_as_it_should_be_is_left_alone(power: Power) -> None:
    for act, state in (
        (power.start, State.RUNNING),
        (power.thaw, State.RUNNING),
        (power.freeze, State.FROZEN),
        (power.freeze, State.FROZEN),
        (power.start, State.FROZEN),
        (power.cut, State.OFF),
        (power.cut, State.OFF),
        (power.shut_down, State.OFF),
        (power.thaw, State.OFF),
        (power.remove, State.GONE),
        (power.remove, State.GONE),
        (power.cut, State.GONE),
        (power.thaw, State.GONE),
    ):
        act("cp2")
        assert power.state("cp2") is state


def test_a_machine_is_shut_down_and_started(power: Power) -> None:
    power.shut_down("lb1")
    assert power.state("lb1") is State.OFF
    power.start("lb1")
    assert power.state("lb1") is State.RUNNING


def test_a_frozen_machine_goes_on_when_it_is_thawed(power: Power) -> None:
    power.freeze("cp2")
    assert power.state("cp2") is State.FROZEN
    power.thaw("cp2")
    assert power.state("cp2") is State.RUNNING


def test_a_machine_that_is_gone_cannot_be_started(power: Power) -> None:
    power.remove("cp2")
    with pytest.raises(LabProblem, match="cp2"):
        power.start("cp2")


@pytest.mark.parametrize("act", ["freeze", "unplug"])
def test_what_is_off_can_be_neither_frozen_nor_unplugged(power: Power, act: str) -> None:
    power.cut("cp2")
    with pytest.raises(LabProblem, match="cp2 has to be running for this, and is off"):
        if act == "freeze":
            power.freeze("cp2")
        else:
            power.link("cp2", up=False)


def test_a_plug_may_be_put_back_into_what_is_off(power: Power) -> None:
    power.cut("cp2")
    power.link("cp2", up=True)
    power.remove("cp2")
    power.link("cp2", up=True)
    power.limit_cpus("cp2", None)


def test_a_name_that_the_lab_does_not_have_is_no_machine(power: Power) -> None:
    with pytest.raises(KeyError):
        power.state("cp9")


def test_machines_of_another_work_folder_are_never_touched(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.freeze("cp2")
    power.cut("cp2")
    power.remove("cp2")
    (foreign,) = (each for each in docker.machines if each.labels["halab.machine"] == "cp2")
    assert (foreign.name, foreign.running, foreign.paused) == ("bob-cp2", True, False)
    assert power.state("cp2") is State.GONE


def test_a_start_writes_down_where_every_machine_is_reached(tmp_path: Path) -> None:
    power, _ = docker_power(tmp_path)
    for machine in ("cp1", "cp2"):
        power.cut(machine)
    power.start("cp1")
    config = (tmp_path / ".halab/ssh_config").read_text()
    assert "Host cp1\n  HostName 172.17.0.3\n" in config
    # what is off has an entry too: OpenSSH must not look for a host of that name anywhere else
    assert f"Host cp2\n  HostName {LAB.machine('cp2').address}\n" in config
    power.start("cp2")
    assert "Host cp2\n  HostName 172.17.0.4\n" in (tmp_path / ".halab/ssh_config").read_text()


def test_a_plug_is_pulled_at_the_engines_end_of_the_cable(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.link("cp2", up=False)
    assert [each.name for each in docker.machines if not each.plugged] == ["halab-ha-cp2"]
    power.link("cp2", up=True)
    assert all(each.plugged for each in docker.machines)


def test_what_switches_a_plug_may_do_nothing_else_and_goes_away(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.link("cp2", up=False)
    (helper,) = docker.helpers
    assert (helper["cap_drop"], helper["cap_add"]) == (["ALL"], ["NET_ADMIN"])
    assert helper["read_only"] and helper["remove"]
    # a leftover is removed with the lab, and is never taken for a machine
    here = identity.of_this_host()
    assert helper["labels"] == {
        "halab.lab": "ha", "halab.work": str(tmp_path / ".halab"), "halab.host": here,
    }  # fmt: skip


def test_cores_are_limited_and_given_back(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.limit_cpus("cp2", 0.2)
    power.limit_cpus("cp2", None)
    address = "http+docker://localhost/v1.41/containers/halab-ha-cp2/update"
    cpus = LAB.machine("cp2").cpus
    assert docker.posted == [(address, {"NanoCpus": 200_000_000}), (address, {"NanoCpus": cpus * 10**9})]
