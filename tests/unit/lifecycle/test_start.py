"""`halab start`, and when it refuses to start anything."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
from support.fakes import Recorded, lab_of

from halab.cluster.steady import Observation
from halab.config.lab import ProviderKind
from halab.errors import LabProblem
from halab.lifecycle import access, kept_lab, providers, up
from halab.lifecycle import lab as labs
from halab.lifecycle.lab import open_file
from halab.machines.host import allocation
from halab.machines.power import PowerState
from halab.machines.provider import MachineInfo
from halab.machines.work import Work
from halab.topology.lab import Lab


class RefusedMachines:
    """The machines of a lab that has a name of somebody else's."""

    def require_free_names(self) -> None:
        raise LabProblem("name already used by another owner's container")


class EngineThatRefuses:
    """An engine on which another owner uses a name of the lab."""

    remote = None

    def networks(self) -> list[object]:
        return []

    def machines(self, lab: str | None = None, work: Work | None = None) -> list[MachineInfo]:
        return []

    def of(self, lab: Lab, work: Work) -> RefusedMachines:
        return RefusedMachines()


class FrozenMachines:
    """The machines of a lab, frozen but for its load balancer."""

    def state(self, machine: str) -> PowerState:
        return PowerState.FROZEN

    def infos(self) -> list[MachineInfo]:
        return [
            MachineInfo("ha", name, name, True, None, paused=name != "lb1") for name in ("cp1", "cp2", "lb1")
        ]


class MachinesWithout:
    """The machines of a lab, off, without some that were lost."""

    def __init__(self, *gone: str) -> None:
        self._gone = gone

    def state(self, machine: str) -> PowerState:
        return PowerState.GONE if machine in self._gone else PowerState.OFF


def test_start_refuses_if_machines_are_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    monkeypatch.setattr(labs, "existing", lambda lab_dir: lab_of(name="ha"))
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: MachinesWithout("cp2", "lb1"))
    progress = Recorded()

    with pytest.raises(LabProblem) as raised:
        up.start(open_file(tmp_path / "lab.yml"), progress)

    assert raised.value.message == "these machines no longer exist: lb1, cp2"
    assert raised.value.hint == "create them again with `halab up`"
    assert progress.lines == []


def test_start_of_a_lab_that_is_not_up_does_not_speak_of_machines(tmp_path: Path) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    with pytest.raises(LabProblem, match="the lab ha is not up") as raised:
        up.start(open_file(tmp_path / "lab.yml"), Recorded())
    assert raised.value.hint == "run `halab up`"


def test_start_refuses_if_machines_are_frozen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    monkeypatch.setattr(labs, "existing", lambda lab_dir: lab_of(name="ha"))
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: FrozenMachines())
    with pytest.raises(LabProblem, match="these machines are frozen: cp1, cp2") as raised:
        up.start(open_file(tmp_path / "lab.yml"), Recorded())
    assert "halab heal" in (raised.value.hint or "")


def test_a_lab_whose_name_is_taken_can_be_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "connect", lambda lab_dir: EngineThatRefuses())
    monkeypatch.setattr(allocation, "host_routes", lambda remote: [])
    for name in ("ha", "other"):
        (tmp_path / "lab.yml").write_text(f"name: {name}\n")
        with pytest.raises(LabProblem, match="another owner's container"):
            up.up(open_file(tmp_path / "lab.yml"), Recorded())
        assert allocation.held() == []


def test_start_refuses_a_virtual_machine_whose_creation_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can log in to such a machine. `up` creates it again and sets it up."""
    (tmp_path / "lab.yml").write_text("name: ha\nprovider: libvirt\n")
    lab = lab_of(name="ha", provider=ProviderKind.LIBVIRT)
    monkeypatch.setattr(labs, "existing", lambda lab_dir: lab)
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: MachinesWithout())
    lab_dir = open_file(tmp_path / "lab.yml")
    for machine in lab.machines:
        lab_dir.work.of_vagrant(machine.name).mkdir(parents=True)
        lab_dir.work.key_of_vagrant(machine.name).write_text("" if machine.name == "cp3" else "key")
    with pytest.raises(LabProblem, match="the creation of these machines was interrupted: cp3") as raised:
        up.start(lab_dir, Recorded())
    assert "create them again with `halab up`" in (raised.value.hint or "")


class KeptMachines:
    """The machines of a lab that all run after it was brought back."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def state(self, machine: str) -> PowerState:
        return PowerState.OFF

    def infos(self) -> list[MachineInfo]:
        return []


@pytest.mark.parametrize(
    ("provider", "all_booted"), [(ProviderKind.DOCKER, True), (ProviderKind.LIBVIRT, False)]
)
def test_a_kept_lab_that_continues_in_memory_must_stay_steady_until_its_leases_expire(
    provider: ProviderKind, all_booted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text(f"name: ha\nprovider: {provider}\n")
    lab = lab_of(name="ha", provider=provider)
    lab_dir = open_file(tmp_path / "lab.yml")
    for machine in lab.machines:
        lab_dir.work.of_vagrant(machine.name).mkdir(parents=True)
        lab_dir.work.key_of_vagrant(machine.name).write_text("key")
    waited: list[dict[str, object]] = []
    monkeypatch.setattr(labs, "existing", lambda lab_dir: lab)
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: KeptMachines(lab))
    monkeypatch.setattr(kept_lab, "bring_back", lambda lab_dir, machines, progress: len(lab.machines))
    monkeypatch.setattr(up, "boot", lambda lab_dir, machines, progress: 0)
    monkeypatch.setattr(up, "wait_steady", lambda lab_dir, lab, progress, **options: waited.append(options))
    up.start(lab_dir, Recorded())
    (options,) = waited
    assert options["all_booted"] is all_booted
    assert (options["hold_seconds"] == 0) is all_booted


def test_start_does_not_wait_for_a_lab_that_a_drill_has_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    lab, lab_dir = lab_of(name="ha"), open_file(tmp_path / "lab.yml")
    lab_dir.work.attempt.parent.mkdir(parents=True)
    lab_dir.work.attempt.write_text("{}")
    broken = Observation(("the API does not answer",))
    monkeypatch.setattr(labs, "existing", lambda lab_dir: lab)
    monkeypatch.setattr(providers, "machines", lambda lab_dir, lab: KeptMachines(lab))
    monkeypatch.setattr(up, "boot", lambda lab_dir, machines, progress: len(lab.machines))
    monkeypatch.setattr(access, "api", lambda lab_dir, lab: nullcontext())
    monkeypatch.setattr(up, "observe", lambda guests, api, lab: broken)
    assert up.start(lab_dir, Recorded()) == broken
