"""What a check finds, from samples, states and the results of check files."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.drill_room import DRILL, DrillRoom
from support.fakes import FakeClock, FakeGuests
from support.run_builder import readings, samples
from support.site_builder import site_of

from halab.cluster.api import Credentials
from halab.config.drill import Drill
from halab.config.loading import loads
from halab.drill import library, observer
from halab.drill.attempt import Attempt
from halab.drill.grade import Finding, TaskState
from halab.errors import HostProblem
from halab.faults.site import Site
from halab.lifecycle import access
from halab.lifecycle.lab import LabDir, open_file
from halab.scenario.record.events import Checks, Sample, StateReading
from halab.scenario.run import checks
from halab.scenario.sampler import launcher
from halab.scenario.sampler.launcher import SamplerConfig

EXPECTED = "expect: {probe: ready-direct, on: all-cp, ok: within 5s}"


class Asked:
    """A lab that answers as scripted, and the configuration of the sampler that asked it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room = DrillRoom(folder)
        self.site = site_of(FakeGuests({}), control_planes=3)
        self.samples: Sequence[Sample] = ()
        self.states: Sequence[StateReading] = ()
        self.config: SamplerConfig | None = None
        self.error: Exception | None = None
        self.starts_after = 0.0
        self.is_in_main_thread = False
        self.checks: list[float] = []
        self.lab_copies: list[LabDir] = []
        self.outcome = Checks(1, 0)
        self.xml = '<testsuite><testcase classname="test_it" name="test_it"/></testsuite>'
        monkeypatch.setattr(launcher, "sampling", self._sampling)
        monkeypatch.setattr(access, "credentials", lambda lab_dir: Credentials.in_folder(folder))
        monkeypatch.setattr(checks, "run", self._run)

    def found(
        self, expected: str = EXPECTED, chosen: dict[str, list[str]] | None = None
    ) -> dict[str, Finding]:
        self.room.write(DRILL.replace(EXPECTED, expected))
        script = library.find(self.room.name, 7)
        library.copy_into(self.room.work, script)
        attempt = Attempt(
            "mine",
            self.room.name,
            "",
            7,
            self.room.at,
            chosen=chosen or {"held": ["cp2"]},
            check_files=script.checks,
        )
        api: Any = type("FakeApi", (), {"tunnel": None})()
        return observer.observe(self.room.lab_dir, self.site, api, script.drill, attempt, self.room.progress)

    @contextmanager
    def _sampling(self, config: SamplerConfig, log: Path) -> Iterator[Any]:
        self.config = config
        self.is_in_main_thread = threading.current_thread() is threading.main_thread()
        if self.error:
            raise self.error
        self.site.clock.sleep(self.starts_after)
        Path(config.samples).write_text("".join(f"{sample.to_json()}\n" for sample in self.samples))
        Path(config.states).write_text("".join(f"{state.to_json()}\n" for state in self.states))
        yield lambda: None

    def _run(self, work: Any, names: Any, *, folder: Any, patience: float, limit_seconds: float) -> Checks:
        self.checks.append(limit_seconds)
        # what the fixtures of the checks read
        self.lab_copies.append(open_file(folder.lab, locate=folder.lab_option))
        folder.checks.write_text(self.xml)
        return self.outcome


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(tmp_path, monkeypatch)


def direct(**options: Any) -> list[Sample]:
    """All three answer, except cp2 with these options."""
    other = [samples("ready-direct", machine, hertz=5) for machine in ("cp1", "cp3")]
    return sorted(
        sum(other, samples("ready-direct", "cp2", hertz=5, **options)), key=lambda sample: sample.end
    )


def test_a_probe_that_answers_is_done(asked: Asked) -> None:
    asked.samples = direct()
    assert asked.found()["back"].state is TaskState.DONE


def test_a_probe_of_one_machine_that_fails_is_not_yet_done(asked: Asked) -> None:
    asked.samples = direct(out=[(0, 60)])
    found = asked.found()["back"]
    assert found.state is TaskState.NOT_YET
    assert "ready-direct on cp2 still failed" in found.seen


def test_a_probe_that_was_not_sampled_could_not_be_asked(asked: Asked) -> None:
    asked.samples = direct(missing=[(0, 60)])
    assert asked.found()["back"].state is TaskState.UNCHECKED


def test_a_sampler_that_does_not_start_is_not_the_learners_fault(asked: Asked) -> None:
    asked.error = HostProblem("the disk is full")
    assert asked.found()["back"] == Finding(TaskState.UNCHECKED, "the disk is full")


def test_the_sampler_is_awaited_where_python_raises_the_interrupt(asked: Asked) -> None:
    """A thread would go on until its time is over."""
    asked.found()
    assert asked.is_in_main_thread


def test_a_task_may_name_the_machines_of_the_break(asked: Asked) -> None:
    asked.samples = direct(out=[(0, 60)])
    on_held = EXPECTED.replace("all-cp", "held")
    assert asked.found(on_held, {"held": ["cp1"]})["back"].state is TaskState.DONE
    assert asked.found(on_held, {"held": ["cp2"]})["back"].state is TaskState.NOT_YET


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({0: "true"}, TaskState.DONE),
        ({0: "false", 3: "true"}, TaskState.DONE),
        ({0: "false"}, TaskState.NOT_YET),
        ({0: None}, TaskState.UNCHECKED),
    ],
)
def test_a_fact_is_done_when_it_has_the_value_in_time(
    values: dict[float, str | None], state: TaskState, asked: Asked
) -> None:
    asked.states = readings("node-ready", "cp1", values)
    fact = 'expect: {fact: node-ready, on: cp1, value: "true", reached: within 5s}'
    assert asked.found(fact)["back"].state is state


@pytest.mark.parametrize(("failed", "state"), [([], TaskState.DONE), ([(6, 6.3)], TaskState.NOT_YET)])
def test_a_share_is_counted_over_the_whole_check(failed: Any, state: TaskState, asked: Asked) -> None:
    asked.samples = samples("ready-via-lb", out=failed)
    over = "expect: {probe: ready-via-lb, failed_share: 0%, during: check}"
    assert asked.found(over)["back"].state is state
    assert isinstance(asked.site.clock, FakeClock)
    assert sum(asked.site.clock.slept) >= 13, "ten seconds, and the answers to the last questions"


def test_a_sampler_that_starts_slowly_does_not_shorten_the_check(asked: Asked) -> None:
    asked.starts_after = 8.0
    asked.samples = samples("ready-via-lb", out=[(16, 16.3)])
    over = "expect: {probe: ready-via-lb, failed_share: 0%, during: check}"
    assert asked.found(over)["back"].state is TaskState.NOT_YET


def test_only_the_probes_and_facts_of_the_tasks_are_asked_in_addition(asked: Asked) -> None:
    asked.found("expect: {fact: unit-state, unit: kubelet, on: all-cp, value: active, reached: within 5s}")
    assert asked.config is not None
    assert asked.config.named_states == ["kubelet.service"]
    assert asked.config.namespace == observer.NAMESPACE


def test_the_writes_of_a_check_do_not_collide_with_those_of_an_earlier_one(asked: Asked) -> None:
    asked.found()
    assert asked.config is not None
    first = asked.config.first_write
    assert first > 1_000_000_000_000, "milliseconds: a sampler writes less often"


def test_a_check_file_has_a_time_limit_and_its_result_is_that_of_its_task(asked: Asked) -> None:
    assert asked.found()["held-once"] == Finding(TaskState.DONE)
    assert asked.checks == [60.0]
    asked.xml = asked.xml.replace("/></", '><failure message="AssertionError: it is off"/></testcase></')
    assert asked.found()["held-once"] == Finding(TaskState.NOT_YET, "it is off")


def test_a_check_file_has_the_users_own_files_of_the_lab(asked: Asked) -> None:
    own = "load_balancer: {machines: 2, config: own.cfg, keepalived: {config: files/own.conf}}"
    asked.room.folder.joinpath("files").mkdir()
    for name, text in {
        "lab.yml": f"name: ha\n{own}\n",
        "own.cfg": "# cfg\n",
        "files/own.conf": "# conf\n",
    }.items():
        (asked.room.folder / name).write_text(text)
    assert asked.found()["held-once"] == Finding(TaskState.DONE)
    copies = asked.lab_copies[0]
    assert copies.balancer_file is not None and copies.balancer_file.text == "# cfg\n"
    assert copies.keepalived_file is not None and copies.keepalived_file.text == "# conf\n"


def test_a_check_file_that_hangs_or_fails_by_itself_could_not_be_asked(asked: Asked) -> None:
    asked.outcome = Checks(0, 0, "the checks did not end within 60 s")
    assert asked.found()["held-once"].state is TaskState.UNCHECKED
    asked.outcome = Checks(0, 1)
    asked.xml = asked.xml.replace("/></", '><failure message="KeyError: &apos;cp9&apos;"/></testcase></')
    assert asked.found()["held-once"].state is TaskState.UNCHECKED


def test_a_drill_of_questions_asks_nothing(asked: Asked) -> None:
    text = "\n".join(
        line for line in DRILL.splitlines() if "  back:" not in line and "held-once:" not in line
    )
    drill = loads(text, "questions.yml", Drill)
    site: Site = asked.site
    attempt = Attempt("q", "q.yml", "", 7, asked.room.at)
    assert observer.observe(asked.room.lab_dir, site, None, drill, attempt, asked.room.progress) == {}  # type: ignore[arg-type]
    assert asked.config is None
