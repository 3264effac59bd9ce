"""The damage that a run may leave, and the repair of the lab for the next run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from support.fakes import Recorded, lab_of

from halab.config.fault_facts import UPGRADE
from halab.errors import CommandFailed, HalabError, HostProblem
from halab.faults.journal import Entry, Journal
from halab.lifecycle.lab import open_file
from halab.machines.power import PowerState
from halab.scenario.record import events
from halab.scenario.record.events import Event, Record, SteadyCheckPoint
from halab.scenario.record.folder import RunFolder
from halab.scenario.run import repair
from halab.scenario.run.session import Session

OF = {"name": "held", "fault": "cut-power", "target": "cp2", "machine": "cp2"}
STARTED = events.FaultStarted(**OF)
BEFORE = events.Steady(SteadyCheckPoint.BEFORE, True, 1.0, "etcd on cp1")
AGAIN = events.Steady(SteadyCheckPoint.AFTER, True, 9.0, "etcd on cp1")
CLEAN = events.Audit(())


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., RunFolder]:
    def write(*whats: Event) -> RunFolder:
        folder = RunFolder(tmp_path)
        lines = [Record(number, what).to_json() + "\n" for number, what in enumerate(whats)]
        folder.timeline.write_text("".join(lines))
        return folder

    return write


@pytest.mark.parametrize(
    ("whats", "why"),
    [
        pytest.param([BEFORE, STARTED, AGAIN, CLEAN], "", id="steady again, and nothing left behind"),
        pytest.param([events.Skipped("one control plane")], "", id="skipped"),
        pytest.param([BEFORE, events.Error("no sampler")], "", id="ended before anything was injected"),
        pytest.param(
            [events.Steady(SteadyCheckPoint.BEFORE, False, 180, "cp2 does not run")],
            "cp2 does not run", id="never steady"
        ),
        pytest.param(
            [BEFORE, STARTED, events.Steady(SteadyCheckPoint.AFTER, False, 120, "cp2 does not run"), CLEAN],
            "cp2 does not run", id="not steady again",
        ),
        pytest.param(
            [BEFORE, STARTED, events.Error("bug")], "the run ended before the lab was steady again", id="cut short"
        ),
        pytest.param(
            [BEFORE, STARTED, AGAIN, events.Audit(("nft table halab_1 on cp2",))],
            "faults left something behind: nft table halab_1 on cp2", id="left something behind",
        ),
        pytest.param(
            [
                BEFORE, STARTED, events.FaultInjected("up", UPGRADE, "any-cp", "cp1", "cp1: kubeadm 60 s", ""),
                AGAIN, CLEAN,
            ],
            "the run has upgraded Kubernetes", id="an upgrade",
        ),
        pytest.param(
            [events.LabSet("check tcp", "set")], "the run ended before the lab was steady again", id="a set lab"
        ),
    ],
)  # fmt: skip
def test_the_record_of_a_run_says_whether_the_lab_may_be_broken(
    whats: list[Event], why: str, recorded: Callable[..., RunFolder]
) -> None:
    assert repair.damage(recorded(*whats)) == why


@dataclass
class FakePower:
    """Machines in these states; what is done to one brings it to life, or fails."""

    states: dict[str, PowerState]
    broken: HalabError | None = None
    did: list[str] = field(default_factory=list)

    def state(self, machine: str) -> PowerState:
        return self.states.get(machine, PowerState.RUNNING)

    def start(self, machine: str) -> None:
        self._do("start", machine)

    def thaw(self, machine: str) -> None:
        self._do("thaw", machine)

    def recreate(self, machine: str) -> None:
        self._do("recreate", machine)

    def _do(self, what: str, machine: str) -> None:
        self.did.append(f"{what} {machine}")
        if self.broken:
            raise self.broken


@dataclass
class FakeSite:
    power: FakePower

    @property
    def lab(self) -> Any:
        return lab_of(name="ha")

    @property
    def recreate(self) -> Callable[[str], None]:
        return self.power.recreate


class Broken:
    """A session on a lab with machines in these states, and faults that are still in the journal."""

    def __init__(self, folder: Path, states: dict[str, PowerState], *, open_faults: int = 0) -> None:
        (folder / "lab.yml").write_text("name: ha\n")
        self.lab_dir = open_file(folder / "lab.yml")
        self.site = FakeSite(FakePower(states))
        self.progress = Recorded()
        self.journal = Journal(self.lab_dir.work.journal)
        self.unhealed: set[str] = set()
        for number in range(open_faults):
            self.journal.opened(Entry(f"id{number}", "freeze", f"cp{number + 1}"))

    def heal(self) -> list[tuple[Entry, HalabError]]:
        failed: list[tuple[Entry, HalabError]] = []
        for entry in self.journal.open_faults():
            if entry.id in self.unhealed:
                failed.append((entry, CommandFailed("no way in", code=255)))
            else:
                self.journal.closed(entry)
        return failed

    def mend(self, lacking: str = "") -> tuple[list[str], str]:
        return repair.mend(cast(Session, self), look=lambda session: lacking)


def test_machines_are_started_thawed_or_recreated(tmp_path: Path) -> None:
    broken = Broken(tmp_path, {"cp1": PowerState.OFF, "cp2": PowerState.FROZEN, "cp3": PowerState.GONE})
    assert broken.mend() == (["started cp1", "thawed cp2", "recreated cp3"], "")
    assert broken.site.power.did == ["start cp1", "thaw cp2", "recreate cp3"]


def test_an_upgraded_lab_is_left_for_the_rebuild(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(tmp_path, {})
    monkeypatch.setattr("halab.lifecycle.lab.version_of", lambda lab_dir: "1.38.0")
    assert broken.mend() == ([], "the lab has Kubernetes 1.38.0 now")
    monkeypatch.setattr("halab.lifecycle.versions.target", lambda held: "1.38.0")
    assert broken.mend() == ([], "an upgrade of Kubernetes is not complete")


def test_a_lab_that_only_needs_time_is_left_alone(tmp_path: Path) -> None:
    broken = Broken(tmp_path, {})
    assert broken.mend() == ([], "")
    assert broken.site.power.did == []


def test_open_faults_are_healed_first_and_failures_are_reported(tmp_path: Path) -> None:
    broken = Broken(tmp_path, {}, open_faults=2)
    broken.unhealed = {"id1"}
    assert broken.mend("cp2 does not answer") == (["healed freeze on cp1"], "cp2 does not answer")
    assert broken.progress.lines == ["could not heal freeze on cp2: no way in"]


def test_a_machine_that_cannot_be_started_is_left_for_the_rebuild(tmp_path: Path) -> None:
    broken = Broken(tmp_path, {"cp1": PowerState.OFF})
    broken.site.power.broken = HostProblem("no docker engine answers")
    assert broken.mend("cp1 does not run") == ([], "cp1 does not run")
