"""Starting a lab again: what is gone cannot be started, and nothing is begun then."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.fakes import Recorded, lab_of

from halab.config.lab import ProviderKind
from halab.errors import LabProblem
from halab.lifecycle import lab as labs
from halab.lifecycle import providers, up
from halab.lifecycle.lab import open_file
from halab.machines.host import allocation
from halab.machines.power import PowerState
from halab.machines.provider import MachineInfo
from halab.topology.lab import Lab, Machine


class EngineThatRefuses:
    """An engine where somebody else has a name of the lab's."""

    remote = None

    def networks(self) -> list[object]:
        return []

    def machines(self, lab: str | None = None, work: Path | None = None) -> list[MachineInfo]:
        return []

    def require_free(self, lab: Lab, work: Path) -> None:
        raise LabProblem("a container of another owner has a name that this lab needs")


class EngineWithFrozen:
    """An engine with machines that stand still."""

    def state(self, lab: Lab, machine: Machine, work: Path) -> PowerState:
        return PowerState.FROZEN

    def machines(self, lab: str, work: Path) -> list[MachineInfo]:
        return [
            MachineInfo(lab, name, name, True, None, paused=name != "lb1") for name in ("cp1", "cp2", "lb1")
        ]


class EngineWithout:
    """An engine that has lost some machines of a lab."""

    def __init__(self, *gone: str) -> None:
        self._gone = gone

    def state(self, lab: Lab, machine: Machine, work: Path) -> PowerState:
        return PowerState.GONE if machine.name in self._gone else PowerState.OFF


def test_what_is_gone_is_named_and_no_machine_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    monkeypatch.setattr(labs, "existing", lambda place: lab_of(name="ha"))
    monkeypatch.setattr(providers, "maker", lambda provider: EngineWithout("cp2", "lb1"))
    progress = Recorded()

    with pytest.raises(LabProblem) as raised:
        up.start(open_file(tmp_path / "lab.yml"), progress)

    assert raised.value.message == "nothing is left to start of lb1, cp2"
    assert raised.value.hint is not None
    assert "`halab up` makes them anew" in raised.value.hint
    assert progress.lines == []


def test_what_stands_still_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lab.yml").write_text("name: ha\n")
    monkeypatch.setattr(labs, "existing", lambda place: lab_of(name="ha"))
    monkeypatch.setattr(providers, "maker", lambda provider: EngineWithFrozen())
    with pytest.raises(LabProblem, match="frozen: cp1, cp2") as raised:
        up.start(open_file(tmp_path / "lab.yml"), Recorded())
    assert "halab heal" in (raised.value.hint or "")


def test_a_lab_whose_name_is_taken_may_be_called_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(providers, "maker", lambda provider: EngineThatRefuses())
    monkeypatch.setattr(allocation, "host_routes", lambda remote: [])
    for name in ("ha", "other"):
        (tmp_path / "lab.yml").write_text(f"name: {name}\n")
        with pytest.raises(LabProblem, match="a container of another owner"):
            up.up(open_file(tmp_path / "lab.yml"), Recorded())
        assert allocation.held() == []


def test_a_virtual_machine_that_was_not_made_to_its_end_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can log in to it; `up` makes it anew, and sets it up."""
    (tmp_path / "lab.yml").write_text("name: ha\nprovider: libvirt\n")
    lab = lab_of(name="ha", provider=ProviderKind.LIBVIRT)
    monkeypatch.setattr(labs, "existing", lambda place: lab)
    monkeypatch.setattr(providers, "maker", lambda provider: EngineWithout())
    place = open_file(tmp_path / "lab.yml")
    for machine in lab.machines:
        place.work.of_vagrant(machine.name).mkdir(parents=True)
        place.work.key_of_vagrant(machine.name).write_text("" if machine.name == "cp3" else "key")
    with pytest.raises(LabProblem, match="not made to its end: cp3") as raised:
        up.start(place, Recorded())
    assert "`halab up` makes it anew" in (raised.value.hint or "")
