"""The runner: the only place where faults, probes and time meet.

steady → sampler on → steps (inject, expect, wait, heal) → heal all → recover → sampler off → ledger → checks → logs.
It records evidence and judges nothing; what it looks at live only tells it when it may go on.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from halab.clock import Deadline
from halab.cluster.api import Api, Credentials
from halab.cluster.steady import wait_until_steady
from halab.config.scenario import (
    Expect,
    Expectation,
    FactExpectation,
    Heal,
    Inject,
    Origin,
    ProbeExpectation,
    Scenario,
    Setting,
    Wait,
    conditions,
)
from halab.errors import HalabError, LabProblem, TimedOut
from halab.faults import injection, targets
from halab.faults.journal import Entry, Journal
from halab.faults.site import Site
from halab.progress import Progress
from halab.scenario import checks, events, facts, ledger, sampler
from halab.scenario.events import When
from halab.scenario.folder import RunFolder
from halab.scenario.history import History
from halab.scenario.judgement import State, satisfied
from halab.scenario.outage import Samples
from halab.scenario.timeline import SampleReader, Timeline
from halab.scenario.verdict import promised

# Before the fault there must be samples that show that all is well: two seconds are ten of each probe.
_BASELINE_SECONDS = 2.0
_STEADY_BEFORE_SECONDS = 180.0
# A recovery is waited for beyond its bound: a late one is a measurement, and the next run needs a steady lab.
_BEYOND_BOUND = 2.0
_AT_LEAST_SECONDS = 120.0
_POLL_SECONDS = 0.2
# After the limit of an expectation, the answers to the last questions within it come in.
_EVIDENCE_SECONDS = sampler.TIME_LIMIT_SECONDS + 2.0


@dataclass(frozen=True)
class Means:
    """What a run works with: `credentials` are those of the sampler's clients, `checks` testinfra files."""

    site: Site
    api: Api
    journal: Journal
    credentials: Credentials
    progress: Progress
    seed: int
    lab_file: Path
    checks: Sequence[Path] = ()


@dataclass(frozen=True)
class _Fault:
    """A fault that was begun in this run, on one machine."""

    step: Inject
    entry: Entry


@dataclass
class _State:
    """What a run has done so far; `chosen` are the machines of each fault, by its name."""

    faults: list[_Fault] = field(default_factory=list)
    chosen: dict[str, list[str]] = field(default_factory=dict)
    first_injected_at: float | None = None
    last_healed_at: float | None = None


class Run:
    """One run of one scenario on a lab that is up."""

    def __init__(self, scenario: Scenario, setting: Setting, folder: RunFolder, means: Means) -> None:
        self._scenario = scenario
        self._setting = setting
        self._folder = folder
        self._means = means
        self._site = means.site
        self._lab = means.site.lab
        self._timeline = Timeline(folder.timeline, means.site.clock)
        self._reader = SampleReader(folder.samples)
        self._samples = Samples()
        self._state = _State()
        self._facts = facts.Reader(means.site, self._timeline)

    def play(self, started: events.RunStarted) -> None:
        """Play the scenario; what happened is in the folder. Raises only what interrupts halab as a whole."""
        self._timeline.add(started)
        try:
            lacking = self._scenario.needs.lacking_in(self._setting)
            if lacking:
                self._timeline.add(events.Skipped("; ".join(lacking)))
                return
            self._await_steady(When.BEFORE, _STEADY_BEFORE_SECONDS * self._lab.patience)
            self._under_observation()
        except HalabError as error:
            self._timeline.add(events.Error(error.message))
        except KeyboardInterrupt as error:
            self._timeline.add(events.Interrupted(str(error) or "SIGINT"))
            raise
        finally:
            self._timeline.add(events.RunEnded())

    def _under_observation(self) -> None:
        namespace = f"halab-{uuid.uuid4().hex[:10]}"
        ledger.open_namespace(self._means.api, namespace)
        with ExitStack() as undo:
            undo.callback(self._close, namespace)
            try:
                with self._sampling(namespace), self._healing():
                    self._wait(_BASELINE_SECONDS, "watch the lab before the fault")
                    self._play_steps()
                    self._heal_all()
                    self._recover()
            finally:
                self._samples.add(self._reader.new())
                counts = {lane: len(self._samples.of(lane)) for lane in self._samples.lanes}
                self._timeline.add(events.SamplerStopped(counts))
            self._read_ledger(namespace)
        self._check()

    def _play_steps(self) -> None:
        for index, step in enumerate(self._scenario.steps):
            if any(condition.fails_in(self._setting) for condition in conditions(step)):
                continue
            self._timeline.add(events.StepStarted(index))
            match step:
                case Inject():
                    self._inject(step)
                case Heal():
                    for fault in [each for each in self._state.faults if each.step.name == step.name]:
                        self._heal(fault)
                case Wait():
                    self._wait(step.seconds, "wait")
                case Expect():
                    self._expect(index, step.expectation)
            self._timeline.add(events.StepEnded(index))

    # faults

    def _inject(self, step: Inject) -> None:
        machines = targets.resolve(
            step.target,
            lab=self._lab,
            guests=self._site.guests,
            api=self._means.api,
            chosen=self._state.chosen,
            seed=self._means.seed,
        )
        self._state.chosen[step.name] = machines
        for expectation in self._expected_facts():
            for each in self._machines(expectation):
                self._facts.read(expectation.fact, each)
        for machine in machines:
            record = {"name": step.name, "fault": step.fault, "target": step.target, "machine": machine}
            with self._means.progress.step(f"inject {step.fault} on {machine} ({step.target})") as shown:
                started = self._timeline.add(events.FaultStarted(**record))
                if self._state.first_injected_at is None:
                    self._state.first_injected_at = started.t
                entry = injection.prepare(self._means.journal, step.fault, machine, step.arguments)
                self._state.faults.append(_Fault(step, entry))
                effect = injection.inject(self._site, entry)
                self._timeline.add(events.FaultInjected(**record, effect=effect))
                shown.done(effect)

    def _heal(self, fault: _Fault) -> None:
        step, entry = fault.step, fault.entry
        record = {"name": step.name, "fault": step.fault, "target": step.target, "machine": entry.machine}
        with self._means.progress.step(f"heal {step.fault} on {entry.machine}"):
            self._timeline.add(events.HealStarted(**record))
            try:
                injection.heal(self._site, self._means.journal, entry)
            except HalabError as error:
                self._timeline.add(events.HealFailed(**record, why=error.message))
                raise
            healed = self._timeline.add(events.Healed(**record))
        self._state.faults.remove(fault)
        self._state.last_healed_at = healed.t

    def _heal_all(self) -> None:
        for fault in reversed(list(self._state.faults)):
            self._heal(fault)

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """Heal always: at a broken expectation, at Ctrl-C, at a bug. What fails here stays in the journal."""
        try:
            yield
        except BaseException:
            for fault in reversed(list(self._state.faults)):
                with suppress(HalabError):
                    self._heal(fault)
            raise

    # expectations

    def _expect(self, index: int, expectation: Expectation) -> None:
        """Wait until a `within` is decided. What is promised over a window is judged once the window is closed."""
        self._timeline.add(events.ExpectationStarted(index))
        limit = _limit_seconds(expectation)
        if limit is not None:
            limit *= self._lab.patience
            with self._means.progress.step(f"expect {promised(expectation)}", limit_seconds=limit) as shown:
                shown.done(self._watch(index, expectation, limit))
        self._timeline.add(events.ExpectationEnded(index))

    def _watch(self, index: int, expectation: Expectation, limit: float) -> str:
        """What was seen when it was decided, or the evidence was as complete as it gets."""
        deadline = Deadline.after(self._site.clock, limit + _EVIDENCE_SECONDS)
        latest = self._timeline.now() + limit
        while True:
            history = self._history()
            if isinstance(expectation, FactExpectation):
                for machine in history.machines_asked(index, expectation):
                    self._facts.read_again(expectation.fact, machine, final=self._timeline.now() > latest)
                history = self._history()
            judgement = satisfied(history, index, self._timeline.now())
            if judgement.state is not State.OPEN or deadline.expired:
                return judgement.seen
            self._site.clock.sleep(_POLL_SECONDS)

    def _history(self) -> History:
        self._samples.add(self._reader.new())
        control_planes = [machine.name for machine in self._lab.control_planes]
        return History(
            self._scenario,
            self._setting,
            control_planes,
            self._lab.patience,
            self._timeline.records,
            self._samples,
        )

    def _expected_facts(self) -> Iterator[FactExpectation]:
        for step in self._scenario.steps:
            if isinstance(step, Expect) and isinstance(step.expectation, FactExpectation):
                yield step.expectation

    def _machines(self, expectation: FactExpectation) -> list[str | None]:
        """The machines that a fact is read off: none yet where its fault has not been injected."""
        if expectation.target is None:
            return [None]
        known = [machine.name for machine in self._lab.machines]
        named = [expectation.target] if expectation.target in known else []
        return list(self._state.chosen.get(expectation.target, named))

    # steady, samples, ledger

    def _await_steady(self, when: When, limit: float) -> None:
        what = "see that the lab is steady" if when is When.BEFORE else "wait until the lab is steady again"
        begun = self._timeline.now()
        with self._means.progress.step(what, limit_seconds=limit) as shown:
            deadline = Deadline.after(self._site.clock, limit)
            try:
                seen = wait_until_steady(
                    self._site.guests, self._means.api, self._lab, deadline, note=shown.note
                )
            except TimedOut as error:
                self._timeline.add(events.Steady(when, False, self._timeline.now() - begun, error.message))
                raise LabProblem(
                    f"the lab is not steady: {error.message}", hint="see `halab status`"
                ) from error
            self._timeline.add(events.Steady(when, True, self._timeline.now() - begun, str(seen)))

    def _recover(self) -> None:
        bound = self._scenario.recover.steady.within_seconds or 0.0
        bound *= self._lab.patience
        if self._scenario.recover.origin is Origin.INJECT and self._state.first_injected_at is not None:
            bound -= self._timeline.now() - self._state.first_injected_at
        with suppress(LabProblem):
            self._await_steady(When.AFTER, max(bound * _BEYOND_BOUND, _AT_LEAST_SECONDS))

    @contextmanager
    def _sampling(self, namespace: str) -> Iterator[None]:
        named = {str(step.expectation.probe) for step in self._scenario.steps
                 if isinstance(step, Expect) and isinstance(step.expectation, ProbeExpectation)}  # fmt: skip
        order = sampler.Order(
            probes=sampler.probes(self._lab, named),
            origin=self._timeline.origin,
            samples=str(self._folder.samples),
            namespace=namespace,
            credentials=str(self._means.credentials.folder),
        )
        with sampler.sampling(order, self._folder.logs / "sampler.log"):
            self._timeline.add(events.SamplerStarted())
            yield

    def _wait(self, seconds: float, what: str) -> None:
        with self._means.progress.step(what, limit_seconds=seconds):
            self._site.clock.sleep(seconds)

    def _read_ledger(self, namespace: str) -> None:
        writes = [
            sample for lane in self._samples.lanes for sample in self._samples.of(lane) if sample.number
        ]
        acknowledged = [sample.number for sample in writes if sample.ok and sample.number]
        with self._means.progress.step(f"read back {len(acknowledged)} acknowledged writes") as shown:
            found = ledger.read_back(self._lab, self._means.credentials, namespace, acknowledged)
            shown.done(f"{len(found.missing)} lost" if found.missing else "none lost")
        self._timeline.add(
            events.Ledger(len(writes), found.acknowledged, found.missing, found.unacknowledged_found)
        )

    def _check(self) -> None:
        """Run the testinfra files of the scenario; what they found is in the folder."""
        if not self._means.checks:
            return
        with self._means.progress.step(f"run {len(self._means.checks)} check files") as shown:
            outcome = checks.run(
                self._means.lab_file, self._means.checks, folder=self._folder, patience=self._lab.patience
            )
            shown.done(outcome.error or f"{outcome.passed} passed, {outcome.failed} failed")
        self._timeline.add(outcome)

    def _close(self, namespace: str) -> None:
        """What a run wrote goes with it; a lab that does not answer keeps it, and loses it with `down`."""
        with suppress(HalabError):
            ledger.close_namespace(self._means.api, namespace)


def _limit_seconds(expectation: Expectation) -> float | None:
    """How long the runner may wait for an expectation; None for one over a window, which it need not wait for."""
    if isinstance(expectation, FactExpectation):
        return expectation.changed.within_seconds if expectation.changed else 0.0
    promise = expectation.ok or expectation.fails
    return promise.within_seconds if promise and expectation.during is None else None
