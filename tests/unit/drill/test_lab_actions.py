"""The break of a drill: injected for good, shown, and without traces on the machines; and the scripts of authors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.drill_room import DRILL, DrillRoom
from support.fakes import Call, FakeGuests
from support.run_builder import samples
from support.site_builder import site_of

from halab.cluster.api import Credentials
from halab.config.drill import Act
from halab.drill import lab_actions, library, observer, violations
from halab.drill.attempt import Identity
from halab.errors import CommandFailed, LabProblem, Unable, Unreachable
from halab.faults import capabilities, injection
from halab.faults.capabilities import Capabilities
from halab.faults.journal import Entry, Journal
from halab.lifecycle import access
from halab.process import Completed
from halab.scenario.record.events import Sample
from halab.scenario.run import ledger
from halab.scenario.sampler import launcher

SHOWN = "\n  - expect: {probe: ready-direct, on: held, fails: within 10s}"
BREAK = "break: [{inject: hold-static-pod, name: held, on: any-cp, with: {pod: kube-apiserver}}]"
WITH_EXPECTATION = f"break:\n  - {BREAK[8:-1]}{SHOWN}"


class Lab:
    """A lab on which faults are only recorded."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = DrillRoom(folder)
        self.guests = FakeGuests({})
        self.site = site_of(self.guests, control_planes=3)
        self.injected: list[Entry] = []
        self.is_broken = True
        self.writes: list[Sample] = []
        monkeypatch.setattr(injection, "inject", self._inject)
        monkeypatch.setattr(capabilities, "probe", lambda site: Capabilities(frozenset(), {}))
        monkeypatch.setattr(ledger, "open_namespace", lambda api, name: self.injected.clear())
        monkeypatch.setattr(launcher, "sampling", self._sampling)
        monkeypatch.setattr(access, "credentials", lambda lab_dir: Credentials.in_folder(folder))

    def inject_break(self, text: str = DRILL) -> lab_actions.InjectedBreak:
        self.room.write(text)
        self.room.work.drill.mkdir(exist_ok=True)
        api: Any = type("FakeApi", (), {"tunnel": None})()
        script = library.find(self.room.name, 7)
        return lab_actions.inject_break(self.room.lab_dir, self.site, api, script, self.room.progress)

    def _inject(self, site: object, journal: Journal, entry: Entry) -> str:
        journal.opened(entry)
        self.injected.append(entry)
        return "it is held"

    @contextmanager
    def _sampling(self, config: Any, log: Path) -> Iterator[Any]:
        out = [(0, 60)] if self.is_broken else []
        made = [
            sample
            for machine in ("cp1", "cp2", "cp3")
            for sample in samples("ready-direct", machine, hertz=5, out=out)
        ] + self.writes
        made.sort(key=lambda sample: sample.end)
        Path(config.samples).write_text("".join(f"{sample.to_json()}\n" for sample in made))
        yield lambda: None


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    return Lab(tmp_path, monkeypatch)


def test_the_faults_are_injected_on_the_machine_that_the_seed_picks_and_are_not_in_the_journal(
    lab: Lab,
) -> None:
    broken = lab.inject_break()
    (entry,) = lab.injected
    assert (entry.fault, broken.chosen) == ("hold-static-pod", {"held": [entry.machine]})
    assert Journal(lab.room.work.journal).open_faults() == []


def test_what_faults_keep_is_removed_from_all_machines_after_the_break(lab: Lab) -> None:
    lab.inject_break()
    for machine in ("lb1", "cp1", "cp2", "cp3"):
        stopped, *_, removed = lab.guests.commands(machine)
        assert "/etc/sudoers.d/halab-drill" in stopped, "first of all, sudo writes no log"
        assert removed == "rm -rf /var/lib/halab /etc/kubernetes/halab-held"


def test_the_record_of_the_break_is_not_kept(lab: Lab) -> None:
    lab.inject_break()
    assert not list(lab.room.work.drill.iterdir())


def test_a_machine_that_does_not_answer_does_not_stop_the_drill(lab: Lab) -> None:
    lab.guests.answers["cp3: rm -rf"] = Unreachable("cp3 is off")
    assert lab.inject_break().chosen


def test_the_progress_tells_nothing_of_the_break(lab: Lab) -> None:
    lab.inject_break()
    assert "hold-static-pod" not in "\n".join(lab.room.progress.lines)


def test_what_the_lab_was_is_kept_for_what_the_drill_fails_for(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []

    def cluster(api: object) -> str:
        done.append(len(lab.injected))
        return "uid"

    monkeypatch.setattr(violations, "identify_cluster", cluster)
    lab.guests.answers["sha256sum"] = Completed(0, "a\nb\n", "")
    lab.writes = [Sample(0, 0.1, "write-via-lb", None, True, "201", number=7)]
    identity = lab.inject_break(DRILL + "fail_if: [lost-write, new-cluster, reset-node]\n").identity
    assert (identity.cluster, identity.writes, set(identity.nodes)) == ("uid", (7,), {"cp1", "cp2", "cp3"})
    assert done == [0], "after the break, no API server may answer"
    assert lab.inject_break().identity == Identity()


def test_a_machine_that_the_break_shuts_down_is_known_from_before(lab: Lab) -> None:
    def sums(call: Call) -> Completed:
        if lab.injected and call.machine == "cp3":
            raise Unreachable("cp3 is off")
        return Completed(0, "new\nb\n" if lab.injected else "old\nb\n", "")

    lab.guests.answers["sha256sum"] = sums
    identity = lab.inject_break(DRILL + "fail_if: [reset-node]\n").identity
    assert identity.nodes == {"cp1": ("new", "b"), "cp2": ("new", "b"), "cp3": ("old", "b")}


def test_halab_waits_for_the_effect_of_a_break(lab: Lab) -> None:
    assert lab.inject_break(DRILL.replace(BREAK, WITH_EXPECTATION)).chosen


def test_a_break_without_a_visible_effect_is_an_error(lab: Lab) -> None:
    lab.is_broken = False
    with pytest.raises(
        LabProblem, match="the injected faults had no visible effect: ready-direct on cp. answered"
    ):
        lab.inject_break(DRILL.replace(BREAK, WITH_EXPECTATION))


def test_a_lab_that_lacks_something_is_not_broken(lab: Lab) -> None:
    with pytest.raises(Unable, match="this lab cannot run the drill: the lab has 3 control planes"):
        lab.inject_break(DRILL.replace("control_planes: 3", "control_planes: 5"))
    assert not lab.injected


def test_a_script_runs_on_the_machines_of_a_fault_with_its_placeholders_filled(lab: Lab) -> None:
    act = Act.model_validate({"on": "held", "run": "echo {self} {cp1.name} ${HOME}"})
    lab_actions.run_scripts(lab.site, None, {"held": ["cp2", "cp3"]}, [act], 7)  # type: ignore[arg-type]
    assert [(call.machine, call.input) for call in lab.guests.calls] == [
        ("cp2", "echo 10.213.7.12 cp1 ${HOME}"),
        ("cp3", "echo 10.213.7.13 cp1 ${HOME}"),
    ]


def test_a_script_that_fails_is_named_with_the_end_of_its_output(lab: Lab) -> None:
    lab.guests.answers["bash -s"] = Completed(3, "\n".join(map(str, range(9))), "")
    act = Act.model_validate({"on": "cp1", "run": "false"})
    with pytest.raises(CommandFailed, match="on cp1, a script exited with code 3\n4\n5\n6\n7\n8$"):
        lab_actions.run_scripts(lab.site, None, {}, [act], 7)  # type: ignore[arg-type]


def test_the_write_probes_have_a_namespace_before_the_break(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[tuple[str, int]] = []
    monkeypatch.setattr(ledger, "open_namespace", lambda api, name: opened.append((name, len(lab.injected))))
    lab.inject_break()
    assert opened == [(observer.NAMESPACE, 0)]
