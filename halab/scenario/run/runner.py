"""The runner: the only place where faults, probes and time meet.

steady → sampler on → steps (inject, expect, wait, heal) → heal all → recover → sampler off → ledger, checks, audit.
It records evidence and judges nothing; what it looks at live only tells it when it may go on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial

from halab import process
from halab.clock import Deadline
from halab.cluster.api import Api, Credentials
from halab.cluster.steady import wait_until_steady
from halab.config.fault_facts import EDIT_BALANCER
from halab.config.lab_traits import LabTraits
from halab.config.scenario import Origin, Scenario
from halab.config.step import Expect, Heal, Inject, Wait, conditions
from halab.errors import HalabError, LabProblem, TimedOut, Unable, afterwards
from halab.faults import audit, injection
from halab.faults.catalogue import FAULTS
from halab.faults.journal import Journal
from halab.faults.site import Site
from halab.machines.work import Work
from halab.progress import Progress
from halab.scenario.record import events
from halab.scenario.record.events import SteadyCheckPoint
from halab.scenario.record.folder import RunFolder
from halab.scenario.record.timeline import Timeline
from halab.scenario.run import checks, duration, facts, ledger
from halab.scenario.run.injector import Injector
from halab.scenario.run.observer import Observer
from halab.scenario.sampler import launcher


@dataclass(frozen=True)
class RunContext:
    """What a run works with: `credentials` are those of the sampler's clients, `checks` files in its folder."""

    site: Site
    api: Api
    journal: Journal
    credentials: Credentials
    progress: Progress
    seed: int
    work: Work
    checks: Sequence[str] = ()


class ScenarioRun:
    """One run of one scenario on a lab that is up."""

    def __init__(self, scenario: Scenario, setting: LabTraits, folder: RunFolder, means: RunContext) -> None:
        self._scenario = scenario
        self._setting = setting
        self._folder = folder
        self._means = means
        self._site = means.site
        self._lab = means.site.lab
        self._timeline = Timeline(folder.timeline, means.site.clock)
        self._sampled_since = 0.0
        self._injector = Injector(
            means.site, means.api, means.journal, self._timeline, means.progress, means.seed
        )
        self._observer = Observer(
            scenario, setting, self._lab, means.site.clock, self._timeline, folder,
            facts.Reader(means.site, self._timeline), means.progress,
        )  # fmt: skip

    def play(self, started: events.RunStarted) -> None:
        """Play the scenario; what happened is in the folder. Raises only what interrupts halab as a whole."""
        self._timeline.add(started)
        with afterwards(lambda: self._timeline.add(events.RunEnded())):
            try:
                self._play()
            except KeyboardInterrupt as error:
                with suppress(HalabError):
                    self._timeline.add(events.RunInterrupted(str(error) or "SIGINT"))
                raise

    def _play(self) -> None:
        lacking = self._scenario.lacking_in(self._setting, FAULTS)
        if lacking:
            self._timeline.add(events.Skipped("; ".join(lacking)))
            return
        with ExitStack() as undo:
            self._look_back(self._observe(undo))

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """What goes wrong is part of the record, and the run goes on to its end."""
        try:
            yield
        except HalabError as error:
            self._timeline.add(events.Error(error.message))

    def _observe(self, undo: ExitStack) -> Sequence[Callable[[], None]]:
        """Play the steps under the sampler's eyes; return what can be looked at afterwards."""
        namespace = f"halab-{uuid.uuid4().hex[:10]}"
        with self._recorded():
            with self._twin_setting():
                self._await_steady(
                    SteadyCheckPoint.BEFORE, duration.STEADY_BEFORE_SECONDS * self._lab.patience
                )
                ledger.open_namespace(self._means.api, namespace)
                undo.callback(self._close, namespace)
                try:
                    with afterwards(self._count_samples), self._sampling(namespace), self._healing():
                        self._play_steps()
                        self._injector.heal_all()
                        self._recover()
                except Unable:
                    # the timeline says what was refused, and why; nothing of it was done
                    return [self._audit]
            return [partial(self._read_back, namespace), self._check, self._audit]
        return [self._audit]

    def _count_samples(self) -> None:
        self._timeline.add(events.SamplerStopped(self._observer.counts()))

    def _look_back(self, looks: Sequence[Callable[[], None]]) -> None:
        """None changes what another looks at, and a second matters: a campaign has fifty runs."""

        def take(look: Callable[[], None]) -> None:
            with self._recorded():
                look()

        with ThreadPoolExecutor(max_workers=len(looks)) as pool, process.ended_at_interrupt():
            for taken in [pool.submit(take, look) for look in looks]:
                taken.result()

    def _play_steps(self) -> None:
        for index, step in enumerate(self._scenario.steps):
            if any(condition.fails_in(self._setting) for condition in conditions(step)):
                continue
            self._timeline.add(events.StepStarted(index))
            match step:
                case Inject():
                    self._injector.inject(
                        step.fault, step.name, step.targets, step.arguments, before=self._look_before
                    )
                case Heal():
                    self._injector.heal(step.name)
                case Wait():
                    self._wait(step.seconds, "wait")
                case Expect():
                    self._observer.expect(index, step.expectation)
            self._timeline.add(events.StepEnded(index))

    def _look_before(self) -> None:
        """What facts say before a fault; before the first one, there must be samples that show the lab at its best."""
        self._observer.read_before(self._injector.chosen)
        left = self._sampled_since + duration.BASELINE_SECONDS - self._timeline.now()
        if left > 0:
            self._wait(left, "watch the lab before the fault")

    @contextmanager
    def _healing(self) -> Iterator[None]:
        """Heal always: at a broken expectation, at Ctrl-C, at a bug. What fails here stays in the journal."""
        try:
            yield
        except BaseException:
            self._injector.heal_what_can_be()
            raise

    @contextmanager
    def _twin_setting(self) -> Iterator[None]:
        """The twin's setting of the load balancer, from before the lab is steady until it was so again."""
        options = self._scenario.balancer_options
        if not options:
            yield
            return
        journal, balancer = self._means.journal, self._lab.balancer.name
        entry = injection.plan(self._site, EDIT_BALANCER, balancer, options)
        shown = ", ".join(f"{name} {value}" for name, value in options.items())

        def set_back() -> None:
            with self._means.progress.step("set the load balancer back"):
                injection.heal(self._site, journal, entry)

        with afterwards(set_back):
            with self._means.progress.step(f"set the load balancer to {shown}"):
                self._timeline.add(events.LabSet(shown, injection.inject(self._site, journal, entry)))
            yield

    # steady, samples, ledger

    def _await_steady(self, when: SteadyCheckPoint, limit: float) -> None:
        what = (
            "see that the lab is steady"
            if when is SteadyCheckPoint.BEFORE
            else "wait until the lab is steady again"
        )
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
        begun = self._injector.first_injected_at
        if self._scenario.recover.origin is Origin.INJECT and begun is not None:
            bound -= self._timeline.now() - begun
        with suppress(LabProblem):
            self._await_steady(SteadyCheckPoint.AFTER, duration.recovery_seconds(bound))

    @contextmanager
    def _sampling(self, namespace: str) -> Iterator[None]:
        order = launcher.order(
            self._lab, self._means.credentials, self._scenario.probes,
            origin=self._timeline.origin,
            samples=self._folder.samples,
            states=self._folder.states,
            namespace=namespace,
            tunnel=self._means.api.tunnel,
        )  # fmt: skip
        with launcher.sampling(order, self._folder.logs / "sampler.log") as still_sampled:
            self._observer.still_sampled = still_sampled
            self._sampled_since = self._timeline.add(events.SamplerStarted()).t
            yield

    def _wait(self, seconds: float, what: str) -> None:
        with self._means.progress.step(what, limit_seconds=seconds):
            self._site.clock.sleep(seconds)

    def _read_back(self, namespace: str) -> None:
        """What is there of the acknowledged writes, by every API server and in every etcd member."""
        acknowledged, written = self._observer.history().ledger()
        with self._means.progress.step(f"read back {len(acknowledged)} acknowledged writes") as shown:
            means = self._means
            found = ledger.read_back(
                self._lab, means.credentials, namespace, acknowledged, tunnel=means.api.tunnel
            )
            self._timeline.add(
                events.Ledger(written, found.acknowledged, found.missing, found.unacknowledged_found)
            )
            self._timeline.add(ledger.members(self._site.guests, self._lab, namespace, acknowledged))
            shown.done(f"{len(found.missing)} lost" if found.missing else "none lost")

    def _check(self) -> None:
        """Run the testinfra files of the scenario; what they found is in the folder."""
        if not self._means.checks:
            return
        with self._means.progress.step(f"run {len(self._means.checks)} check files") as shown:
            outcome = checks.run(
                self._means.work, self._means.checks, folder=self._folder, patience=self._lab.patience
            )
            shown.done(outcome.error or f"{outcome.passed} passed, {outcome.failed} failed")
        self._timeline.add(outcome)

    def _audit(self) -> None:
        with self._means.progress.step("see that nothing is left behind") as shown:
            leftovers = audit.audit(self._site)
            shown.done("; ".join(leftovers) or "nothing is")
        self._timeline.add(events.Audit(tuple(leftovers)))

    def _close(self, namespace: str) -> None:
        """What a run wrote goes with it; a lab that does not answer keeps it, and loses it with `down`."""
        with suppress(HalabError):
            ledger.close_namespace(self._means.api, namespace)
