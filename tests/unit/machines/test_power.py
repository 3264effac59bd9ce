"""Power: the fake, docker's and libvirt's (over its own test driver) keep the same promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.fake_libvirt import libvirt_power
from support.fake_power import FakeDocker, FakePower
from support.fakes import lab_of
from support.power_contract import PROMISES, Promise, plug_is_pulled_and_put_back

from halab.errors import HostProblem, LabProblem, Unable
from halab.machines.docker.engine import Engine
from halab.machines.docker.power import DockerPower
from halab.machines.host import identity
from halab.machines.libvirt.power import LibvirtPower
from halab.machines.power import LabPower, Power, PowerState
from halab.machines.work import Work

LAB = lab_of(name="ha")


def docker_power(folder: Path) -> tuple[DockerPower, FakeDocker]:
    work = Work(folder / ".halab")
    work.path.mkdir()
    client: Any = FakeDocker(work.path)
    return Engine(client).of(LAB, work).power(), client


@pytest.fixture(params=["fake", "docker", "libvirt"])
def power(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Power]:
    if request.param == "libvirt":
        with libvirt_power(tmp_path) as (found, _):
            yield found
    else:
        yield FakePower(LAB) if request.param == "fake" else docker_power(tmp_path)[0]


@pytest.mark.parametrize("promise", PROMISES, ids=lambda each: each.__name__)
def test_a_promise_is_kept(power: Power, promise: Promise) -> None:
    if isinstance(power, LibvirtPower) and promise is plug_is_pulled_and_put_back:
        pytest.skip("libvirt's test driver has no plugs: tests/virtual does it on a machine that runs")
    promise(power, "cp2")
    assert power.state("cp1") is PowerState.RUNNING


def test_every_provider_has_every_act() -> None:
    assert [act for act in vars(Power) if not act.startswith("_") and not hasattr(LabPower, act)] == []


def test_a_removed_machine_is_gone(power: Power) -> None:
    power.cut("cp2")
    for act in (power.remove, power.remove, power.cut, power.thaw):
        act("cp2")
        assert power.state("cp2") is PowerState.GONE


def test_a_machine_that_is_gone_cannot_be_started(power: Power) -> None:
    power.remove("cp2")
    with pytest.raises(LabProblem, match="cp2"):
        power.start("cp2")


def test_a_machine_that_is_gone_can_be_plugged_in_and_unlimited(power: Power) -> None:
    power.remove("cp2")
    power.link("cp2", up=True)
    power.limit_cpus("cp2", None)
    power.limit_writes("cp2", None)


def test_an_unknown_machine_is_an_error(power: Power) -> None:
    with pytest.raises(KeyError):
        power.state("cp9")


def test_machines_of_another_work_folder_are_never_touched(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.freeze("cp2")
    power.cut("cp2")
    power.remove("cp2")
    (foreign,) = (each for each in docker.machines if each.labels["halab.machine"] == "cp2")
    assert (foreign.name, foreign.running, foreign.paused) == ("bob-cp2", True, False)
    assert power.state("cp2") is PowerState.GONE


_BUSY = "OCI runtime pause failed: unable to freeze: unknown"


def test_a_freeze_is_tried_again_on_a_busy_host(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    docker.refusals = [_BUSY, _BUSY]
    power.freeze("cp2")
    assert power.state("cp2") is PowerState.FROZEN


@pytest.mark.parametrize(("refusals", "left"), [([_BUSY] * 30, 10), (["cgroups not configured"] * 3, 2)])
def test_a_freeze_that_does_not_succeed_is_an_error(tmp_path: Path, refusals: list[str], left: int) -> None:
    power, docker = docker_power(tmp_path)
    docker.refusals = refusals
    with pytest.raises(HostProblem, match=refusals[0]):
        power.freeze("cp2")
    assert len(docker.refusals) == left
    assert power.state("cp2") is PowerState.RUNNING


def test_a_start_writes_the_address_of_every_machine(tmp_path: Path) -> None:
    power, _ = docker_power(tmp_path)
    for machine in ("cp1", "cp2"):
        power.cut(machine)
    power.start("cp1")
    config = (tmp_path / ".halab/ssh_config").read_text()
    assert "Host cp1\n  HostName 172.17.0.3\n" in config
    # a machine that is off has an entry, too: OpenSSH must not look up a host of that name
    assert f"Host cp2\n  HostName {LAB.machine('cp2').address}\n" in config
    power.start("cp2")
    assert "Host cp2\n  HostName 172.17.0.4\n" in (tmp_path / ".halab/ssh_config").read_text()


def test_a_plug_is_pulled_at_the_engines_end_of_the_cable(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.link("cp2", up=False)
    assert [each.name for each in docker.machines if not each.plugged] == ["halab-ha-cp2"]
    power.link("cp2", up=True)
    assert all(each.plugged for each in docker.machines)


def test_the_helper_that_switches_a_plug_has_no_other_rights_and_is_removed(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.link("cp2", up=False)
    (helper,) = docker.helpers
    assert (helper["cap_drop"], helper["cap_add"]) == (["ALL"], ["NET_ADMIN"])
    assert helper["read_only"] and helper["remove"]
    # by these labels, a helper that was left over is removed with the lab, and not listed as a machine
    here = identity.of_this_host()
    assert helper["labels"] == {
        "halab.lab": "ha", "halab.work": str(tmp_path / ".halab"), "halab.host": here, "halab.machine": "",
    }  # fmt: skip


def test_cores_are_limited_and_unlimited_again(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    power.limit_cpus("cp2", 0.2)
    power.limit_cpus("cp2", None)
    address = "http+docker://localhost/v1.41/containers/halab-ha-cp2/update"
    cpus = LAB.machine("cp2").cpus
    assert docker.posted == [(address, {"NanoCpus": 200_000_000}), (address, {"NanoCpus": cpus * 10**9})]


def test_the_engine_cannot_limit_the_writes_of_a_container_that_runs(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    with pytest.raises(Unable, match="a container has no disk of its own"):
        power.limit_writes("cp2", 20)
    power.limit_writes("cp2", None)
    assert docker.posted == []


def test_a_reset_pulls_the_plug_and_plugs_it_in_again(tmp_path: Path) -> None:
    power, docker = docker_power(tmp_path)
    starts = docker.starts
    power.reset("cp2")
    assert docker.starts == starts + 1
