"""Watching a run's evidence while it comes in, to know when it may go on. It judges nothing: the verdict does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from halab.clock import Clock, Deadline
from halab.config.expectation import Expectation, FactExpectation
from halab.config.lab_traits import LabTraits
from halab.config.scenario import Scenario
from halab.config.step import Expect
from halab.progress import Progress
from halab.scenario.record import events
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.history import History, machines_meant
from halab.scenario.record.lanes import time_limit_seconds
from halab.scenario.record.outage import Samples
from halab.scenario.record.states import States
from halab.scenario.record.timeline import SampleReader, StateReader, Timeline, read_samples
from halab.scenario.run import duration, facts
from halab.scenario.verdict.decision import JudgementState
from halab.scenario.verdict.judgement import evaluate
from halab.scenario.verdict.promises import promised, waited_seconds, waiting
from halab.topology.lab import Lab

_POLL_SECONDS = 0.2


@dataclass
class Observer:
    """The evidence of a run so far, and the waits for what is expected of it."""

    scenario: Scenario
    setting: LabTraits
    lab: Lab
    clock: Clock
    timeline: Timeline
    folder: RunFolder
    facts: facts.Reader
    progress: Progress
    still_sampled: Callable[[], None] = lambda: None
    samples: Samples = field(init=False)
    states: States = field(default_factory=States)

    def __post_init__(self) -> None:
        self.samples = Samples(limit_seconds=time_limit_seconds(self.lab.is_emulated))
        self._sample_reader = SampleReader(self.folder.samples)
        self._state_reader = StateReader(self.folder.states)

    def expect(self, index: int, expectation: Expectation) -> None:
        """Wait until a `within` is decided. What is promised over a window is judged once the window is closed."""
        self.timeline.add(events.ExpectationStarted(index))
        limit = waited_seconds(expectation)
        if limit is not None:
            limit *= self.lab.patience
            with self.progress.step(f"expect {promised(expectation)}", limit_seconds=limit) as shown:
                shown.done(self._until_decided(index, expectation, limit))
        self.timeline.add(events.ExpectationEnded(index))

    def read_before(self, chosen: Mapping[str, list[str]]) -> None:
        """Record what facts say before a fault; of machines that no fault has chosen yet, there is nothing to say."""
        for expectation in self._facts_to_read():
            for machine in self._machines(expectation.target, chosen):
                self.facts.read(expectation.fact, machine)

    def history(self) -> History:
        """Everything that is on disk by now."""
        self.read_new()
        return History(
            self.scenario,
            self.setting,
            [machine.name for machine in self.lab.control_planes],
            self.lab.patience,
            self.timeline.records,
            self.samples,
            self.states,
        )

    def counts(self) -> dict[str, int]:
        """How many samples of each lane there are. Read anew: Ctrl-C may have come while new ones were taken in."""
        return Samples(read_samples(self.folder.samples)).counts

    def read_new(self) -> None:
        self.samples.add(self._sample_reader.new())
        self.states.add(self._state_reader.new())

    def _until_decided(self, index: int, expectation: Expectation, limit: float) -> str:
        """What was seen when it was decided, or the evidence was as complete as it gets."""
        deadline = Deadline.after(self.clock, limit + duration.EVIDENCE_SECONDS)
        latest = self.timeline.now() + limit
        while True:
            # a run without a sampler learns nothing more
            self.still_sampled()
            self._read_facts(index, final=self.timeline.now() > latest)
            judgement = evaluate(self.history(), index, self.timeline.now())
            if judgement.state is not JudgementState.OPEN or deadline.expired:
                return judgement.seen
            self.clock.sleep(_POLL_SECONDS)

    def _read_facts(self, index: int, *, final: bool) -> None:
        """Read what this expectation is about, and what the ones that follow at once still wait for.

        Their time runs already, for it counts from the same moment: read when their turn comes, a process that was
        back at once would seem to come back late.
        """
        history = self.history()
        for number, expectation in self._facts_from(history, index):
            is_own = number == index
            if is_own or (
                waiting(expectation)
                and evaluate(history, number, self.timeline.now()).state is JudgementState.OPEN
            ):
                for machine in filter(None, history.machines_asked(number, expectation)):
                    self.facts.read_again(expectation.fact, machine, final=final and is_own)

    @staticmethod
    def _facts_from(history: History, index: int) -> Iterator[tuple[int, FactExpectation]]:
        """What is expected of facts from that step on, as long as no step that does something comes in between."""
        for number, step in enumerate(history.scenario.steps[index:], index):
            if history.unmet(number):
                continue
            if not isinstance(step, Expect):
                return
            if _is_read(step.expectation):
                yield number, step.expectation

    def _facts_to_read(self) -> Iterator[FactExpectation]:
        for step in self.scenario.steps:
            if isinstance(step, Expect) and _is_read(step.expectation):
                yield step.expectation

    def _machines(self, target: str | None, chosen: Mapping[str, list[str]]) -> Sequence[str]:
        if target is None:
            return []
        known = [machine.name for machine in self.lab.machines]
        meant = machines_meant(target, [machine.name for machine in self.lab.control_planes])
        return chosen.get(target, [each for each in meant if each in known])


def _is_read(expectation: Expectation) -> TypeGuard[FactExpectation]:
    """Whether it is about a fact that is read when it is needed, and not sampled."""
    return isinstance(expectation, FactExpectation) and not expectation.fact.is_sampled
