"""A join of a run: how it ended is recorded, and only what is no end of a join is an error."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.fakes import FakeClock, FakeGuests, Recorded, lab_of

from halab.cluster.join import JoinAttempt, JoinOptions
from halab.config.step import Join
from halab.errors import LabProblem, ScriptFailed
from halab.faults.journal import Entry
from halab.faults.site import Site
from halab.scenario.record import events, timeline
from halab.scenario.record.timeline import Timeline
from halab.scenario.run import joiner

STEP = Join.model_validate({"do": "join", "on": "left", "fails": "within 3m"})
FAILED = JoinAttempt("kubeadm join --config x", 1, 121.5, ("[etcd] waiting", "error: no vote"))
REFUSED = ScriptFailed("no", script="join.sh", code=1)
Ends = Callable[[str, JoinOptions], None]


def join(path: Path, ends: Ends, machines: tuple[str, ...] = ("cp3",), **options: str) -> list[Any]:
    """What was recorded, what was shown, and the machines that joined at the same time as others."""
    shown, at_once = Recorded(), []

    def recreate(machine: str, *, join: JoinOptions | None = None, in_turn: bool = True) -> None:
        assert join is not None and join.limit_seconds == 180 and join.forget_lost
        if not in_turn:
            at_once.append(machine)
        ends(machine, join)

    unused: Any = None
    site = Site(lab_of(), FakeGuests(), FakeClock(), unused, recreate)
    entries = [Entry("a1", "leave-cluster", machine, options) for machine in machines]
    joiner.join(site, Timeline(path, FakeClock()), shown, 4, STEP, entries)
    recorded = [record.what for record in timeline.read(path)]
    return [recorded, shown.lines, sorted(at_once)]


def fail(machine: str, options: JoinOptions) -> None:
    assert options.after_join
    options.after_join(FAILED)
    raise REFUSED


def succeed(machine: str, options: JoinOptions) -> None:
    assert options.after_join
    options.after_join(JoinAttempt(FAILED.command, 0, 20.0, ()))


def test_a_join_that_fails_is_recorded_and_the_run_goes_on(tmp_path: Path) -> None:
    recorded, shown, at_once = join(tmp_path / "t.jsonl", fail)
    assert recorded == [events.JoinEnded(4, "cp3", FAILED.command, 1, 121.5, FAILED.output)]
    assert shown == [
        "begin expect kubeadm join on left fails within 3m",
        "end expect kubeadm join on left fails within 3m: "
        "kubeadm join on cp3 failed with exit code 1 after 2m2s",
    ]
    assert at_once == []


def test_several_machines_join_as_the_fault_says(tmp_path: Path) -> None:
    recorded, shown, at_once = join(tmp_path / "t.jsonl", succeed, ("cp2", "cp3"), join="at-once")
    assert shown[-1].startswith("bad expect kubeadm join on left fails within 3m: ")
    assert sorted(event.machine for event in recorded) == at_once == ["cp2", "cp3"]


def test_a_machine_of_the_cluster_does_not_join(tmp_path: Path) -> None:
    recorded, shown, _ = join(tmp_path / "t.jsonl", lambda machine, options: None)
    assert recorded == []
    assert shown[-1].startswith("open ") and shown[-1].endswith(
        "no machine joined: it was in the cluster already"
    )


@pytest.mark.parametrize(
    "failure",
    [REFUSED, LabProblem("no other etcd member has a leader"), ScriptFailed("no", script="node.sh", code=1)],
)
def test_a_join_that_never_ran_is_an_error(failure: Exception, tmp_path: Path) -> None:
    def never(machine: str, options: JoinOptions) -> None:
        raise failure

    with pytest.raises(type(failure)):
        join(tmp_path / "t.jsonl", never)


def test_a_script_that_fails_after_the_join_is_an_error(tmp_path: Path) -> None:
    def after(machine: str, options: JoinOptions) -> None:
        succeed(machine, options)
        raise ScriptFailed("no", script="setup-after.sh", code=1)

    with pytest.raises(ScriptFailed):
        join(tmp_path / "t.jsonl", after)
