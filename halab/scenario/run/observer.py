"""Watch a run's evidence as it arrives, to know when the run may go on. The verdict is given later, by the judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from halab.clock import Clock, Deadline
from halab.config.expectation import Expectation, FactExpectation, FactName
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
from halab.scenario.verdict.evaluation import evaluate
from halab.scenario.verdict.judgement import Judgement, JudgementState
from halab.scenario.verdict.promises import promised, waited_seconds, waiting
from halab.topology.lab import Lab

_POLL_SECONDS = 0.2
_IS_GOOD = {JudgementState.MET: True, JudgementState.BROKEN: False, JudgementState.OPEN: None}


@dataclass
class Observer:
    """The evidence of a run so far, and the waits for its expectations."""

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
        self.samples = Samples(
            limit_seconds=time_limit_seconds(self.lab.is_emulated), limits=self.scenario.probes.limits
        )
        self._sample_reader = SampleReader(self.folder.samples)
        self._state_reader = StateReader(self.folder.states)

    def expect(self, index: int, expectation: Expectation) -> None:
        """Wait until a `within` is decided. Promises over a window are judged later, when the window is closed."""
        self.timeline.add(events.ExpectationStarted(index))
        limit = waited_seconds(expectation)
        if limit is not None:
            limit *= self.lab.patience
            with self.progress.step(f"expect {promised(expectation)}", limit_seconds=limit) as shown:
                judgement = self._until_decided(index, expectation, limit)
                shown.done(judgement.seen, is_good=_IS_GOOD[judgement.state])
        self.timeline.add(events.ExpectationEnded(index))

    def read_before(self, chosen: Mapping[str, list[str]]) -> None:
        """Record facts before a fault, except of machines that no fault has chosen yet."""
        for expectation in self._facts_to_read():
            for machine in self._machines(expectation.target, chosen):
                self.facts.read(expectation.fact, machine)
        if self.lab.virtual_address:
            self.facts.read_holder()
        for node in self._nodes_that_choose(chosen):
            self.facts.read_choice(node)

    def history(self) -> History:
        """The history with everything that is on disk by now."""
        self.read_new()
        return History(
            self.scenario,
            self.setting,
            self._control_planes,
            self._members,
            self.lab.patience,
            self.timeline.records,
            self.samples,
            self.states,
        )

    def counts(self) -> dict[str, int]:
        """How many samples there are of each lane, as the timeline writes it.

        The file is read again: Ctrl-C may have come while new samples were taken in.
        """
        counts = Samples(read_samples(self.folder.samples)).counts
        return {str(lane): count for lane, count in counts.items()}

    def read_new(self) -> None:
        self.samples.add(self._sample_reader.new())
        self.states.add(self._state_reader.new())

    def _until_decided(self, index: int, expectation: Expectation, limit: float) -> Judgement:
        """Wait until the expectation is decided or all evidence has arrived."""
        evidence_seconds = duration.evidence_seconds(self.scenario, expectation)
        deadline = Deadline.after(self.clock, limit + evidence_seconds)
        latest = self.timeline.now() + limit
        while True:
            # without the sampler, there is no more evidence
            self.still_sampled()
            self._read_facts(index, final=self.timeline.now() > latest)
            judgement = evaluate(self.history(), index, self.timeline.now())
            if judgement.state is not JudgementState.OPEN or deadline.expired:
                return judgement
            self.clock.sleep(_POLL_SECONDS)

    def _read_facts(self, index: int, *, final: bool) -> None:
        """Read the facts of this expectation, and those that directly following expectations still wait for.

        Their time counts from the same moment. If they were read later, a process that was back at once would seem to
        be late.
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
        """Expectations about facts from that step on, until the next step that is no expectation."""
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

    def _nodes_that_choose(self, chosen: Mapping[str, list[str]]) -> list[str]:
        """The nodes whose API server is expected to change, or not to."""
        expected = (step.expectation for step in self.scenario.steps if isinstance(step, Expect))
        named = [
            node
            for expectation in expected
            if isinstance(expectation, FactExpectation) and expectation.fact is FactName.BACKEND_OF
            for node in self._machines(expectation.target, chosen)
        ]
        return list(dict.fromkeys(named))

    @property
    def _control_planes(self) -> list[str]:
        return [machine.name for machine in self.lab.control_planes]

    @property
    def _members(self) -> list[str]:
        return [machine.name for machine in self.lab.members]

    def _machines(self, target: str | None, chosen: Mapping[str, list[str]]) -> Sequence[str]:
        if target is None:
            return []
        known = [machine.name for machine in self.lab.machines]
        meant = machines_meant(target, self._control_planes, self._members)
        return chosen.get(target, [name for name in meant if name in known])


def _is_read(expectation: Expectation) -> TypeGuard[FactExpectation]:
    """True for a fact that is not sampled: the runner reads it when it is needed."""
    return isinstance(expectation, FactExpectation) and not expectation.fact.is_sampled
